//! A cluster whose operator finds an older store: what is in Secrets is newer, and stays.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use strongroom::k8s::crd::Credential;

use super::*;
use crate::cluster;

/// What the Secret shows, and the version of the object.
async fn shown(secrets: &Api<Secret>) -> Option<(String, String)> {
    let secret = secrets.get_opt("mail").await.expect("an answer")?;
    let value = String::from_utf8(secret.data?.remove("value")?.0).expect("text");
    Some((value, secret.metadata.resource_version.expect("a version")))
}

async fn until_shown(secrets: &Api<Secret>, value: &str, house: &House) -> String {
    let begun = Instant::now();
    loop {
        match shown(secrets).await {
            Some((found, version)) if found == value => return version,
            found => assert!(begun.elapsed() < PATIENCE, "{value}: {found:?}: {}", house.strongroom.log()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_not_written_back_from_an_older_store() {
    let turn = cluster::turn().await;
    let client = turn.cluster.client().await;
    let namespace = cluster::namespace(&client, "rollback").await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let resources: Api<Credential> = Api::namespaced(client, &namespace);
    let mut strongroom = Strongroom::new(Some(&turn.cluster.kubeconfig()));
    strongroom.set("STRONGROOM_PLAIN_HTTP", Some("true"));
    strongroom.start_without_webhook().await;
    let mut house = House::of(strongroom);
    let spec = serde_json::from_value(json!({"type": "Pairs", "source": {"stored": {}}})).expect("a spec");
    resources.create(&PostParams::default(), &Credential::new("mail", spec)).await.expect("created");
    let id = house.create(&format!("/kubernetes/{namespace}/mail"), "first").await;
    until_shown(&secrets, "first", &house).await;
    house.strongroom.kill();
    let data = house.strongroom.data.clone();
    let kept = keep(&data, "kept");
    house.strongroom.start_without_webhook().await;
    house.update(&id, "second").await;
    let version = until_shown(&secrets, "second", &house).await;
    house.strongroom.kill();
    put_back(&kept, &data);

    house.strongroom.start_without_webhook().await;
    assert_eq!(value(&house, &id).await, "first");
    assert_eq!(write(&house, &id, "never").await.0, 503);
    // Long enough for an operator that works: it wrote the other two within this.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(shown(&secrets).await, Some(("second".to_owned(), version)), "the Secret stays as it is");
    accept(&data);
    until_shown(&secrets, "first", &house).await;
    house.update(&id, "third").await;
    until_shown(&secrets, "third", &house).await;
}
