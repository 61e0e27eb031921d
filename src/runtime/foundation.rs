//! What every subcommand that touches records stands on: store, key, use cases.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::adapters::journal::{self, FileJournal, LogJournal, Pace};
use crate::adapters::kms::local::KeyFile;
use crate::adapters::password::Argon2id;
use crate::adapters::pki::Workshop;
use crate::adapters::store::SqliteStore;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::alarm::Alarm;
use crate::app::keyring::Keyring;
use crate::app::ports::{Clock, Identify, Journal, KeyTable, Review};
use crate::app::{App, Parts};
use crate::config::Settings;
use crate::runtime::journal::Journaling;

/// Kubernetes as far as the use cases need it.
#[derive(Clone)]
pub struct Cluster {
    pub identify: Arc<dyn Identify>,
    pub review: Arc<dyn Review>,
}

pub fn database(settings: &Settings) -> PathBuf {
    settings.data_dir.join("strongroom.db")
}

/// What everything stands on that touches the store.
pub struct Ground {
    pub store: Arc<SqliteStore>,
    pub keyring: Arc<Keyring>,
    pub clock: Arc<SystemClock>,
    pub entropy: Arc<SystemEntropy>,
}

pub fn open_store(settings: &Settings, alarm: &Alarm) -> anyhow::Result<SqliteStore> {
    let path = database(settings);
    SqliteStore::open(&path, alarm.clone()).with_context(|| format!("opening the store {}", path.display()))
}

impl Ground {
    /// Opens the store and the key, making both on first start. An existing store without its key is
    /// refused: a new key would open nothing in it.
    async fn open(settings: &Settings, alarm: &Alarm) -> anyhow::Result<Self> {
        let store = Arc::new(open_store(settings, alarm)?);
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
        let key = match store.data_keys().await?.is_empty() {
            true => KeyFile::open_or_create(&settings.key_file, entropy.clone())?,
            false => KeyFile::open(&settings.key_file, entropy.clone())?,
        };
        let keyring = Keyring::open(store.as_ref(), store.clone(), Arc::new(key), entropy.as_ref(), clock.now()).await;
        Ok(Self { store, keyring: keyring.context("opening the data keys")?, clock, entropy })
    }

    /// Makes nothing: for looking at what is there.
    pub async fn of_existing(settings: &Settings) -> anyhow::Result<Self> {
        let alarm = Alarm::default();
        if open_store(settings, &alarm)?.data_keys().await?.is_empty() {
            bail!("the store has no data key: it was never used, or they were taken away");
        }
        Self::open(settings, &alarm).await
    }

    fn app(&self, cluster: Option<Cluster>, journal: Arc<dyn Journal>) -> App {
        App::new(Parts {
            store: self.store.clone(),
            keyring: self.keyring.clone(),
            journal,
            keymaker: Arc::new(Workshop::new()),
            hashing: Arc::new(Argon2id::new(self.entropy.clone())),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            review: cluster.as_ref().map(|cluster| cluster.review.clone()),
            identify: cluster.map(|cluster| cluster.identify),
        })
    }
}

/// For subcommands that answer nobody.
pub async fn open(settings: &Settings, cluster: Option<Cluster>, alarm: &Alarm) -> anyhow::Result<App> {
    Ok(Ground::open(settings, alarm).await?.app(cluster, Arc::new(LogJournal)))
}

/// For those who answer callers: every read and denial is noted in a journal from here on.
pub async fn open_to_serve(
    settings: &Settings,
    cluster: Option<Cluster>,
    alarm: &Alarm,
) -> anyhow::Result<(Arc<App>, Journaling)> {
    let ground = Ground::open(settings, alarm).await?;
    let (journal, anchors) = FileJournal::open(journal::Ground {
        folder: settings.audit_dir.clone(),
        clock: ground.clock.clone(),
        entropy: ground.entropy.clone(),
        alarm: alarm.clone(),
        keyring: ground.keyring.clone(),
        pace: Pace::default(),
    })
    .with_context(|| format!("opening a journal in {}", settings.audit_dir.display()))?;
    let journal = Arc::new(journal);
    let app = Arc::new(ground.app(cluster, journal.clone()));
    Ok((app.clone(), Journaling::start(app, journal, anchors).await?))
}
