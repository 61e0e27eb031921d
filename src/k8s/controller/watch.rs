//! The watch of one kind: tells the census and the store who is gone before the controller hears of anything.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::runtime::{PredicateConfig, WatchStreamExt, predicates};
use kube::{Api, ResourceExt};
use tokio::sync::Mutex;

use crate::domain::Result;
use crate::domain::record::Owner;
use crate::k8s::controller::backoff::backoff;
use crate::k8s::controller::census::Needs;
use crate::k8s::controller::{Desk, Reconciled, owner_of};

/// Resources that are new or whose spec changed.
pub fn resources<K: Reconciled>(desk: Arc<Desk>, writer: Writer<K>) -> impl Stream<Item = watcher::Result<K>> + Send {
    let registrar = Arc::new(Registrar { desk: desk.clone(), listed: Mutex::default() });
    let mut lists = 0;
    watcher(Api::<K>::all(desk.client.clone()), Config::default())
        .default_backoff()
        .modify(forget_history)
        .then(move |event| {
            let registrar = registrar.clone();
            async move {
                if let Ok(event) = &event {
                    registrar.note::<K>(event).await;
                }
                event
            }
        })
        .reflect(writer)
        .inspect(move |event| match event {
            // A repeated list becomes visible as a whole, after its parts were told one by one.
            Ok(Event::InitDone) => {
                lists += 1;
                if lists > 1 {
                    desk.triggers.wake_kind(K::KIND);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(kind = K::KIND, %error, "the watch is interrupted"),
        })
        .applied_objects()
        .predicate_filter(predicates::generation, PredicateConfig::default())
}

/// Half of a resource's bytes are about who wrote which field and what kubectl applied last: nothing of that is asked
/// for, and every resource is kept in memory.
pub fn forget_history(resource: &mut impl ResourceExt) {
    resource.managed_fields_mut().clear();
    resource.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}

struct Registrar {
    desk: Arc<Desk>,
    /// Who was in the list that is being read.
    listed: Mutex<HashSet<Owner>>,
}

impl Registrar {
    async fn note<K: Reconciled>(&self, event: &Event<K>) {
        match event {
            Event::Init => self.listed.lock().await.clear(),
            Event::InitApply(resource) => {
                self.listed.lock().await.insert(owner_of(resource));
                self.enter(resource);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut *self.listed.lock().await);
                self.sweep::<K>(&listed).await;
            }
            Event::Apply(resource) => self.enter(resource),
            Event::Delete(resource) => {
                let owner = owner_of(resource);
                self.desk.census.leave(&owner);
                self.release::<K>(&owner).await;
            }
        }
    }

    fn enter<K: Reconciled>(&self, resource: &K) {
        let uid = resource.uid().unwrap_or_default();
        let needs = Needs { names: resource.needs(), paths: resource.foreign() };
        self.desk.census.enter(&owner_of(resource), &uid, needs);
    }

    async fn release<K: Reconciled>(&self, owner: &Owner) {
        let released = self.insist("release", || self.desk.app.release(K::CLASS, owner)).await;
        if released == Some(true) {
            tracing::info!(%owner, "released: its resource was deleted");
        }
    }

    /// Finds the deletions that no watch told of: those from before we were here.
    async fn sweep<K: Reconciled>(&self, listed: &HashSet<Owner>) {
        self.desk.census.retain(K::KIND, listed);
        let is_gone = |owner: &Owner| owner.kind == K::KIND && !listed.contains(owner);
        let gone = self.insist("sweep", || self.desk.app.sweep(K::CLASS, is_gone)).await;
        for owner in gone.into_iter().flatten() {
            tracing::info!(%owner, "released: its resource was deleted while nobody watched");
        }
    }

    /// Until it succeeds: whoever hears of a resource may rely on the deletions before it being known.
    async fn insist<T, F>(&self, what: &'static str, attempt: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T>>,
    {
        for failures in 1.. {
            let error = match attempt().await {
                Ok(done) => return Some(done),
                // Whoever leads now lists everything for itself.
                Err(_) if !self.desk.term.holds() => return None,
                Err(error) => error,
            };
            tracing::warn!(what, %error, detail = error.detail(), "the store did not take a deletion; trying again");
            tokio::select! {
                () = tokio::time::sleep(backoff(what, failures).min(PAUSE_MAX)) => {}
                () = self.desk.term.end.cancelled() => return None,
            }
        }
        None
    }
}

/// Nothing else is heard of this kind meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Versions are numbers on every API server there is.
pub fn version(resource: &impl ResourceExt) -> u64 {
    resource.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}
