//! The whole store at one moment, read page by page on a session of its own.

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Uuid;
use sqlx::{Executor, Row, query};

use super::fault;
use super::reader::{DATA_KEYS, at_most, wrapped_key};
use super::row::{self, head_columns};
use super::session::{Dialer, Session};
use crate::app::audit::{Note, Position};
use crate::app::ledger::Ledger;
use crate::app::ports::{Alias, HeadRow, RevisionRow, Snapshot, WrappedKey};
use crate::domain::name::{RecordId, Revision};
use crate::domain::{Error, Result};

/// Whoever reads a backup may take a while between two pages.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL statement_timeout = '60s';
    SELECT 1";

const LEDGER: &str = "SELECT number, hash, count, sum, epoch, fence, mac FROM strongroom.ledger";

const HEADS: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", v.number, v.version_id, v.at, v.actor,
       ARRAY (SELECT a.kind FROM strongroom.aliases a WHERE a.record = r.id ORDER BY a.kind, a.value),
       ARRAY (SELECT a.value FROM strongroom.aliases a WHERE a.record = r.id ORDER BY a.kind, a.value),
       ARRAY (SELECT l.to_id FROM strongroom.links l WHERE l.from_id = r.id ORDER BY l.to_id)
     FROM strongroom.records r
     JOIN strongroom.revisions v ON v.record = r.id AND v.number = r.revision
     WHERE $1::uuid IS NULL OR r.id > $1 ORDER BY r.id LIMIT $2"
);

const REVISIONS: &str = "
    SELECT record, number, version_id, at, actor, epoch, sealed FROM strongroom.revisions
     WHERE (record, number) > ($1, $2) ORDER BY record, number LIMIT $3";

const AUDIT: &str = "SELECT number, hash, note FROM strongroom.audit WHERE number > $1 ORDER BY number LIMIT $2";

pub(super) struct Moment(Session);

impl Moment {
    pub(super) async fn take(dialer: &Dialer) -> Result<Self> {
        let mut session = dialer.dial().await?;
        session.connection.fetch_all(sqlx::raw_sql(BEGIN)).await.map_err(|fault| fault::refused(&fault))?;
        Ok(Self(session))
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.0.connection
    }
}

#[async_trait]
impl Snapshot for Moment {
    async fn ledger(&mut self) -> Result<Option<Ledger>> {
        let columns = query(LEDGER).fetch_one(self.connection()).await.map_err(|fault| fault::refused(&fault))?;
        row::ledger(&columns)
    }

    async fn keys(&mut self) -> Result<Vec<WrappedKey>> {
        let found = query(DATA_KEYS).fetch_all(self.connection()).await.map_err(|fault| fault::refused(&fault))?;
        found.iter().map(wrapped_key).collect()
    }

    async fn heads(&mut self, after: Option<RecordId>, limit: usize) -> Result<Vec<HeadRow>> {
        let found = query(HEADS).bind(after.map(row::uuid)).bind(at_most(limit));
        let found = found.fetch_all(self.connection()).await.map_err(|fault| fault::refused(&fault))?;
        found.iter().map(head_row).collect()
    }

    async fn revisions(&mut self, after: Option<(RecordId, Revision)>, limit: usize) -> Result<Vec<RevisionRow>> {
        let (id, number) = after
            .map_or((Uuid::nil(), -1), |(id, number)| (row::uuid(id), i64::try_from(number.0).unwrap_or(i64::MAX)));
        let found = query(REVISIONS).bind(id).bind(number).bind(at_most(limit));
        let found = found.fetch_all(self.connection()).await.map_err(|fault| fault::refused(&fault))?;
        found.iter().map(row::revision).collect()
    }

    async fn audit(&mut self, after: u64, limit: usize) -> Result<Vec<(Position, Note)>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let found = query(AUDIT).bind(after).bind(at_most(limit));
        let found = found.fetch_all(self.connection()).await.map_err(|fault| fault::refused(&fault))?;
        found.iter().map(|columns| Ok((row::position(columns, 0)?, Note::stored(row::get(columns, 2)?)))).collect()
    }
}

fn head_row(columns: &PgRow) -> Result<HeadRow> {
    let (head, mac) = row::head(columns)?;
    let strange =
        |what: &str| Error::Damaged { what: format!("record {}", head.id), detail: format!("unknown {what}") };
    let kinds: Vec<i16> = row::get(columns, 14)?;
    let values: Vec<Vec<u8>> = row::get(columns, 15)?;
    let links: Vec<Uuid> = columns.try_get(16).map_err(|fault| fault::refused(&fault))?;
    let alias = |(kind, value)| {
        let kind = row::alias_kind(kind).ok_or_else(|| strange("kind of alias"))?;
        Ok(Alias { kind, value: String::from_utf8(value).map_err(|_| strange("text"))? })
    };
    let aliases = kinds.into_iter().zip(values).map(alias).collect::<Result<Vec<_>>>()?;
    let stamp = row::stamp(head.id, columns, 10)?;
    let links = links.into_iter().map(|id| RecordId::from_bytes(id.into_bytes())).collect();
    Ok(HeadRow { head, stamp, mac, aliases, links })
}
