//! What every subcommand that touches records stands on: store, key, use cases.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use crate::adapters::kms::local::KeyFile;
use crate::adapters::password::Argon2id;
use crate::adapters::pki::Workshop;
use crate::adapters::store::SqliteStore;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::ports::{Identify, KeyTable, Review};
use crate::app::sealing::Sealer;
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
pub async fn open(settings: &Settings, cluster: Option<Cluster>) -> anyhow::Result<App> {
    let path = database(settings);
    let store = SqliteStore::open(&path).with_context(|| format!("opening the store {}", path.display()))?;
    let store = Arc::new(store);
    let entropy = Arc::new(SystemEntropy::default());
    let key = match store.data_keys().await?.is_empty() {
        true => KeyFile::open_or_create(&settings.key_file, entropy.clone())?,
        false => KeyFile::open(&settings.key_file, entropy.clone())?,
    };
    let sealer = Sealer::open(store.as_ref(), &key, entropy.as_ref()).await.context("opening the data keys")?;
    let parts = Parts {
        store,
        sealer,
        keymaker: Arc::new(Workshop::new()),
        hashing: Arc::new(Argon2id::new(entropy.clone())),
        clock: Arc::new(SystemClock),
        entropy,
        review: cluster.as_ref().map(|cluster| cluster.review.clone()),
        identify: cluster.map(|cluster| cluster.identify),
    };
    Ok(App::new(parts))
}
