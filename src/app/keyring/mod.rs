//! The data keys in memory: unwrapped once, looked up by epoch, and what is signed with them. Reads and
//! writes need no key service once this exists. Knows how keys come and go; bodies are `sealing`'s.

mod marks;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use jiff::Timestamp;

use crate::app::audit::Event;
use crate::app::custody;
use crate::app::ports::{Change, KeyService, KeyTable, Store, WrappedKey, Write};
use crate::app::sealing::derive_key;
use crate::domain::actor::Actor;
use crate::domain::entropy::Entropy;
use crate::domain::name::StoreId;
use crate::domain::secret::SecretBytes;
use crate::domain::{Conflict, Error, Result};

pub const KEY: usize = 32;

/// One epoch's key, and what is derived from it once for all.
pub(super) struct DataKey {
    pub(super) secret: SecretBytes,
    marks: hmac::Key,
}

#[derive(Default)]
pub(super) struct Ring {
    current: u32,
    keys: BTreeMap<u32, Arc<DataKey>>,
}

pub struct Keyring {
    store: StoreId,
    table: Arc<dyn KeyTable>,
    service: Arc<dyn KeyService>,
    ring: RwLock<Arc<Ring>>,
    locked: AtomicBool,
    /// Of those who miss a key at the same time one asks the key service.
    loading: tokio::sync::Mutex<()>,
}

impl Keyring {
    /// Unwraps the store's data keys; makes the first one in an empty store.
    pub async fn open(
        store: &dyn Store,
        table: Arc<dyn KeyTable>,
        service: Arc<dyn KeyService>,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Arc<Self>> {
        let keyring = Self::load(table, service).await?;
        if keyring.ring().keys.is_empty() {
            match keyring.add_epoch(store, entropy, now).await {
                // Another first start was faster: its key is the store's.
                Ok(_) | Err(Error::Conflict(Conflict::Exists { .. })) => keyring.reload().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(keyring)
    }

    /// Unwraps the data keys that there are, and makes none.
    pub async fn load(table: Arc<dyn KeyTable>, service: Arc<dyn KeyService>) -> Result<Arc<Self>> {
        let keyring = Arc::new(Self {
            store: table.store_id().await?,
            table,
            service,
            ring: RwLock::default(),
            locked: AtomicBool::new(false),
            loading: tokio::sync::Mutex::default(),
        });
        keyring.reload().await?;
        Ok(keyring)
    }

    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Takes in keys that other processes have added, lets go of those that were retired.
    pub async fn reload(&self) -> Result<()> {
        let _one = self.loading.lock().await;
        let wrapped = self.table.data_keys().await?;
        let known = self.ring();
        let mut ring = Ring::default();
        for key in &wrapped {
            if let Some(held) = known.keys.get(&key.epoch) {
                ring.keys.insert(key.epoch, held.clone());
            }
        }
        let root = self.service.id();
        for key in wrapped.iter().filter(|key| key.root == root) {
            if let Entry::Vacant(place) = ring.keys.entry(key.epoch) {
                let secret = self.service.unwrap(&key.wrapped, &context(self.store, key.epoch)).await?;
                place.insert(Arc::new(DataKey::new(secret)?));
            }
        }
        if let Some(key) = wrapped.iter().find(|key| !ring.keys.contains_key(&key.epoch)) {
            return Err(Error::Awaiting { reason: "WrongRootKey", message: wrong_root(key, &root) });
        }
        ring.current = wrapped.last().map_or(0, |key| key.epoch);
        self.put(ring);
        Ok(())
    }

    /// Makes the next epoch's key, which everything new is sealed under as soon as this has returned.
    pub async fn add_epoch(self: &Arc<Self>, store: &dyn Store, entropy: &dyn Entropy, now: Timestamp) -> Result<u32> {
        let epoch = self.ring().current + 1;
        let secret = SecretBytes::new(entropy.bytes::<KEY>().to_vec());
        let wrapped = self.service.wrap(&secret, &context(self.store, epoch)).await?;
        // Held before it is current: the ledger that makes it so is signed with it.
        self.hold(epoch, secret)?;
        let key = WrappedKey { epoch, root: self.service.id(), wrapped };
        let name = key_name(epoch);
        let operator = Actor::operator();
        let note = Event { name: &name, ..Event::of(&operator, "add", now) }.note();
        let changes = vec![(Change::AddKey(key), Some(note))];
        let written = store.write(Write { changes, keyring: self.clone(), fence: None }).await;
        if written.is_err() {
            self.release(epoch);
        }
        written?;
        self.reload().await?;
        Ok(epoch)
    }

    /// The data keys wrapped by another root as well, so that both open the store.
    pub async fn wrap_for(&self, other: &dyn KeyService) -> Result<Vec<WrappedKey>> {
        let ring = self.ring();
        let mut wrapped = Vec::new();
        for (&epoch, key) in &ring.keys {
            let bytes = other.wrap(&key.secret, &context(self.store, epoch)).await?;
            wrapped.push(WrappedKey { epoch, root: other.id(), wrapped: bytes });
        }
        Ok(wrapped)
    }

    /// Which root keys have wrapped the data keys.
    pub async fn roots(&self) -> Result<Vec<String>> {
        let mut roots: Vec<String> = self.table.data_keys().await?.into_iter().map(|key| key.root).collect();
        roots.sort_unstable();
        roots.dedup();
        Ok(roots)
    }

    /// Which of them this process was given.
    pub fn root(&self) -> String {
        self.service.id()
    }

    /// Asks the key service for one key that is known already: whether it would still give it.
    pub async fn check_in(&self) -> Result<()> {
        let root = self.service.id();
        let wrapped = self.table.data_keys().await?;
        match wrapped.iter().rev().find(|key| key.root == root) {
            Some(key) => self.service.unwrap(&key.wrapped, &context(self.store, key.epoch)).await.map(drop),
            None => Err(Error::Awaiting {
                reason: "WrongRootKey",
                message: format!("no data key is wrapped by the configured root key {root}"),
            }),
        }
    }

    /// While locked nothing is opened or sealed: the root key was out of reach for longer than it may be.
    pub fn set_locked(&self, locked: bool) {
        self.locked.store(locked, Ordering::Release);
    }

    pub fn require_unlocked(&self) -> Result<()> {
        if self.locked.load(Ordering::Acquire) { Err(custody::locked()) } else { Ok(()) }
    }

    /// What everything new is sealed under.
    pub fn current(&self) -> u32 {
        self.ring().current
    }

    pub fn epochs(&self) -> Vec<u32> {
        self.ring().keys.keys().copied().collect()
    }

    /// `Error::KeyReplaced`: another process may have added it; [`Keyring::reload`] finds out.
    pub(super) fn key(&self, epoch: u32) -> Result<Arc<DataKey>> {
        self.require_unlocked()?;
        self.ring().keys.get(&epoch).cloned().ok_or(Error::KeyReplaced)
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, ring: Ring) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    fn hold(&self, epoch: u32, secret: SecretBytes) -> Result<()> {
        let known = self.ring();
        let mut keys = known.keys.clone();
        keys.insert(epoch, Arc::new(DataKey::new(secret)?));
        self.put(Ring { current: known.current, keys });
        Ok(())
    }

    fn release(&self, epoch: u32) {
        let known = self.ring();
        let keys = known.keys.iter().filter(|(held, _)| **held != epoch).map(|(held, key)| (*held, key.clone()));
        self.put(Ring { current: known.current, keys: keys.collect() });
    }
}

impl DataKey {
    fn new(secret: SecretBytes) -> Result<Self> {
        let derived = derive_key(&secret, b"strongroom marks")?;
        Ok(Self { secret, marks: hmac::Key::new(HMAC_SHA256, derived.expose()) })
    }
}

/// What notes call the data key of an epoch.
pub fn key_name(epoch: u32) -> String {
    format!("data key {epoch}")
}

fn context(store: StoreId, epoch: u32) -> Vec<u8> {
    format!("strongroom data key {epoch} of store {store}").into_bytes()
}

fn wrong_root(key: &WrappedKey, configured: &str) -> String {
    format!(
        "the store's data key {} is wrapped by {}, and the configured root key is {configured}: configure that one",
        key.epoch, key.root
    )
}
