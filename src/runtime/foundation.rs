//! What every subcommand that touches records stands on: store, key, use cases.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use crate::adapters::journal::LogJournal;
use crate::adapters::kms::local::KeyFile;
use crate::adapters::password::Argon2id;
use crate::adapters::pki::Workshop;
use crate::adapters::store::SqliteStore;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::alarm::Alarm;
use crate::app::keyring::Keyring;
use crate::app::ports::{Clock, Identify, KeyTable, Review};
use crate::app::{App, Parts};
use crate::config::Settings;

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
    let path = database(settings);
    let opened = SqliteStore::open(&path, alarm.clone());
    let store = Arc::new(opened.with_context(|| format!("opening the store {}", path.display()))?);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
    let key = match store.data_keys().await?.is_empty() {
        true => KeyFile::open_or_create(&settings.key_file, entropy.clone())?,
        false => KeyFile::open(&settings.key_file, entropy.clone())?,
    };
    let keyring = Keyring::open(store.as_ref(), store.clone(), Arc::new(key), entropy.as_ref(), clock.now()).await;
    let keyring = keyring.context("opening the data keys")?;
    let parts = Parts {
        store,
        keyring,
        journal: Arc::new(LogJournal),
        keymaker: Arc::new(Workshop::new()),
        hashing: Arc::new(Argon2id::new(entropy.clone())),
        clock,
        entropy,
        review: cluster.as_ref().map(|cluster| cluster.review.clone()),
        identify: cluster.map(|cluster| cluster.identify),
    };
    Ok(App::new(parts))
}
