//! One webhook configuration in the cluster: watched, and given `caBundle` when it lacks it. Everything else in it is its
//! owner's: where the webhook is, and which objects it is asked about.

use std::fmt::Debug;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use kube_runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{info, warn};

use super::bundle::Held;

/// Under this name our field stands in `managedFields`.
const MANAGER: &str = "strongroom-webhook";

/// Either sort of webhook configuration.
pub trait Configuration:
    Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)>;
}

macro_rules! configuration {
    ($($kind:ident)+) => {$(
        impl Configuration for $kind {
            fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)> {
                self.webhooks.iter().flatten().map(|it| (it.name.as_str(), &it.client_config)).collect()
            }
        }
    )+};
}

configuration!(MutatingWebhookConfiguration ValidatingWebhookConfiguration);

pub type Event<K> = Result<Option<K>, watcher::Error>;

/// What is known of a configuration.
enum Seen {
    /// Nothing yet, and what was said instead.
    Unknown(Option<String>),
    Missing,
    Held(Held),
}

/// One configuration, and how often somebody else took our bundle out of it.
pub struct Kept<K> {
    api: Api<K>,
    name: String,
    seen: Seen,
    published: Option<String>,
    contest: Contest,
}

impl<K: Configuration> Kept<K> {
    pub fn new(client: &Client, name: &str) -> Self {
        Self {
            api: Api::all(client.clone()),
            name: name.to_owned(),
            seen: Seen::Unknown(None),
            published: None,
            contest: Contest::default(),
        }
    }

    /// The configuration whenever it changes; `None` while there is none.
    pub fn events(&self) -> impl Stream<Item = Event<K>> + Send + use<K> {
        watcher::watch_object(self.api.clone(), &self.name).default_backoff().boxed()
    }

    pub fn observe(&mut self, event: Event<K>) {
        match (event, &mut self.seen) {
            (Ok(None), seen) => *seen = Seen::Missing,
            (Ok(Some(object)), Seen::Held(held)) if read(&object).is_older_than(held) => {}
            (Ok(Some(object)), seen) => *seen = Seen::Held(read(&object)),
            (Err(error), Seen::Unknown(said)) => *said = Some(error.to_string()),
            // What was seen last stands until the watch is back.
            (Err(error), _) => info!(%error, "the watch of {} {} was interrupted", K::kind(&()), self.name),
        }
    }

    /// Whether the API server said anything about it.
    pub fn is_seen(&self) -> bool {
        !matches!(self.seen, Seen::Unknown(None))
    }

    /// Whether no webhook of ours in it would distrust these roots. One that does not exist distrusts nobody.
    pub fn carries(&self, roots: &str) -> bool {
        match &self.seen {
            Seen::Unknown(_) => false,
            Seen::Missing => true,
            Seen::Held(held) => held.carries(roots),
        }
    }

    /// Says whether something was written; the error says what keeps the API server from calling us.
    pub async fn publish(&mut self, roots: &str) -> Result<bool, String> {
        let (kind, name) = (K::kind(&()), &self.name);
        let held = match &self.seen {
            Seen::Unknown(Some(error)) => return Err(format!("{kind} {name} cannot be watched: {error}")),
            Seen::Unknown(None) => return Err(format!("{kind} {name} was not looked at yet")),
            Seen::Missing => return Err(missing(&kind, name)),
            Seen::Held(held) if held.entries.is_empty() => {
                return Err(format!("{kind} {name} has no webhook whose name ends in .strongroom.dev"));
            }
            Seen::Held(held) if held.carries(roots) => return Ok(false),
            Seen::Held(held) => held,
        };
        let restored = self.published.as_deref() == Some(roots);
        if restored && self.contest.must_wait(Instant::now()) {
            return Err(format!("somebody else keeps changing caBundle in {kind} {name}: only one may own it"));
        }
        for webhook in held.foreign(roots) {
            // Kept beside ours, it would let whoever holds its key answer in our place.
            warn!(webhook, "caBundle in {kind} {name} is not of this Strongroom's store: it is replaced");
        }
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.api.patch(name, &params, &Patch::Json::<()>(held.patch(roots))).await;
        let object = match patched {
            Ok(object) => object,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.seen = Seen::Missing;
                return Err(missing(&kind, &self.name));
            }
            Err(error) => return Err(format!("caBundle cannot be written into {kind} {name}: {error}")),
        };
        info!("caBundle written into {kind} {name}");
        if restored {
            self.contest.note(Instant::now());
        }
        self.seen = Seen::Held(read(&object));
        self.published = Some(roots.to_owned());
        Ok(true)
    }
}

fn read<K: Configuration>(object: &K) -> Held {
    Held::new(object.resource_version().unwrap_or_default(), object.webhooks().into_iter())
}

fn missing(kind: &str, name: &str) -> String {
    format!(
        "{kind} {name} does not exist: apply manifests/install.yaml or the chart, or name another with --webhook-config"
    )
}

/// Another controller, or another Strongroom with another store, that writes the same field. What is taken out once is
/// put back at once; whoever takes it out again and again gets slower answers, so that two of a kind do not keep the
/// API server busy with each other.
#[derive(Default)]
struct Contest {
    rounds: u32,
    last: Option<Instant>,
}

impl Contest {
    const MEMORY: Duration = Duration::from_secs(120);

    fn must_wait(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now < last + Duration::from_secs(1 << self.rounds.min(6)))
    }

    fn note(&mut self, now: Instant) {
        let again = self.last.is_some_and(|last| now < last + Self::MEMORY);
        self.rounds = if again { self.rounds.saturating_add(1) } else { 0 };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_is_not_waited_for_and_later_ones_get_slower() {
        let (mut contest, mut now) = (Contest::default(), Instant::now());
        let mut waited = Vec::new();
        for _ in 0..5 {
            let asked = now;
            while contest.must_wait(now) {
                now += Duration::from_millis(500);
            }
            waited.push((now - asked).as_secs());
            contest.note(now);
        }
        assert_eq!(waited, [0, 1, 2, 4, 8]);
        now += Contest::MEMORY;
        assert!(!contest.must_wait(now));
        contest.note(now);
        assert_eq!(contest.rounds, 0, "after a quiet time it is forgotten");
    }
}
