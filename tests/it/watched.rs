//! A store for tests that looks on, and now and then stops, while the real one does the work.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use strongroom::adapters::store::SqliteStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::alarm::Alarm;
use strongroom::app::audit::Position;
use strongroom::app::ports::{Age, Fence, Key, Names, RevisionRow, Row, Snapshot, Store, Which, Write};
use strongroom::app::{App, Parts};
use strongroom::domain::Result;
use strongroom::domain::name::{RecordId, Revision, VersionId};
use strongroom::domain::record::Class;
use strongroom::domain::rules::Rules;

use crate::ground::parts;

/// Who looks on.
pub trait Eye: Send + Sync {
    fn on_find(&self) {}

    /// Before a write, under this fence if under one; may wait.
    fn before_write(&self, _: Option<Fence>) {}

    fn after_write(&self, _: Option<Fence>, _: &Result<()>) {}
}

/// Counts how often records are looked up.
#[derive(Default)]
pub struct Finds(AtomicUsize);

impl Finds {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Eye for Finds {
    fn on_find(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One process on the store of a folder, with the number of its look-ups.
pub struct Process {
    pub app: App,
    pub finds: Arc<Finds>,
}

impl Process {
    pub async fn on(folder: &Path, rules: Rules) -> Self {
        let store = Arc::new(SqliteStore::open(&folder.join("store.db"), Alarm::default()).unwrap());
        let parts = parts(store.clone(), &folder.join("key"), Arc::new(SystemClock)).await;
        let finds = Arc::new(Finds::default());
        let watched = Arc::new(Watched { store, eye: finds.clone() });
        Self { app: App::new(Parts { store: watched, rules, ..parts }), finds }
    }
}

pub struct Watched<E, S = SqliteStore> {
    pub store: Arc<S>,
    pub eye: Arc<E>,
}

#[async_trait]
impl<E: Eye, S: Store> Store for Watched<E, S> {
    async fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
        self.eye.on_find();
        self.store.find(class, key).await
    }

    async fn list(&self, class: Class, names: Names<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        self.store.list(class, names, after, limit).await
    }

    async fn version(&self, id: VersionId) -> Result<Option<RevisionRow>> {
        self.store.version(id).await
    }

    async fn revisions(&self, id: RecordId, from: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        self.store.revisions(id, from, limit).await
    }

    async fn newest_of(&self, ids: &[RecordId], limit: usize) -> Result<Vec<RevisionRow>> {
        self.store.newest_of(ids, limit).await
    }

    async fn newest(&self, class: Class, which: Which, after: Option<Age>, limit: usize) -> Result<Vec<RevisionRow>> {
        self.store.newest(class, which, after, limit).await
    }

    async fn sealed_under(&self, class: Class) -> Result<Vec<(u32, u64)>> {
        self.store.sealed_under(class).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Row>> {
        self.store.due(now, limit).await
    }

    async fn position(&self) -> Result<Option<Position>> {
        self.store.position().await
    }

    async fn write(&self, write: Write) -> Result<()> {
        let fence = write.fence;
        self.eye.before_write(fence);
        let written = self.store.write(write).await;
        self.eye.after_write(fence, &written);
        written
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        self.store.snapshot().await
    }
}
