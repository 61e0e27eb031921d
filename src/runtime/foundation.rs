//! What every subcommand that touches records stands on: store, key, use cases.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use crate::adapters::journal::LogJournal;
use crate::adapters::password::Argon2id;
use crate::adapters::pki::Workshop;
use crate::adapters::store::SqliteStore;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::alarm::Alarm;
use crate::app::keyring::Keyring;
use crate::app::ports::{Clock, Identify, KeyTable, Review};
use crate::app::{App, Parts};
use crate::config::Settings;
use crate::runtime::root_key::{self, Patience};

/// Kubernetes as far as the use cases need it.
#[derive(Clone)]
pub struct Cluster {
    pub identify: Arc<dyn Identify>,
    pub review: Arc<dyn Review>,
}

pub fn database(settings: &Settings) -> PathBuf {
    settings.data_dir.join("strongroom.db")
}

/// Opens the store and the key, making both on first start. An existing store without its key is refused:
/// a new key would open nothing in it.
pub async fn open(settings: &Settings, cluster: Option<Cluster>, alarm: &Alarm) -> anyhow::Result<App> {
    open_patiently(settings, cluster, alarm, &Patience::None).await.map(|(app, _)| app)
}

/// The same for a server: waits for the key service, and hands over the keys that are to be watched from then on.
pub async fn open_patiently(
    settings: &Settings,
    cluster: Option<Cluster>,
    alarm: &Alarm,
    patience: &Patience,
) -> anyhow::Result<(App, Arc<Keyring>)> {
    let path = database(settings);
    let opened = SqliteStore::open(&path, alarm.clone());
    let store = Arc::new(opened.with_context(|| format!("opening the store {}", path.display()))?);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
    let is_new = store.data_keys().await?.is_empty();
    let service = root_key::open(settings, is_new, entropy.clone(), patience).await?;
    let open = || Keyring::open(store.as_ref(), store.clone(), service.clone(), entropy.as_ref(), clock.now());
    let keyring = patience.wait(open).await.context("opening the data keys")?;
    let parts = Parts {
        store,
        keyring: keyring.clone(),
        journal: Arc::new(LogJournal),
        keymaker: Arc::new(Workshop::new()),
        hashing: Arc::new(Argon2id::new(entropy.clone())),
        clock,
        entropy,
        review: cluster.as_ref().map(|cluster| cluster.review.clone()),
        identify: cluster.map(|cluster| cluster.identify),
    };
    Ok((App::new(parts), keyring))
}
