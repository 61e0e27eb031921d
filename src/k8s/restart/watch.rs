//! Watches the three kinds whose pods can be rolled out, and of them only those that opted in: the API server selects them
//! by our label, so that all others cost nothing.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::k8s::label;
use crate::k8s::restart::template::wants;
use crate::k8s::restart::workloads::{Key, Workload, Workloads, started_with};

/// What has pods that a change of its template starts again.
trait Rolled: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static {
    fn template(&self) -> Option<&PodTemplateSpec>;
}

impl Rolled for Deployment {
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }
}

impl Rolled for StatefulSet {
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }
}

impl Rolled for DaemonSet {
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }
}

/// Never returns.
pub async fn watch_all(client: Client, workloads: Arc<Workloads>) {
    tokio::join!(
        watch::<Deployment>(client.clone(), &workloads),
        watch::<StatefulSet>(client.clone(), &workloads),
        watch::<DaemonSet>(client, &workloads),
    );
}

async fn watch<K: Rolled>(client: Client, workloads: &Workloads) {
    let selected = Config::default().labels(&format!("{}=true", label::RESTART));
    let mut events = std::pin::pin!(watcher(Api::<K>::all(client), selected).default_backoff());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(key(&object));
                workloads.observe(key(&object), workload(&object));
            }
            Ok(Event::InitDone) => workloads.retain(&K::kind(&()), &std::mem::take(&mut listed)),
            Ok(Event::Apply(object)) => workloads.observe(key(&object), workload(&object)),
            Ok(Event::Delete(object)) => workloads.forget(&key(&object)),
            Err(error) => tracing::warn!(what = %K::kind(&()), %error, "the watch of restarts is interrupted"),
        }
    }
}

fn key<K: Rolled>(object: &K) -> Key {
    Key { kind: K::kind(&()).into_owned(), namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

fn workload<K: Rolled>(object: &K) -> Workload {
    Workload {
        resource: ApiResource::erase::<K>(&()),
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
        started_with: started_with(object.meta()),
        wants: object.template().map(wants).unwrap_or_default(),
    }
}
