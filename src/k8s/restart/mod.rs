//! Pods that opted in are started again when what they were started with has changed: `strongroom.dev/restart: "true"` as a
//! label of their Deployment, StatefulSet or DaemonSet. Knows Secrets by their metadata only, and starts no pod itself: it
//! changes an annotation in the pod template, and the cluster's own controllers roll the pods out as they do for everything.
//! (docs/decisions/0026-restarts-by-an-annotation.md)

mod batch;
mod plan;
mod template;
mod watch;
mod workloads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::step::step;
use crate::k8s::label;
use crate::k8s::projection::held::Projections;
use crate::k8s::restart::batch::Batch;
use crate::k8s::restart::plan::{Plan, plan, shown};
use crate::k8s::restart::watch::watch_all;
use crate::k8s::restart::workloads::{Key, Workload, Workloads};

/// A thousand new Secrets are not a thousand looks at everything.
const PACE: Duration = Duration::from_secs(1);
/// For what the API server refused: nobody tells us when it would not any more.
const AGAIN: Duration = Duration::from_secs(60);

pub struct Restarter {
    client: Client,
    projections: Arc<Projections>,
    recorder: Recorder,
    workloads: Arc<Workloads>,
    batches: BTreeMap<Key, Batch>,
}

impl Restarter {
    pub fn new(client: Client, projections: Arc<Projections>, recorder: Recorder) -> Self {
        Self { client, projections, recorder, workloads: Arc::default(), batches: BTreeMap::new() }
    }

    /// Until the end of the term.
    pub async fn run(self, end: CancellationToken) {
        let watches = watch_all(self.client.clone(), self.workloads.clone());
        tokio::select! {
            () = watches => {}
            () = self.look_on() => {}
            () = end.cancelled() => {}
        }
    }

    async fn look_on(mut self) {
        loop {
            let next = self.batches.values().map(Batch::due_at).min();
            tokio::select! {
                () = self.projections.news.notified() => {}
                () = self.workloads.news.notified() => {}
                () = until(next) => {}
            }
            for (key, workload) in self.workloads.all() {
                self.look(key, &workload).await;
            }
            self.batches.retain(|key, _| self.workloads.has(key));
            tokio::time::sleep(PACE).await;
        }
    }

    async fn look(&mut self, key: Key, workload: &Workload) {
        let shown = shown(&self.projections, &key.namespace, &workload.wants, &workload.started_with);
        let now = Instant::now();
        let (written, changed) = match plan(&workload.started_with, shown) {
            Plan::Keep => {
                self.batches.remove(&key);
                return;
            }
            // No pod is started for this: there is nothing to wait for.
            Plan::Note(shown) => (shown, Vec::new()),
            Plan::Restart { shown, changed } => (shown, changed),
        };
        let batch = self.batches.entry(key.clone()).or_insert_with(|| Batch::begun(&written, now));
        batch.grew(&written, now);
        let waits = !changed.is_empty() && !batch.is_due(now);
        if waits || batch.is_refused(now) {
            return;
        }
        let pause = match self.write(&key, workload, &written, &changed).await {
            Ok(()) => {
                self.batches.remove(&key);
                return self.tell(&key, workload, &changed).await;
            }
            // Somebody changed it since: the watch tells what it is now.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => PACE,
            Err(error) => {
                tracing::warn!(what = %key, %error, "the pods could not be told to start again");
                AGAIN
            }
        };
        if let Some(batch) = self.batches.get_mut(&key) {
            batch.refuse(now + pause);
        }
    }

    /// One write for one batch, bound to what was seen: a leader of before cannot undo it.
    async fn write(
        &self,
        key: &Key,
        workload: &Workload,
        written: &plan::Shown,
        changed: &[String],
    ) -> kube::Result<()> {
        let mut body = json!({"metadata": {
            "uid": workload.uid,
            "resourceVersion": workload.resource_version,
            "annotations": {label::STARTED_WITH: written.to_string()},
        }});
        if !changed.is_empty() {
            body["spec"] = json!({"template": {"metadata": {"annotations": {label::RESTARTED_FOR: written.digest()}}}});
        }
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &key.namespace, &workload.resource);
        step("restart.patch");
        let parameters = PatchParams { field_manager: Some(label::RESTARTER.to_owned()), ..PatchParams::default() };
        let made = api.patch_metadata(&key.name, &parameters, &Patch::Merge(body)).await?;
        step("restart.patched");
        self.workloads.written(key, &made.metadata, written.clone());
        Ok(())
    }

    async fn tell(&self, key: &Key, workload: &Workload, changed: &[String]) {
        if changed.is_empty() {
            return;
        }
        let note = format!("pods are started again: {} changed", changed.join(", "));
        tracing::info!(what = %key, changed = changed.join(","), "pods are started again");
        let event = Event {
            type_: EventType::Normal,
            reason: "Restarted".to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: "Restart".to_owned(),
            secondary: None,
        };
        let about = ObjectReference {
            api_version: Some(workload.resource.api_version.clone()),
            kind: Some(workload.resource.kind.clone()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(workload.uid.clone()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &about).await {
            tracing::debug!(what = %key, %error, "an Event was not recorded");
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
