//! The writes in SQL. Each runs inside a savepoint of the writer's, so an error leaves nothing behind.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::row;
use crate::adapters::store::{Holders, admit, epoch_taken, name_key};
use crate::app::ports::{Alias, Append, WrappedKey};
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::{Class, Release};
use crate::domain::{Error, Result};

const WRITE_HEAD: &str = "
    INSERT INTO records (id, class, tenant, name, name_key, origin, retain_for, revision)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (id) DO UPDATE SET
        tenant = excluded.tenant, name = excluded.name, name_key = excluded.name_key, origin = excluded.origin,
        retain_for = excluded.retain_for, revision = excluded.revision, released_at = NULL, purge_at = NULL";
const WRITE_REVISION: &str = "
    INSERT INTO revisions (record, number, version_id, at, actor, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const WRITE_ALIAS: &str = "INSERT OR IGNORE INTO aliases (record, class, kind, value) VALUES (?1, ?2, ?3, ?4)";
const RELEASE: &str = "UPDATE records SET released_at = ?2, purge_at = ?3 WHERE id = ?1 AND released_at IS NULL";
pub(super) const PURGE: &str = "DELETE FROM records WHERE purge_at <= ?1";
const FREE_ALIASES: &str = "DELETE FROM aliases WHERE record = ?1";

pub(super) enum Write {
    Append(Box<Append>),
    Release(Vec<RecordId>, Release),
    Purge(Timestamp),
    AddDataKey(WrappedKey),
}

impl Write {
    /// How many records were purged; 0 for the other writes.
    pub(super) fn run(&self, connection: &Connection) -> Result<u64> {
        match self {
            Self::Append(append) => write_record(connection, append).map(|()| 0),
            Self::Release(ids, release) => write_release(connection, ids, *release).map(|()| 0),
            Self::Purge(now) => purge(connection, *now),
            Self::AddDataKey(key) => write_data_key(connection, key).map(|()| 0),
        }
    }
}

fn write_record(connection: &Connection, append: &Append) -> Result<()> {
    admit(connection, append)?;
    let head = &append.row.head;
    let stamp = &append.row.stamp;
    let id = head.id.bytes();
    let class = row::class_number(head.class);
    let origin = row::origin_text(&head.origin)?;
    let number = row::revision_number(stamp.number)?;
    let at = stamp.at.as_microsecond();
    let (tenant, key, retain_for) = (head.tenant.as_str(), name_key(&head.name), row::micros(head.retain_for)?);
    execute(connection, WRITE_HEAD, params![id, class, tenant, head.name, key, origin, retain_for, number])?;
    let revision = params![id, number, stamp.version_id.bytes(), at, stamp.by, append.row.sealed];
    execute(connection, WRITE_REVISION, revision)?;
    execute(connection, FREE_ALIASES, [id])?;
    for alias in &append.aliases {
        execute(connection, WRITE_ALIAS, params![id, class, row::alias_number(alias.kind), alias.value])?;
    }
    execute(connection, "DELETE FROM links WHERE from_id = ?1", [id])?;
    for link in &append.links {
        execute(connection, "INSERT OR IGNORE INTO links (from_id, to_id) VALUES (?1, ?2)", [id, link.bytes()])?;
    }
    Ok(())
}

fn write_release(connection: &Connection, ids: &[RecordId], release: Release) -> Result<()> {
    for id in ids {
        let times = params![id.bytes(), release.at.as_microsecond(), release.purge_at.as_microsecond()];
        execute(connection, RELEASE, times)?;
        execute(connection, FREE_ALIASES, [id.bytes()])?;
    }
    Ok(())
}

/// Revisions, aliases and links go with their record, by the schema.
fn purge(connection: &Connection, now: Timestamp) -> Result<u64> {
    let purged = execute(connection, PURGE, [now.as_microsecond()])?;
    Ok(purged as u64)
}

fn write_data_key(connection: &Connection, key: &WrappedKey) -> Result<()> {
    const SQL: &str = "INSERT OR IGNORE INTO data_keys (epoch, wrapped) VALUES (?1, ?2)";
    match execute(connection, SQL, params![key.epoch, key.wrapped])? {
        0 => Err(epoch_taken(key)),
        _ => Ok(()),
    }
}

fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

impl Holders for Connection {
    fn current(&self, id: RecordId) -> Result<Option<(Class, Revision)>> {
        let mut statement = self.prepare_cached("SELECT class, revision FROM records WHERE id = ?1")?;
        let found = statement.query_row([id.bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let Some((class, revision)) = found.optional()? else { return Ok(None) };
        let damaged = || Error::Damaged { what: format!("record {id}"), detail: "class or revision".into() };
        let known = row::class(class).zip(revision.try_into().ok().map(Revision));
        known.map(Some).ok_or_else(damaged)
    }

    fn by_name(&self, class: Class, name_key: &str) -> Result<Option<RecordId>> {
        const SQL: &str = "SELECT id FROM records WHERE class = ?1 AND name_key = ?2";
        holder(self, SQL, params![row::class_number(class), name_key])
    }

    fn by_alias(&self, class: Class, alias: &Alias) -> Result<Option<RecordId>> {
        const SQL: &str = "SELECT record FROM aliases WHERE class = ?1 AND kind = ?2 AND value = ?3";
        holder(self, SQL, params![row::class_number(class), row::alias_number(alias.kind), alias.value])
    }
}

fn holder(connection: &Connection, sql: &str, params: impl Params) -> Result<Option<RecordId>> {
    let found = connection.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?;
    Ok(found.map(RecordId::from_bytes))
}
