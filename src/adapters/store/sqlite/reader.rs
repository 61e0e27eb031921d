//! Reads on connections that cannot write. They run on the caller's thread (a few microseconds each, so a
//! hand-off would cost more) and never wait for a write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::file::Opened;
use super::indexing::Indexed;
use super::log_index::{self, LogIndex};
use super::row::{self, select_current};
use super::{file, schema};
use crate::adapters::store::name_key;
use crate::app::audit::Position;
use crate::app::ports::{Age, Key, RevisionRow, Row, Which, WrappedKey};
use crate::domain::name::{RecordId, Revision, StoreId, VersionId};
use crate::domain::record::Class;
use crate::domain::{Error, Result};

/// Connections kept open between reads. As many are used at once as threads read at once.
const IDLE: usize = 16;

// The sign before a class keeps SQLite from walking all of the class by its index, which it likes better
// than many look-ups by id.
const BY_ID: &str = select_current!("+r.class = ?1 AND r.id = ?2");
const BY_IDS: &str = select_current!("+r.class = ?1 AND r.id IN (SELECT unhex(value) FROM json_each(?2))");
const BY_NAME: &str = select_current!("r.class = ?1 AND r.name_key = ?2");
const BY_NAMES: &str = select_current!("r.class = ?1 AND r.name_key IN (SELECT value FROM json_each(?2))");
const BY_ALIAS: &str = select_current!(
    "+r.class = ?1 AND r.id = (SELECT record FROM aliases WHERE class = ?1 AND kind = ?2 AND value = ?3)"
);
const BY_ALIASES: &str = select_current!(
    "+r.class = ?1 AND r.id IN (SELECT record FROM aliases WHERE class = ?1 AND kind = ?2 AND value <= ?3)"
);
const BY_LINK: &str = select_current!("+r.class = ?1 AND r.id IN (SELECT from_id FROM links WHERE to_id = ?2)");
const VERSION: &str = "
    SELECT record, number, version_id, at, actor, epoch, sealed FROM revisions WHERE version_id = ?1";
const REVISIONS: &str = "
    SELECT record, number, version_id, at, actor, epoch, sealed FROM revisions
    WHERE record = ?1 AND number >= ?2 ORDER BY number LIMIT ?3";
const NEWEST_OF: &str = "
    SELECT record, number, version_id, at, actor, epoch, sealed FROM revisions
    WHERE record = ?1 ORDER BY number DESC LIMIT ?2";
// What is sealed is read for the page alone, not for all that are sorted.
const NEWEST: &str = "
    SELECT v.record, v.number, v.version_id, v.at, v.actor, v.epoch, v.sealed FROM (
        SELECT v.record, v.number FROM records r JOIN revisions v ON v.record = r.id
        WHERE r.class = ?1 AND r.released_at IS NULL AND (?2 OR v.number = r.revision)
            AND (v.at, v.record, v.number) < (?3, ?4, ?5)
        ORDER BY v.at DESC, v.record DESC, v.number DESC LIMIT ?6) page
    JOIN revisions v ON v.record = page.record AND v.number = page.number
    ORDER BY v.at DESC, v.record DESC, v.number DESC";
const SEALED_UNDER: &str = "
    SELECT v.epoch, count(*) FROM records r JOIN revisions v ON v.record = r.id
    WHERE r.class = ?1 AND r.released_at IS NULL GROUP BY v.epoch ORDER BY v.epoch";
pub(super) const DUE: &str = select_current!("r.purge_at <= ?1 ORDER BY r.purge_at LIMIT ?2");

#[cfg(test)]
pub(super) const LOOK_UPS: [&str; 9] =
    [BY_ID, BY_IDS, BY_NAME, BY_NAMES, BY_ALIAS, BY_ALIASES, BY_LINK, VERSION, NEWEST_OF];

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Opened>>,
    log: Arc<LogIndex>,
    last: Mutex<Last>,
    index: Arc<Indexed>,
}

/// The end of the chain of notes, as it was when the index of the log was so.
#[derive(Default)]
struct Last {
    index: Option<log_index::State>,
    position: Option<Position>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, index: Arc<Indexed>) -> Self {
        Self { log: LogIndex::of(&path), path, idle: Mutex::default(), last: Mutex::default(), index }
    }

    pub(super) fn index(&self) -> &Indexed {
        &self.index
    }

    pub(super) fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
        let class = row::class_number(class);
        self.on_connection(|connection| match key {
            Key::Ids([]) => Ok(Vec::new()),
            Key::Ids([id]) => select(connection, BY_ID, params![class, id.bytes()]),
            Key::Ids(ids) => select(connection, BY_IDS, params![class, hex_array(ids)]),
            Key::Names([name]) => select(connection, BY_NAME, params![class, name_key(name)]),
            Key::Names(names) => select(connection, BY_NAMES, params![class, json_array(names)]),
            Key::Alias(kind, value) => select(connection, BY_ALIAS, params![class, row::alias_number(kind), value]),
            Key::AliasesUpTo(kind, last) => {
                select_readable(connection, BY_ALIASES, params![class, row::alias_number(kind), last])
            }
            Key::LinksTo(id) => select(connection, BY_LINK, params![class, id.bytes()]),
        })
    }

    pub(super) fn version(&self, id: VersionId) -> Result<Option<RevisionRow>> {
        self.on_connection(|connection| Ok(select_revisions(connection, VERSION, params![id.bytes()])?.pop()))
    }

    pub(super) fn revisions(&self, id: RecordId, from: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        self.on_connection(|connection| {
            select_revisions(
                connection,
                REVISIONS,
                params![id.bytes(), i64::try_from(from.0).unwrap_or(i64::MAX), at_most(limit)],
            )
        })
    }

    pub(super) fn newest_of(&self, ids: &[RecordId], limit: usize) -> Result<Vec<RevisionRow>> {
        let ids: BTreeSet<&RecordId> = ids.iter().collect();
        self.on_connection(|connection| {
            // Nothing is on its way to an embedded store, and one statement for all would sort what is sealed.
            let of = |id: &RecordId| select_revisions(connection, NEWEST_OF, params![id.bytes(), at_most(limit)]);
            Ok(ids.into_iter().map(of).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        })
    }

    pub(super) fn newest(
        &self,
        class: Class,
        which: Which,
        after: Option<Age>,
        limit: usize,
    ) -> Result<Vec<RevisionRow>> {
        let (at, id, number) = after
            .map_or((i64::MAX, Vec::new(), 0), |age| (age.at.as_microsecond(), age.id.bytes().to_vec(), age.number.0));
        let (class, all) = (row::class_number(class), which == Which::All);
        self.on_connection(|connection| {
            select_revisions(connection, NEWEST, params![class, all, at, id, number, at_most(limit)])
        })
    }

    pub(super) fn sealed_under(&self, class: Class) -> Result<Vec<(u32, u64)>> {
        self.on_connection(|connection| {
            let mut statement = connection.prepare_cached(SEALED_UNDER)?;
            let count = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
            let counts = statement.query_map([row::class_number(class)], count)?;
            counts.map(|count| count.map_err(Error::from)).collect()
        })
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Row>> {
        self.on_connection(|connection| select_readable(connection, DUE, params![now.as_microsecond(), at_most(limit)]))
    }

    pub(super) fn position(&self) -> Result<Option<Position>> {
        const SQL: &str = "SELECT number, hash FROM ledger";
        // Before the question: what is written after it makes the answer newer than its index, never older.
        let index = self.log.state();
        if index.is_some()
            && let last = self.last()
            && last.index == index
        {
            return Ok(last.position);
        }
        let position = self.on_connection(|connection| {
            let mut statement = connection.prepare_cached(SQL)?;
            let found = statement.query_row([], |row| Ok(Position { number: row.get(0)?, hash: row.get(1)? }));
            Ok(found.optional()?)
        })?;
        *self.last() = Last { index, position };
        Ok(position)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn store_id(&self) -> Result<StoreId> {
        self.on_connection(schema::store_id)
    }

    pub(super) fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        self.on_connection(data_keys)
    }

    pub(super) fn close(&self) {
        self.idle().clear();
    }

    /// After an error the connection is closed and not used again: a damaged one must not stay.
    pub(super) fn on_connection<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle().pop(); // a statement of its own: the lock is not held while opening
        let connection = idle.map_or_else(|| file::reader(&self.path), Ok)?;
        let found = read(&connection)?;
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        Ok(found)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Opened>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn data_keys(connection: &Connection) -> Result<Vec<WrappedKey>> {
    const SQL: &str = "SELECT epoch, root, wrapped FROM data_keys ORDER BY epoch, root";
    let mut statement = connection.prepare_cached(SQL)?;
    let keys = statement
        .query_map([], |row| Ok(WrappedKey { epoch: row.get(0)?, root: row.get(1)?, wrapped: row.get(2)? }))?;
    keys.map(|key| key.map_err(Error::from)).collect()
}

fn select(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(columns) = rows.next()? {
        found.push(row::read(columns)?);
    }
    Ok(found)
}

/// Of the columns of revisions alone.
fn select_revisions(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<RevisionRow>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(columns) = rows.next()? {
        let id = RecordId::from_bytes(columns.get(0)?);
        let (stamp, sealed) = row::revision(id, columns, 1)?;
        found.push(RevisionRow { id, stamp, sealed });
    }
    Ok(found)
}

pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Of current revisions, without rows that cannot be read: one damaged record must not hide all others.
pub(super) fn select_readable(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(columns) = rows.next()? {
        match row::read(columns) {
            Ok(row) => found.push(row),
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(%error, detail = error.detail(), "left out of a list");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn hex_array(ids: &[RecordId]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("\"{}\"", id.hex())).collect();
    format!("[{}]", quoted.join(","))
}

fn json_array(names: &[&str]) -> String {
    let keys: Vec<serde_json::Value> = names.iter().map(|name| name_key(name).into()).collect();
    serde_json::Value::from(keys).to_string()
}
