//! Records as they were: their earlier revisions, and all of a class by age.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::app::access::Access;
use crate::app::audit::{Event, Read};
use crate::app::body::{self, Body};
use crate::app::ports::{Age, Key, RevisionRow, Row, Which};
use crate::app::records::{PAGE, Records};
use crate::domain::actor::Actor;
use crate::domain::name::{RecordId, Revision, Tenant};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Entry, Head, Origin, Release};
use crate::domain::{Conflict, Error, Result};

/// Later than any purge.
const NEVER: Timestamp = Timestamp::constant(253_402_207_200, 0);

/// Records whose revisions are asked for at once, and the newest of each that come then: few have more.
const RECORDS: usize = 32;
const NEWEST: usize = 16;

/// Revisions of which sort, after which place, and how many at most.
pub type Page = (Which, Option<Age>, usize);

/// What does not exist is no mistake here.
pub fn absent<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Records {
    /// Every revision of a record, the first one first; recorded as a look at the record.
    pub async fn history<B: Body>(&self, actor: &Actor, entry: &Entry<B>) -> Result<Vec<Entry<B>>> {
        let all = self.revisions_from(entry, Revision::FIRST).await?;
        let read = Read { head: &entry.head, stamp: &entry.stamp, with: Vec::new() };
        self.audit.read(actor, Action::Metadata, read).await?;
        Ok(all)
    }

    /// All from this number on, in pages.
    pub async fn revisions_from<B: Body>(&self, entry: &Entry<B>, first: Revision) -> Result<Vec<Entry<B>>> {
        let mut all: Vec<Entry<B>> = Vec::new();
        loop {
            let from = all.last().map_or(first, |last| last.stamp.number.next());
            let page = self.revisions(&entry.head, from, PAGE).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Every revision of each of these records, the newest first.
    pub async fn histories<B: Body>(&self, entries: &[Arc<Entry<B>>]) -> Result<Vec<Vec<Entry<B>>>> {
        let mut all = Vec::with_capacity(entries.len());
        for some in entries.chunks(RECORDS) {
            let mut newest = self.newest_of(some).await?;
            for entry in some {
                let own = newest.remove(&entry.head.id).unwrap_or_default();
                let is_whole = own.last().is_none_or(|last| last.stamp.number == Revision::FIRST);
                all.push(match is_whole {
                    true => own,
                    false => self.revisions_from(entry, Revision::FIRST).await?.into_iter().rev().collect(),
                });
            }
            tokio::task::yield_now().await;
        }
        Ok(all)
    }

    async fn newest_of<B: Body>(&self, entries: &[Arc<Entry<B>>]) -> Result<HashMap<RecordId, Vec<Entry<B>>>> {
        let heads: HashMap<RecordId, &Head> = entries.iter().map(|entry| (entry.head.id, &entry.head)).collect();
        let ids: Vec<RecordId> = heads.keys().copied().collect();
        let open = |rows: &[RevisionRow]| {
            let mut found: HashMap<RecordId, Vec<Entry<B>>> = HashMap::new();
            for (head, row) in rows.iter().filter_map(|row| Some((*heads.get(&row.id)?, row))) {
                found.entry(row.id).or_default().push(self.open_revision(head, row)?);
            }
            Ok(found)
        };
        match open(&self.store.newest_of(&ids, NEWEST).await?) {
            // Sealed anew meanwhile: read again with the keys of the moment.
            Err(Error::KeyReplaced) => {
                self.keyring.reload().await?;
                open(&self.store.newest_of(&ids, NEWEST).await?)
            }
            opened => opened,
        }
    }

    /// One revision of a record that was found.
    pub async fn revision<B: Body>(&self, entry: &Entry<B>, number: Revision) -> Result<Option<Entry<B>>> {
        let found = self.revisions(&entry.head, number, 1).await?.pop();
        Ok(found.filter(|entry| entry.stamp.number == number))
    }

    pub async fn require_revision<B: Body>(&self, entry: &Entry<B>, number: Revision) -> Result<Entry<B>> {
        let found = self.revision(entry, number).await?;
        found.ok_or_else(|| {
            Error::not_found(format!("revision {number} of {} {}", B::CLASS.singular(), entry.head.name))
        })
    }

    /// Two revisions of a record, recorded as a look at both.
    pub async fn pair<B: Body>(
        &self,
        actor: &Actor,
        entry: &Entry<B>,
        [first, second]: [Revision; 2],
    ) -> Result<[Entry<B>; 2]> {
        let pair = [self.require_revision(entry, first).await?, self.require_revision(entry, second).await?];
        let with = vec![(entry.head.name.as_str(), second)];
        self.audit.read(actor, Action::Metadata, Read { head: &entry.head, stamp: &pair[0].stamp, with }).await?;
        Ok(pair)
    }

    async fn revisions<B: Body>(&self, head: &Head, from: Revision, limit: usize) -> Result<Vec<Entry<B>>> {
        let open = |rows: &[RevisionRow]| rows.iter().map(|row| self.open_revision(head, row)).collect();
        match open(&self.store.revisions(head.id, from, limit).await?) {
            // Sealed anew meanwhile: read again with the keys of the moment.
            Err(Error::KeyReplaced) => {
                self.keyring.reload().await?;
                open(&self.store.revisions(head.id, from, limit).await?)
            }
            opened => opened,
        }
    }

    fn open_revision<B: Body>(&self, head: &Head, row: &RevisionRow) -> Result<Entry<B>> {
        let plain = self.keyring.open_revision(head, &row.stamp, &row.sealed)?;
        Ok(Entry { head: head.clone(), stamp: row.stamp.clone(), body: body::decode(&plain)? })
    }

    /// Revisions of all records of the class, the newest first. Two queries.
    pub async fn newest<B: Body>(&self, which: Which, after: Option<Age>, limit: usize) -> Result<Vec<Entry<B>>> {
        let rows = self.store.newest(B::CLASS, which, after, limit).await?;
        let mut ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        // By their current revisions, which alone say whether a head is what it should be.
        let heads = self.find::<B>(Key::Ids(&ids)).await?;
        let heads: HashMap<_, _> = heads.iter().map(|entry| (entry.head.id, entry)).collect();
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(current) = heads.get(&row.id) else { continue };
            match self.open_revision(&current.head, row) {
                Ok(entry) => found.push(entry),
                Err(Error::KeyReplaced) => found.extend(self.revision(current, row.stamp.number).await?),
                Err(error @ Error::Damaged { .. }) => {
                    tracing::error!(%error, detail = error.detail(), "left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Records of the class that are released. Reads all heads, and opens only these.
    pub async fn released<B: Body>(&self) -> Result<Vec<Entry<B>>> {
        let mut snapshot = self.store.snapshot().await?;
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let heads = snapshot.heads(after, PAGE).await?;
            let Some(last) = heads.last() else { return Ok(found) };
            after = Some(last.head.id);
            let ids: Vec<_> = heads
                .iter()
                .filter(|row| row.head.class == B::CLASS && row.head.released.is_some())
                .map(|row| row.head.id)
                .collect();
            for row in &self.store.find(B::CLASS, Key::Ids(&ids)).await? {
                found.push(self.open(row).await?);
            }
        }
    }

    /// The same for who may list them, without Strongroom's own; recorded as a list.
    pub async fn newest_for<B: Body>(
        &self,
        actor: &Actor,
        access: &Access,
        (which, after, limit): Page,
    ) -> Result<Vec<Entry<B>>> {
        let tenant = Tenant::outside();
        access.require(actor, Action::List, &Target::new(B::CLASS, &tenant, "")).await?;
        let mut page = self.newest::<B>(which, after, limit).await?;
        page.retain(|entry| entry.head.origin != Origin::Own);
        self.audit.list(actor, B::CLASS).await?;
        Ok(page)
    }

    /// Out of sight for everybody and kept without end. Refused if it was written since `entry` was read.
    pub async fn archive<B: Body>(&self, actor: &Actor, entry: &Entry<B>) -> Result<()> {
        let stale = || Conflict::Stale { what: format!("{} {}", B::CLASS.singular(), entry.head.name) };
        let found = self.store.find(B::CLASS, Key::Ids(&[entry.head.id])).await?;
        let is_same = |row: &Row| row.stamp.number == entry.stamp.number && row.head.released.is_none();
        let row = found.into_iter().find(is_same).ok_or_else(stale)?;
        let released = Some(Release { at: self.now(), purge_at: NEVER });
        let note = Event::of(actor, Action::Archive.verb(), self.now()).to(&row.head, row.stamp.number).note();
        self.rehead(&row, Head { released, ..row.head.clone() }, note).await
    }
}
