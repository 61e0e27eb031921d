//! How much is asked of the API server, counted by the API server.

use std::time::Duration;

use serde_json::json;
use strongroom::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Service};

use super::audit::Asked;
use super::operator::{Ground, eventually};

/// Verb, resource and name of each write, in order of names.
fn listed(writes: &[Asked]) -> Vec<String> {
    let mut all: Vec<String> = writes.iter().map(|it| format!("{} {} {}", it.verb, it.resource, it.name)).collect();
    all.sort();
    all
}

async fn ready(ground: &Ground) {
    ground.ready::<CertificateAuthority>("ca").await;
    ground.ready::<Credential>("db").await;
    ground.ready::<Service>("env").await;
    ground.ready::<ClientCredential>("basic").await;
    ground.ready::<ClientCredential>("x509").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_resource_costs_one_write_for_each_projection_and_one_for_its_status_and_then_none() {
    let ground = Ground::new("writes").await;
    let operator = ground.start().await;
    let authority =
        json!({"subject": {"commonName": "CA"}, "validity": "9000h", "trustBundle": {"configMapName": "roots"}});
    ground.create::<CertificateAuthority>("ca", authority).await;
    ground.ready::<CertificateAuthority>("ca").await;
    ground.create::<Credential>("db", json!({"type": "User", "source": {"generate": {}}})).await;
    ground.ready::<Credential>("db").await;
    ground.create::<Service>("env", json!({"credentials": [{"name": "db"}]})).await;
    ground.create::<ClientCredential>("basic", json!({"type": "Basic"})).await;
    let x509 = json!({"type": "X509", "commonName": "till", "authorityRef": {"name": "ca"}});
    ground.create::<ClientCredential>("x509", x509).await;
    ready(&ground).await;
    let expected = [
        "create configmaps roots",
        "create secrets basic",
        "create secrets db",
        "create secrets env",
        "create secrets x509",
        "patch certificateauthorities/status ca",
        "patch clientcredentials/status basic",
        "patch clientcredentials/status x509",
        "patch credentials/status db",
        "patch services/status env",
    ];
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(listed(&ground.writes()), expected);
    operator.stop().await;

    // A restart looks at everything once more.
    let before = ground.asked_everywhere().len();
    let operator = ground.start().await;
    eventually(async || ground.asked_everywhere().len() - before, |lists| *lists >= 6).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(listed(&ground.writes()), expected);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_watched_by_label_and_read_by_name_only_where_a_resource_says_so() {
    let ground = Ground::new("reads").await;
    ground.foreign_secret("legacy", json!({}), json!({"value": "v"})).await;
    ground.foreign_secret("other", json!({}), json!({"value": "v"})).await;
    let operator = ground.start().await;
    ground.create::<Credential>("db", json!({"type": "Value", "source": {"secretRef": {"name": "legacy"}}})).await;
    ground.create::<Credential>("made", json!({"type": "Password", "source": {"generate": {}}})).await;
    ground.ready::<Credential>("db").await;
    ground.ready::<Credential>("made").await;
    operator.stop().await;
    let reads: Vec<Asked> = ground.asked().into_iter().filter(|it| it.verb == "get").collect();
    assert!(reads.iter().all(|it| it.resource == "secrets" && it.name == "legacy"), "{reads:?}");
    assert!(!reads.is_empty());
    let watches = ground.asked_everywhere().into_iter().filter(|it| it.resource == "secrets");
    let everywhere: Vec<Asked> = watches.filter(|it| !it.uri.contains("labelSelector=strongroom.dev%2Fkind")).collect();
    assert!(everywhere.is_empty(), "{everywhere:?}");
    let refused: Vec<Asked> = ground.asked_everywhere().into_iter().filter(|it| it.code == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
