//! The store in one SQLite file, write-ahead logged. Owns the file, its schema and its threads; knows
//! nothing of what the sealed bodies hold. Other processes may use the same file at the same time.

mod checkpoint;
mod examine;
mod file;
mod indexing;
mod log_index;
mod reader;
mod row;
mod schema;
mod search;
mod snapshot;
#[cfg(test)]
mod tests;
mod trigrams;
mod vacant;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::app::alarm::Alarm;
use crate::app::audit::Position;
use crate::app::ports::{Age, Key, KeyTable, Names, RevisionRow, Row, Snapshot, Store, Which, WrappedKey, Write};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, StoreId, VersionId};
use crate::domain::record::Class;
use reader::Readers;
use snapshot::Moment;
use writer::Writer;

pub struct SqliteStore {
    readers: Readers,
    writer: Writer,
    alarm: Alarm,
}

impl SqliteStore {
    /// Makes the file (0600) and its folder (0700) when they are not there, and brings the schema up to
    /// date. A failed sync raises the alarm. Blocks: for the start of a program.
    pub fn open(path: &Path, alarm: Alarm) -> Result<Self> {
        let path = file::create(path)?;
        let mut connection = file::writer(&path)?;
        file::write_log_again(&path, &connection)?;
        schema::migrate(&mut connection)?;
        let index = Arc::default();
        let writer = Writer::start(path.clone(), connection, alarm.clone(), Arc::clone(&index))?;
        Ok(Self { readers: Readers::new(path, index), writer, alarm })
    }

    /// How many transactions were committed by this handle.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Writes what is queued, copies the log into the file when nobody else has it open, and says whether
    /// that could be done. Dropping does the same and says nothing.
    pub fn close(mut self) -> Result<()> {
        self.stop()
    }

    /// The writer's connection goes last: only one that may write can tidy the log away.
    fn stop(&mut self) -> Result<()> {
        self.readers.close();
        self.writer.stop()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        let _ = self.stop(); // what was acknowledged is on disk in any case
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
        self.readers.find(class, key)
    }

    async fn list(&self, class: Class, names: Names<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let rows = self.readers.list(class, names, after, limit);
        if self.readers.index().must_tell() {
            self.writer.wake();
        }
        rows
    }

    async fn version(&self, id: VersionId) -> Result<Option<RevisionRow>> {
        self.readers.version(id)
    }

    async fn revisions(&self, id: RecordId, from: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        self.readers.revisions(id, from, limit)
    }

    async fn newest_of(&self, ids: &[RecordId], limit: usize) -> Result<Vec<RevisionRow>> {
        self.readers.newest_of(ids, limit)
    }

    async fn newest(&self, class: Class, which: Which, after: Option<Age>, limit: usize) -> Result<Vec<RevisionRow>> {
        self.readers.newest(class, which, after, limit)
    }

    async fn sealed_under(&self, class: Class) -> Result<Vec<(u32, u64)>> {
        self.readers.sealed_under(class)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Row>> {
        self.readers.due(now, limit)
    }

    async fn position(&self) -> Result<Option<Position>> {
        self.readers.position()
    }

    async fn write(&self, write: Write) -> Result<()> {
        self.writer.write(write).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Moment::begin(self.readers.path())?))
    }
}

#[async_trait]
impl KeyTable for SqliteStore {
    async fn store_id(&self) -> Result<StoreId> {
        self.readers.store_id()
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        self.readers.data_keys()
    }
}
