//! Where reads and denials are recorded.

use async_trait::async_trait;

use crate::app::audit::{Note, Position};
use crate::domain::Result;

/// Where reads and denials are recorded, in an order of its own.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Returns when no end of this process can lose the note any more; it need not be on the disk yet.
    /// What cannot be noted must not be answered.
    async fn note(&self, note: Note) -> Result<()>;
}

/// Where journals are kept that several machines write: chains of notes beside the records.
#[async_trait]
pub trait JournalTable: Send + Sync {
    /// Adds to the end of a journal, which begins with its first notes. What is there already stays as it is, so that
    /// the same may be added again by whoever does not know. False: others take this journal for over. Returns when no
    /// end of this process can lose the notes, and says that this process lives, also without any.
    async fn append(&self, journal: &str, notes: &[(Position, Note)]) -> Result<bool>;

    /// Journals that are over without anybody having said so, and their last places: nothing is added to them from now
    /// on, and they are given until [`close`](Self::close).
    async fn left_behind(&self) -> Result<Vec<(String, Option<Position>)>>;

    async fn close(&self, journals: &[String]) -> Result<()>;

    async fn journals(&self) -> Result<Vec<KeptJournal>>;

    /// Notes in their order, after the one with this number, at most `limit`.
    async fn notes(&self, journal: &str, after: u64, limit: usize) -> Result<Vec<(Position, Note)>>;
}

/// A journal in a [`JournalTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptJournal {
    pub name: String,
    /// The number of its last note.
    pub last: u64,
    /// Its process has said so a moment ago.
    pub is_live: bool,
    pub is_closed: bool,
}
