//! Real processes that stand for election, on one store and the real API server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use strongroom::k8s::crd::{Credential, Managed};
use strongroom::k8s::leader::NAME;

use crate::cluster;
use crate::process::Strongroom;

const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace for the Lease and for what the leader is given to do.
pub struct Bench {
    pub client: Client,
    pub namespace: String,
    turn: cluster::Turn,
}

impl Bench {
    pub async fn new(about: &str) -> Self {
        let turn = cluster::turn().await;
        let client = turn.cluster.client().await;
        let namespace = cluster::namespace(&client, about).await;
        Self { client, namespace, turn }
    }

    /// One that stands for election, with leases of this length; not started yet.
    pub fn candidate(&self, lease: &str) -> Strongroom {
        let mut process = Strongroom::new(Some(&self.kubeconfig()));
        process.set("STRONGROOM_LEADER_ELECTION", Some("on"));
        process.set("STRONGROOM_LEASE_NAMESPACE", Some(&self.namespace));
        process.set("STRONGROOM_LEASE_DURATION", Some(lease));
        process
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.turn.cluster.kubeconfig()
    }

    pub async fn lease(&self) -> Option<LeaseSpec> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get_opt(NAME).await.expect("an answer").and_then(|lease| lease.spec)
    }

    pub async fn delete_lease(&self) {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        api.delete(NAME, &DeleteParams::default()).await.expect("deleted");
    }

    pub async fn epoch(&self) -> i32 {
        self.lease().await.expect("a Lease").lease_transitions.expect("a number")
    }

    pub fn credentials(&self) -> Api<Credential> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn create(&self, name: &str) {
        self.create_as(name, json!({"type": "Password", "source": {"generate": {}}})).await;
    }

    pub async fn create_stored(&self, name: &str) {
        self.create_as(name, json!({"type": "Pairs", "source": {"stored": {}}})).await;
    }

    async fn create_as(&self, name: &str, spec: Value) {
        let credential = Credential::new(name, serde_json::from_value(spec).expect("a spec"));
        self.credentials().create(&PostParams::default(), &credential).await.expect("created");
    }

    /// One value of this resource's Secret, if it is there.
    pub async fn secret(&self, name: &str, key: &str) -> Option<String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let data = api.get_opt(name).await.expect("an answer")?.data?;
        String::from_utf8(data.get(key)?.0.clone()).ok()
    }

    pub async fn delete(&self, name: &str) {
        self.credentials().delete(name, &DeleteParams::default()).await.expect("deleted");
    }

    pub async fn is_ready(&self, name: &str) -> bool {
        let found = self.credentials().get(name).await.expect("a Credential");
        found.conditions().iter().any(|known| known.type_ == "Ready" && known.status == "True")
    }

    pub async fn until_ready(&self, name: &str, process: &Strongroom) {
        until("Ready", process, async || self.is_ready(name).await).await;
    }
}

/// Starts it, and waits until it leads.
pub async fn lead(process: &mut Strongroom) {
    process.start_without_webhook().await;
    until("it leads", process, async || process.leads().await).await;
}

/// Looks until it is so; says how long that took.
pub async fn until(what: &str, process: &Strongroom, is: impl AsyncFn() -> bool) -> Duration {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}
