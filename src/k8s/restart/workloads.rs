//! Whoever opted in, as the watches tell it and as we wrote it since.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ApiResource;
use tokio::sync::Notify;

use crate::k8s::label;
use crate::k8s::restart::plan::Shown;
use crate::k8s::restart::template::Want;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

#[derive(Clone, Debug)]
pub struct Workload {
    pub resource: ApiResource,
    pub uid: String,
    pub resource_version: String,
    pub started_with: Option<Shown>,
    pub wants: BTreeSet<Want>,
}

#[derive(Default)]
pub struct Workloads {
    known: Mutex<BTreeMap<Key, Workload>>,
    /// For the one who looks at them.
    pub news: Notify,
}

impl Workloads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Workload>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<(Key, Workload)> {
        self.lock().iter().map(|(key, workload)| (key.clone(), workload.clone())).collect()
    }

    pub fn has(&self, key: &Key) -> bool {
        self.lock().contains_key(key)
    }

    /// What a watch tells. An echo of our own write, and whatever was before it, is no news.
    pub fn observe(&self, key: Key, workload: Workload) {
        let mut known = self.lock();
        let old = known.get(&key).filter(|old| old.uid == workload.uid);
        if old.is_some_and(|old| number(&old.resource_version) >= number(&workload.resource_version)) {
            return;
        }
        known.insert(key, workload);
        self.news.notify_one();
    }

    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// After a complete list of this kind.
    pub fn retain(&self, kind: &str, listed: &HashSet<Key>) {
        self.lock().retain(|key, _| key.kind != kind || listed.contains(key));
    }

    pub fn written(&self, key: &Key, made: &ObjectMeta, shown: Shown) {
        let version = made.resource_version.clone().unwrap_or_default();
        let mut known = self.lock();
        let Some(workload) = known.get_mut(key).filter(|it| made.uid.as_ref() == Some(&it.uid)) else { return };
        if number(&workload.resource_version) < number(&version) {
            workload.resource_version = version;
            workload.started_with = Some(shown);
        }
    }
}

/// What a workload's annotation says.
pub fn started_with(metadata: &ObjectMeta) -> Option<Shown> {
    metadata.annotations.as_ref()?.get(label::STARTED_WITH).map(|text| Shown::read(text))
}

/// A number on every API server that is conformant.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}
