use k8s_openapi::api::core::v1::Namespace;
use kube::api::DeleteParams;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use serde_json::json;
use strongroom::domain::name::Path;
use strongroom::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Service};

use super::operator::{Ground, Operator, data, eventually};

fn user() -> serde_json::Value {
    json!({"type": "User", "source": {"generate": {}}})
}

async fn is_known(operator: &Operator, ground: &Ground, name: &str) -> bool {
    let path = Path::kubernetes(&ground.namespace, name);
    operator.app.credentials.find(&path).await.expect("an answer").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_resources_value_is_released_and_reclaimed_by_its_name() {
    let ground = Ground::new("deleted").await;
    let operator = ground.start().await;
    ground.create::<Credential>("db", user()).await;
    ground.ready::<Credential>("db").await;
    let first = data(&ground.secret("db").await);
    ground.delete::<Credential>("db").await;
    eventually(async || is_known(&operator, &ground, "db").await, |known| !known).await;

    ground.create::<Credential>("db", user()).await;
    let again = ground.ready::<Credential>("db").await;
    assert_eq!(again.status.expect("a status").revision, Some(2));
    ground
        .secret_until("db", |it| {
            it.metadata.owner_references.as_ref().is_some_and(|it| Some(&it[0].uid) == again.metadata.uid.as_ref())
        })
        .await;
    assert_eq!(data(&ground.secret("db").await), first);

    // A new type is a new value: what was there binds only a resource of its own type.
    ground.delete::<Credential>("db").await;
    eventually(async || is_known(&operator, &ground, "db").await, |known| !known).await;
    ground.create::<Credential>("db", json!({"type": "Password", "source": {"generate": {}}})).await;
    ground.ready::<Credential>("db").await;
    assert_eq!(ground.secret("db").await.type_.as_deref(), Some("Opaque"));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_nobody_saw_is_found_at_the_next_start() {
    let ground = Ground::new("missed").await;
    let operator = ground.start().await;
    for name in ["gone", "here"] {
        ground.create::<Credential>(name, user()).await;
        ground.ready::<Credential>(name).await;
    }
    let authority = json!({"subject": {"commonName": "CA"}, "validity": "24h"});
    ground.create::<CertificateAuthority>("ca", authority).await;
    ground.ready::<CertificateAuthority>("ca").await;
    operator.stop().await;
    ground.delete::<Credential>("gone").await;
    let operator = ground.start().await;
    eventually(async || is_known(&operator, &ground, "gone").await, |known| !known).await;
    assert!(is_known(&operator, &ground, "here").await);
    assert!(is_known(&operator, &ground, "ca").await, "an authority is not swept with the Credentials");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_fifty_resources_goes() {
    let ground = Ground::new("fifty").await;
    ground.cluster().controllers(&ground.client).await;
    let operator = ground.start().await;
    let authority =
        json!({"subject": {"commonName": "CA"}, "validity": "24h", "trustBundle": {"configMapName": "roots"}});
    ground.create::<CertificateAuthority>("ca", authority).await;
    ground.create::<ClientCredential>("till", json!({"type": "Basic"})).await;
    for n in 0..24 {
        ground.create::<Credential>(&format!("db-{n}"), user()).await;
        ground.create::<Service>(&format!("till-{n}"), json!({"credentials": [{"name": format!("db-{n}")}]})).await;
    }
    for n in 0..24 {
        ground.ready::<Service>(&format!("till-{n}")).await;
    }
    ground.ready::<ClientCredential>("till").await;
    let namespaces: Api<Namespace> = Api::all(ground.client.clone());
    let uid = namespaces.get(&ground.namespace).await.expect("there").uid().expect("a uid");
    namespaces.delete(&ground.namespace, &DeleteParams::default()).await.expect("deleted");
    let gone = await_condition(namespaces, &ground.namespace, conditions::is_deleted(&uid));
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.expect("gone in time").expect("a watch");
    eventually(async || is_known(&operator, &ground, "db-23").await, |known| !known).await;
    operator.stop().await;
}
