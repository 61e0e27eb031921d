//! Keyrings for the tests of others.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

use super::{DataKey, KEY, Keyring, Ring};
use crate::app::ports::{KeyService, KeyTable, WrappedKey};
use crate::domain::name::StoreId;
use crate::domain::secret::SecretBytes;
use crate::domain::{Error, Result};

/// A table that is never asked.
struct Nothing;

#[async_trait]
impl KeyTable for Nothing {
    async fn store_id(&self) -> Result<StoreId> {
        Ok(StoreId::from_bytes([1; 16]))
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl KeyService for Nothing {
    fn id(&self) -> String {
        "none".into()
    }

    async fn wrap(&self, _: &SecretBytes, _: &[u8]) -> Result<Vec<u8>> {
        Err(Error::internal("no key"))
    }

    async fn unwrap(&self, _: &[u8], _: &[u8]) -> Result<SecretBytes> {
        Err(Error::internal("no key"))
    }
}

/// Of this store, with fixed keys for these epochs; the last is current.
pub fn keyring_of(store: StoreId, epochs: &[u32]) -> Keyring {
    let key = |epoch: u32| Arc::new(DataKey::new(SecretBytes::new(vec![epoch as u8; KEY])).unwrap());
    let keys = epochs.iter().map(|epoch| (*epoch, key(*epoch))).collect();
    Keyring {
        store,
        table: Arc::new(Nothing),
        service: Arc::new(Nothing),
        ring: RwLock::new(Arc::new(Ring { current: epochs.last().copied().unwrap_or(0), keys })),
        locked: AtomicBool::new(false),
        loading: tokio::sync::Mutex::default(),
    }
}

pub fn keyring() -> Keyring {
    keyring_of(StoreId::from_bytes([1; 16]), &[1])
}
