//! The tables in SQL, inside a savepoint of the writer's: an error leaves nothing behind.

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::row;
use crate::adapters::store::{Held, Tables, column, name_key};
use crate::app::audit::{Note, Position};
use crate::app::ledger::Ledger;
use crate::app::ports::{Alias, Append, Fence, Mac, Sealed, WrappedKey};
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::{Class, Head};
use crate::domain::{Error, Result};

const WRITE_HEAD: &str = "
    INSERT INTO records (id, class, tenant, name, name_key, origin, retain_for, revision, epoch, mac)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (id) DO UPDATE SET
        tenant = excluded.tenant, name = excluded.name, name_key = excluded.name_key, origin = excluded.origin,
        retain_for = excluded.retain_for, revision = excluded.revision, released_at = NULL, purge_at = NULL,
        epoch = excluded.epoch, mac = excluded.mac";
pub(super) const WRITE_REVISION: &str = "
    INSERT INTO revisions (record, number, version_id, at, actor, epoch, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const REHEAD: &str =
    "UPDATE records SET retain_for = ?2, released_at = ?3, purge_at = ?4, epoch = ?5, mac = ?6 WHERE id = ?1";
const WRITE_ALIAS: &str = "INSERT OR IGNORE INTO aliases (record, class, kind, value) VALUES (?1, ?2, ?3, ?4)";
const FREE_ALIASES: &str = "DELETE FROM aliases WHERE record = ?1";
const RESEAL: &str = "UPDATE revisions SET epoch = ?4, sealed = ?5 WHERE record = ?1 AND number = ?2 AND epoch = ?3";
const IS_USED: &str = "SELECT EXISTS (SELECT 1 FROM revisions WHERE epoch = ?1)
    OR EXISTS (SELECT 1 FROM records WHERE epoch = ?1)";
/// Epochs that only this root has wrapped.
const SOLE: &str = "SELECT count(*) FROM data_keys WHERE root = ?1
    AND NOT EXISTS (SELECT 1 FROM data_keys other WHERE other.epoch = data_keys.epoch AND other.root <> ?1)";
const READ_LEDGER: &str = "SELECT number, hash, count, sum, epoch, fence, mac FROM ledger";
const WRITE_LEDGER: &str = "
    INSERT OR REPLACE INTO ledger (one, number, hash, count, sum, epoch, fence, mac) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";

pub(super) fn read_ledger(connection: &Connection) -> Result<Option<Ledger>> {
    let found = connection.prepare_cached(READ_LEDGER)?.query_row([], |row| {
        Ok(Ledger {
            position: Position { number: row.get(0)?, hash: row.get(1)? },
            count: row.get(2)?,
            sum: row.get(3)?,
            epoch: row.get(4)?,
            fence: Fence(row.get(5)?),
            mac: row.get(6)?,
        })
    });
    Ok(found.optional()?)
}

pub(super) fn write_ledger(connection: &Connection, ledger: &Ledger) -> Result<()> {
    let Ledger { position, count, sum, epoch, fence, mac } = ledger;
    execute(connection, WRITE_LEDGER, params![position.number, position.hash, count, sum, epoch, fence.0, mac])?;
    Ok(())
}

/// The writer's connection, with a transaction begun.
pub(super) struct Transaction<'a>(pub(super) &'a Connection);

impl Tables for Transaction<'_> {
    fn held(&self, id: RecordId) -> Result<Option<Held>> {
        const SQL: &str = "SELECT class, revision, epoch, mac FROM records WHERE id = ?1";
        let found = self.0.prepare_cached(SQL)?.query_row([id.bytes()], |row| {
            let mac = Mac { epoch: row.get(2)?, bytes: row.get(3)? };
            Ok((row.get::<_, i16>(0)?, row.get::<_, u64>(1)?, mac))
        });
        let Some((class, revision, mac)) = found.optional()? else { return Ok(None) };
        let damaged = || Error::Damaged { what: format!("record {id}"), detail: "unknown class".into() };
        let class = column::class(class).ok_or_else(damaged)?;
        Ok(Some(Held { class, revision: Revision(revision), mac }))
    }

    fn by_name(&self, class: Class, name_key: &str) -> Result<Option<RecordId>> {
        const SQL: &str = "SELECT id FROM records WHERE class = ?1 AND name_key = ?2";
        self.holder(SQL, params![row::class_number(class), name_key])
    }

    fn by_alias(&self, class: Class, alias: &Alias) -> Result<Option<RecordId>> {
        const SQL: &str = "SELECT record FROM aliases WHERE class = ?1 AND kind = ?2 AND value = ?3";
        self.holder(SQL, params![row::class_number(class), row::alias_number(alias.kind), alias.value])
    }

    fn put_record(&mut self, append: &Append) -> Result<()> {
        let (head, stamp, sealed, mac) = (&append.row.head, &append.row.stamp, &append.row.sealed, &append.row.mac);
        let id = head.id.bytes();
        let class = row::class_number(head.class);
        let origin = row::origin_text(&head.origin)?;
        let number = row::counted(stamp.number.0)?;
        let (tenant, key, retain_for) = (head.tenant.as_str(), name_key(&head.name), row::micros(head.retain_for)?);
        let written = params![id, class, tenant, head.name, key, origin, retain_for, number, mac.epoch, mac.bytes];
        self.execute(WRITE_HEAD, written)?;
        let at = stamp.at.as_microsecond();
        let revision = params![id, number, stamp.version_id.bytes(), at, stamp.by, sealed.epoch, sealed.bytes];
        self.execute(WRITE_REVISION, revision)?;
        if append.expected.is_some() {
            self.execute(FREE_ALIASES, [id])?;
            self.execute("DELETE FROM links WHERE from_id = ?1", [id])?;
        }
        for alias in &append.aliases {
            self.execute(WRITE_ALIAS, params![id, class, row::alias_number(alias.kind), alias.value])?;
        }
        for link in &append.links {
            self.execute("INSERT OR IGNORE INTO links (from_id, to_id) VALUES (?1, ?2)", [id, link.bytes()])?;
        }
        Ok(())
    }

    fn put_head(&mut self, head: &Head, mac: &Mac) -> Result<()> {
        let id = head.id.bytes();
        let [at, purge_at] = [head.released.map(|it| it.at), head.released.map(|it| it.purge_at)]
            .map(|time| time.map(|time| time.as_microsecond()));
        self.execute(REHEAD, params![id, row::micros(head.retain_for)?, at, purge_at, mac.epoch, mac.bytes])?;
        if head.released.is_some() {
            self.execute(FREE_ALIASES, [id])?;
        }
        Ok(())
    }

    /// Revisions, aliases and links go with their record, by the schema.
    fn remove_record(&mut self, id: RecordId) -> Result<()> {
        self.execute("DELETE FROM records WHERE id = ?1", [id.bytes()]).map(drop)
    }

    fn reseal(&mut self, id: RecordId, number: Revision, was: u32, sealed: &Sealed) -> Result<bool> {
        let number = row::counted(number.0)?;
        Ok(self.execute(RESEAL, params![id.bytes(), number, was, sealed.epoch, sealed.bytes])? == 1)
    }

    fn add_key(&mut self, key: &WrappedKey) -> Result<bool> {
        const SQL: &str = "INSERT OR IGNORE INTO data_keys (epoch, root, wrapped) VALUES (?1, ?2, ?3)";
        Ok(self.execute(SQL, params![key.epoch, key.root, key.wrapped])? == 1)
    }

    fn is_used(&self, epoch: u32) -> Result<bool> {
        Ok(self.0.query_row(IS_USED, [epoch], |row| row.get(0))?)
    }

    fn remove_key(&mut self, epoch: u32) -> Result<()> {
        self.execute("DELETE FROM data_keys WHERE epoch = ?1", [epoch]).map(drop)
    }

    fn remove_root(&mut self, root: &str) -> Result<bool> {
        let sole: i64 = self.0.query_row(SOLE, [root], |row| row.get(0))?;
        if sole == 0 {
            self.execute("DELETE FROM data_keys WHERE root = ?1", [root])?;
        }
        Ok(sole == 0)
    }

    fn put_note(&mut self, position: &Position, note: &Note) -> Result<()> {
        const SQL: &str = "INSERT INTO audit (number, hash, note) VALUES (?1, ?2, ?3)";
        self.execute(SQL, params![position.number, position.hash, note.as_str()]).map(drop)
    }
}

impl Transaction<'_> {
    fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        execute(self.0, sql, params)
    }

    fn holder(&self, sql: &str, params: impl Params) -> Result<Option<RecordId>> {
        let found = self.0.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?;
        Ok(found.map(RecordId::from_bytes))
    }
}

pub(super) fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}
