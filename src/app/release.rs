//! Records whose resource is gone: released at once, kept for a while, then forgotten.

use crate::app::audit::Event;
use crate::app::body::Body;
use crate::app::ports::{Change, Key, Names, Row};
use crate::app::records::{Changed, PAGE, Records};
use crate::domain::actor::Actor;
use crate::domain::permission::Action;
use crate::domain::record::{Class, Entry, Head, Origin, Owner, Release};
use crate::domain::{Conflict, Error, Result};

impl Records {
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
            let page = self.store.list(class, Names::ALL, after.as_deref(), PAGE).await?;
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
            let head = Head { released: Some(Release { at, purge_at }), ..row.head.clone() };
            let note = Event::of(&Actor::operator(), "release", at).to(&head, row.stamp.number).note();
            match self.rehead(row, head, note).await {
                // Somebody else released it, or wrote it: then it is not ours to release any more.
                Ok(()) | Err(Error::Conflict(Conflict::Stale { .. })) => {}
                Err(error) => return Err(error),
            }
            let _ = self.changes.send(Changed { class: row.head.class, name: row.head.name.clone() });
        }
        Ok(())
    }

    /// Forgets records whose release has ended; says how many.
    pub async fn purge(&self) -> Result<u64> {
        let mut purged = 0;
        loop {
            let due = self.store.due(self.now(), PAGE).await?;
            for row in &due {
                purged += u64::from(self.forget(row).await?);
            }
            if due.len() < PAGE {
                return Ok(purged);
            }
        }
    }

    /// Forgets a record with every revision, on behalf of a caller. Refused if it was written since `entry` was read.
    pub async fn delete<B: Body>(&self, actor: &Actor, entry: &Entry<B>) -> Result<()> {
        let row = self.row_of(entry).await?;
        let note = Event::of(actor, Action::Delete.verb(), self.now()).to(&row.head, row.stamp.number).note();
        self.change(&row.head.origin, note, || self.forgetting(&row)).await?;
        let _ = self.changes.send(Changed { class: B::CLASS, name: row.head.name });
        Ok(())
    }

    /// The row of a record that was not written since it was read.
    pub(super) async fn row_of<B: Body>(&self, entry: &Entry<B>) -> Result<Row> {
        let found = self.store.find(B::CLASS, Key::Ids(&[entry.head.id])).await?;
        let is_same = |row: &Row| row.stamp.number == entry.stamp.number && row.head.released.is_none();
        let stale = || Conflict::Stale { what: format!("{} {}", B::CLASS.singular(), entry.head.name) };
        found.into_iter().find(is_same).ok_or_else(|| stale().into())
    }

    fn forgetting(&self, row: &Row) -> Result<Change> {
        self.keyring.verify_mark(&row.head, &row.stamp, &row.mac)?;
        Ok(Change::Forget { id: row.head.id, name: row.head.name.clone(), was: row.mac })
    }

    /// False if it was reclaimed meanwhile. A damaged head is not forgotten: who damaged it may have made
    /// it look due.
    async fn forget(&self, row: &Row) -> Result<bool> {
        let operator = Actor::operator();
        let note = Event::of(&operator, "forget", self.now()).to(&row.head, row.stamp.number).note();
        match self.change(&row.head.origin, note, || self.forgetting(row)).await {
            Ok(()) => Ok(true),
            Err(Error::Conflict(Conflict::Stale { .. })) => Ok(false),
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(%error, detail = error.detail(), "is not purged");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_live(row: &Row, owner: &Owner) -> bool {
    row.head.released.is_none() && matches!(&row.head.origin, Origin::Resource(known) if known == owner)
}
