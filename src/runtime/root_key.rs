//! The root key as the settings say: a file, or a key in AWS KMS. Waits for a key service that does not answer,
//! aloud, and watches over it while the server runs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::adapters::kms::aws::{AwsKms, Place};
use crate::adapters::kms::local::KeyFile;
use crate::app::custody::{Custody, KEY_SERVICE, News};
use crate::app::keyring::Keyring;
use crate::app::ports::{Clock, KeyService};
use crate::config::Settings;
use crate::domain::entropy::Entropy;
use crate::domain::{Error, Result};
use crate::runtime::told;

/// Between two tries at start. With jitter up to twice as long: replicas that started together do not stay together.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSE: Duration = Duration::from_secs(30);

/// Opens the root key. `is_new`: there is nothing in the store yet, so a key file may be made. A key in KMS
/// never is.
pub async fn open(
    settings: &Settings,
    is_new: bool,
    entropy: Arc<dyn Entropy>,
    patience: &Patience,
) -> anyhow::Result<Arc<dyn KeyService>> {
    Ok(match &settings.kms {
        Some(kms) => {
            let place = Place::new(&kms.key, kms.endpoint.clone(), kms.region.clone());
            Arc::new(patience.wait(|| AwsKms::connect(&place)).await?)
        }
        None if is_new => Arc::new(KeyFile::open_or_create(&settings.key_file, entropy)?),
        None => Arc::new(KeyFile::open(&settings.key_file, entropy)?),
    })
}

/// Where the root key is, for people.
pub fn described(settings: &Settings) -> String {
    match &settings.kms {
        Some(kms) => format!("KMS key {}", kms.key),
        None => settings.key_file.display().to_string(),
    }
}

/// What to do while the key service does not answer.
#[derive(Clone)]
pub enum Patience {
    /// Give up: somebody waits at a terminal.
    None,
    /// Try again until this.
    Until(CancellationToken),
}

impl Patience {
    /// Repeats what failed only because the key service did not answer.
    pub async fn wait<T, Try: Future<Output = Result<T>>>(&self, attempt: impl Fn() -> Try) -> anyhow::Result<T> {
        let mut pauses = pauses();
        loop {
            let (error, end) = match (attempt().await, self) {
                (Ok(done), _) => return Ok(done),
                (Err(error @ Error::Unavailable { part: KEY_SERVICE, .. }), Self::Until(end)) => (error, end),
                (Err(error), _) => return Err(told(error)),
            };
            let pause = pauses.next().unwrap_or(MOST_PAUSE);
            let seconds = pause.as_secs();
            let detail = error.detail().unwrap_or_default();
            tracing::warn!(%detail, seconds, "not ready: the key service does not answer; trying again");
            tokio::select! {
                () = end.cancelled() => bail!("stopped while waiting for the key service"),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

fn pauses() -> ExponentialBackoff {
    let builder = ExponentialBuilder::default().with_min_delay(LEAST_PAUSE).with_max_delay(MOST_PAUSE);
    builder.with_factor(1.5).without_max_times().with_jitter().build()
}

/// Custody that begins now, because the data keys were just unwrapped.
pub fn custody(settings: &Settings, now: Timestamp) -> Custody {
    match &settings.kms {
        Some(kms) => Custody::new(Some(kms.outage_limit), now),
        None => Custody::unlimited(),
    }
}

/// Watches over the data keys: checks in when it is time, and locks them when that has failed for too long.
pub struct Watch {
    pub keyring: Arc<Keyring>,
    pub custody: Custody,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
}

impl Watch {
    pub async fn keep(self, shutdown: CancellationToken) {
        self.show();
        // Beside each other: a check-in may take long to fail.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.check_in_when_due() => {}
            () = self.lock_when_late() => {}
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::try_from(self.custody.look()).unwrap_or(LEAST_PAUSE)).await;
    }

    async fn check_in_when_due(&self) {
        loop {
            self.pause().await;
            if self.custody.is_due(self.clock.now()) {
                let answer = self.keyring.check_in().await;
                report(&self.custody, answer, self.clock.now());
                self.show();
            }
        }
    }

    async fn lock_when_late(&self) {
        loop {
            self.pause().await;
            self.show();
        }
    }

    fn show(&self) {
        let locked = self.custody.is_locked(self.clock.now());
        self.keyring.set_locked(locked);
        self.metrics.locked.set(locked.into());
        self.metrics.confirmed.set(self.custody.confirmed().as_second());
    }
}

/// What an alarm can be hung on before anything is locked.
#[derive(Default)]
pub struct Metrics {
    confirmed: Gauge,
    locked: Gauge,
}

impl Metrics {
    /// With a key file there is nothing to be seen.
    pub fn register(settings: &Settings, registry: &mut Registry) -> Self {
        let metrics = Self::default();
        if settings.kms.is_some() {
            let (name, help) = ("key_service_confirmed_seconds", "When the key service last confirmed the data keys");
            registry.register(name, help, metrics.confirmed.clone());
            let (name, help) = ("data_keys_locked", "1 while nothing is sealed or opened");
            registry.register(name, help, metrics.locked.clone());
        }
        metrics
    }
}

fn report(custody: &Custody, answer: Result<()>, now: Timestamp) {
    let Err(error) = answer else {
        if custody.confirm(now) == News::Restored {
            tracing::info!("the key service answers again");
        }
        return;
    };
    let since = custody.confirmed();
    let detail = error.detail().unwrap_or_default();
    match custody.miss(now) {
        News::Missed => tracing::warn!(%error, %detail, %since, "the key service did not confirm the keys; going on"),
        News::Locked => {
            tracing::error!(%error, %detail, %since, "the key service is out of reach for too long: keys are locked");
        }
        News::Nothing | News::Restored => tracing::debug!(%error, %detail, "the key service did not confirm the keys"),
    }
}
