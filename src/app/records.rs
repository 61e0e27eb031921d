//! Loading and writing records of any class: opens and seals bodies, numbers revisions, tells who waits
//! for a change. Decides nothing.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, watch};

use crate::app::body::{self, Body};
use crate::app::ports::{Append, Clock, Key, Row, Store};
use crate::app::sealing::Sealer;
use crate::app::step::step;
use crate::domain::actor::Actor;
use crate::domain::entropy::Entropy;
use crate::domain::name::{RecordId, Revision, Tenant};
use crate::domain::record::{Class, Entry, Head, Origin, Owner, Release, Stamp};
use crate::domain::{Error, Result};

/// A record that has a new revision, for those who show it elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub class: Class,
    pub name: String,
}

/// Slow listeners miss changes beyond this and look at everything again instead.
const CHANGES_KEPT: usize = 1024;
const PAGE: usize = 500;

pub struct Records {
    store: Arc<dyn Store>,
    sealer: Sealer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    fence: std::sync::atomic::AtomicU64,
    deposed: watch::Sender<bool>,
    changes: broadcast::Sender<Changed>,
}

/// Identity of a record that does not exist yet.
pub struct NewRecord {
    pub tenant: Tenant,
    pub name: String,
    pub origin: Origin,
    pub retain_for: SignedDuration,
}

impl Records {
    pub fn new(store: Arc<dyn Store>, sealer: Sealer, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let (fence, deposed) = (Default::default(), watch::Sender::new(false));
        Self { store, sealer, clock, entropy, fence, deposed, changes: broadcast::channel(CHANGES_KEPT).0 }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    pub async fn lead(&self, fence: crate::app::ports::Fence) -> Result<()> {
        if fence.0 <= self.fence.load(std::sync::atomic::Ordering::Acquire) {
            return Err(Error::Fenced);
        }
        self.fence.store(fence.0, std::sync::atomic::Ordering::Release);
        self.deposed.send_replace(false);
        Ok(())
    }

    pub fn follow(&self) {}

    pub async fn highest_fence(&self) -> Result<crate::app::ports::Fence> {
        Ok(crate::app::ports::Fence(self.fence.load(std::sync::atomic::Ordering::Acquire)))
    }

    /// Whether the store has refused a write of this process's leadership.
    pub fn deposed(&self) -> watch::Receiver<bool> {
        self.deposed.subscribe()
    }

    fn open<B: Body>(&self, row: Row) -> Result<Entry<B>> {
        let body = body::decode(&self.sealer.open_row(&row)?)?;
        Ok(Entry { head: row.head, stamp: row.stamp, body })
    }

    /// Records that are not released.
    pub async fn find<B: Body>(&self, key: Key<'_>) -> Result<Vec<Entry<B>>> {
        let rows = self.store.find(B::CLASS, key).await?;
        rows.into_iter().filter(|row| row.head.released.is_none()).map(|row| self.open(row)).collect()
    }

    pub async fn find_one<B: Body>(&self, key: Key<'_>) -> Result<Option<Entry<B>>> {
        Ok(self.find(key).await?.pop())
    }

    /// By name, even if it is released: what a resource may reclaim.
    pub async fn find_released<B: Body>(&self, name: &str) -> Result<Option<Entry<B>>> {
        let row = self.store.find(B::CLASS, Key::Names(&[name])).await?.pop();
        row.map(|row| self.open(row)).transpose()
    }

    /// One page in the order of names, after the name `after`.
    pub async fn list<B: Body>(&self, after: Option<&str>, limit: usize) -> Result<Vec<Entry<B>>> {
        let rows = self.store.list(B::CLASS, after, limit).await?;
        rows.into_iter().map(|row| self.open(row)).collect()
    }

    /// Every record, read in pages.
    pub async fn list_all<B: Body>(&self) -> Result<Vec<Entry<B>>> {
        let mut all: Vec<Entry<B>> = Vec::new();
        loop {
            let page = self.list(all.last().map(|entry| entry.head.name.as_str()), PAGE).await?;
            let last = page.len() < PAGE;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }

    pub async fn create<B: Body>(&self, actor: &Actor, id: RecordId, new: NewRecord, body: B) -> Result<Entry<B>> {
        let NewRecord { tenant, name, origin, retain_for } = new;
        let head = Head { id, class: B::CLASS, tenant, name, origin, retain_for, released: None };
        self.append(actor, head, None, body).await
    }

    /// The revision after `entry`'s. Ends a release.
    pub async fn revise<B: Body>(&self, actor: &Actor, entry: &Entry<B>, body: B) -> Result<Entry<B>> {
        self.append(actor, entry.head.clone(), Some(entry.stamp.number), body).await
    }

    /// The same, keeping the record for another time after its resource is gone.
    pub async fn revise_retained<B: Body>(
        &self,
        actor: &Actor,
        entry: &Entry<B>,
        retain_for: SignedDuration,
        body: B,
    ) -> Result<Entry<B>> {
        let head = Head { retain_for, ..entry.head.clone() };
        self.append(actor, head, Some(entry.stamp.number), body).await
    }

    async fn append<B: Body>(
        &self,
        actor: &Actor,
        head: Head,
        expected: Option<Revision>,
        body: B,
    ) -> Result<Entry<B>> {
        let head = Head { released: None, ..head };
        let stamp = Stamp {
            number: expected.map_or(Revision::FIRST, Revision::next),
            version_id: self.entropy.version_id(),
            at: self.now(),
            by: actor.id.clone(),
        };
        let sealed = self.sealer.seal(&head, &stamp, &body::encode(&body)?, self.entropy.as_ref())?;
        let row = Row { head: head.clone(), stamp: stamp.clone(), sealed };
        step("store.append");
        self.store.append(Append { row, expected, aliases: body.aliases(), links: body.links() }).await?;
        step("store.appended");
        // Nobody listening is fine: listeners come and go.
        let _ = self.changes.send(Changed { class: B::CLASS, name: head.name.clone() });
        Ok(Entry { head, stamp, body })
    }

    /// Releases the record that a resource managed, if it did and has not been released yet.
    pub async fn release(&self, class: Class, name: &str, owner: &Owner) -> Result<bool> {
        let rows = self.store.find(class, Key::Names(&[name])).await?;
        let Some(row) = rows.into_iter().find(|row| is_live(row, owner)) else {
            return Ok(false);
        };
        self.release_rows(&[row]).await?;
        Ok(true)
    }

    /// Releases the records of resources of one kind that are gone: what the watch missed while nobody
    /// was watching. Returns the owners.
    pub async fn sweep(&self, class: Class, is_gone: impl Fn(&Owner) -> bool) -> Result<Vec<Owner>> {
        let mut gone = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(class, after.as_deref(), PAGE).await?;
            after = page.last().map(|row| row.head.name.clone());
            let last = page.len() < PAGE;
            let orphans = page.into_iter().filter(|row| match &row.head.origin {
                Origin::Resource(owner) => is_gone(owner),
                Origin::Rest | Origin::Own => false,
            });
            let orphans: Vec<Row> = orphans.collect();
            self.release_rows(&orphans).await?;
            gone.extend(orphans.into_iter().filter_map(|row| match row.head.origin {
                Origin::Resource(owner) => Some(owner),
                Origin::Rest | Origin::Own => None,
            }));
            if last {
                return Ok(gone);
            }
        }
    }

    async fn release_rows(&self, rows: &[Row]) -> Result<()> {
        let at = self.now();
        for row in rows {
            let purge_at = at.saturating_add(row.head.retain_for).map_err(Error::internal)?;
            self.store.release(&[row.head.id], Release { at, purge_at }).await?;
            let _ = self.changes.send(Changed { class: row.head.class, name: row.head.name.clone() });
        }
        Ok(())
    }

    pub async fn purge(&self) -> Result<u64> {
        self.store.purge(self.now()).await
    }
}

fn is_live(row: &Row, owner: &Owner) -> bool {
    row.head.released.is_none() && matches!(&row.head.origin, Origin::Resource(known) if known == owner)
}
