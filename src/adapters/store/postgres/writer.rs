//! The one task of this process that writes. It takes what has queued up while the last commit was under way and
//! commits it together. Sessions that are lost are replaced and the batch is tried again; what became of a commit
//! without an answer is found out, and as long as it is not, nobody is told anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::session::{Dialer, Session};
use super::transaction::{self, Mark, Outcome};
use super::{PostgresStore, fault};
use crate::app::ledger::Ledger;
use crate::app::ports::{Change, Write};
use crate::app::witness::{Witness, Witnessed};
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

/// More than this waiting is an overload that callers must hear of.
const QUEUE: usize = 1024;
const BATCH: usize = 64;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a write waits for a database that went away, and for the word on a commit: longer than a failover takes.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Writer {
    queue: mpsc::Sender<Order>,
    task: Mutex<Option<JoinHandle<()>>>,
    commits: Arc<AtomicU64>,
    witness: Arc<OnceLock<Arc<Witness>>>,
}

impl Witnessed for PostgresStore {
    fn witnessed_by(&self, witness: Arc<Witness>) {
        let _ = self.writer.witness.set(witness); // the first one stays
    }
}

struct Order {
    write: Write,
    since: Instant,
    answer: oneshot::Sender<Result<()>>,
}

impl Writer {
    pub(super) fn start(dialer: Dialer, store: StoreId, session: Session) -> Self {
        let (queue, orders) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let witness = Arc::default();
        let (counted, witnessed) = (Arc::clone(&commits), Arc::clone(&witness));
        let session = Some(session);
        let desk = Desk { dialer, store, session, is_away: false, commits: counted, witness: witnessed };
        Self { queue, task: Mutex::new(Some(tokio::spawn(desk.serve(orders)))), commits, witness }
    }

    /// A caller that stops waiting does not stop its write.
    pub(super) async fn write(&self, write: Write) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let order = Order { write, since: Instant::now(), answer };
        self.queue.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded { retry_after: RETRY_AFTER },
            mpsc::error::TrySendError::Closed(_) => fault::unavailable("the writer has stopped"),
        })?;
        answered.await.map_err(|_| fault::unavailable("the writer has stopped"))?
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Writes what is queued and ends the task. Whoever drops the writer does the same without waiting.
    pub(super) async fn stop(self) {
        let Self { queue, task, .. } = self;
        drop(queue);
        if let Some(task) = task.into_inner() {
            let _ = task.await; // a panic there has been reported by its own
        }
    }
}

/// The state of the task.
struct Desk {
    dialer: Dialer,
    store: StoreId,
    session: Option<Session>,
    /// The last attempt found no server.
    is_away: bool,
    commits: Arc<AtomicU64>,
    witness: Arc<OnceLock<Arc<Witness>>>,
}

impl Desk {
    async fn serve(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut waiting = Vec::with_capacity(BATCH);
        while orders.recv_many(&mut waiting, BATCH).await > 0 {
            for batch in batches(waiting.drain(..)) {
                match self.is_away && batch.iter().all(|order| order.since.elapsed() > PATIENCE) {
                    true => answer_all(batch, &fault::unavailable("the database is away")),
                    false => self.settle(batch).await,
                }
            }
        }
    }

    /// Tries until the writes are answered.
    async fn settle(&mut self, batch: Vec<Order>) {
        let until = batch.iter().map(|order| order.since).min().unwrap_or_else(Instant::now) + PATIENCE;
        loop {
            match self.attempt(&batch).await {
                Outcome::Done(answers, signed) => {
                    self.bear_witness(signed).await;
                    return answer_each(batch, answers);
                }
                Outcome::Refused(error) => return answer_all(batch, &error),
                Outcome::Spoilt(_) if batch.len() > 1 => {
                    for order in batch {
                        Box::pin(self.settle(vec![order])).await;
                    }
                    return;
                }
                Outcome::Spoilt(error) => return answer_all(batch, &error),
                Outcome::Lost(error) if Instant::now() >= until => return answer_all(batch, &error),
                Outcome::Lost(_) => sleep(PAUSE).await,
                Outcome::InDoubt(answers, mark) => match self.resolve(&mark).await {
                    Some(true) => {
                        self.bear_witness(Some(mark.ledger)).await;
                        return answer_each(batch, answers);
                    }
                    Some(false) if Instant::now() < until => {}
                    Some(false) => {
                        return answer_all(batch, &fault::unavailable("the commit was lost with the server"));
                    }
                    None => return answer_all(batch, &in_doubt()),
                },
            }
        }
    }

    /// The anchor is a file, which another process may hold for a while: no thread of the executor waits for it.
    async fn bear_witness(&self, signed: Option<Box<Ledger>>) {
        if let (Some(witness), Some(ledger)) = (self.witness.get().cloned(), signed) {
            let kept = tokio::task::spawn_blocking(move || witness.committed(&ledger));
            let _ = kept.await; // a panic there has been reported by its own
        }
    }

    async fn attempt(&mut self, batch: &[Order]) -> Outcome {
        let session = self.session.take().filter(|session| self.dialer.is_current(session));
        let mut session = match session {
            Some(session) => session,
            None => match self.dialer.dial().await {
                Ok(session) => session,
                Err(error) => {
                    self.is_away = true;
                    return Outcome::Lost(error);
                }
            },
        };
        self.is_away = false;
        let writes: Vec<&Write> = batch.iter().map(|order| &order.write).collect();
        let outcome =
            transaction::run(&mut session.connection, self.store, self.witness.get(), &writes, PATIENCE).await;
        if let Outcome::Done(_, signed) = &outcome {
            self.commits.fetch_add(signed.is_some().into(), Ordering::Relaxed);
            self.session = Some(session);
        }
        outcome
    }

    /// Finds out whether a batch was committed. `None`: not in time, or it has left no trace to look for.
    async fn resolve(&mut self, mark: &Mark) -> Option<bool> {
        let until = Instant::now() + PATIENCE;
        tracing::warn!("the database was lost during a commit; finding out what became of it");
        while Instant::now() < until {
            if let Ok(mut session) = self.dialer.dial().await
                && let Ok(found) = transaction::was_committed(&mut session.connection, mark, until).await
            {
                self.session = Some(session);
                tracing::info!(committed = found, "what became of that commit");
                return found;
            }
            sleep(PAUSE).await;
        }
        tracing::error!("what became of a commit could not be found out in time; its writers are told so");
        None
    }
}

/// What may share a transaction: what concerns data keys stands alone, so that what it finds unused is not being used
/// beside it.
fn batches(orders: impl Iterator<Item = Order>) -> Vec<Vec<Order>> {
    let mut batches: Vec<Vec<Order>> = Vec::new();
    for order in orders {
        let alone = concerns_keys(&order.write);
        match batches.last_mut().filter(|last| !alone && !concerns_keys(&last[0].write)) {
            Some(last) => last.push(order),
            None => batches.push(vec![order]),
        }
    }
    batches
}

fn concerns_keys(write: &Write) -> bool {
    let of_keys =
        |change: &Change| matches!(change, Change::AddKey(_) | Change::RetireKey { .. } | Change::RetireRoot { .. });
    write.changes.iter().any(|(change, _)| of_keys(change))
}

fn answer_each(batch: Vec<Order>, answers: Vec<Result<()>>) {
    for (order, answer) in batch.into_iter().zip(answers) {
        let _ = order.answer.send(answer); // the caller may have gone
    }
}

fn answer_all(batch: Vec<Order>, error: &Error) {
    for order in batch {
        let _ = order.answer.send(Err(error.clone())); // the caller may have gone
    }
}

fn in_doubt() -> Error {
    fault::unavailable("it is not known whether this was written: the database was lost during the commit")
}
