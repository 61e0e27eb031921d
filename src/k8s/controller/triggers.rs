//! Wakes resources: one lane for each kind, from whoever noticed something to that kind's controller.

use std::collections::HashMap;

use futures::Stream;
use futures::stream;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::domain::record::Owner;
use crate::k8s::crd::Managed;

/// Unbounded: a lane holds names only, and its controller empties it at once into a queue without doubles.
#[derive(Default)]
pub struct Triggers(HashMap<&'static str, Lane>);

struct Lane {
    one: UnboundedSender<Owner>,
    all: UnboundedSender<()>,
}

/// The other end of a kind's lane.
pub struct Wakes {
    one: UnboundedReceiver<Owner>,
    all: UnboundedReceiver<()>,
}

impl Triggers {
    pub fn lane(&mut self, kind: &'static str) -> Wakes {
        let (one, wakes) = unbounded_channel();
        let (all, every) = unbounded_channel();
        self.0.insert(kind, Lane { one, all });
        Wakes { one: wakes, all: every }
    }

    /// A name that no resource has wakes nobody. A closed lane means that we are shutting down.
    pub fn wake(&self, owner: &Owner) {
        if let Some(lane) = self.0.get(owner.kind.as_str()) {
            let _ = lane.one.send(owner.clone());
        }
    }

    pub fn wake_kind(&self, kind: &str) {
        if let Some(lane) = self.0.get(kind) {
            let _ = lane.all.send(());
        }
    }

    pub fn wake_all(&self) {
        for kind in self.0.keys() {
            self.wake_kind(kind);
        }
    }
}

impl Wakes {
    /// What `Controller::reconcile_on` and `Controller::reconcile_all_on` take.
    pub fn streams<K: Managed>(self) -> (impl Stream<Item = ObjectRef<K>> + Send, impl Stream<Item = ()> + Send) {
        let one = stream::unfold(self.one, |mut wakes| async move {
            let owner = wakes.recv().await?;
            Some((ObjectRef::new(&owner.name).within(&owner.namespace), wakes))
        });
        let all = stream::unfold(self.all, |mut wakes| async move { Some((wakes.recv().await?, wakes)) });
        (one, all)
    }
}
