//! Whether a store adds up, as far as can be said without a key: order, whole histories, and what the ledger
//! says of marks and notes.

use std::collections::BTreeSet;

use super::damaged;
use crate::app::audit::Position;
use crate::app::ledger::{Ledger, toggle};
use crate::app::ports::{Beginning, HeadRow, Item, RevisionRow};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::Stamp;

pub struct Balance {
    ledger: Ledger,
    epochs: BTreeSet<u32>,
    count: u64,
    sum: [u8; 32],
    position: Position,
    /// The record whose revisions are coming.
    record: Option<Record>,
    /// Notes stand behind all records.
    notes_began: bool,
}

struct Record {
    id: RecordId,
    current: Stamp,
    /// The last revision that came.
    seen: Option<Stamp>,
}

impl Balance {
    pub fn new(beginning: &Beginning) -> Self {
        Self {
            ledger: beginning.ledger.clone(),
            epochs: BTreeSet::new(),
            count: 0,
            sum: [0; 32],
            position: Position::start(beginning.store.bytes()),
            record: None,
            notes_began: false,
        }
    }

    pub fn add(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::Key(key) if self.count == 0 && !self.notes_began => {
                self.epochs.insert(key.epoch);
                Ok(())
            }
            Item::Head(row) if !self.notes_began => self.add_head(row),
            Item::Revision(row) if !self.notes_began => self.add_revision(row),
            Item::Note(position, note) => {
                self.notes_began = true;
                self.position = self.position.after(note);
                match self.position == *position {
                    true => Ok(()),
                    false => {
                        Err(damaged(format!("audit record {} does not follow from those before", position.number)))
                    }
                }
            }
            _ => Err(damaged("its parts are in disorder")),
        }
    }

    fn add_head(&mut self, row: &HeadRow) -> Result<()> {
        self.finish_record()?;
        if self.record.as_ref().is_some_and(|last| row.head.id <= last.id) {
            return Err(damaged(format!("record {} is twice there, or in disorder", row.head.id)));
        }
        self.require_key(row.mac.epoch, row.head.id)?;
        toggle(&mut self.sum, &row.mac);
        self.count += 1;
        self.record = Some(Record { id: row.head.id, current: row.stamp.clone(), seen: None });
        Ok(())
    }

    fn add_revision(&mut self, row: &RevisionRow) -> Result<()> {
        self.require_key(row.sealed.epoch, row.id)?;
        let number = row.stamp.number;
        let Some(record) = self.record.as_mut().filter(|record| record.id == row.id) else {
            return Err(damaged(format!("revision {number} of record {} has no head", row.id)));
        };
        let next = record.seen.as_ref().map_or(Revision::FIRST, |seen| seen.number.next());
        if number != next {
            return Err(damaged(format!("record {} has revision {number} where {next} is next", row.id)));
        }
        record.seen = Some(row.stamp.clone());
        Ok(())
    }

    fn finish_record(&self) -> Result<()> {
        match &self.record {
            Some(record) if record.seen.as_ref() != Some(&record.current) => {
                let what = format!("the current revision of record {}, {},", record.id, record.current.number);
                Err(damaged(format!("{what} is not the last one there is")))
            }
            _ => Ok(()),
        }
    }

    fn require_key(&self, epoch: u32, id: RecordId) -> Result<()> {
        if self.epochs.contains(&epoch) {
            return Ok(());
        }
        Err(damaged(format!("the data key of epoch {epoch}, under which record {id} is sealed, is missing")))
    }

    pub fn close(&self) -> Result<()> {
        self.finish_record()?;
        let Ledger { position, count, sum, epoch, .. } = &self.ledger;
        if (self.count, self.sum) != (*count, *sum) {
            let there = self.count;
            let why = format!("its ledger counts {count} records and {there} are there");
            let why =
                if there == *count { "its records are not those that its ledger was signed for".into() } else { why };
            return Err(damaged(why));
        }
        if self.position != *position {
            let (noted, there) = (position.number, self.position.number);
            return Err(damaged(format!("its ledger knows {noted} audit records and {there} are there")));
        }
        if self.epochs.last() != Some(epoch) {
            return Err(damaged(format!("the data key of epoch {epoch}, with which it goes on, is not its last one")));
        }
        Ok(())
    }
}
