//! The store at one moment: a read transaction on a connection of its own. While it lasts the log cannot
//! start over, so it is for reading through and letting go.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::params;

use super::{file, reader, row, write};
use crate::app::audit::{Note, Position};
use crate::app::ledger::Ledger;
use crate::app::ports::{Alias, HeadRow, RevisionRow, Snapshot, WrappedKey};
use crate::domain::name::{RecordId, Revision};
use crate::domain::{Error, Result};

const HEADS: &str = row::select_current!("r.id > ?1 ORDER BY r.id LIMIT ?2");
const REVISIONS: &str = "
    SELECT record, number, version_id, at, actor, epoch, sealed FROM revisions
    WHERE (record, number) > (?1, ?2) ORDER BY record, number LIMIT ?3";
const AUDIT: &str = "SELECT number, hash, note FROM audit WHERE number > ?1 ORDER BY number LIMIT ?2";
const ALIASES: &str = "SELECT kind, value FROM aliases WHERE record = ?1 ORDER BY kind, value";
const LINKS: &str = "SELECT to_id FROM links WHERE from_id = ?1 ORDER BY to_id";

pub(super) struct Moment(file::Opened);

impl Moment {
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let connection = file::reader(path)?;
        connection.execute_batch("BEGIN")?;
        // A transaction begins with its first read.
        connection.query_row("SELECT count(*) FROM ledger", [], |_| Ok(()))?;
        Ok(Self(connection))
    }

    fn aliases(&self, id: RecordId) -> Result<Vec<Alias>> {
        let mut statement = self.0.prepare_cached(ALIASES)?;
        let found = statement.query_map([id.bytes()], |columns| Ok((columns.get(0)?, columns.get(1)?)))?;
        found
            .map(|alias| {
                let (kind, value): (i16, String) = alias?;
                let damaged = || Error::Damaged { what: format!("record {id}"), detail: "unknown alias".into() };
                Ok(Alias { kind: row::alias_kind(kind).ok_or_else(damaged)?, value })
            })
            .collect()
    }

    fn links(&self, id: RecordId) -> Result<Vec<RecordId>> {
        let mut statement = self.0.prepare_cached(LINKS)?;
        let found = statement.query_map([id.bytes()], |columns| columns.get(0).map(RecordId::from_bytes))?;
        found.map(|link| Ok(link?)).collect()
    }
}

#[async_trait]
impl Snapshot for Moment {
    async fn ledger(&mut self) -> Result<Option<Ledger>> {
        write::read_ledger(&self.0)
    }

    async fn keys(&mut self) -> Result<Vec<WrappedKey>> {
        reader::data_keys(&self.0)
    }

    async fn heads(&mut self, after: Option<RecordId>, limit: usize) -> Result<Vec<HeadRow>> {
        let mut statement = self.0.prepare_cached(HEADS)?;
        // Shorter than every id, and so before it.
        let start = after.map_or_else(Vec::new, |id| id.bytes().to_vec());
        let mut rows = statement.query(params![start, limit as i64])?;
        let mut heads = Vec::new();
        while let Some(columns) = rows.next()? {
            let row = row::read(columns)?;
            let (aliases, links) = (self.aliases(row.head.id)?, self.links(row.head.id)?);
            heads.push(HeadRow { head: row.head, stamp: row.stamp, mac: row.mac, aliases, links });
        }
        Ok(heads)
    }

    async fn revisions(&mut self, after: Option<(RecordId, Revision)>, limit: usize) -> Result<Vec<RevisionRow>> {
        let mut statement = self.0.prepare_cached(REVISIONS)?;
        let start = after.map_or((Vec::new(), 0), |(id, number)| (id.bytes().to_vec(), number.0));
        let mut rows = statement.query(params![start.0, start.1, limit as i64])?;
        let mut revisions = Vec::new();
        while let Some(columns) = rows.next()? {
            let id = RecordId::from_bytes(columns.get(0)?);
            let (stamp, sealed) = row::revision(id, columns, 1)?;
            revisions.push(RevisionRow { id, stamp, sealed });
        }
        Ok(revisions)
    }

    async fn audit(&mut self, after: u64, limit: usize) -> Result<Vec<(Position, Note)>> {
        let mut statement = self.0.prepare_cached(AUDIT)?;
        let found = statement.query_map(params![after, limit as i64], |columns| {
            let position = Position { number: columns.get(0)?, hash: columns.get(1)? };
            Ok((position, Note::stored(columns.get(2)?)))
        })?;
        found.map(|note| Ok(note?)).collect()
    }
}
