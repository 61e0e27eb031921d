//! Look-ups and lists: one prepared statement each, on a session of the pool.

use jiff::Timestamp;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::Uuid;
use sqlx::{Postgres, query};

use super::pool::Pool;
use super::row::{self, select_current};
use crate::adapters::store::name_key;
use crate::app::audit::Position;
use crate::app::ports::{Age, Key, RevisionRow, Row, Which, WrappedKey};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, VersionId};
use crate::domain::record::Class;

const BY_IDS: &str = select_current!("r.class = $1 AND r.id = ANY ($2)");
const BY_NAMES: &str = select_current!("r.class = $1 AND r.name_key = ANY ($2)");
const BY_ALIAS: &str = select_current!(
    "r.class = $1 AND r.id = (SELECT record FROM strongroom.aliases WHERE class = $1 AND kind = $2 AND value = $3)"
);
const BY_ALIASES: &str = select_current!(
    "r.class = $1 AND r.id IN (SELECT record FROM strongroom.aliases WHERE class = $1 AND kind = $2 AND value <= $3)"
);
const BY_LINK: &str =
    select_current!("r.class = $1 AND r.id IN (SELECT from_id FROM strongroom.links WHERE to_id = $2)");
const VERSION: &str = "
    SELECT record, number, version_id, at, actor, epoch, sealed FROM strongroom.revisions WHERE version_id = $1";
const REVISIONS: &str = "
    SELECT record, number, version_id, at, actor, epoch, sealed FROM strongroom.revisions
     WHERE record = $1 AND number >= $2 ORDER BY number LIMIT $3";
const NEWEST_OF: &str = "
    SELECT v.record, v.number, v.version_id, v.at, v.actor, v.epoch, v.sealed
      FROM (SELECT DISTINCT unnest($1::uuid[]) AS record) wanted
     CROSS JOIN LATERAL (
        SELECT * FROM strongroom.revisions r WHERE r.record = wanted.record ORDER BY r.number DESC LIMIT $2) v
     ORDER BY v.record, v.number DESC";
// What is sealed is read for the page alone, not for all that are sorted.
const NEWEST: &str = "
    SELECT v.record, v.number, v.version_id, v.at, v.actor, v.epoch, v.sealed FROM (
        SELECT v.record, v.number FROM strongroom.records r JOIN strongroom.revisions v ON v.record = r.id
         WHERE r.class = $1 AND r.released_at IS NULL AND ($2 OR v.number = r.revision)
           AND (v.at, v.record, v.number) < ($3, $4, $5)
         ORDER BY v.at DESC, v.record DESC, v.number DESC LIMIT $6) page
      JOIN strongroom.revisions v ON v.record = page.record AND v.number = page.number
     ORDER BY v.at DESC, v.record DESC, v.number DESC";
const SEALED_UNDER: &str = "
    SELECT v.epoch, count(*) FROM strongroom.records r JOIN strongroom.revisions v ON v.record = r.id
     WHERE r.class = $1 AND r.released_at IS NULL GROUP BY v.epoch ORDER BY v.epoch";
const DUE: &str = select_current!("r.purge_at <= $1 ORDER BY r.purge_at LIMIT $2");
const POSITION: &str = "SELECT number, hash FROM strongroom.ledger WHERE number IS NOT NULL";
pub(super) const DATA_KEYS: &str = "SELECT epoch, root, wrapped FROM strongroom.data_keys ORDER BY epoch, root";

pub(super) async fn find(pool: &Pool, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
    let class = row::class_number(class);
    match key {
        Key::Ids([]) | Key::Names([]) => Ok(Vec::new()),
        Key::Ids(ids) => {
            let ids: Vec<Uuid> = ids.iter().copied().map(row::uuid).collect();
            select(pool, || query(BY_IDS).bind(class).bind(&ids)).await
        }
        Key::Names(names) => {
            let keys: Vec<Vec<u8>> = names.iter().map(|name| name_key(name).into_bytes()).collect();
            select(pool, || query(BY_NAMES).bind(class).bind(&keys)).await
        }
        Key::Alias(kind, value) => {
            select(pool, || query(BY_ALIAS).bind(class).bind(row::alias_number(kind)).bind(value.as_bytes())).await
        }
        Key::AliasesUpTo(kind, last) => {
            select(pool, || query(BY_ALIASES).bind(class).bind(row::alias_number(kind)).bind(last.as_bytes())).await
        }
        Key::LinksTo(id) => select(pool, || query(BY_LINK).bind(class).bind(row::uuid(id))).await,
    }
}

pub(super) async fn version(pool: &Pool, id: VersionId) -> Result<Option<RevisionRow>> {
    let rows = pool.read(|| query(VERSION).bind(Uuid::from_bytes(*id.bytes()))).await?;
    rows.first().map(row::revision).transpose()
}

pub(super) async fn revisions(pool: &Pool, id: RecordId, from: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
    let from = i64::try_from(from.0).unwrap_or(i64::MAX);
    let rows = pool.read(|| query(REVISIONS).bind(row::uuid(id)).bind(from).bind(at_most(limit))).await?;
    rows.iter().map(row::revision).collect()
}

pub(super) async fn newest_of(pool: &Pool, ids: &[RecordId], limit: usize) -> Result<Vec<RevisionRow>> {
    let ids: Vec<Uuid> = ids.iter().copied().map(row::uuid).collect();
    let rows = pool.read(|| query(NEWEST_OF).bind(&ids).bind(at_most(limit))).await?;
    rows.iter().map(row::revision).collect()
}

pub(super) async fn newest(
    pool: &Pool,
    class: Class,
    which: Which,
    after: Option<Age>,
    limit: usize,
) -> Result<Vec<RevisionRow>> {
    let (at, id, number) = after.map_or((i64::MAX, Uuid::nil(), 0), |age| {
        (age.at.as_microsecond(), row::uuid(age.id), i64::try_from(age.number.0).unwrap_or(i64::MAX))
    });
    let (class, all) = (row::class_number(class), which == Which::All);
    let found = pool.read(|| query(NEWEST).bind(class).bind(all).bind(at).bind(id).bind(number).bind(at_most(limit)));
    found.await?.iter().map(row::revision).collect()
}

pub(super) async fn sealed_under(pool: &Pool, class: Class) -> Result<Vec<(u32, u64)>> {
    let rows = pool.read(|| query(SEALED_UNDER).bind(row::class_number(class))).await?;
    rows.iter().map(|columns| Ok((row::number(columns, 0)?, row::number(columns, 1)?))).collect()
}

pub(super) async fn due(pool: &Pool, now: Timestamp, limit: usize) -> Result<Vec<Row>> {
    select(pool, || query(DUE).bind(now.as_microsecond()).bind(at_most(limit))).await
}

pub(super) async fn position(pool: &Pool) -> Result<Option<Position>> {
    let rows = pool.read(|| query(POSITION)).await?;
    let position = |columns| Ok(Position { number: row::number(columns, 0)?, hash: row::bytes(columns, 1)? });
    rows.first().map(position).transpose()
}

pub(super) async fn data_keys(pool: &Pool) -> Result<Vec<WrappedKey>> {
    let rows = pool.read(|| query(DATA_KEYS)).await?;
    rows.iter().map(wrapped_key).collect()
}

pub(super) fn wrapped_key(columns: &PgRow) -> Result<WrappedKey> {
    Ok(WrappedKey { epoch: row::number(columns, 0)?, root: row::get(columns, 1)?, wrapped: row::get(columns, 2)? })
}

pub(super) async fn select<'q>(
    pool: &Pool,
    statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
) -> Result<Vec<Row>> {
    pool.read(statement).await?.iter().map(row::read).collect()
}

pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
