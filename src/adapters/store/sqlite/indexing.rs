//! When the index of names is written: by the thread that writes, in small steps, while nobody waits for it. Nothing is
//! indexed before somebody has searched, so that a name costs nothing where nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::trigrams;
use crate::adapters::store::search::CLASS;
use crate::app::ports::{Append, Change, Write};

/// After the last write.
const PAUSE: Duration = Duration::from_millis(5);
/// After a step behind which there may be more.
const BREATH: Duration = Duration::from_millis(1);
/// New names that are indexed although there is no pause: a search looks through what is not indexed.
const LONG: usize = 16_384;
/// After a step that failed.
const AGAIN: Duration = Duration::from_secs(30);

/// What readers and the writer tell each other.
#[derive(Default)]
pub(super) struct Indexed {
    /// A search has found too much that is not in the index.
    wanted: AtomicBool,
    /// The writer has been told so, or is about to look.
    told: AtomicBool,
    /// It could not be read, and is to be made anew. Searches do without it.
    damaged: AtomicBool,
    /// How often it was made anew: a search that began before then speaks of the one that is gone.
    renewals: AtomicU64,
}

impl Indexed {
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::SeqCst)
    }

    /// Whether the writer is to be woken: once, however many search meanwhile.
    pub(super) fn must_tell(&self) -> bool {
        self.wanted.load(Ordering::SeqCst) && !self.told.swap(true, Ordering::SeqCst)
    }

    fn take(&self) -> bool {
        // In this order: who wants it in between tells once more.
        self.told.store(false, Ordering::SeqCst);
        self.wanted.swap(false, Ordering::SeqCst)
    }

    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::SeqCst);
    }

    pub(super) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::SeqCst)
    }

    pub(super) fn report(&self, renewals: u64, detail: &str) {
        if renewals != self.renewals() {
            return;
        }
        if !self.damaged.swap(true, Ordering::SeqCst) {
            tracing::error!(
                detail,
                "the index of names cannot be read; searches look through all names until it is made anew"
            );
        }
        self.want();
    }
}

/// What the writer's thread knows of it.
pub(super) struct Indexing {
    shared: Arc<Indexed>,
    /// Somebody has searched, in this process or before it.
    begun: bool,
    /// New names since it was complete; others may have written more.
    new: usize,
    more: bool,
    renewed: bool,
    not_before: Option<Instant>,
}

impl Indexing {
    pub(super) fn new(shared: Arc<Indexed>, connection: &Connection) -> Self {
        let begun = trigrams::upto(connection).is_ok_and(|upto| upto.is_some());
        Self { shared, begun, new: 0, more: false, renewed: false, not_before: None }
    }

    /// After writes that were committed.
    pub(super) fn count<'a>(&mut self, writes: impl Iterator<Item = &'a Write>) {
        let is_new = |append: &Append| append.expected.is_none() && append.row.head.class == CLASS;
        let changes = writes.flat_map(|write| &write.changes);
        self.new += changes.filter(|(change, _)| matches!(change, Change::Append(append) if is_new(append))).count();
    }

    /// How long the thread may wait for writes before it makes a step.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        if self.shared.take() {
            (self.begun, self.more) = (true, true);
        }
        let is_due = self.begun && (self.more || self.new >= trigrams::STEP as usize);
        let pause = if self.more { BREATH } else { PAUSE };
        let rest = self.not_before.map_or(pause, |time| time.saturating_duration_since(Instant::now()).max(pause));
        is_due.then_some(rest)
    }

    /// Whether a step is to be made though others wait.
    pub(super) fn is_urgent(&self) -> bool {
        self.begun && self.new >= LONG && self.not_before.is_none_or(|time| time <= Instant::now())
    }

    /// One transaction of a few milliseconds. An error is the caller's to look at, whose connection it was.
    pub(super) fn step(&mut self, connection: &mut Connection) -> rusqlite::Result<()> {
        if self.shared.is_damaged() {
            return self.renew(connection);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.more = trigrams::step(&transaction).inspect_err(|error| self.look_at(error))?;
        transaction.commit()?;
        self.new = if self.more { self.new.saturating_sub(trigrams::STEP as usize) } else { 0 };
        self.not_before = None;
        Ok(())
    }

    /// Once: what is damaged again is not ours to mend.
    fn renew(&mut self, connection: &mut Connection) -> rusqlite::Result<()> {
        if self.renewed {
            (self.begun, self.more) = (false, false);
            tracing::error!("the index of names is damaged again and out of use until the next start");
            return Ok(());
        }
        self.renewed = true;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        trigrams::begin(&transaction)?;
        transaction.commit()?;
        self.more = true;
        self.shared.renewals.fetch_add(1, Ordering::SeqCst);
        self.shared.damaged.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// A full disk or a lock that another process holds is no damage.
    fn look_at(&self, error: &rusqlite::Error) {
        if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown)) {
            self.shared.report(self.shared.renewals(), &error.to_string());
        }
    }

    /// What was found damaged is made anew at once; anything else is given time.
    pub(super) fn failed(&mut self) {
        let is_news = self.shared.is_damaged() && !self.renewed;
        self.not_before = (!is_news).then(|| Instant::now() + AGAIN);
    }
}
