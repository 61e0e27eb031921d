//! The chain of writes, as far as it is read here.

use async_trait::async_trait;

use crate::app::audit::{Note, Position};
use crate::domain::Result;

#[async_trait]
pub trait Rows: Send + Sync {
    async fn head(&self) -> Result<Position>;

    async fn after(&self, number: u64, limit: usize) -> Result<Vec<(Position, Note)>>;
}
