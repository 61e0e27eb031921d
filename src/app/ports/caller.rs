//! Who is calling, and whether they may, where others know it.

use async_trait::async_trait;

use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::oidc::Verdict;
use crate::domain::permission::{Action, Target};
use crate::domain::secret::SecretText;

/// Recognises bearer tokens.
#[async_trait]
pub trait Identify: Send + Sync {
    /// `None`: not a valid token of this scheme.
    async fn identify(&self, token: &SecretText) -> Result<Option<Actor>>;
}

/// Judges bearer tokens of issuers that are believed.
#[async_trait]
pub trait Issuers: Send + Sync {
    /// An error where nothing can be said of the token, such as an issuer that was never reached.
    async fn judge(&self, token: &SecretText) -> Result<Verdict>;
}

/// Asks Kubernetes whether a delegated actor may.
#[async_trait]
pub trait Review: Send + Sync {
    async fn allows(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<bool>;
}
