//! Who is calling, and whether they may, where others know it.

use async_trait::async_trait;

use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::permission::{Action, Target};
use crate::domain::secret::SecretText;

/// Recognises bearer tokens.
#[async_trait]
pub trait Identify: Send + Sync {
    /// `None`: not a valid token of this scheme.
    async fn identify(&self, token: &SecretText) -> Result<Option<Actor>>;
}

/// Asks Kubernetes whether a delegated actor may.
#[async_trait]
pub trait Review: Send + Sync {
    async fn allows(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<bool>;
}
