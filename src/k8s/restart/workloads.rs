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

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;

    fn key(kind: &str) -> Key {
        Key { kind: kind.into(), namespace: "shop".into(), name: "till".into() }
    }

    fn workload(version: &str, word: &str) -> Workload {
        let shown = Shown::from([("Secret/db".to_owned(), word.to_owned())]);
        Workload {
            resource: ApiResource::erase::<Deployment>(&()),
            uid: "u1".into(),
            resource_version: version.into(),
            started_with: Some(shown),
            wants: BTreeSet::new(),
        }
    }

    fn made(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta { uid: Some(uid.into()), resource_version: Some(version.into()), ..ObjectMeta::default() }
    }

    fn version(workloads: &Workloads) -> String {
        workloads.all()[0].1.resource_version.clone()
    }

    #[test]
    fn what_was_written_is_not_undone_by_a_watch_that_comes_later() {
        let workloads = Workloads::default();
        workloads.observe(key("Deployment"), workload("5", "a"));
        let after = workload("6", "b").started_with.unwrap_or_default();
        workloads.written(&key("Deployment"), &made("u1", "6"), after.clone());
        workloads.observe(key("Deployment"), workload("5", "a"));
        assert_eq!((version(&workloads), workloads.all()[0].1.started_with.clone()), ("6".into(), Some(after)));
        workloads.observe(key("Deployment"), workload("7", "c"));
        assert_eq!(version(&workloads), "7");
    }

    #[test]
    fn another_object_of_the_same_name_is_another() {
        let workloads = Workloads::default();
        workloads.observe(key("Deployment"), workload("9", "a"));
        workloads.observe(key("Deployment"), Workload { uid: "u2".into(), ..workload("8", "b") });
        assert_eq!(version(&workloads), "8");
        workloads.written(&key("Deployment"), &made("u1", "20"), Shown::default());
        assert_eq!(version(&workloads), "8", "the answer is about the one that is gone");
    }

    #[test]
    fn a_list_speaks_of_its_own_kind_only() {
        let workloads = Workloads::default();
        workloads.observe(key("Deployment"), workload("1", "a"));
        workloads.observe(key("StatefulSet"), workload("2", "a"));
        workloads.retain("Deployment", &HashSet::new());
        assert!(!workloads.has(&key("Deployment")) && workloads.has(&key("StatefulSet")));
    }
}
