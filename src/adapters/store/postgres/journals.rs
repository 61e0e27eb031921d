//! Journals of reads in tables: notes are added in batches on a session of their own, whose commits wait for no disk.

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Executor, Postgres, query};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::reader::at_most;
use super::session::{ANSWER, Dialer, Session};
use super::{PostgresStore, fault, row};
use crate::app::audit::{Note, Position};
use crate::app::ports::{JournalTable, KeptJournal};
use crate::domain::Result;

/// The journal's row is locked while notes are added, so none come in once it is taken for over.
const APPEND: &str = "
    WITH mine AS (
        INSERT INTO strongroom.journals AS j (name, seen) VALUES ($1, now())
        ON CONFLICT (name) DO UPDATE SET seen = excluded.seen WHERE j.state = 0
        RETURNING id
    ), added AS (
        INSERT INTO strongroom.notes (journal, number, hash, note)
        SELECT mine.id, n.* FROM mine, unnest($2::int8[], $3::bytea[], $4::text[]) AS n
        ON CONFLICT (journal, number) DO NOTHING
    )
    SELECT count(*) FROM mine";

/// A live process says so every second.
const GIVE_UP: &str = "UPDATE strongroom.journals SET state = 1 WHERE state = 0 AND seen < now() - interval '30 s'";

const LEFT_BEHIND: &str = "
    SELECT j.name, n.number, n.hash FROM strongroom.journals j
      LEFT JOIN LATERAL (
          SELECT number, hash FROM strongroom.notes WHERE journal = j.id ORDER BY number DESC LIMIT 1
      ) n ON true
     WHERE j.state = 1 ORDER BY j.name";

const CLOSE: &str = "UPDATE strongroom.journals SET state = 2 WHERE name = ANY ($1)";

const JOURNALS: &str = "
    SELECT j.name, coalesce((SELECT max(number) FROM strongroom.notes WHERE journal = j.id), 0),
           j.state = 0 AND j.seen > now() - interval '5 s', j.state = 2
      FROM strongroom.journals j ORDER BY j.name";

const NOTES: &str = "
    SELECT n.number, n.hash, n.note FROM strongroom.notes n JOIN strongroom.journals j ON j.id = n.journal
     WHERE j.name = $1 AND n.number > $2 ORDER BY n.number LIMIT $3";

/// The session for adding, made when it is needed. No hidden second attempt: a server that went down may have lost the
/// last notes, and the journal adds them again when it hears of it.
pub(super) struct Notary {
    dialer: Dialer,
    session: Mutex<Option<Session>>,
}

impl Notary {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer, session: Mutex::default() }
    }

    async fn run(&self, statement: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>> {
        let mut held = self.session.lock().await;
        let mut session = match held.take().filter(|session| self.dialer.is_current(session)) {
            Some(session) => session,
            None => self.open().await?,
        };
        let answer = timeout(ANSWER, statement.fetch_all(&mut session.connection)).await;
        let answer = answer.map_err(|_| fault::unavailable("PostgreSQL does not answer in time"))?;
        if answer.as_ref().err().is_none_or(|fault| !fault::is_lost(fault)) {
            *held = Some(session);
        }
        answer.map_err(|fault| fault::refused(&fault))
    }

    async fn open(&self) -> Result<Session> {
        let mut session = self.dialer.dial().await?;
        let set = session.connection.execute("SET synchronous_commit = off").await;
        set.map_err(|fault| fault::refused(&fault))?;
        Ok(session)
    }
}

#[async_trait]
impl JournalTable for PostgresStore {
    async fn append(&self, journal: &str, notes: &[(Position, Note)]) -> Result<bool> {
        let numbers: Result<Vec<i64>> = notes.iter().map(|(position, _)| row::counted(position.number)).collect();
        let hashes: Vec<&[u8]> = notes.iter().map(|(position, _)| position.hash.as_slice()).collect();
        let texts: Vec<&str> = notes.iter().map(|(_, note)| note.as_str()).collect();
        let added = self.notary.run(query(APPEND).bind(journal).bind(numbers?).bind(hashes).bind(texts)).await?;
        let counted = added.first().map(|columns| row::get::<i64>(columns, 0)).transpose()?;
        Ok(counted == Some(1))
    }

    async fn left_behind(&self) -> Result<Vec<(String, Option<Position>)>> {
        self.notary.run(query(GIVE_UP)).await?;
        let left = |columns: &PgRow| {
            let written = row::get::<Option<i64>>(columns, 1)?.is_some();
            Ok((row::get(columns, 0)?, written.then(|| row::position(columns, 1)).transpose()?))
        };
        self.notary.run(query(LEFT_BEHIND)).await?.iter().map(left).collect()
    }

    async fn close(&self, journals: &[String]) -> Result<()> {
        self.notary.run(query(CLOSE).bind(journals)).await.map(drop)
    }

    async fn journals(&self) -> Result<Vec<KeptJournal>> {
        let kept = |columns: &PgRow| {
            Ok(KeptJournal {
                name: row::get(columns, 0)?,
                last: row::number(columns, 1)?,
                is_live: row::get(columns, 2)?,
                is_closed: row::get(columns, 3)?,
            })
        };
        self.pool.read(|| query(JOURNALS)).await?.iter().map(kept).collect()
    }

    async fn notes(&self, journal: &str, after: u64, limit: usize) -> Result<Vec<(Position, Note)>> {
        let after = row::counted(after)?;
        let found = self.pool.read(|| query(NOTES).bind(journal).bind(after).bind(at_most(limit))).await?;
        found.iter().map(|columns| Ok((row::position(columns, 0)?, Note::stored(row::get(columns, 2)?)))).collect()
    }
}
