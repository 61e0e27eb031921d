//! What the webhook answers from: the resources of all kinds, in memory. A leader's controllers keep them, else watches
//! that do nothing else. From the one to the other there is no moment in which less is known than before.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{FutureExt, StreamExt};
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt, reflector as reflect};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::k8s::controller::{Shelf, forget_history};
use crate::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Service};
use crate::k8s::installed::wait_for_crds;
use crate::k8s::webhook::Known;

/// All resources of all kinds, as one set of watches keeps them.
pub struct Shelves {
    pub credentials: Shelf<Credential>,
    pub services: Shelf<Service>,
    pub authorities: Shelf<CertificateAuthority>,
    pub clients: Shelf<ClientCredential>,
}

impl Default for Shelves {
    fn default() -> Self {
        Self {
            credentials: reflector::store(),
            services: reflector::store(),
            authorities: reflector::store(),
            clients: reflector::store(),
        }
    }
}

impl Shelves {
    pub fn known(&self) -> Known {
        Known {
            credentials: self.credentials.0.clone(),
            services: self.services.0.clone(),
            authorities: self.authorities.0.clone(),
            clients: self.clients.0.clone(),
        }
    }

    /// Fills them, and does nothing else, until `end`.
    async fn fill(self, client: Client, end: CancellationToken) {
        let all = async {
            tokio::join!(
                fill(&client, self.credentials),
                fill(&client, self.services),
                fill(&client, self.authorities),
                fill(&client, self.clients),
            )
        };
        tokio::select! {
            _ = all => {}
            () = end.cancelled() => {}
        }
    }
}

async fn fill<K>(client: &Client, (_, writer): Shelf<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff();
    reflect(writer, events.modify(forget_history))
        .for_each(async |event| {
            if let Err(error) = event {
                tracing::debug!(kind = %K::kind(&()), %error, "the watch is interrupted");
            }
        })
        .await;
}

#[derive(Clone)]
pub struct Shown {
    known: Arc<watch::Sender<Known>>,
    /// Ends the watches of a follower, while they are what is shown or about to be.
    following: Arc<Mutex<Option<CancellationToken>>>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { known: Arc::new(watch::Sender::new(Shelves::default().known())), following: Arc::default() }
    }
}

impl Shown {
    pub fn known(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// What a leader's controllers keep, as soon as it is complete; a follower's watches end then.
    pub async fn lead(&self, known: Known) {
        self.show(known).await;
        if let Some(watches) = self.following().take() {
            watches.cancel();
        }
    }

    /// A follower's own watches, unless they run already.
    pub fn follow(&self, client: Client, ready: impl FnOnce() + Send + 'static, shutdown: &CancellationToken) {
        let end = shutdown.child_token();
        let mut following = self.following();
        if following.is_some() {
            return;
        }
        *following = Some(end.clone());
        let (shown, shelves) = (self.clone(), Shelves::default());
        let known = shelves.known();
        let stop = end.clone();
        tokio::spawn(async move {
            if wait_for_crds(&client, &stop).await {
                shelves.fill(client, stop).await;
            }
        });
        tokio::spawn(async move {
            tokio::select! {
                () = shown.show(known) => ready(),
                () = end.cancelled() => {}
            }
        });
    }

    /// What is complete is not replaced by what is not. Never returns for watches that ended before they were.
    async fn show(&self, known: Known) {
        let complete = is_complete(&self.known.borrow());
        if !complete {
            self.known.send_replace(known.clone());
        }
        if !until_complete(&known).await {
            std::future::pending::<()>().await;
        }
        if complete {
            self.known.send_replace(known);
        }
    }

    fn following(&self) -> std::sync::MutexGuard<'_, Option<CancellationToken>> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_complete(known: &Known) -> bool {
    until_complete(known).now_or_never() == Some(true)
}

async fn until_complete(known: &Known) -> bool {
    async fn filled<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> bool {
        store.wait_until_ready().await.is_ok()
    }
    filled(&known.credentials).await
        && filled(&known.services).await
        && filled(&known.authorities).await
        && filled(&known.clients).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    /// Tells each kind's complete list; the only Service in it has this name.
    fn complete(shelves: &mut Shelves, service: &str) {
        let object = json!({"apiVersion": "strongroom.dev/v1alpha1", "kind": "Service", "spec": {"credentials": []},
            "metadata": {"name": service, "namespace": "shop"}});
        let object: Service = serde_json::from_value(object).expect("a Service");
        shelves.services.1.apply_watcher_event(&Event::Init);
        shelves.services.1.apply_watcher_event(&Event::InitApply(object));
        shelves.services.1.apply_watcher_event(&Event::InitDone);
        shelves.credentials.1.apply_watcher_event(&Event::InitDone);
        shelves.authorities.1.apply_watcher_event(&Event::InitDone);
        shelves.clients.1.apply_watcher_event(&Event::InitDone);
    }

    fn names(known: &watch::Receiver<Known>) -> Vec<String> {
        let services = known.borrow().services.state();
        services.iter().filter_map(|service| service.metadata.name.clone()).collect()
    }

    #[tokio::test]
    async fn what_is_known_stays_known_until_as_much_is_known_again() {
        let shown = Shown::default();
        let known = shown.known();
        let mut first = Shelves::default();
        let mut showing = Box::pin(shown.lead(first.known()));
        assert!(showing.as_mut().now_or_never().is_none());
        complete(&mut first, "first");
        assert!(showing.now_or_never().is_some());
        assert_eq!(names(&known), ["first"]);

        let watches = CancellationToken::new();
        *shown.following() = Some(watches.clone());
        drop(first);
        let mut second = Shelves::default();
        let mut showing = Box::pin(shown.lead(second.known()));
        assert!(showing.as_mut().now_or_never().is_none());
        assert_eq!((names(&known), watches.is_cancelled()), (vec!["first".to_owned()], false));
        complete(&mut second, "second");
        assert!(showing.now_or_never().is_some());
        assert_eq!((names(&known), watches.is_cancelled()), (vec!["second".to_owned()], true));
    }
}
