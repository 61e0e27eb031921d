//! One transaction for a batch of writes: lock the ledger, load, judge one write after the other, write back, sign,
//! commit. Knows exactly what is certain when any of these steps fails.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgDatabaseError, PgSeverity};
use sqlx::types::Uuid;
use sqlx::{Executor, Row};
use tokio::time::{Instant, timeout, timeout_at};

use super::flush::Columns;
use super::load::load;
use super::session::ANSWER;
use super::{fault, row};
use crate::adapters::store::apply;
use crate::app::ledger::{Books, Ledger};
use crate::app::ports::Write;
use crate::app::witness::{Witness, moved};
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

/// The lock orders all writes of all replicas. What it waits for is another's commit. The last column is the hash of
/// the record of writes with this number, which was committed long before.
fn lock_statement(seen: u64) -> String {
    format!(
        "BEGIN;
        SELECT number, hash, count, sum, epoch, fence, mac, (SELECT hash FROM strongroom.audit WHERE number = {seen})
          FROM strongroom.ledger FOR UPDATE"
    )
}

const FIND_BATCH: &str = "SELECT batch FROM strongroom.audit WHERE number = $1";

/// How an attempt ended.
pub(super) enum Outcome {
    /// The answer to each write, and the ledger that was committed, if anything was to be.
    Done(Vec<Result<()>>, Option<Box<Ledger>>),
    /// Nothing was written, and trying again would not help.
    Refused(Error),
    /// Nothing was written, because of one of the writes. Which of them, they show one by one.
    Spoilt(Error),
    /// Nothing was written, because the session is over.
    Lost(Error),
    /// The commit was sent and no answer came.
    InDoubt(Vec<Result<()>>, Mark),
}

/// What is there if this batch was committed.
pub(super) struct Mark {
    pub(super) ledger: Box<Ledger>,
    /// In the audit. A batch without notes leaves none.
    trace: Option<(i64, Uuid)>,
}

/// Ends an attempt that has not sent its commit.
struct Failure(Outcome);

impl From<sqlx::Error> for Failure {
    fn from(fault: sqlx::Error) -> Self {
        let error = fault::refused(&fault);
        Self(match error {
            _ if fault::is_lost(&fault) => Outcome::Lost(error),
            Error::Overloaded { .. } => Outcome::Refused(error),
            _ => Outcome::Spoilt(error),
        })
    }
}

/// After anything but `Done` the connection must not be used again.
pub(super) async fn run(
    connection: &mut PgConnection,
    store: StoreId,
    witness: Option<&Arc<Witness>>,
    writes: &[&Write],
    patience: Duration,
) -> Outcome {
    let late = || Failure(Outcome::Lost(fault::unavailable("PostgreSQL does not answer in time")));
    let prepared = timeout(ANSWER, prepare(connection, store, witness, writes)).await;
    match prepared.unwrap_or_else(|_| Err(late())) {
        Ok((answers, None)) => match connection.execute("ROLLBACK").await {
            Ok(_) => Outcome::Done(answers, None),
            Err(fault) => Failure::from(fault).0,
        },
        Ok((answers, Some(mark))) => commit(connection, answers, mark, patience).await,
        Err(Failure(outcome)) => outcome,
    }
}

/// Everything up to the commit. No mark: there is nothing to commit.
async fn prepare(
    connection: &mut PgConnection,
    store: StoreId,
    witness: Option<&Arc<Witness>>,
    writes: &[&Write],
) -> Result<(Vec<Result<()>>, Option<Mark>), Failure> {
    let refused = |error| Failure(Outcome::Refused(error));
    let spoilt = |error| Failure(Outcome::Spoilt(error));
    let seen = witness.map_or(0, |witness| witness.seen());
    let (ledger, hash) = lock(connection, seen).await?.map_err(refused)?;
    let [first, ..] = writes else { return Ok((Vec::new(), None)) };
    let mut books = Books::open(store, ledger.clone(), &first.keyring).map_err(refused)?;
    if let Some(witness) = witness {
        let hash_at = |number| if number == seen { Ok(hash) } else { Err(moved()) };
        witness.check(ledger.as_ref(), hash_at).map_err(refused)?;
    }
    let mut draft = load(connection, writes.iter().copied()).await?.map_err(spoilt)?;
    let mut answers = Vec::with_capacity(writes.len());
    for write in writes {
        let before = books.clone();
        let answer = apply(&mut draft, &mut books, write);
        match &answer {
            Ok(()) => draft.keep(),
            Err(_) => {
                draft.take_back();
                books = before;
            }
        }
        answers.push(answer);
    }
    if answers.iter().all(Result::is_err) {
        return Ok((answers, None));
    }
    let ledger = books.close(&first.keyring).map_err(spoilt)?;
    let ledger = ledger.ok_or_else(|| refused(Error::internal("the store has no key yet")))?;
    let batch = new_batch();
    let last = draft.notes.last().map(|(position, _)| row::counted(position.number)).transpose().map_err(spoilt)?;
    Columns::of(&draft).map_err(spoilt)?.write(connection, &ledger, batch).await?;
    Ok((answers, Some(Mark { ledger: Box::new(ledger), trace: last.map(|number| (number, batch)) })))
}

#[expect(clippy::disallowed_methods, reason = "adapters are where randomness comes from")]
fn new_batch() -> Uuid {
    Uuid::new_v4()
}

/// The ledger, and the hash of the record with the number `seen` if there is one.
async fn lock(connection: &mut PgConnection, seen: u64) -> sqlx::Result<Result<(Option<Ledger>, Option<[u8; 32]>)>> {
    let statement = sqlx::AssertSqlSafe(lock_statement(seen)); // a number is all that varies in it
    let rows = connection.fetch_all(sqlx::raw_sql(statement)).await?;
    let missing = || Error::Damaged { what: "the ledger of the store".into(), detail: "it is gone".into() };
    let read = |columns| {
        let hash: Option<Vec<u8>> = row::get(columns, 7)?;
        // One of another length is none of ours.
        Ok((row::ledger(columns)?, hash.and_then(|hash| hash.try_into().ok())))
    };
    Ok(rows.first().ok_or_else(missing).and_then(read))
}

/// From here on only the server's own word counts, and a refusal counts only if the session outlives it: a server that
/// goes down may say so before or after the commit is on its disk.
async fn commit(connection: &mut PgConnection, answers: Vec<Result<()>>, mark: Mark, patience: Duration) -> Outcome {
    match timeout(patience, connection.execute("COMMIT")).await {
        Ok(Ok(_)) => Outcome::Done(answers, Some(mark.ledger)),
        Ok(Err(fault)) if is_plain_error(&fault) => Outcome::Spoilt(fault::refused(&fault)),
        _ => Outcome::InDoubt(answers, mark),
    }
}

fn is_plain_error(fault: &sqlx::Error) -> bool {
    let Some(error) = fault.as_database_error() else { return false };
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Error)) && !fault::is_lost(fault)
}

/// Whether the batch was committed, asked under the ledger's lock: whoever may still be committing it holds that lock.
/// The answer counts once its own commit is done, which waits for the synchronous standby: what is found here then is
/// there as well.
pub(super) async fn was_committed(connection: &mut PgConnection, mark: &Mark, until: Instant) -> Result<Option<bool>> {
    let Some((number, batch)) = mark.trace else { return Ok(None) };
    let asked = async {
        lock(connection, 0).await?.map(drop).ok();
        let found = sqlx::query(FIND_BATCH).bind(number).fetch_optional(&mut *connection).await?;
        let found: Option<Uuid> = found.map(|columns| columns.try_get(0)).transpose()?;
        connection.execute("COMMIT").await?;
        sqlx::Result::Ok(found == Some(batch))
    };
    match timeout_at(until, asked).await {
        Ok(Ok(committed)) => Ok(Some(committed)),
        Ok(Err(fault)) => Err(fault::refused(&fault)),
        Err(_) => Err(fault::unavailable("PostgreSQL does not answer in time")),
    }
}
