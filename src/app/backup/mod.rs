//! A store as one stream of bytes: everything that a copy of it needs, sealed as it is, and the wrapped data
//! keys; no root key and no plain data key. Owns the format, and the proof that a stream holds a whole store.
//! Where it is written to and read from is the caller's affair.
//!
//! ```text
//! "strongroom backup\n" | format (4 bytes, 1) | frames
//! frame   = kind (1) | length (4) | payload
//! frames  = beginning, keys, then each head followed by its revisions, then audit records, then the end
//! end     = counts of keys, records, revisions, audit records (8 each) | SHA-256 of all heads and revisions
//!           | SHA-256 of every byte before it
//! ```
//!
//! Numbers are big-endian, texts and lists stand behind their length. What is written here is a promise to
//! every later version.

mod balance;
mod code;
mod frame;
mod proof;

use std::io::Write;

use jiff::Timestamp;

use crate::app::ports::{Beginning, HeadRow, Item, RevisionRow, Snapshot};
use crate::domain::name::{RecordId, Revision, StoreId};
use crate::domain::{Error, Result};
use balance::Balance;

pub use frame::{Reader, Writer};
pub use proof::{Proof, keyring_of};

/// A page of heads or notes. Bodies may be a mebibyte each, so there are fewer of them in a page.
const PAGE: usize = 256;
const BODIES: usize = 32;

/// How much of each there is, and one digest over all records: the same wherever the same records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub keys: u64,
    pub records: u64,
    pub revisions: u64,
    pub notes: u64,
    /// SHA-256 over heads and revisions as a backup holds them.
    pub digest: [u8; 32],
}

impl Totals {
    /// One more.
    pub fn count(&mut self, item: &Item) {
        *match item {
            Item::Key(_) => &mut self.keys,
            Item::Head(_) => &mut self.records,
            Item::Revision(_) => &mut self.revisions,
            Item::Note(..) => &mut self.notes,
        } += 1;
    }

    pub fn items(&self) -> u64 {
        self.keys + self.records + self.revisions + self.notes
    }
}

/// What is wrong with a backup, or with the store that it is made of.
fn damaged(detail: impl Into<String>) -> Error {
    Error::Damaged { what: "the backup".into(), detail: detail.into() }
}

/// Is told now and then how far it is.
pub type Progress<'a> = &'a mut (dyn FnMut(&Totals) + Send);

/// Writes one moment of a store, and refuses one that does not add up: a copy of it could not be put back.
pub async fn take<W: Write + Send>(
    snapshot: &mut dyn Snapshot,
    store: StoreId,
    made: Timestamp,
    out: W,
    progress: Progress<'_>,
) -> Result<(Totals, W)> {
    let ledger = snapshot.ledger().await?.ok_or_else(|| Error::invalid("the store", "was never used"))?;
    let beginning = Beginning { store, ledger };
    let mut copy = Copy { balance: Balance::new(&beginning), writer: Writer::begin(out, &beginning, made)?, progress };
    for key in snapshot.keys().await? {
        copy.put(&Item::Key(key))?;
    }
    copy_records(snapshot, &mut copy).await?;
    let mut after = 0;
    loop {
        let page = snapshot.audit(after, PAGE).await?;
        let Some((position, _)) = page.last() else { break };
        after = position.number;
        for (position, note) in page {
            copy.put(&Item::Note(position, note))?;
        }
    }
    copy.balance.close()?;
    copy.writer.finish()
}

/// Heads and revisions come in the same order, and are laid into one another.
async fn copy_records<W: Write + Send>(snapshot: &mut dyn Snapshot, copy: &mut Copy<'_, W>) -> Result<()> {
    let mut revisions = Revisions::default();
    let mut after = None;
    loop {
        let page = snapshot.heads(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.head.id);
        for head in page {
            let id = head.head.id;
            copy.put(&Item::Head(Box::new(head)))?;
            while let Some(row) = revisions.next_of(snapshot, id).await? {
                copy.put(&Item::Revision(Box::new(row)))?;
            }
        }
    }
    match revisions.next(snapshot).await? {
        Some(row) => Err(damaged(format!("revision {} of record {} has no head", row.stamp.number, row.id))),
        None => Ok(()),
    }
}

struct Copy<'a, W> {
    balance: Balance,
    writer: Writer<W>,
    progress: Progress<'a>,
}

impl<W: Write> Copy<'_, W> {
    fn put(&mut self, item: &Item) -> Result<()> {
        self.balance.add(item)?;
        self.writer.put(item)?;
        (self.progress)(self.writer.totals());
        Ok(())
    }
}

/// All revisions of a snapshot, a page at a time.
#[derive(Default)]
struct Revisions {
    page: std::collections::VecDeque<RevisionRow>,
    after: Option<(RecordId, Revision)>,
}

impl Revisions {
    async fn next(&mut self, snapshot: &mut dyn Snapshot) -> Result<Option<RevisionRow>> {
        if self.page.is_empty() {
            self.page = snapshot.revisions(self.after, BODIES).await?.into();
            self.after = self.page.back().map(|row| (row.id, row.stamp.number)).or(self.after);
        }
        Ok(self.page.pop_front())
    }

    /// One that belongs to an earlier record has no head, and is for the balance to refuse.
    async fn next_of(&mut self, snapshot: &mut dyn Snapshot, id: RecordId) -> Result<Option<RevisionRow>> {
        match self.next(snapshot).await? {
            Some(row) if row.id <= id => Ok(Some(row)),
            Some(row) => {
                self.page.push_front(row);
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

/// Adapters keep aliases and links in different orders.
fn in_order(row: &HeadRow) -> HeadRow {
    let mut row = row.clone();
    row.aliases.sort_by(|a, b| (a.kind.number(), &a.value).cmp(&(b.kind.number(), &b.value)));
    row.aliases.dedup();
    row.links.sort_unstable();
    row.links.dedup();
    row
}

#[cfg(test)]
mod tests;
