//! Tokens that a key service makes for callers and opens for the server: kmsauth.

use async_trait::async_trait;

use crate::domain::Result;
use crate::domain::secret::SecretBytes;

/// Names and values that a ciphertext is bound to.
pub type TokenContext<'a> = [(&'static str, &'a str)];

/// What was in a token, and who made it.
pub struct OpenedToken {
    pub plain: SecretBytes,
    /// Every name that the settings have for the key that it is under; none: a key that they do not name.
    pub keys: Vec<String>,
}

#[async_trait]
pub trait TokenService: Send + Sync {
    /// Looks whether the keys are there. Without this the first token does.
    async fn find_keys(&self) -> Result<()> {
        Ok(())
    }

    /// `None`: not a ciphertext of this context, or of a key that is not for us. What says nothing about the token, such
    /// as a key service out of reach, is an error.
    async fn open(&self, token: &[u8], context: &TokenContext<'_>) -> Result<Option<OpenedToken>>;

    /// Makes one under the key of this name.
    async fn make(&self, key: &str, plain: &SecretBytes, context: &TokenContext<'_>) -> Result<Vec<u8>>;
}
