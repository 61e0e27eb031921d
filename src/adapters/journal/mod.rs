//! Where reads and denials are recorded.

use async_trait::async_trait;

use crate::app::audit::Note;
use crate::app::ports::Journal;
use crate::domain::Result;

/// The log target `audit`.
pub struct LogJournal;

#[async_trait]
impl Journal for LogJournal {
    async fn note(&self, note: Note) -> Result<()> {
        tracing::info!(target: "audit", "{}", note.as_str());
        Ok(())
    }
}
