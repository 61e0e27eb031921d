//! Watches the metadata of projections, and of nothing else: the API server selects them by our label, so
//! that all other Secrets of the cluster cost us nothing and their values never reach this process.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::domain::record::Owner;
use crate::k8s::controller::triggers::Triggers;
use crate::k8s::label;
use crate::k8s::projection::Shelf;
use crate::k8s::projection::held::{self, Place, Projections};

pub struct Watch {
    pub client: Client,
    pub projections: Arc<Projections>,
    pub triggers: Arc<Triggers>,
    pub shutdown: CancellationToken,
}

impl Watch {
    /// Until shutdown. `known` hears of the first complete list.
    pub async fn secrets(self, known: oneshot::Sender<()>) {
        self.run::<Secret>(Shelf::Secrets, known).await;
    }

    pub async fn config_maps(self, known: oneshot::Sender<()>) {
        self.run::<ConfigMap>(Shelf::ConfigMaps, known).await;
    }

    async fn run<K>(self, shelf: Shelf, known: oneshot::Sender<()>)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut known = Some(known);
        let mut listed = HashSet::new();
        let selected = Config::default().labels(label::KIND);
        let events = watcher(Api::<PartialObjectMeta<K>>::all(self.client.clone()), selected).default_backoff();
        let mut events = std::pin::pin!(events.take_until(self.shutdown.cancelled()));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // Nobody has looked at anything yet: the controllers look at everything when they start.
                    let first = known.is_some();
                    if matches!(event, Event::InitDone) {
                        known.take().map(|known| known.send(()));
                    }
                    for owner in self.take(shelf, event, &mut listed).into_iter().filter(|_| !first) {
                        self.triggers.wake(&owner);
                    }
                }
                Err(error) => tracing::warn!(what = shelf.kind(), %error, "the watch of projections is interrupted"),
            }
        }
    }

    /// Returns the resources that have to look at their projections.
    fn take<K>(&self, shelf: Shelf, event: Event<PartialObjectMeta<K>>, listed: &mut HashSet<Place>) -> HashSet<Owner>
    where
        PartialObjectMeta<K>: ResourceExt,
    {
        let place = |object: &PartialObjectMeta<K>| Place {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            shelf,
            name: object.metadata.name.clone().unwrap_or_default(),
        };
        match event {
            Event::Init => {
                listed.clear();
                HashSet::new()
            }
            Event::InitApply(object) => {
                listed.insert(place(&object));
                self.projections.observe(place(&object), held::read(&object.metadata))
            }
            Event::Apply(object) => self.projections.observe(place(&object), held::read(&object.metadata)),
            Event::Delete(object) => {
                let uid = object.metadata.uid.as_deref().unwrap_or_default();
                let version = object.metadata.resource_version.as_deref().unwrap_or_default();
                self.projections.observe_end(&place(&object), uid, version).into_iter().collect()
            }
            Event::InitDone => self.projections.retain(shelf, &std::mem::take(listed)),
        }
    }
}
