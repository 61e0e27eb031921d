//! The root of trust, and where what it has wrapped is kept.

use async_trait::async_trait;

use crate::domain::Result;
use crate::domain::name::StoreId;
use crate::domain::secret::SecretBytes;

/// A data key, wrapped by a key service. Its epoch is named in what it seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    pub epoch: u32,
    /// [`KeyService::id`] of the key that wrapped it.
    pub root: String,
    pub wrapped: Vec<u8>,
}

/// Where the wrapped data keys are kept: beside the records, useless without the key service.
#[async_trait]
pub trait KeyTable: Send + Sync {
    /// The same for the life of the store.
    async fn store_id(&self) -> Result<StoreId>;

    /// In the order of their epochs.
    async fn data_keys(&self) -> Result<Vec<WrappedKey>>;
}

/// The root of trust: a local key file or a KMS. `context` is text that is
/// authenticated, not hidden, and must be the same again.
#[async_trait]
pub trait KeyService: Send + Sync {
    /// Which key wraps; the same for as long as that key exists, and nothing secret.
    fn id(&self) -> String;

    async fn wrap(&self, plain: &SecretBytes, context: &[u8]) -> Result<Vec<u8>>;

    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<SecretBytes>;
}
