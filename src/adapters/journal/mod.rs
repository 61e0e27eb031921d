//! The journal in files: one line for each read and each denial, in the kernel's hands before the answer.
//!
//! Each start of a process has a file of its own, and each is a hash chain. A thread syncs at most once
//! a second and then seals with a keyed MAC. What is to be noted in the chain of writes, so that a file
//! that is cut short or taken away is missed, comes out as [`Anchor`]s. Knows nothing of what notes say.

mod anchor;
mod copy;
mod desk;
mod folder;
mod line;
mod own;
mod page;
mod read;
mod table;
mod tail;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub use anchor::{Anchor, Stage};
pub use copy::{Copies, copy_out};
pub use folder::{JournalFile, ends_left_behind, list};
pub use line::{Line, parse_hex};
pub use own::{End, Own, Seal};
pub use read::{Piece, Reading};
pub use table::{TableGround, TableJournal};
pub use tail::Tail;

use crate::app::alarm::Alarm;
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::ports::{Clock, Journal};
use crate::domain::entropy::Entropy;
use crate::domain::{Error, Result};
use desk::Desk;

/// What a journal stands on.
pub struct Ground {
    pub folder: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub alarm: Alarm,
    /// Seals positions.
    pub keyring: Arc<Keyring>,
    pub pace: Pace,
}

/// How often what is done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub sync: Duration,
    pub anchor: Duration,
    /// A file that is longer at a sync is followed by another.
    pub page: u64,
    /// A note that waits longer than this for its sync lets nothing more be noted: the disk hangs.
    pub stall: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            sync: Duration::from_secs(1),
            anchor: Duration::from_mins(1),
            page: 64 << 20,
            stall: Duration::from_secs(10),
        }
    }
}

pub struct FileJournal {
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FileJournal {
    /// Starts a file and the thread that syncs it. Blocks: for the start of a program. The first anchor is
    /// there at once and should be noted before anything is answered.
    pub fn open(ground: Ground) -> Result<(Self, UnboundedReceiver<Anchor>)> {
        let (anchors, to_note) = unbounded_channel();
        let desk = Arc::new(Desk::open(ground, anchors)?);
        let keeper = desk.clone();
        let builder = thread::Builder::new().name("journal".into());
        let thread = builder.spawn(move || keeper.keep()).map_err(unavailable)?;
        Ok((Self { desk, thread: Mutex::new(Some(thread)) }, to_note))
    }

    /// Runs on the caller's thread: a `write` is cheaper than a hop to another.
    pub fn write(&self, note: &Note) -> Result<()> {
        self.desk.write(note)
    }

    /// Refuses notes from now on, closes and syncs the file. The last anchor is out when this returns.
    pub fn stop(&self) {
        self.desk.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // a panic there has been reported by its own
        }
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.stop();
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn note(&self, note: Note) -> Result<()> {
        self.write(&note)
    }
}

/// The log, for programs that answer nobody.
pub struct LogJournal;

#[async_trait]
impl Journal for LogJournal {
    async fn note(&self, note: Note) -> Result<()> {
        tracing::info!(target: "audit", "{}", note.as_str());
        Ok(())
    }
}

fn unavailable(detail: impl ToString) -> Error {
    Error::Unavailable { part: "the audit journal", detail: detail.to_string() }
}

/// Before the first line of a chain.
pub fn chain_start(chain: &str) -> Position {
    Position::start(chain.as_bytes())
}
