//! The journal in a table of the store, for several replicas: each process has a chain of its own there, like a file.
//!
//! One task adds what has queued up while it added the last notes. The table keeps notes through any end of this
//! process; through a crash of its server this process keeps those of the last seconds, and adds them again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::own::{End, Own, Seal};
use super::{Anchor, Pace, Stage, chain_start, folder, unavailable};
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::ports::{Clock, Journal, JournalTable};
use crate::domain::entropy::Entropy;
use crate::domain::{Error, Result};

/// More than this waiting is an overload that callers must hear of.
const QUEUE: usize = 4096;
const BATCH: usize = 256;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A server syncs what it was given within a second; this much is kept here for longer than that.
const KEEP: Duration = Duration::from_secs(5);
const KEEP_NOTES: usize = 20_000;

/// What a journal in a table stands on.
pub struct TableGround {
    pub table: Arc<dyn JournalTable>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub keyring: Arc<Keyring>,
    pub pace: Pace,
}

pub struct TableJournal {
    queue: Mutex<Option<mpsc::Sender<Order>>>,
    entry: mpsc::WeakSender<Order>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Order {
    note: Note,
    answer: oneshot::Sender<Result<()>>,
}

impl TableJournal {
    /// Begins a journal. The first anchor is there at once and should be noted before anything is answered.
    pub async fn open(ground: TableGround) -> Result<(Self, mpsc::UnboundedReceiver<Anchor>)> {
        let (anchors, to_note) = mpsc::unbounded_channel();
        let mut desk = Desk::new(ground, anchors);
        desk.begin().await?;
        let (queue, orders) = mpsc::channel(QUEUE);
        let entry = queue.downgrade();
        let task = tokio::spawn(desk.keep(orders));
        Ok((Self { queue: Mutex::new(Some(queue)), entry, task: Mutex::new(Some(task)) }, to_note))
    }

    /// Refuses notes from now on and closes the journal. The last anchor is out when this returns.
    pub async fn stop(&self) {
        self.queue.lock().await.take();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await; // a panic there has been reported by its own
        }
    }
}

#[async_trait]
impl Journal for TableJournal {
    async fn note(&self, note: Note) -> Result<()> {
        let stopped = || unavailable("it is closed");
        let (answer, answered) = oneshot::channel();
        let queue = self.entry.upgrade().ok_or_else(stopped)?;
        queue.try_send(Order { note, answer }).map_err(|error| match error {
            TrySendError::Full(_) => Error::Overloaded { retry_after: RETRY_AFTER },
            TrySendError::Closed(_) => stopped(),
        })?;
        drop(queue);
        answered.await.map_err(|_| stopped())?
    }
}

/// The state of the task.
struct Desk {
    ground: TableGround,
    anchors: mpsc::UnboundedSender<Anchor>,
    chain: String,
    name: String,
    /// Behind the last note, whether the table has it or not.
    position: Position,
    sealed: u64,
    /// Not known to be in the table.
    pending: Vec<(Position, Note)>,
    /// In the table, but perhaps not yet on its disk.
    recent: VecDeque<(Instant, Position, Note)>,
    /// The server was away: what it had not synced may be gone.
    adds_again: bool,
}

impl Desk {
    fn new(ground: TableGround, anchors: mpsc::UnboundedSender<Anchor>) -> Self {
        let chain = hex::encode(ground.entropy.bytes::<16>());
        let name = folder::name(ground.clock.now(), &chain);
        let position = chain_start(&chain);
        let (pending, recent) = (Vec::new(), VecDeque::new());
        Self { ground, anchors, chain, name, position, sealed: 0, pending, recent, adds_again: false }
    }

    /// The first note names the journals that were left behind.
    async fn begin(&mut self) -> Result<()> {
        let left = self.ground.table.left_behind().await?;
        let end = |(name, position): &(String, Option<Position>)| {
            let chain = folder::chain_of(name)?;
            Some(End::new(&chain, &position.unwrap_or_else(|| chain_start(&chain)), 0))
        };
        let after = left.iter().filter_map(end).collect();
        let (at, seal) = (self.ground.clock.now(), self.seal()?);
        self.add_own(&Own::Opened { at, chain: self.chain.clone(), after, seal })?;
        self.flush().await?;
        let names: Vec<String> = left.into_iter().map(|(name, _)| name).collect();
        self.ground.table.close(&names).await?;
        self.sealed = self.position.number;
        self.tell(Stage::Opened);
        Ok(())
    }

    async fn keep(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut ticks = interval(self.ground.pace.sync);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut noted, mut anchored) = (Instant::now(), self.position);
        let mut waiting = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                taken = orders.recv_many(&mut waiting, BATCH) => match taken {
                    0 => return self.finish().await,
                    _ => self.write(std::mem::take(&mut waiting)).await,
                },
                _ = ticks.tick() => {
                    let sealed = self.write_seal().await;
                    if sealed.is_ok() && noted.elapsed() >= self.ground.pace.anchor && self.position != anchored {
                        self.tell(Stage::Reached);
                        (noted, anchored) = (Instant::now(), self.position);
                    }
                }
            }
        }
    }

    /// A note whose answer was an error may still come to be in the journal: it then says more than happened, not less.
    async fn write(&mut self, orders: Vec<Order>) {
        let mut outcome = if self.pending.is_empty() { Ok(()) } else { self.flush().await };
        if outcome.is_ok() {
            orders.iter().for_each(|order| self.add(order.note.clone()));
            outcome = self.flush().await;
        }
        for order in orders {
            let _ = order.answer.send(outcome.clone()); // the caller may have gone
        }
    }

    /// Covers every note above it. Also says that this process lives.
    async fn write_seal(&mut self) -> Result<()> {
        if self.position.number != self.sealed && self.pending.is_empty() {
            let own = Own::Sealed { at: self.ground.clock.now(), seal: self.seal()? };
            self.add_own(&own)?;
            self.sealed = self.position.number;
        }
        self.flush().await
    }

    async fn finish(mut self) {
        let closed = async {
            self.flush().await?;
            let own = Own::Closed { at: self.ground.clock.now(), seal: self.seal()? };
            self.add_own(&own)?;
            self.flush().await?;
            self.ground.table.close(std::slice::from_ref(&self.name)).await
        };
        match closed.await {
            Ok(()) => self.tell(Stage::Closed),
            Err(error) => tracing::warn!(%error, detail = error.detail(), "the audit journal could not be closed"),
        }
    }

    fn add(&mut self, note: Note) {
        self.position = self.position.after(&note);
        self.pending.push((self.position, note));
    }

    fn add_own(&mut self, own: &Own) -> Result<()> {
        self.add(own.note().map_err(Error::internal)?);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let mut notes: Vec<(Position, Note)> = Vec::new();
        if self.adds_again {
            notes.extend(self.recent.iter().map(|(_, position, note)| (*position, note.clone())));
        }
        notes.extend(self.pending.iter().cloned());
        match self.ground.table.append(&self.name, &notes).await {
            Ok(true) => {
                self.settle();
                Ok(())
            }
            Ok(false) => Box::pin(self.begin_anew()).await,
            Err(error) => {
                self.adds_again = true;
                Err(error)
            }
        }
    }

    fn settle(&mut self) {
        let now = Instant::now();
        self.adds_again = false;
        self.recent.extend(self.pending.drain(..).map(|(position, note)| (now, position, note)));
        let is_old = |(at, ..): &(Instant, Position, Note)| now.duration_since(*at) > KEEP;
        while self.recent.len() > KEEP_NOTES || self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
    }

    /// Others have taken this journal for over, because it was cut off from the database. What was not added to it goes
    /// into the next one; the journal's own notes were about the old one.
    async fn begin_anew(&mut self) -> Result<()> {
        tracing::warn!(journal = self.name, "the audit journal was cut off for so long that others closed it");
        let pending: Vec<Note> = self.pending.drain(..).map(|(_, note)| note).collect();
        let chain = hex::encode(self.ground.entropy.bytes::<16>());
        self.name = folder::name(self.ground.clock.now(), &chain);
        self.position = chain_start(&chain);
        self.chain = chain;
        self.recent.clear();
        self.begin().await?;
        pending.into_iter().filter(|note| Own::parse(note.as_str()).is_none()).for_each(|note| self.add(note));
        self.flush().await
    }

    fn seal(&self) -> Result<Seal> {
        self.ground.keyring.sign_position(self.chain.as_bytes(), &self.position).map(Seal::from)
    }

    /// What is noted in the chain of writes is committed behind these notes, so they are on the disk with it.
    fn tell(&self, stage: Stage) {
        let anchor = Anchor::new(self.ground.clock.now(), stage, self.name.clone(), &self.position);
        let _ = self.anchors.send(anchor); // nobody listens in a stopped program
    }
}
