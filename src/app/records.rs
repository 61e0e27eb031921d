//! Loading and writing records of any class: opens and seals bodies, numbers revisions, tells who waits
//! for a change. Decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{broadcast, watch};

use crate::app::audit::{Audit, Event, Note};
use crate::app::body::{self, Body};
use crate::app::keyring::Keyring;
use crate::app::opened::Opened;
use crate::app::ports::{Append, Change, Clock, Fence, Journal, Key, Names, Row, Store, Write};
use crate::app::step::step;
use crate::domain::actor::Actor;
use crate::domain::entropy::Entropy;
use crate::domain::name::{RecordId, Revision, Tenant};
use crate::domain::record::{Class, Entry, Head, Origin, Stamp};
use crate::domain::{Error, Result};

/// A record that has a new revision, for those who show it elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub class: Class,
    pub name: String,
}

/// Slow listeners miss changes beyond this and look at everything again instead.
const CHANGES_KEPT: usize = 1024;
pub(super) const PAGE: usize = 500;

/// Another process may replace the data key once while we write; twice in a row does not happen.
pub(super) const ATTEMPTS: usize = 4;
/// Not the leader: no fence is 0.
const FOLLOWER: u64 = 0;

pub struct Records {
    pub(super) store: Arc<dyn Store>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) audit: Audit,
    pub(super) opened: Opened,
    fence: AtomicU64,
    deposed: watch::Sender<bool>,
    pub(super) changes: broadcast::Sender<Changed>,
}

/// Identity of a record that does not exist yet.
pub struct NewRecord {
    pub tenant: Tenant,
    pub name: String,
    pub origin: Origin,
    pub retain_for: SignedDuration,
}

impl NewRecord {
    pub(super) fn head(self, id: RecordId, class: Class) -> Head {
        let Self { tenant, name, origin, retain_for } = self;
        Head { id, class, tenant, name, origin, retain_for, released: None }
    }
}

impl Records {
    pub fn new(
        store: Arc<dyn Store>,
        keyring: Arc<Keyring>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let audit = Audit { journal, clock: clock.clone() };
        let (fence, deposed) = (AtomicU64::new(FOLLOWER), watch::Sender::new(false));
        let (opened, changes) = (Opened::default(), broadcast::channel(CHANGES_KEPT).0);
        Self { store, keyring, clock, entropy, audit, opened, fence, deposed, changes }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn new_id(&self) -> RecordId {
        self.entropy.record_id(self.now())
    }

    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    /// From now on what is written for resources carries this fence.
    pub async fn lead(&self, fence: Fence) -> Result<()> {
        let name = fence.0.to_string();
        let operator = Actor::operator();
        let note = Event { name: &name, ..Event::of(&operator, "lead", self.now()) }.note();
        self.write(Change::Raise(fence), Some(note), None).await?;
        self.fence.store(fence.0, Ordering::Release);
        self.deposed.send_replace(false);
        Ok(())
    }

    /// The highest fence that the store has seen.
    pub async fn fence_of_store(&self) -> Result<Fence> {
        let ledger = self.store.snapshot().await?.ledger().await?;
        Ok(ledger.map_or(Fence(FOLLOWER), |ledger| ledger.fence))
    }

    /// Whether the store has refused a write under the fence that was raised here last.
    pub fn deposed(&self) -> watch::Receiver<bool> {
        self.deposed.subscribe()
    }

    /// What is written for resources carries no fence any more, and is the caller's to prevent.
    pub fn follow(&self) {
        self.fence.store(FOLLOWER, Ordering::Release);
    }

    /// Resources have one writer among all processes; everything else is settled by revisions.
    fn fence(&self, origin: &Origin) -> Option<Fence> {
        let fence = self.fence.load(Ordering::Acquire);
        (matches!(origin, Origin::Resource(_)) && fence != FOLLOWER).then_some(Fence(fence))
    }

    async fn write(&self, change: Change, note: Option<Note>, fence: Option<Fence>) -> Result<()> {
        let write = Write { changes: vec![(change, note)], keyring: self.keyring.clone(), fence };
        let written = self.store.write(write).await;
        if let (Some(Fence(fence)), Err(Error::Fenced)) = (fence, &written) {
            tracing::warn!(fence, "the store refused a write of a leadership that is over");
            self.deposed.send_replace(true);
        }
        written
    }

    /// One change to a record, made with the keys of the moment: again, when another process has replaced
    /// them since.
    pub(super) async fn change(
        &self,
        origin: &Origin,
        note: Note,
        change: impl Fn() -> Result<Change> + Send + Sync,
    ) -> Result<()> {
        for _ in 1..ATTEMPTS {
            let done = match change() {
                Ok(change) => self.write(change, Some(note.clone()), self.fence(origin)).await,
                Err(error) => Err(error),
            };
            match done {
                Err(Error::KeyReplaced) => self.keyring.reload().await?,
                done => return done,
            }
        }
        Err(Error::KeyReplaced)
    }

    pub(super) async fn open<B: Body>(&self, row: &Row) -> Result<Entry<B>> {
        let plain = match self.keyring.open_row(row) {
            Err(Error::KeyReplaced) => {
                self.keyring.reload().await?;
                self.keyring.open_row(row)?
            }
            opened => opened?,
        };
        Ok(Entry { head: row.head.clone(), stamp: row.stamp.clone(), body: body::decode(&plain)? })
    }

    /// Records that are not released. Rows that were read before their key was retired are read again.
    pub async fn find<B: Body>(&self, key: Key<'_>) -> Result<Vec<Entry<B>>> {
        match self.find_once(key).await {
            Err(Error::KeyReplaced) => self.find_once(key).await.map_err(for_good),
            found => found,
        }
    }

    async fn find_once<B: Body>(&self, key: Key<'_>) -> Result<Vec<Entry<B>>> {
        let mut found = Vec::new();
        for row in &self.rows(B::CLASS, key).await? {
            let entry = self.open::<B>(row).await?;
            if self.is_answer(&key, &entry) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    pub(super) async fn rows(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
        let mut rows = self.store.find(class, key).await?;
        rows.retain(|row| row.head.released.is_none());
        Ok(rows)
    }

    /// The index by which it was found is not sealed; what it stands for is.
    pub(super) fn is_answer<B: Body>(&self, key: &Key<'_>, entry: &Entry<B>) -> bool {
        let is_answer = answers(key, entry);
        if !is_answer {
            tracing::error!(name = %entry.head.name, "an index of the store is damaged: it led to a wrong record");
        }
        is_answer
    }

    pub async fn find_one<B: Body>(&self, key: Key<'_>) -> Result<Option<Entry<B>>> {
        Ok(self.find(key).await?.pop())
    }

    /// By name, even if it is released: what a resource may reclaim.
    pub async fn find_released<B: Body>(&self, name: &str) -> Result<Option<Entry<B>>> {
        self.find_even_released(Key::Names(&[name])).await
    }

    pub(super) async fn find_even_released<B: Body>(&self, key: Key<'_>) -> Result<Option<Entry<B>>> {
        match self.store.find(B::CLASS, key).await?.pop() {
            Some(row) => Ok(Some(self.open(&row).await?).filter(|entry| answers(&key, entry))),
            None => Ok(None),
        }
    }

    /// One page in the order of names, after the name `after`. A damaged record is left out, and said to be.
    async fn page<B: Body>(&self, names: Names<'_>, after: Option<&str>) -> Result<(Vec<Entry<B>>, Option<String>)> {
        let rows = self.store.list(B::CLASS, names, after, PAGE).await?;
        let next = (rows.len() == PAGE).then(|| rows.last().map(|row| row.head.name.clone())).flatten();
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            match self.open(row).await {
                Ok(entry) => page.push(entry),
                Err(error @ (Error::Damaged { .. } | Error::KeyReplaced)) => {
                    tracing::error!(%error, detail = error.detail(), name = row.head.name, "left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((page, next))
    }

    /// Every record, read in pages.
    pub async fn list_all<B: Body>(&self) -> Result<Vec<Entry<B>>> {
        let mut all: Vec<Entry<B>> = Vec::new();
        self.each_named(Names::ALL, |entry| all.push(entry)).await?;
        Ok(all)
    }

    /// Every record with such a name, read in pages.
    pub async fn each_named<B: Body>(&self, names: Names<'_>, mut see: impl FnMut(Entry<B>)) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let (page, next) = self.page(names, after.as_deref()).await?;
            page.into_iter().for_each(&mut see);
            if next.is_none() {
                return Ok(());
            }
            after = next;
            // An embedded store never makes anybody wait: without this, all others on the thread would wait for all pages.
            tokio::task::yield_now().await;
        }
    }

    pub async fn create<B: Body>(&self, actor: &Actor, id: RecordId, new: NewRecord, body: B) -> Result<Entry<B>> {
        self.append(actor, new.head(id, B::CLASS), None, body).await
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
        let entry = Entry { head, stamp: self.stamp(actor, expected), body };
        let Entry { head, stamp, body } = &entry;
        let action = if expected.is_none() { "create" } else { "update" };
        let note = body.told(Event::of(actor, action, stamp.at).to(head, stamp.number)).note();
        step("store.append");
        self.change(&head.origin, note, || self.appending(&entry, expected)).await?;
        step("store.appended");
        // Nobody listening is fine: listeners come and go.
        let _ = self.changes.send(Changed { class: B::CLASS, name: head.name.clone() });
        Ok(entry)
    }

    /// Of the revision after this one, which is made now.
    pub(super) fn stamp(&self, actor: &Actor, expected: Option<Revision>) -> Stamp {
        let at = self.now();
        let number = expected.map_or(Revision::FIRST, Revision::next);
        Stamp { number, version_id: self.entropy.version_id(at), at, by: actor.id.clone() }
    }

    /// Sealed and marked with the keys of the moment.
    pub(super) fn appending<B: Body>(&self, entry: &Entry<B>, expected: Option<Revision>) -> Result<Change> {
        let Entry { head, stamp, body } = entry;
        let sealed = self.keyring.seal(head, stamp, &body::encode(body)?, self.entropy.as_ref())?;
        let mac = self.keyring.mark(head, stamp)?;
        let row = Row { head: head.clone(), stamp: stamp.clone(), sealed, mac };
        let (aliases, links) = (body.aliases(head.id), body.links());
        Ok(Change::Append(Box::new(Append { row, expected, aliases, links })))
    }

    pub(super) async fn rehead(&self, row: &Row, head: Head, note: Note) -> Result<()> {
        self.change(&head.origin, note, || {
            self.keyring.verify_mark(&row.head, &row.stamp, &row.mac)?;
            let mac = self.keyring.mark(&head, &row.stamp)?;
            Ok(Change::Rehead { head: Box::new(head.clone()), was: row.mac, mac })
        })
        .await
    }

    /// Adds a note to the chain of writes.
    pub async fn note(&self, note: Note) -> Result<()> {
        self.change(&Origin::Own, note, || Ok(Change::Remark)).await
    }
}

/// Read again with the keys of the moment, and still not to be opened.
pub(super) fn for_good(error: Error) -> Error {
    match error {
        Error::KeyReplaced => {
            let detail = "it names a data key that is not there".into();
            Error::Damaged { what: "a record of the store".into(), detail }
        }
        error => error,
    }
}

/// Whether a record is what was looked for, by its own sealed words.
pub(super) fn answers<B: Body>(key: &Key<'_>, entry: &Entry<B>) -> bool {
    match key {
        Key::Ids(ids) => ids.contains(&entry.head.id),
        Key::Names(names) => names.iter().any(|name| name.eq_ignore_ascii_case(&entry.head.name)),
        Key::Alias(kind, value) => {
            entry.body.aliases(entry.head.id).iter().any(|alias| alias.kind == *kind && alias.value == *value)
        }
        Key::AliasesUpTo(kind, last) => {
            entry.body.aliases(entry.head.id).iter().any(|alias| alias.kind == *kind && alias.value.as_str() <= *last)
        }
        Key::LinksTo(id) => entry.body.links().contains(id),
    }
}
