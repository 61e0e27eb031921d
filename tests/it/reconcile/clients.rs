use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::json;
use strongroom::domain::secret::SecretText;
use strongroom::k8s::crd::{CertificateAuthority, ClientCredential, ClientState};

use super::operator::{Ground, Operator, data, eventually};

async fn may_call(operator: &Operator, ground: &Ground, password: &str) -> bool {
    let username = format!("{}/till-17", ground.namespace);
    let found = operator.app.callers.authenticate_basic(&username, &SecretText::from(password)).await;
    found.expect("an answer").is_some()
}

async fn password(ground: &Ground) -> String {
    data(&ground.secret("till-17").await)["password"].clone()
}

fn basic() -> serde_json::Value {
    json!({"type": "Basic"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basic_client_calls_with_what_its_secret_holds() {
    let ground = Ground::new("basic").await;
    let operator = ground.start().await;
    ground.create::<ClientCredential>("till-17", basic()).await;
    let status = ground.ready::<ClientCredential>("till-17").await.status.expect("a status");
    let username = format!("{}/till-17", ground.namespace);
    assert_eq!((status.username.as_deref(), status.state), (Some(username.as_str()), Some(ClientState::Active)));
    let secret = ground.secret("till-17").await;
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/basic-auth"));
    assert_eq!(data(&secret)["username"], username);
    let first = password(&ground).await;
    assert!(may_call(&operator, &ground, &first).await);
    assert!(!may_call(&operator, &ground, "another").await);

    ground.change::<ClientCredential>("till-17", json!({"state": "Suspended"})).await;
    ground
        .until::<ClientCredential>("till-17", |it| {
            it.status.as_ref().is_some_and(|it| it.state == Some(ClientState::Suspended))
        })
        .await;
    assert!(!may_call(&operator, &ground, &first).await);
    ground.change::<ClientCredential>("till-17", json!({"state": null})).await;
    ground
        .until::<ClientCredential>("till-17", |it| {
            it.status.as_ref().is_some_and(|it| it.state == Some(ClientState::Active))
        })
        .await;
    assert!(may_call(&operator, &ground, &first).await);
    assert_eq!(password(&ground).await, first);

    for loss in ["edit", "deletion"] {
        let before = password(&ground).await;
        match loss {
            "edit" => ground.edit_secret("till-17", json!({"stringData": {"password": "mine"}})).await,
            _ => drop(ground.api::<Secret>().delete("till-17", &DeleteParams::default()).await.expect("deleted")),
        }
        let changed = |it: &Secret| data(it)["password"] != before && data(it)["password"] != "mine";
        let after = data(&ground.secret_until("till-17", changed).await)["password"].clone();
        eventually(async || may_call(&operator, &ground, &after).await, |may| *may).await;
        assert!(!may_call(&operator, &ground, &before).await, "{loss}");
        assert!(!may_call(&operator, &ground, "mine").await, "{loss}");
    }
    ground.event("till-17", "NewPassword").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_only_the_secret_knows_is_enrolled_and_not_replaced() {
    let ground = Ground::new("enroll").await;
    let operator = ground.start().await;
    ground.create::<ClientCredential>("till-17", basic()).await;
    ground.ready::<ClientCredential>("till-17").await;
    let first = ground.secret("till-17").await;
    operator.stop().await;
    // As if the process had been killed between the Secret and the store: this one has never heard of it.
    let empty = tempfile::tempdir().expect("a folder");
    let operator = ground.start_on(empty.path()).await;
    eventually(async || may_call(&operator, &ground, &data(&first)["password"]).await, |may| *may).await;
    assert_eq!(ground.secret("till-17").await.metadata.resource_version, first.metadata.resource_version);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_edit_keeps_the_password() {
    let ground = Ground::new("basic-undone").await;
    let operator = ground.start().await;
    ground.create::<ClientCredential>("till-17", basic()).await;
    ground.ready::<ClientCredential>("till-17").await;
    let first = password(&ground).await;
    operator.stop().await;
    ground.edit_secret("till-17", json!({"stringData": {"password": "mine", "more": "x"}})).await;
    ground.edit_secret("till-17", json!({"stringData": {"password": first}})).await;
    let operator = ground.start().await;
    ground.secret_until("till-17", |it| !data(it).contains_key("more")).await;
    assert_eq!(password(&ground).await, first);
    assert!(may_call(&operator, &ground, &first).await);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_stays_revoked_in_a_new_resource_of_the_same_name() {
    let ground = Ground::new("revoked").await;
    let operator = ground.start().await;
    let authority = json!({"subject": {"commonName": "CA"}, "validity": "9000h"});
    ground.create::<CertificateAuthority>("ca", authority).await;
    let x509 = json!({"type": "X509", "commonName": "till", "authorityRef": {"name": "ca"}});
    // Secrets that stay: nothing but the store tells what was revoked.
    for (name, mut spec) in [("till-17", basic()), ("till-18", x509)] {
        spec["target"] = json!({"deletionPolicy": "Retain"});
        ground.create::<ClientCredential>(name, spec.clone()).await;
        ground.ready::<ClientCredential>(name).await;
        let before = data(&ground.secret(name).await);
        ground.change::<ClientCredential>(name, json!({"state": "Revoked"})).await;
        ground
            .until::<ClientCredential>(name, |it| {
                it.status.as_ref().is_some_and(|it| it.state == Some(ClientState::Revoked))
            })
            .await;
        ground.delete::<ClientCredential>(name).await;
        let gone = async || ground.api::<ClientCredential>().get_opt(name).await.expect("an answer").is_some();
        eventually(gone, |there| !there).await;
        let owner = ground.owner::<ClientCredential>(name);
        let released = async || operator.app.clients.remembered(&owner).await.expect("an answer");
        eventually(released, |it| it.as_ref().is_some_and(|entry| entry.head.released.is_some())).await;
        ground.create::<ClientCredential>(name, spec).await;
        ground.ready::<ClientCredential>(name).await;
        let after = data(&ground.secret(name).await);
        for key in ["password", "tls.key"] {
            assert!(after.get(key).is_none_or(|value| *value != before[key]), "{name}");
        }
        if name == "till-17" {
            assert!(!may_call(&operator, &ground, &before["password"]).await);
            assert!(may_call(&operator, &ground, &after["password"]).await);
        }
    }
    operator.stop().await;
}
