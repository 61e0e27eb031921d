//! Pods of whoever opted in are started again: what that costs at the API server, and that nothing else does.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strongroom::k8s::crd::{Credential, Service};
use strongroom::k8s::label::{RESTART, RESTARTED_FOR, STARTED_WITH};

use super::operator::{Ground, data, eventually, keys};

fn workload(name: &str, labels: Value, template: Value) -> Value {
    let labels_of_pods = json!({"app": name, "strongroom.dev/inject": "true"});
    let mut metadata = json!({"labels": labels_of_pods});
    metadata["annotations"] = json!({"strongroom.dev/services": "env"});
    let mut spec = json!({"containers": [{"name": "app", "image": "registry.example/app:1"}]});
    if let Some(more) = template.as_object() {
        spec["containers"][0].as_object_mut().expect("a container").extend(more.clone());
    }
    let spec = json!({"selector": {"matchLabels": {"app": name}}, "template": {"metadata": metadata, "spec": spec}});
    json!({"metadata": {"name": name, "labels": labels}, "spec": spec})
}

/// What has pods that a change of its template starts again.
trait Rolled:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl Rolled for Deployment {}
impl Rolled for StatefulSet {}
impl Rolled for DaemonSet {}

async fn create<K: Rolled>(ground: &Ground, object: Value) -> K {
    let object = serde_json::from_value(object).expect("a workload");
    ground.api::<K>().create(&PostParams::default(), &object).await.expect("created")
}

/// What the workload says its pods were started with, and for what its template was last changed.
async fn said<K: Rolled>(ground: &Ground, name: &str) -> (Option<String>, Option<String>) {
    let object = ground.api::<K>().get(name).await.expect("there");
    let template = serde_json::to_value(&object).expect("JSON");
    let restarted = template.pointer("/spec/template/metadata/annotations").and_then(|all| all.get(RESTARTED_FOR));
    (object.annotations().get(STARTED_WITH).cloned(), restarted.and_then(Value::as_str).map(str::to_owned))
}

/// Resource and name of each patch of a workload.
fn patches(ground: &Ground) -> Vec<String> {
    let writes = ground.writes().into_iter().filter(|it| it.resource.ends_with("sets") || it.resource == "deployments");
    let mut all: Vec<String> = writes.map(|it| format!("{} {} {}", it.verb, it.resource, it.name)).collect();
    all.sort();
    all
}

async fn two_credentials(ground: &Ground) {
    for name in ["db", "mail"] {
        ground.create::<Credential>(name, json!({"type": "Password", "source": {"generate": {}}})).await;
    }
    let members = json!([{"name": "db", "keys": {"password": "DB"}}, {"name": "mail", "keys": {"password": "MAIL"}}]);
    ground.create::<Service>("env", json!({"credentials": members})).await;
    ground.ready::<Service>("env").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_changes_restarts_who_opted_in_once_and_nobody_else() {
    let ground = Ground::new("restart").await;
    let operator = ground.start().await;
    two_credentials(&ground).await;
    let opted_in = json!({RESTART: "true"});
    create::<Deployment>(&ground, workload("asks", opted_in.clone(), json!({}))).await;
    create::<Deployment>(&ground, workload("silent", json!({}), json!({}))).await;
    create::<Deployment>(&ground, workload("refuses", json!({RESTART: "false"}), json!({}))).await;
    let from = json!({"envFrom": [{"secretRef": {"name": "db"}}]});
    let mut alone = workload("alone", opted_in.clone(), from);
    alone["spec"]["template"]["metadata"]["labels"] = json!({"app": "alone"});
    alone["spec"]["serviceName"] = json!("alone");
    create::<StatefulSet>(&ground, alone).await;
    create::<DaemonSet>(&ground, workload("every", opted_in, json!({}))).await;

    let noted = async || said::<DaemonSet>(&ground, "every").await.0.zip(said::<StatefulSet>(&ground, "alone").await.0);
    let (every, alone) = eventually(noted, Option::is_some).await.expect("noted");
    let first = eventually(async || said::<Deployment>(&ground, "asks").await, |it| it.0.is_some()).await;
    assert!(first.0.clone().is_some_and(|it| it == every && it.starts_with("Service/env=")), "{first:?}");
    assert!(alone.starts_with("Secret/db="), "{alone}");
    assert_eq!(first.1, None, "nobody is restarted for what is only noted");
    let once = ["patch daemonsets every", "patch deployments asks", "patch statefulsets alone"];
    assert_eq!(patches(&ground), once);

    let before = data(&ground.secret("env").await);
    ground.change::<Credential>("db", json!({"source": {"generate": {"length": 40}}})).await;
    ground.secret_until("env", |it| data(it)["DB"] != before["DB"]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ground.change::<Credential>("mail", json!({"source": {"generate": {"length": 41}}})).await;
    ground.secret_until("env", |it| data(it)["MAIL"] != before["MAIL"]).await;
    let restarted = async || said::<Deployment>(&ground, "asks").await;
    let second = eventually(restarted, |it| it.1.is_some()).await;
    assert_ne!(first.0, second.0);
    assert_eq!(keys(&ground.secret("env").await), ["DB", "MAIL"]);
    eventually(async || said::<DaemonSet>(&ground, "every").await.1, Option::is_some).await;
    eventually(async || said::<StatefulSet>(&ground, "alone").await.1, Option::is_some).await;
    ground.event("asks", "Restarted").await;
    for name in ["silent", "refuses"] {
        assert_eq!(said::<Deployment>(&ground, name).await, (None, None), "{name}");
    }
    let twice: Vec<&str> = once.iter().flat_map(|line| [*line, *line]).collect();
    assert_eq!(patches(&ground), twice, "one write for the batch");
    operator.stop().await;

    // Another operator, as after a restart or an upgrade: nothing changed, so nothing is written.
    let operator = ground.start().await;
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(patches(&ground), twice);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_nobody_was_there_restarts_and_what_came_back_as_it_was_does_not() {
    let ground = Ground::new("restart-away").await;
    let operator = ground.start().await;
    two_credentials(&ground).await;
    create::<Deployment>(&ground, workload("asks", json!({RESTART: "true"}), json!({}))).await;
    let first = eventually(async || said::<Deployment>(&ground, "asks").await, |it| it.0.is_some()).await;

    // Deleted and edited, it comes back as it was.
    ground.api::<k8s_openapi::api::core::v1::Secret>().delete("env", &Default::default()).await.expect("deleted");
    ground.secret_until("env", |_| true).await;
    ground.edit_secret("env", json!({"stringData": {"DB": "x"}})).await;
    ground.secret_until("env", |it| data(it)["DB"] != "x").await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert_eq!(said::<Deployment>(&ground, "asks").await, first);
    operator.stop().await;

    let ask = Patch::Merge(json!({"spec": {"source": {"generate": {"length": 50}}}}));
    ground.api::<Credential>().patch("db", &PatchParams::default(), &ask).await.expect("changed");
    let operator = ground.start().await;
    let second = eventually(async || said::<Deployment>(&ground, "asks").await, |it| it.1.is_some()).await;
    assert_ne!(first.0, second.0);
    assert_eq!(patches(&ground), ["patch deployments asks"; 2]);
    operator.stop().await;
}
