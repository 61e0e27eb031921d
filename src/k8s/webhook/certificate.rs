//! The webhook's certificate: made by the app, trusted by the API server before it is shown, renewed in time. Knows
//! nothing of TLS; whoever listens is handed each new certificate.
//!
//! The order is what keeps admissions from failing: first `caBundle` carries the old and the new root, then, after a
//! moment in which every API server has seen it, the new leaf is shown. Nothing is written when nothing changed, also
//! after a restart, because roots and leaf come from the store.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::select;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::Client;
use tracing::{info, warn};

use super::configuration::{Event, Kept};
use crate::app::App;
use crate::app::own::{Lifetimes, OwnCertificate};
use crate::domain::authority::AlternativeName;
use crate::domain::{Error, Result};

/// The name of the certificate in the store.
pub const CERTIFICATE: &str = "webhook";
/// However long a certificate lives, the store is asked this often: another process on it may have made a new one.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub struct Options {
    /// Names by which the API server calls the webhook.
    pub names: Vec<AlternativeName>,
    /// Name of the MutatingWebhookConfiguration and of the ValidatingWebhookConfiguration.
    pub configuration: String,
    /// A leaf must fit into the last third of its authority's life.
    pub lifetimes: Lifetimes,
    /// How long API servers may take to see a new bundle.
    pub grace: Duration,
}

impl Options {
    pub fn new(names: Vec<AlternativeName>, configuration: impl Into<String>) -> Self {
        let grace = Duration::from_secs(2);
        Self { names, configuration: configuration.into(), lifetimes: Lifetimes::default(), grace }
    }
}

/// Whether the API server would trust us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// And what to do about it.
    NotReady(String),
}

type Told<T, R = ()> = Box<dyn Fn(&T) -> R + Send + Sync>;

/// What the composition root does with what the keeper finds.
pub struct Callbacks {
    /// Shows this certificate from now on.
    pub install: Told<OwnCertificate, Result<()>>,
    /// Called when it changes.
    pub readiness: Told<Readiness>,
}

/// The certificate to begin with, made if there is none: the keeper shows none before it has seen the configurations.
/// It may not be trusted yet.
pub async fn current(app: &App, options: &Options) -> Result<OwnCertificate> {
    app.own.roots(CERTIFICATE, options.lifetimes).await?;
    app.own.leaf(CERTIFICATE, &options.names, options.lifetimes).await
}

struct Serving {
    chain: String,
    roots: String,
}

enum Change {
    Mutating(Event<MutatingWebhookConfiguration>),
    Validating(Event<ValidatingWebhookConfiguration>),
}

/// Why a pass did not get to its end.
enum Trouble {
    /// The store or the listener: what is shown stays as it is, and is still trusted.
    Own(Error),
    /// The API server would not trust us.
    Untrusted(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

pub struct Keeper {
    app: Arc<App>,
    options: Options,
    callbacks: Callbacks,
    mutating: Kept<MutatingWebhookConfiguration>,
    validating: Kept<ValidatingWebhookConfiguration>,
    serving: Option<Serving>,
    readiness: Option<Readiness>,
}

impl Keeper {
    pub fn new(app: Arc<App>, client: &Client, options: Options, callbacks: Callbacks) -> Self {
        let name = options.configuration.as_str();
        let (mutating, validating) = (Kept::new(client, name), Kept::new(client, name));
        Self { app, mutating, validating, options, callbacks, serving: None, readiness: None }
    }

    /// Runs until it is dropped.
    pub async fn keep(mut self) -> Infallible {
        let mutating = self.mutating.events().map(Change::Mutating);
        let mut changes = select(mutating, self.validating.events().map(Change::Validating));
        let mut failures = 0;
        loop {
            let pause = match self.pass().await {
                Ok(pause) => {
                    failures = 0;
                    pause
                }
                Err(trouble) => {
                    self.complain(trouble);
                    failures += 1;
                    backoff(failures)
                }
            };
            tokio::select! {
                Some(change) = changes.next() => match change {
                    Change::Mutating(event) => self.mutating.observe(event),
                    Change::Validating(event) => self.validating.observe(event),
                },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Brings everything to where it should be; says when to look again.
    async fn pass(&mut self) -> Result<Duration, Trouble> {
        if !(self.mutating.is_seen() && self.validating.is_seen()) {
            return Ok(LOOK_AGAIN);
        }
        let roots = self.roots().await?;
        let published = self.publish(&roots).await;
        let rotated = self.serving.as_ref().is_some_and(|serving| serving.roots != roots);
        if rotated {
            // The leaf that is shown is trusted by the old bundle and by the new one; the next only by the new one.
            if !(self.mutating.carries(&roots) && self.validating.carries(&roots)) {
                return Err(Trouble::Untrusted(published.err().unwrap_or_default()));
            }
            tokio::time::sleep(self.options.grace).await;
        }
        let leaf = self.app.own.leaf(CERTIFICATE, &self.options.names, self.options.lifetimes).await?;
        if self.roots().await? != roots {
            // Another process made a new root meanwhile, and perhaps signed this leaf with it.
            return Ok(Duration::ZERO);
        }
        self.show(&leaf, roots)?;
        let written = published.map_err(Trouble::Untrusted)?;
        if written && self.readiness != Some(Readiness::Ready) {
            tokio::time::sleep(self.options.grace).await;
        }
        self.report(Readiness::Ready);
        Ok(self.pause(&leaf))
    }

    async fn roots(&self) -> Result<String> {
        self.app.own.roots(CERTIFICATE, self.options.lifetimes).await
    }

    /// Both are tried, so that one that is missing does not keep the other from working.
    async fn publish(&mut self, roots: &str) -> Result<bool, String> {
        let mutating = self.mutating.publish(roots).await;
        let validating = self.validating.publish(roots).await;
        Ok(mutating? | validating?)
    }

    fn show(&mut self, leaf: &OwnCertificate, roots: String) -> Result<()> {
        if self.serving.as_ref().is_none_or(|serving| serving.chain != leaf.chain) {
            (self.callbacks.install)(leaf)?;
            info!(renew_at = %leaf.renew_at, "the webhook shows a new certificate");
        }
        self.serving = Some(Serving { chain: leaf.chain.clone(), roots });
        Ok(())
    }

    fn pause(&self, leaf: &OwnCertificate) -> Duration {
        let until = self.app.now().duration_until(leaf.renew_at);
        // A root is renewed in the last third of its life: a look at each twelfth comes early in that third.
        let look = Duration::try_from(self.options.lifetimes.authority / 12).unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN);
        Duration::try_from(until)
            .unwrap_or_default()
            .clamp(Duration::from_millis(10), look.max(Duration::from_millis(10)))
    }

    fn complain(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Untrusted(why) => self.report(Readiness::NotReady(why)),
            Trouble::Own(error) => {
                let detail = error.detail().unwrap_or_default();
                warn!(%error, detail, "the webhook's certificate could not be looked at; it is tried again");
            }
        }
    }

    fn report(&mut self, readiness: Readiness) {
        if self.readiness.as_ref() == Some(&readiness) {
            return;
        }
        match &readiness {
            Readiness::Ready => info!("the API server trusts the webhook"),
            Readiness::NotReady(why) => warn!(why, "the API server does not call the webhook yet"),
        }
        (self.callbacks.readiness)(&readiness);
        self.readiness = Some(readiness);
    }
}

/// From 100 ms to half a minute.
fn backoff(failures: u32) -> Duration {
    Duration::from_millis(100 << failures.saturating_sub(1).min(8)).min(Duration::from_secs(30))
}
