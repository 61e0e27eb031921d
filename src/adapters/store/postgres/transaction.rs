//! One transaction for a batch of writes: lock the ledger, load, judge one write after the other, write back, sign,
//! commit. Knows exactly what is certain when any of these steps fails.

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
use crate::app::ledger::Books;
use crate::app::ports::Write;
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

/// The lock orders all writes of all replicas. What it waits for is another's commit.
const LOCK: &str = "
    BEGIN;
    SELECT number, hash, count, sum, epoch, fence, mac FROM strongroom.ledger FOR UPDATE";

const FIND_BATCH: &str = "SELECT batch FROM strongroom.audit WHERE number = $1";

/// How an attempt ended.
pub(super) enum Outcome {
    /// Committed, or nothing was to be committed; the answer to each write.
    Done(Vec<Result<()>>),
    /// Nothing was written, and trying again would not help.
    Refused(Error),
    /// Nothing was written, because of one of the writes. Which of them, they show one by one.
    Spoilt(Error),
    /// Nothing was written, because the session is over.
    Lost(Error),
    /// The commit was sent and no answer came.
    InDoubt(Vec<Result<()>>, Mark),
}

/// What is in the audit if this batch was committed. A batch without notes leaves none.
pub(super) struct Mark(Option<(i64, Uuid)>);

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
    writes: &[&Write],
    patience: Duration,
) -> Outcome {
    let late = || Failure(Outcome::Lost(fault::unavailable("PostgreSQL does not answer in time")));
    let prepared = timeout(ANSWER, prepare(connection, store, writes)).await;
    match prepared.unwrap_or_else(|_| Err(late())) {
        Ok((answers, None)) => match connection.execute("ROLLBACK").await {
            Ok(_) => Outcome::Done(answers),
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
    writes: &[&Write],
) -> Result<(Vec<Result<()>>, Option<Mark>), Failure> {
    let refused = |error| Failure(Outcome::Refused(error));
    let spoilt = |error| Failure(Outcome::Spoilt(error));
    let ledger = lock(connection).await?.map_err(refused)?;
    let [first, ..] = writes else { return Ok((Vec::new(), None)) };
    let mut books = Books::open(store, ledger, &first.keyring).map_err(refused)?;
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
    Ok((answers, Some(Mark(last.map(|number| (number, batch))))))
}

#[expect(clippy::disallowed_methods, reason = "adapters are where randomness comes from")]
fn new_batch() -> Uuid {
    Uuid::new_v4()
}

async fn lock(connection: &mut PgConnection) -> sqlx::Result<Result<Option<crate::app::ledger::Ledger>>> {
    let rows = connection.fetch_all(sqlx::raw_sql(LOCK)).await?;
    let missing = || Error::Damaged { what: "the ledger of the store".into(), detail: "it is gone".into() };
    Ok(rows.first().ok_or_else(missing).and_then(row::ledger))
}

/// From here on only the server's own word counts, and a refusal counts only if the session outlives it: a server that
/// goes down may say so before or after the commit is on its disk.
async fn commit(connection: &mut PgConnection, answers: Vec<Result<()>>, mark: Mark, patience: Duration) -> Outcome {
    match timeout(patience, connection.execute("COMMIT")).await {
        Ok(Ok(_)) => Outcome::Done(answers),
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
    let Some((number, batch)) = mark.0 else { return Ok(None) };
    let asked = async {
        lock(connection).await?.map(drop).ok();
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
