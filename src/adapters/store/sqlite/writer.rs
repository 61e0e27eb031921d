//! The one thread that writes. It takes what has queued up while the last commit was being synced, and
//! commits it together: one sync for up to 64 writes. It answers only after the commit.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::sync::oneshot;

use super::checkpoint::{self, Checkpoints};
use super::indexing::{Indexed, Indexing};
use super::write::{Transaction, read_ledger, write_ledger};
use super::{SqliteStore, file, schema};
use crate::adapters::store::apply;
use crate::app::alarm::Alarm;
use crate::app::ledger::{Books, Ledger};
use crate::app::ports::Write;
use crate::app::witness::{Witness, Witnessed};
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

/// More than this waiting is an overload that callers must hear of.
pub(super) const QUEUE: usize = 1024;
const BATCH: usize = 64;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long the end of the program waits for what is queued.
const STOP: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
    witness: Arc<OnceLock<Arc<Witness>>>,
}

impl Witnessed for SqliteStore {
    fn witnessed_by(&self, witness: Arc<Witness>) {
        let _ = self.writer.witness.set(witness); // the first one stays
    }
}

enum Message {
    Write(Order),
    /// A search wants more of the names to be indexed.
    Index,
}

struct Order {
    write: Write,
    answer: oneshot::Sender<Result<()>>,
}

impl Writer {
    pub(super) fn start(path: PathBuf, connection: file::Opened, alarm: Alarm, index: Arc<Indexed>) -> Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let store = schema::store_id(&connection)?;
        let checkpoints = Checkpoints::start(path.clone(), alarm.clone())?;
        let witness = Arc::default();
        let (counted, witnessed) = (Arc::clone(&commits), Arc::clone(&witness));
        let indexing = Indexing::new(index, &connection);
        let connection = Some(connection);
        let mut desk =
            Desk { path, store, connection, alarm, checkpoints, indexing, commits: counted, witness: witnessed };
        let builder = thread::Builder::new().name("store-writer".into());
        let thread = builder.spawn(move || desk.serve(&messages)).map_err(file::unavailable)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), commits, witness })
    }

    /// A caller that stops waiting does not stop its write.
    pub(super) async fn write(&self, write: Write) -> Result<()> {
        let stopped = || file::unavailable("the writer has stopped");
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(Message::Write(Order { write, answer })).map_err(|error| match error {
            TrySendError::Full(_) => Error::Overloaded { retry_after: RETRY_AFTER },
            TrySendError::Disconnected(_) => stopped(),
        })?;
        answered.await.map_err(|_| stopped())?
    }

    /// To look at what searches want. When its queue is full it has enough to do, and looks afterwards.
    pub(super) fn wake(&self) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(Message::Index);
        }
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Takes no more, writes what is queued and ends the thread, if that can be done in time.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.queue = None;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let start = Instant::now();
        while !thread.is_finished() {
            if start.elapsed() > STOP {
                return Err(file::unavailable("the last writes were not done in time"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread.join().map_err(|_| file::unavailable("the writer has panicked"))
    }
}

/// The state of the thread.
struct Desk {
    path: PathBuf,
    store: StoreId,
    connection: Option<file::Opened>,
    alarm: Alarm,
    checkpoints: Checkpoints,
    indexing: Indexing,
    commits: Arc<AtomicU64>,
    witness: Arc<OnceLock<Arc<Witness>>>,
}

impl Desk {
    fn serve(&mut self, messages: &Receiver<Message>) {
        loop {
            let first = match self.indexing.pause() {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(pause) => messages.recv_timeout(pause),
            };
            match first {
                Ok(first) => self.write(std::iter::once(first).chain(messages.try_iter().take(BATCH - 1))),
                Err(RecvTimeoutError::Timeout) => self.index(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.indexing.is_urgent() {
                self.index();
            }
            self.checkpoints.consider();
        }
        // The last connection to close tidies the log away, and only one that may write can.
        self.checkpoints.stop();
    }

    fn write(&mut self, messages: impl Iterator<Item = Message>) {
        let orders = messages.filter_map(|message| match message {
            Message::Write(order) => Some(order),
            Message::Index => None,
        });
        let batch: Vec<Order> = orders.collect();
        if batch.is_empty() {
            return;
        }
        let answers = self.commit(&batch);
        self.indexing.count(batch.iter().map(|order| &order.write));
        for (position, Order { write, answer: caller }) in batch.into_iter().enumerate() {
            let answer = answers.as_ref().map_or_else(|error| Err(error.clone()), |all| all[position].clone());
            // It holds the keyring, which holds the store: whoever drops that last closes it, and must not be us.
            drop(write);
            let _ = caller.send(answer); // the caller may have gone
        }
    }

    /// As after a failed batch, nothing is built upon a connection that has failed.
    fn index(&mut self) {
        if let Err(error) = self.try_index() {
            self.indexing.failed();
            tracing::warn!(detail = error.detail(), "the index of names was not brought up to date; it is tried again");
        }
    }

    fn try_index(&mut self) -> Result<()> {
        if self.alarm.is_raised() {
            return Err(file::unavailable("a sync of the disk failed"));
        }
        let mut connection = self.connection.take().map_or_else(|| file::writer(&self.path), Ok)?;
        checkpoint::watch(&connection);
        self.indexing.step(&mut connection).inspect_err(|error| file::raise_if_unsynced(error, &self.alarm))?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.connection = Some(connection);
        Ok(())
    }

    /// One transaction. When it fails, all of it failed, refusals too: they were decided on what was lost
    /// with it. Its connection is then closed, so that the next batch starts from what is on disk and
    /// nothing that SQLite remembers of the failed commit is built upon. After a failed sync there is no
    /// next batch: the kernel forgets what it could not write, and a second sync would claim success.
    fn commit(&mut self, batch: &[Order]) -> Result<Vec<Result<()>>> {
        if self.alarm.is_raised() {
            return Err(file::unavailable("a sync of the disk failed"));
        }
        let mut connection = self.connection.take().map_or_else(|| file::writer(&self.path), Ok)?;
        checkpoint::watch(&connection);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let witness = self.witness.get();
        let (answers, signed) = run_all(&transaction, self.store, witness, batch)?;
        transaction.commit().inspect_err(|error| file::raise_if_unsynced(error, &self.alarm))?;
        if let (Some(witness), Some(ledger)) = (witness, &signed) {
            witness.committed(ledger);
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.connection = Some(connection);
        Ok(answers)
    }
}

/// The answers, and the ledger that was signed if anything was written.
fn run_all(
    connection: &Connection,
    store: StoreId,
    witness: Option<&Arc<Witness>>,
    batch: &[Order],
) -> Result<(Vec<Result<()>>, Option<Ledger>)> {
    let Some(Order { write: Write { keyring, .. }, .. }) = batch.first() else { return Ok((Vec::new(), None)) };
    let ledger = read_ledger(connection)?;
    let mut books = Books::open(store, ledger.clone(), keyring)?;
    if let Some(witness) = witness {
        witness.check(ledger.as_ref(), |number| hash_at(connection, number))?;
    }
    let answers = batch.iter().map(|order| run(connection, &mut books, &order.write)).collect::<Result<Vec<_>>>()?;
    if !answers.iter().any(Result::is_ok) {
        return Ok((answers, None));
    }
    let signed = books.close(keyring)?;
    signed.as_ref().map_or(Ok(()), |ledger| write_ledger(connection, ledger))?;
    Ok((answers, signed))
}

fn hash_at(connection: &Connection, number: u64) -> Result<Option<[u8; 32]>> {
    let mut statement = connection.prepare_cached("SELECT hash FROM audit WHERE number = ?1")?;
    Ok(statement.query_row([number], |row| row.get(0)).optional()?)
}

/// The outer error: SQLite has rolled the whole transaction back, as it may when the disk is full or fails.
fn run(connection: &Connection, books: &mut Books, write: &Write) -> Result<Result<()>> {
    let savepoint = |sql: &str| connection.prepare_cached(sql)?.execute([]).map_err(Error::from);
    savepoint("SAVEPOINT one")?;
    let before = books.clone();
    let outcome = apply(&mut Transaction(connection), books, write);
    match &outcome {
        Ok(()) => {}
        Err(error) if connection.is_autocommit() => return Err(error.clone()),
        Err(_) => {
            *books = before;
            savepoint("ROLLBACK TO one")?;
        }
    }
    savepoint("RELEASE one")?;
    Ok(outcome)
}
