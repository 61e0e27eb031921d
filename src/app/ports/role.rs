//! Roles of others' bookkeeping: what services may be called after, and what a role may do with the key of callers' tokens.

use async_trait::async_trait;

use crate::domain::Result;

/// Where roles are kept.
#[async_trait]
pub trait RoleBook: Send + Sync {
    /// In their order.
    async fn names(&self) -> Result<Vec<String>>;
}

/// What a role may do with the key: make tokens as itself, and read those that were made for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    pub encrypt: bool,
    pub decrypt: bool,
}

/// Gives roles what they need of the key, and never takes it away.
#[async_trait]
pub trait GrantKeeper: Send + Sync {
    /// `None`: there is no role of this name.
    async fn find(&self, role: &str) -> Result<Option<Grants>>;

    /// Gives what is missing. `None`: there is no role of this name.
    async fn ensure(&self, role: &str) -> Result<Option<Grants>>;
}
