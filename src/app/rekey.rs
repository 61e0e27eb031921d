//! Replaces the data key: a new one for everything new, then everything old sealed again, then the old one
//! forgotten. Goes on beside readers and writers, and where it was ended it is taken up again.

use crate::app::App;
use crate::app::audit::{Event, Note};
use crate::app::keyring::key_name;
use crate::app::ports::{Change, HeadRow, KeyService, Sealed, Snapshot, Write};
use crate::app::records::Records;
use crate::app::step::step;
use crate::domain::actor::Actor;
use crate::domain::name::{RecordId, Revision};
use crate::domain::{Conflict, Error, Result};

/// As many as are sealed again in one transaction: writers in between wait for no more.
const BATCH: usize = 64;
const PAGE: usize = 200;
/// A process that has not heard of the new key cannot write under the old one, so one walk finds all;
/// another is for what somebody restored meanwhile.
const WALKS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The epoch that everything is under now.
    pub epoch: u32,
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    pub revisions: u64,
    pub heads: u64,
    pub retired: u32,
}

impl App {
    /// Tells `progress` how many of how many records are done. The old key is valid until everything is
    /// under the new one, and so is a process that was started before.
    pub async fn rekey(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Rekeyed> {
        let records = self.records.as_ref();
        records.keyring.reload().await?;
        let resumed = records.keyring.epochs().len() > 1;
        let epoch = match resumed {
            true => records.keyring.current(),
            false => records.keyring.add_epoch(records.store.as_ref(), records.entropy.as_ref(), records.now()).await?,
        };
        step("rekey.added");
        let mut done = Rekeyed { epoch, resumed, revisions: 0, heads: 0, retired: 0 };
        for _ in 0..WALKS {
            records.walk(&mut done, progress).await?;
            if records.retire(&mut done).await? {
                return Ok(done);
            }
        }
        Err(Error::Unavailable { part: "the rekeying", detail: "something is still under the old key".into() })
    }

    /// Lets another root key open the store as well. How many data keys it did not open before.
    pub async fn add_root(&self, root: &dyn KeyService) -> Result<u32> {
        let records = self.records.as_ref();
        let mut added = 0;
        for key in records.keyring.wrap_for(root).await? {
            let note = records.key_note("wrap", &format!("{} for {}", key_name(key.epoch), key.root));
            match records.write_key(Change::AddKey(key), note).await {
                Ok(()) => added += 1,
                Err(Error::Conflict(Conflict::Exists { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(added)
    }

    /// From now on this root key opens nothing any more. `Conflict::Stale` if nothing else would.
    pub async fn retire_root(&self, root: &str) -> Result<()> {
        let note = self.records.key_note("unwrap", root);
        self.records.write_key(Change::RetireRoot { root: root.to_owned() }, note).await
    }

    /// The root key that this process was given.
    pub fn root(&self) -> String {
        self.records.keyring.root()
    }

    /// The root keys that open the store.
    pub async fn roots(&self) -> Result<Vec<String>> {
        self.records.keyring.roots().await
    }
}

impl Records {
    fn key_note(&self, action: &str, name: &str) -> Note {
        let operator = Actor::operator();
        Event { name, ..Event::of(&operator, action, self.now()) }.note()
    }

    async fn write_key(&self, change: Change, note: Note) -> Result<()> {
        self.write_all(vec![(change, Some(note))]).await
    }

    async fn write_all(&self, changes: Vec<(Change, Option<Note>)>) -> Result<()> {
        self.store.write(Write { changes, keyring: self.keyring.clone(), fence: None }).await
    }

    /// Everything that is not under the new key, in the order of ids.
    async fn walk(&self, done: &mut Rekeyed, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<()> {
        let mut snapshot = self.store.snapshot().await?;
        let total = snapshot.ledger().await?.map_or(0, |ledger| ledger.count);
        let (mut seen, mut after): (u64, Option<RecordId>) = (0, None);
        let mut pending = Vec::with_capacity(BATCH);
        loop {
            let heads = snapshot.heads(after, PAGE).await?;
            let Some(last) = heads.last() else { break };
            after = Some(last.head.id);
            for row in &heads {
                self.gather(row, done, &mut pending, snapshot.as_mut()).await?;
            }
            seen += heads.len() as u64;
            progress(seen, total);
        }
        self.flush(&mut pending).await
    }

    /// What a record needs. Its head last: a head under the new key says nothing of its revisions.
    async fn gather(
        &self,
        row: &HeadRow,
        done: &mut Rekeyed,
        pending: &mut Vec<Change>,
        snapshot: &mut dyn Snapshot,
    ) -> Result<()> {
        let HeadRow { head, stamp, mac, .. } = row;
        let mut after = (head.id, Revision(0));
        loop {
            let page = snapshot.revisions(Some(after), PAGE).await?;
            let own: Vec<_> = page.into_iter().take_while(|revision| revision.id == head.id).collect();
            let Some(last) = own.last() else { break };
            after.1 = last.stamp.number;
            let ended = own.len() < PAGE;
            for revision in own.into_iter().filter(|revision| revision.sealed.epoch != done.epoch) {
                let plain = self.keyring.open_revision(head, &revision.stamp, &revision.sealed)?;
                let entropy = self.entropy.as_ref();
                let sealed: Sealed = self.keyring.seal_under(done.epoch, head, &revision.stamp, &plain, entropy)?;
                let (number, was) = (revision.stamp.number, revision.sealed.epoch);
                pending.push(Change::Reseal { id: head.id, number, was, sealed });
                done.revisions += 1;
                self.flush_full(pending).await?;
            }
            if ended {
                break;
            }
        }
        if mac.epoch != done.epoch {
            self.keyring.verify_mark(head, stamp, mac)?;
            let new = self.keyring.mark_under(done.epoch, head, stamp)?;
            pending.push(Change::Rehead { head: Box::new(head.clone()), was: *mac, mac: new });
            done.heads += 1;
            self.flush_full(pending).await?;
        }
        Ok(())
    }

    async fn flush_full(&self, pending: &mut Vec<Change>) -> Result<()> {
        if pending.len() < BATCH {
            return Ok(());
        }
        self.flush(pending).await
    }

    /// Together; and one by one if somebody has changed one of them meanwhile, which then is under the
    /// new key or gone.
    async fn flush(&self, pending: &mut Vec<Change>) -> Result<()> {
        let changes: Vec<_> = pending.drain(..).map(|change| (change, None)).collect();
        if changes.is_empty() {
            return Ok(());
        }
        step("rekey.resealing");
        match self.write_all(changes.clone()).await {
            Err(Error::Conflict(Conflict::Stale { .. })) => {}
            done => return done,
        }
        for change in changes {
            match self.write_all(vec![change]).await {
                Ok(()) | Err(Error::Conflict(Conflict::Stale { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// False if something is still under an old key.
    async fn retire(&self, done: &mut Rekeyed) -> Result<bool> {
        for epoch in self.keyring.epochs().into_iter().filter(|epoch| *epoch != done.epoch) {
            step("rekey.retiring");
            let note = self.key_note("retire", &key_name(epoch));
            match self.write_key(Change::RetireKey { epoch }, note).await {
                Ok(()) => done.retired += 1,
                Err(Error::Conflict(Conflict::Stale { .. })) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.keyring.reload().await?;
        Ok(true)
    }
}
