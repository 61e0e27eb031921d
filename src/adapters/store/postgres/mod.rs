//! The store in a PostgreSQL database, for several replicas. Owns the sessions, the schema and the task that writes;
//! knows nothing of what the sealed bodies hold.

mod address;
mod draft;
mod fault;
mod flush;
mod journals;
mod load;
mod pool;
mod reader;
mod row;
mod schema;
mod search;
mod session;
mod snapshot;
mod transaction;
mod trigrams;
mod vacant;
mod writer;

#[cfg(test)]
#[path = "../../../../tests/peers/postgres/server.rs"]
pub(in crate::adapters::store) mod server;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::app::audit::Position;
use crate::app::ports::{Age, Key, KeyTable, Names, RevisionRow, Row, Snapshot, Store, Which, WrappedKey, Write};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, StoreId, VersionId};
use crate::domain::record::Class;
use crate::domain::secret::SecretText;
use address::Address;
use journals::Notary;
use pool::Pool;
use session::Dialer;
use snapshot::Moment;
use trigrams::Index;
use writer::Writer;

pub struct PostgresStore {
    id: StoreId,
    dialer: Dialer,
    pool: Pool,
    index: Index,
    notary: Notary,
    writer: Writer,
}

impl PostgresStore {
    /// Connects, and brings the schema up to date.
    pub async fn open(url: &SecretText) -> Result<Self> {
        Self::start(Dialer::new(url)?).await
    }

    async fn start(dialer: Dialer) -> Result<Self> {
        let mut session = dialer.dial().await?;
        schema::migrate(&mut session).await?;
        let id = schema::store_id(&mut session.connection).await?;
        let pool = Pool::new(dialer.clone());
        let notary = Notary::new(dialer.clone());
        let index = Index::new(dialer.clone());
        Ok(Self { id, index, notary, writer: Writer::start(dialer.clone(), id, session), pool, dialer })
    }

    /// Whether the database has a schema of ours. Makes nothing.
    pub async fn exists(url: &SecretText) -> Result<bool> {
        let mut session = Dialer::new(url)?.dial().await?;
        schema::exists(&mut session.connection).await
    }

    /// The hosts in a URL, as the log may say them.
    pub fn hosts_of(url: &SecretText) -> Result<String> {
        Ok(Address::parse(url)?.to_string())
    }

    /// How many transactions were committed by this handle.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Sessions for reads that are idle, and places for more: what a flood must leave as it was.
    pub fn readers_at_rest(&self) -> (usize, usize) {
        self.pool.at_rest()
    }

    /// Writes what is queued and ends the sessions.
    pub async fn close(self) {
        self.writer.stop().await;
        self.pool.close().await;
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
        reader::find(&self.pool, class, key).await
    }

    async fn list(&self, class: Class, names: Names<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        search::list(&self.pool, &self.index, class, names, after, limit).await
    }

    async fn version(&self, id: VersionId) -> Result<Option<RevisionRow>> {
        reader::version(&self.pool, id).await
    }

    async fn revisions(&self, id: RecordId, from: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        reader::revisions(&self.pool, id, from, limit).await
    }

    async fn newest_of(&self, ids: &[RecordId], limit: usize) -> Result<Vec<RevisionRow>> {
        reader::newest_of(&self.pool, ids, limit).await
    }

    async fn newest(&self, class: Class, which: Which, after: Option<Age>, limit: usize) -> Result<Vec<RevisionRow>> {
        reader::newest(&self.pool, class, which, after, limit).await
    }

    async fn sealed_under(&self, class: Class) -> Result<Vec<(u32, u64)>> {
        reader::sealed_under(&self.pool, class).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Row>> {
        reader::due(&self.pool, now, limit).await
    }

    async fn position(&self) -> Result<Option<Position>> {
        reader::position(&self.pool).await
    }

    async fn write(&self, write: Write) -> Result<()> {
        self.writer.write(write).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Moment::take(&self.dialer).await?))
    }
}

#[async_trait]
impl KeyTable for PostgresStore {
    async fn store_id(&self) -> Result<StoreId> {
        Ok(self.id)
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        reader::data_keys(&self.pool).await
    }
}
