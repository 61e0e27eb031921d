use serde_json::json;
use strongroom::domain::actor::{Actor, Scheme, Standing};
use strongroom::domain::name::Tenant;
use strongroom::domain::permission::Action;
use strongroom::k8s::crd::{Credential, Service};

use super::operator::{Ground, condition, data, eventually, keys};

async fn user(ground: &Ground, name: &str) {
    ground.create::<Credential>(name, json!({"type": "User", "source": {"generate": {}}})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_with_one_key_are_a_conflict_that_names_both() {
    let ground = Ground::new("conflict").await;
    let operator = ground.start().await;
    user(&ground, "db").await;
    user(&ground, "mail").await;
    ground
        .create::<Service>("till", json!({"credentials": [{"name": "db"}], "target": {"secretName": "till-env"}}))
        .await;
    ground.ready::<Service>("till").await;
    let before = ground.secret("till-env").await;
    assert_eq!(keys(&before), ["password", "username"]);
    assert_eq!(data(&before), data(&ground.secret("db").await));

    ground.change::<Service>("till", json!({"credentials": [{"name": "db"}, {"name": "mail"}]})).await;
    let message = ground.failing::<Service>("till", "KeyConflict").await;
    assert!(message.starts_with("key password is in db and mail; key username is in db and mail"), "{message}");
    let stalled = ground.until::<Service>("till", |it| condition(it, "Stalled").is_some()).await;
    assert_eq!(stalled.status.expect("a status").keys, ["password", "username"]);
    assert_eq!(ground.secret("till-env").await.metadata.resource_version, before.metadata.resource_version);

    let renamed = json!({"credentials": [{"name": "db"}, {"name": "mail", "keys": {"password": "MAIL_PASSWORD"}}]});
    ground.change::<Service>("till", renamed).await;
    ground.ready::<Service>("till").await;
    let after = data(&ground.secret("till-env").await);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["MAIL_PASSWORD", "password", "username"]);
    assert_eq!(after["MAIL_PASSWORD"], data(&ground.secret("mail").await)["password"]);

    let unknown = json!({"credentials": [{"name": "db", "keys": {"token": "T"}}]});
    ground.change::<Service>("till", unknown).await;
    let message = ground.failing::<Service>("till", "Invalid").await;
    assert!(message.contains("spec.credentials[db].keys names token"), "{message}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_follows_its_credentials_and_is_open_to_the_clients_it_lists() {
    let ground = Ground::new("service").await;
    let operator = ground.start().await;
    let spec = json!({"credentials": [{"name": "db"}], "clients": [{"name": "till-17"}]});
    ground.create::<Service>("till", spec).await;
    ground.failing::<Service>("till", "AwaitingCredential").await;
    user(&ground, "db").await;
    let service = ground.ready::<Service>("till").await;
    let id = format!("{}.till", ground.namespace);
    assert_eq!(service.status.expect("a status").service_id.as_deref(), Some(id.as_str()));

    let client = |name: &str| Actor {
        id: format!("{}/{name}", ground.namespace),
        tenant: Tenant::namespace(&ground.namespace),
        scheme: Scheme::Basic,
        standing: Standing::Client,
        from: None,
    };
    let services = &operator.app.services;
    assert_eq!(
        services.view(&client("till-17"), &id, Action::Get).await.expect("open to it").members.credentials.len(),
        1
    );
    assert!(services.view(&client("till-18"), &id, Action::Get).await.is_err());

    let first = data(&ground.secret("till").await);
    ground.change::<Credential>("db", json!({"source": {"generate": {"length": 40}}})).await;
    ground.secret_until("till", |it| data(it) != first && data(it)["password"].len() == 40).await;
    assert_eq!(data(&ground.secret("till").await), data(&ground.secret("db").await));
    ground.change::<Service>("till", json!({"clients": []})).await;
    let closed = async || services.view(&client("till-17"), &id, Action::Get).await.is_err();
    eventually(closed, |closed| *closed).await;
    operator.stop().await;
}
