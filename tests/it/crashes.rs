//! The real binary, ended as by SIGKILL between every two of its effects, in the middle of making one resource of each
//! sort. However often and wherever: each value is made once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use strongroom::k8s::crd::{self, Managed};
use strongroom::k8s::label::{RESTART, STARTED_WITH};

use crate::cluster;
use crate::process::Strongroom;

/// Steps that are passed when resources are made, when a value changes, and when a Secret gets another name. Together
/// they are all there are.
const STEPS_OF_MAKING: [&str; 8] = [
    "store.append",
    "store.appended",
    "secret.create",
    "secret.created",
    "client.enroll",
    "client.enrolled",
    "status.patch",
    "status.patched",
];
const STEPS_OF_CHANGING: [&str; 6] =
    ["store.append", "store.appended", "secret.patch", "secret.patched", "status.patch", "status.patched"];
/// These are crashed at in `rekey`.
pub const STEPS_OF_REKEYING: [&str; 3] = ["rekey.added", "rekey.resealing", "rekey.retiring"];
/// Killed at in `backup::killed` and `postgres::verify`, by a signal: what is left lying about is what counts.
pub const BACKUP_WRITTEN: &str = "backup.written";
pub const AUDIT_COPIED: &str = "audit.copied";
const STEPS_OF_RENAMING: [&str; 6] =
    ["secret.create", "secret.created", "secret.delete", "secret.deleted", "status.patch", "status.patched"];
const STEPS_OF_RESTARTING: [&str; 2] = ["restart.patch", "restart.patched"];
const PATIENCE: Duration = Duration::from_secs(30);
/// After which changes of a workload's Secrets are written for all of them.
const BATCH: Duration = Duration::from_secs(10);

struct Scene {
    client: Client,
    namespace: String,
}

impl Scene {
    async fn new(client: &Client, about: &str) -> Self {
        Self { client: client.clone(), namespace: cluster::namespace(client, about).await }
    }

    async fn create<K: Managed>(&self, name: &str, spec: Value) {
        let body =
            json!({"apiVersion": K::api_version(&()), "kind": K::KIND, "metadata": {"name": name}, "spec": spec});
        let resource: K = serde_json::from_value(body).expect("a resource");
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        api.create(&PostParams::default(), &resource).await.expect("created");
    }

    /// One of each sort, none of which waits for another of another kind longer than it takes to make it.
    async fn populate(&self) {
        self.create::<crd::Credential>("user", json!({"type": "User", "source": {"generate": {}}})).await;
        self.create::<crd::CertificateAuthority>(
            "ca",
            json!({"subject": {"commonName": "ca"}, "validity": "48h", "trustBundle": {"configMapName": "ca"}}),
        )
        .await;
        self.create::<crd::Service>("service", json!({"credentials": [{"name": "user"}]})).await;
        self.create::<crd::ClientCredential>("basic", json!({"type": "Basic"})).await;
        let x509 = json!({"type": "X509", "commonName": "x", "ttl": "24h", "authorityRef": {"name": "ca"}});
        self.create::<crd::ClientCredential>("x509", x509).await;
    }

    /// One that opted in, and uses this Secret.
    async fn create_workload(&self, name: &str, secret: &str) {
        let container =
            json!({"name": "app", "image": "registry.example/app:1", "envFrom": [{"secretRef": {"name": secret}}]});
        let labels = json!({"app": name});
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
        let body = json!({
            "metadata": {"name": name, "labels": {RESTART: "true"}},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        });
        let workload: Deployment = serde_json::from_value(body).expect("a workload");
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        api.create(&PostParams::default(), &workload).await.expect("created");
    }

    async fn workload_until(&self, name: &str, is_so: impl Fn(&Deployment) -> bool) -> Deployment {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let begun = Instant::now();
        loop {
            let workload = api.get(name).await.expect("a workload");
            if is_so(&workload) {
                return workload;
            }
            assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", workload.metadata.annotations);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn all_ready<K: Managed>(&self) -> bool {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = api.list(&ListParams::default()).await.expect("a list");
        all.items.iter().all(|it| {
            let ready = it.conditions().iter().any(|known| known.type_ == "Ready" && known.status == "True");
            ready && it.observed_generation() == it.meta().generation
        })
    }

    async fn until_ready(&self, strongroom: &Strongroom) {
        let begun = Instant::now();
        while !(self.all_ready::<crd::Credential>().await
            && self.all_ready::<crd::CertificateAuthority>().await
            && self.all_ready::<crd::Service>().await
            && self.all_ready::<crd::ClientCredential>().await)
        {
            assert!(begun.elapsed() < PATIENCE, "not everything becomes Ready: {}", strongroom.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn revision(&self) -> Option<i64> {
        let api: Api<crd::Credential> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get("user").await.expect("a Credential").status.expect("a status").revision
    }

    /// Name → uid and everything in it.
    async fn secrets(&self) -> BTreeMap<String, (String, Value)> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = api.list(&ListParams::default()).await.expect("a list");
        let shown = all.items.into_iter().map(|secret| {
            let data = serde_json::to_value(secret.data.clone().unwrap_or_default()).expect("JSON");
            (secret.name_any(), (secret.uid().expect("a uid"), data))
        });
        shown.collect()
    }

    /// A Service stays Ready while a credential of it changes, so its condition does not tell.
    async fn until_service_follows(&self, step: &str) -> BTreeMap<String, (String, Value)> {
        let begun = Instant::now();
        loop {
            let secrets = self.secrets().await;
            if secrets["user"].1 == secrets["service"].1 {
                return secrets;
            }
            assert!(begun.elapsed() < PATIENCE, "{step}: the Service does not follow");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn bundle(&self) -> Option<String> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get_opt("ca").await.expect("an answer")?.data?.remove("ca.crt")
    }

    /// The password in the Secret is the one that the store knows the hash of.
    async fn basic_client_can_call(&self, strongroom: &Strongroom) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let data = api.get("basic").await.expect("its Secret").data.expect("data");
        let password = String::from_utf8(data["password"].0.clone()).expect("text");
        let answer = strongroom
            .caller(None)
            .get(strongroom.url("/v1/services/nobodys"))
            .basic_auth(format!("{}/basic", self.namespace), Some(password))
            .send()
            .await
            .expect("an answer");
        // Known, and not allowed: a wrong password gets an HTML page.
        let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
        assert_eq!((answer.status().as_u16(), kind.as_str()), (403, "application/json"));
    }
}

/// Lets it end itself at the `n`th passing of `step`; false: it got by without passing it that often.
async fn crash(strongroom: &mut Strongroom, scene: &Scene, step: &str, n: usize) -> bool {
    let terms = if n == 1 { "return".to_owned() } else { format!("{}*off->return", n - 1) };
    strongroom.set("FAILPOINTS", Some(&format!("{step}={terms}")));
    strongroom.spawn();
    let begun = Instant::now();
    loop {
        if strongroom.has_ended() {
            return true;
        }
        let done = scene.all_ready::<crd::Credential>().await
            && scene.all_ready::<crd::Service>().await
            && scene.all_ready::<crd::CertificateAuthority>().await
            && scene.all_ready::<crd::ClientCredential>().await;
        if done {
            // The API server may tell of the last write before the process has ended behind it.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return strongroom.has_ended();
        }
        assert!(begun.elapsed() < PATIENCE, "{step} {n}: {}", strongroom.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// At the first, second and third passing, as far as it comes by so often. How often it ended.
async fn crash_thrice(strongroom: &mut Strongroom, scene: &Scene, step: &str) -> usize {
    for n in 1..=3 {
        if !crash(strongroom, scene, step, n).await {
            return n - 1;
        }
    }
    3
}

/// Started once more, with nothing in its way, until everything is ready.
async fn recover(strongroom: &mut Strongroom, scene: &Scene) {
    strongroom.kill();
    strongroom.set("FAILPOINTS", None);
    strongroom.start_without_webhook().await;
    scene.until_ready(strongroom).await;
}

#[tokio::test]
async fn each_value_is_made_once_wherever_the_process_ends() {
    let turn = cluster::turn().await;
    let client = turn.cluster.client().await;
    let mut crashes = 0;
    for step in STEPS_OF_MAKING {
        let scene = Scene::new(&client, "crash").await;
        let mut strongroom = Strongroom::new(Some(&turn.cluster.kubeconfig()));
        // The process makes its own certificates first: those appends are its first four.
        scene.populate().await;
        let mut seen: BTreeMap<String, (String, Value)> = BTreeMap::new();
        for n in 1.. {
            if !crash(&mut strongroom, &scene, step, n).await {
                break;
            }
            crashes += 1;
            // Whatever was shown once is never replaced.
            for (name, secret) in scene.secrets().await {
                let first = seen.entry(name.clone()).or_insert_with(|| secret.clone());
                assert_eq!(first.0, secret.0, "{step}: {name} was made again");
                assert_eq!(first.1, secret.1, "{step}: {name} has another value");
            }
        }
        recover(&mut strongroom, &scene).await;
        let after = scene.secrets().await;
        assert_eq!(after.keys().map(String::as_str).collect::<Vec<_>>(), ["basic", "service", "user", "x509"]);
        for (name, secret) in &seen {
            assert_eq!(&after[name], secret, "{step}: {name}");
        }
        assert_eq!(after["user"].1, after["service"].1, "{step}: the Service shows the Credential's value");
        assert_eq!(scene.revision().await, Some(1), "{step}: one revision, so one value");
        assert!(scene.bundle().await.is_some(), "{step}");
        scene.basic_client_can_call(&strongroom).await;
    }
    println!("{crashes} crashes");
    assert!(crashes >= 2 * STEPS_OF_MAKING.len(), "too few crashes to mean anything: {crashes}");
}

#[tokio::test]
async fn a_change_happens_once_wherever_the_process_ends() {
    let turn = cluster::turn().await;
    let client = turn.cluster.client().await;
    let mut crashes = 0;
    for step in STEPS_OF_CHANGING {
        let scene = Scene::new(&client, "change").await;
        let mut strongroom = Strongroom::new(Some(&turn.cluster.kubeconfig()));
        strongroom.start_without_webhook().await;
        scene.populate().await;
        scene.until_ready(&strongroom).await;
        let before = scene.secrets().await;
        strongroom.kill();

        let api: Api<crd::Credential> = Api::namespaced(client.clone(), &scene.namespace);
        let longer = Patch::Merge(json!({"spec": {"source": {"generate": {"length": 44}}}}));
        api.patch("user", &PatchParams::default(), &longer).await.expect("changed");
        crashes += crash_thrice(&mut strongroom, &scene, step).await;
        recover(&mut strongroom, &scene).await;
        let after = scene.until_service_follows(step).await;
        assert_eq!(scene.revision().await, Some(2), "{step}: one change, one revision");
        assert_ne!(after["user"].1, before["user"].1, "{step}");
        for name in ["basic", "x509"] {
            assert_eq!(after[name], before[name], "{step}: {name} was not changed");
        }
    }
    assert!(crashes >= STEPS_OF_CHANGING.len(), "too few crashes to mean anything: {crashes}");
}

#[tokio::test]
async fn a_secret_moves_to_its_new_name_wherever_the_process_ends() {
    let turn = cluster::turn().await;
    let client = turn.cluster.client().await;
    let mut crashes = 0;
    for step in STEPS_OF_RENAMING {
        let scene = Scene::new(&client, "rename").await;
        let mut strongroom = Strongroom::new(Some(&turn.cluster.kubeconfig()));
        strongroom.start_without_webhook().await;
        scene.create::<crd::Credential>("user", json!({"type": "User", "source": {"generate": {}}})).await;
        scene.until_ready(&strongroom).await;
        let before = scene.secrets().await;
        strongroom.kill();

        let api: Api<crd::Credential> = Api::namespaced(client.clone(), &scene.namespace);
        let renamed = Patch::Merge(json!({"spec": {"target": {"secretName": "renamed"}}}));
        api.patch("user", &PatchParams::default(), &renamed).await.expect("changed");
        crashes += crash_thrice(&mut strongroom, &scene, step).await;
        recover(&mut strongroom, &scene).await;
        let begun = Instant::now();
        let after = loop {
            let secrets = scene.secrets().await;
            if secrets.len() == 1 {
                break secrets;
            }
            assert!(begun.elapsed() < PATIENCE, "{step}: {:?}", secrets.keys());
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(after["renamed"].1, before["user"].1, "{step}: the same value under its new name");
        assert_eq!(scene.revision().await, Some(1), "{step}");
    }
    assert!(crashes >= STEPS_OF_RENAMING.len(), "too few crashes to mean anything: {crashes}");
}

/// Each change of a template or of an annotation is a generation: one more is one rollout and nothing else.
#[tokio::test]
async fn pods_are_started_again_once_wherever_the_process_ends() {
    let turn = cluster::turn().await;
    let client = turn.cluster.client().await;
    for step in STEPS_OF_RESTARTING {
        let scene = Scene::new(&client, "restart").await;
        let mut strongroom = Strongroom::new(Some(&turn.cluster.kubeconfig()));
        strongroom.start_without_webhook().await;
        scene.create::<crd::Credential>("user", json!({"type": "User", "source": {"generate": {}}})).await;
        scene.until_ready(&strongroom).await;
        scene.create_workload("till", "user").await;
        let noted = scene.workload_until("till", |it| it.annotations().contains_key(STARTED_WITH)).await;
        strongroom.kill();

        let api: Api<crd::Credential> = Api::namespaced(client.clone(), &scene.namespace);
        let longer = Patch::Merge(json!({"spec": {"source": {"generate": {"length": 44}}}}));
        api.patch("user", &PatchParams::default(), &longer).await.expect("changed");
        strongroom.set("FAILPOINTS", Some(&format!("{step}=return")));
        strongroom.spawn();
        let begun = Instant::now();
        while !strongroom.has_ended() {
            assert!(begun.elapsed() < PATIENCE, "{step}: {}", strongroom.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        recover(&mut strongroom, &scene).await;
        let is_new = |it: &Deployment| it.annotations().get(STARTED_WITH) != noted.annotations().get(STARTED_WITH);
        scene.workload_until("till", is_new).await;
        // Whoever had forgotten that it was done would do it again by then.
        tokio::time::sleep(BATCH + Duration::from_secs(2)).await;
        let after = scene.workload_until("till", is_new).await;
        assert_eq!(after.metadata.generation, noted.metadata.generation.map(|before| before + 1), "{step}");
    }
}

#[test]
fn every_step_of_the_code_is_crashed_at() {
    let mut named = BTreeSet::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            let steps = text.split("step(\"").skip(1).filter_map(|rest| rest.split('"').next());
            named.extend(steps.map(str::to_owned));
        }
    }
    let crashed: BTreeSet<String> = STEPS_OF_MAKING
        .iter()
        .chain(&STEPS_OF_CHANGING)
        .chain(&STEPS_OF_RENAMING)
        .chain(&STEPS_OF_REKEYING)
        .chain(&STEPS_OF_RESTARTING)
        .chain(&[BACKUP_WRITTEN, AUDIT_COPIED])
        .map(ToString::to_string)
        .collect();
    assert_eq!(crashed, named);
}
