//! The Lease in the cluster: read, taken, renewed and left, each change bound to the version that was seen. Decides
//! nothing about time.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::domain::{Error, Result};
use crate::k8s::label;

/// The Lease's name. One installation serves one cluster, so there is one.
pub const NAME: &str = label::STRONGROOM;

/// The Lease as it was at one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    version: String,
    pub spec: LeaseSpec,
}

impl Record {
    pub fn read(lease: Lease) -> Self {
        Self { version: lease.resource_version().unwrap_or_default(), spec: lease.spec.unwrap_or_default() }
    }

    /// Nobody's when it was left.
    pub fn holder(&self) -> Option<&str> {
        self.spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    pub fn epoch(&self) -> u64 {
        self.spec.lease_transitions.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
    }

    /// How long its holder asked others to wait after each sign of life.
    pub fn duration(&self) -> Option<Duration> {
        let seconds = self.spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }
}

/// What became of a change that was bound to a version.
#[derive(Debug)]
pub enum Change {
    Done(Record),
    /// Somebody else changed, made or deleted it meanwhile.
    Outrun,
}

/// One process's hands on the Lease.
pub struct Leases {
    pub api: Api<Lease>,
    pub identity: String,
    /// What others are asked to wait; the API knows whole seconds.
    pub duration: Duration,
    /// No answer after this long counts as a failure: a request must not outlast what it is for.
    pub patience: Duration,
}

impl Leases {
    pub fn new(client: &Client, namespace: &str, identity: String, duration: Duration, patience: Duration) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace), identity, duration, patience }
    }

    pub async fn look(&self) -> Result<Option<Record>> {
        let found = self.answer(self.api.get_opt(NAME)).await?.map_err(unavailable)?;
        Ok(found.map(Record::read))
    }

    /// Makes it ours under this epoch, if it still is as it was `found`.
    pub async fn take(&self, found: Option<&Record>, epoch: u64, now: Timestamp) -> Result<Change> {
        let epoch = i32::try_from(epoch).map_err(|_| Error::internal("the Lease has no number left"))?;
        let spec = json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.duration.as_millis().div_ceil(1000),
            "acquireTime": MicroTime(now),
            "renewTime": MicroTime(now),
            "leaseTransitions": epoch,
        });
        match found {
            Some(record) => self.patch(record, spec).await,
            None => self.create(spec).await,
        }
    }

    /// A sign of life.
    pub async fn renew(&self, record: &Record, now: Timestamp) -> Result<Change> {
        self.patch(record, json!({"renewTime": MicroTime(now)})).await
    }

    /// Others need not wait. The number stays: it must never be used again.
    pub async fn leave(&self, record: &Record, now: Timestamp) -> Result<Change> {
        self.patch(record, json!({"holderIdentity": null, "acquireTime": null, "renewTime": MicroTime(now)})).await
    }

    async fn patch(&self, record: &Record, spec: Value) -> Result<Change> {
        let body = json!({"metadata": {"resourceVersion": record.version}, "spec": spec});
        let parameters = PatchParams { field_manager: Some(label::STRONGROOM.to_owned()), ..PatchParams::default() };
        change(self.answer(self.api.patch(NAME, &parameters, &Patch::Merge(body))).await?)
    }

    async fn create(&self, spec: Value) -> Result<Change> {
        let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(serde_json::from_value(spec).map_err(Error::internal)?) };
        let parameters = PostParams { field_manager: Some(label::STRONGROOM.to_owned()), ..PostParams::default() };
        change(self.answer(self.api.create(&parameters, &lease)).await?)
    }

    async fn answer<T>(&self, request: impl Future<Output = T>) -> Result<T> {
        let late = |_| Error::Unavailable { part: "the API server", detail: "it did not answer in time".to_owned() };
        tokio::time::timeout(self.patience, request).await.map_err(late)
    }
}

fn change(answer: kube::Result<Lease>) -> Result<Change> {
    match answer {
        Ok(lease) => Ok(Change::Done(Record::read(lease))),
        // 409 also says that one of this name exists by now.
        Err(kube::Error::Api(status)) if status.code == 409 || status.is_not_found() => Ok(Change::Outrun),
        Err(error) => Err(unavailable(error)),
    }
}

fn unavailable(error: kube::Error) -> Error {
    Error::Unavailable { part: "the API server", detail: error.to_string() }
}
