//! What every subcommand that touches records stands on: store, key, use cases.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::adapters::password::Argon2id;
use crate::adapters::pki::Workshop;
use crate::adapters::store::SqliteStore;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::ports::{Identify, KeyService, KeyTable, Review};
use crate::app::sealing::Sealer;
use crate::app::{App, Parts};
use crate::config::Settings;
use crate::runtime::root_key::{self, Kept, Patience};

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
    open_patiently(settings, cluster, &Patience::None).await.map(|(app, _)| app)
}

/// The same for a server: waits for the key service, and hands over what is to be watched from then on.
pub async fn open_patiently(
    settings: &Settings,
    cluster: Option<Cluster>,
    patience: &Patience,
) -> anyhow::Result<(App, Arc<Keys>)> {
    let path = database(settings);
    let store = SqliteStore::open(&path).with_context(|| format!("opening the store {}", path.display()))?;
    let store = Arc::new(store);
    let entropy = Arc::new(SystemEntropy::default());
    let is_new = store.data_keys().await?.is_empty();
    let service = root_key::open(settings, is_new, entropy.clone(), patience).await?;
    let sealer = patience.wait(|| Sealer::open(store.as_ref(), service.as_ref(), entropy.as_ref())).await;
    let sealer = sealer.context("opening the data keys")?;
    let keys = Keys { table: store.clone(), service, lock: sealer.lock() };
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
    Ok((App::new(parts), Arc::new(keys)))
}

/// The data keys in memory and the service that gave them.
pub struct Keys {
    table: Arc<dyn KeyTable>,
    service: Arc<dyn KeyService>,
    lock: Arc<AtomicBool>,
}

impl Kept for Keys {
    async fn check_in(&self) -> crate::domain::Result<()> {
        Sealer::check_in(self.table.as_ref(), self.service.as_ref()).await
    }

    fn set_locked(&self, locked: bool) {
        self.lock.store(locked, Ordering::Release);
    }
}
