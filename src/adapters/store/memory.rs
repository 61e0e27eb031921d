//! The store in memory, for tests of everything above the port. Gone with the process.
//! Look-ups other than by id walk all records: it is for thousands, not for millions.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Contents, Held, Range, Tables, apply, name_key};
use crate::app::audit::{Note, Position};
use crate::app::ledger::{Books, Ledger};
use crate::app::ports::{
    Age, Alias, Append, Beginning, HeadRow, Item, Items, Journal, Key, KeyTable, Mac, Names, RevisionRow, Row, Sealed,
    Snapshot, Store, Vacant, Which, WrappedKey, Write,
};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, StoreId, VersionId};
use crate::domain::record::{Class, Head, Stamp};

pub struct MemoryStore {
    id: StoreId,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    records: BTreeMap<RecordId, Record>,
    revisions: BTreeMap<(RecordId, Revision), (Stamp, Sealed)>,
    keys: BTreeMap<(u32, String), Vec<u8>>,
    ledger: Option<Ledger>,
    audit: Vec<(Position, Note)>,
}

#[derive(Clone)]
struct Record {
    head: Head,
    revision: Revision,
    mac: Mac,
    aliases: Vec<Alias>,
    links: Vec<RecordId>,
}

impl Default for MemoryStore {
    #[expect(clippy::disallowed_methods, reason = "adapters are where randomness comes from")]
    fn default() -> Self {
        Self { id: StoreId::from_random(*uuid::Uuid::new_v4().as_bytes()), state: Mutex::default() }
    }
}

impl MemoryStore {
    /// The state is replaced as a whole or not at all, so a poisoned lock is as good as another.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
        let state = self.state();
        let names: HashSet<String> = match key {
            Key::Names(names) => names.iter().map(|name| name_key(name)).collect(),
            _ => HashSet::new(),
        };
        let wanted = |record: &Record| match key {
            Key::Ids(ids) => ids.contains(&record.head.id),
            Key::Names(_) => names.contains(&name_key(&record.head.name)),
            Key::Alias(kind, value) => record.aliases.iter().any(|alias| alias.kind == kind && alias.value == value),
            Key::AliasesUpTo(kind, last) => {
                record.aliases.iter().any(|alias| alias.kind == kind && alias.value.as_str() <= last)
            }
            Key::LinksTo(id) => record.links.contains(&id),
        };
        Ok(state.select(|record| record.head.class == class && wanted(record)))
    }

    async fn list(&self, class: Class, names: Names<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let Range { from, to, part } = Range::of(names, after);
        let prefix = to.unwrap_or_default();
        let mut listed = self.state().select(|record| {
            let (head, name) = (&record.head, name_key(&record.head.name));
            let is_named = name > from && name.starts_with(&prefix) && name.contains(&part);
            head.class == class && head.released.is_none() && is_named
        });
        listed.sort_unstable_by_key(|row| name_key(&row.head.name));
        listed.truncate(limit);
        Ok(listed)
    }

    async fn version(&self, id: VersionId) -> Result<Option<RevisionRow>> {
        let state = self.state();
        let found = state.revisions.iter().find(|(_, (stamp, _))| stamp.version_id == id);
        Ok(found.map(|((record, _), held)| revision_row(*record, held)))
    }

    async fn revisions(&self, id: RecordId, from: Revision, limit: usize) -> Result<Vec<RevisionRow>> {
        let state = self.state();
        let own = state.revisions.range((id, from)..).take_while(|((record, _), _)| *record == id);
        Ok(own.take(limit).map(|((id, _), held)| revision_row(*id, held)).collect())
    }

    async fn newest_of(&self, ids: &[RecordId], limit: usize) -> Result<Vec<RevisionRow>> {
        let state = self.state();
        let newest = |id: &RecordId| {
            let own = state.revisions.range((*id, Revision::FIRST)..=(*id, Revision(u64::MAX)));
            own.rev().take(limit).map(|((id, _), held)| revision_row(*id, held)).collect::<Vec<_>>()
        };
        Ok(ids.iter().collect::<BTreeSet<_>>().into_iter().flat_map(newest).collect())
    }

    async fn newest(&self, class: Class, which: Which, after: Option<Age>, limit: usize) -> Result<Vec<RevisionRow>> {
        let state = self.state();
        let listed = |id: RecordId, number: Revision| {
            let record = state.records.get(&id).filter(|it| it.head.class == class && it.head.released.is_none());
            record.is_some_and(|record| which == Which::All || record.revision == number)
        };
        let all = state.revisions.iter().filter(|((id, number), _)| listed(*id, *number));
        let all = all.map(|((id, number), held)| (Age { at: held.0.at, id: *id, number: *number }, held));
        let mut past: Vec<_> = all.filter(|(age, _)| after.is_none_or(|after| *age < after)).collect();
        past.sort_unstable_by_key(|(age, _)| std::cmp::Reverse(*age));
        Ok(past.into_iter().take(limit).map(|(age, held)| revision_row(age.id, held)).collect())
    }

    async fn sealed_under(&self, class: Class) -> Result<Vec<(u32, u64)>> {
        let state = self.state();
        let is_counted = |id: &RecordId| {
            state.records.get(id).is_some_and(|it| it.head.class == class && it.head.released.is_none())
        };
        let mut counts = BTreeMap::new();
        for (_, (_, sealed)) in state.revisions.iter().filter(|((id, _), _)| is_counted(id)) {
            *counts.entry(sealed.epoch).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Row>> {
        let is_due = |record: &Record| record.head.released.is_some_and(|release| release.purge_at <= now);
        let mut due = self.state().select(is_due);
        due.truncate(limit);
        Ok(due)
    }

    async fn position(&self) -> Result<Option<Position>> {
        Ok(self.state().ledger.as_ref().map(|ledger| ledger.position))
    }

    async fn write(&self, write: Write) -> Result<()> {
        let mut state = self.state();
        let mut next = state.clone();
        let mut books = Books::open(self.id, state.ledger.clone(), &write.keyring)?;
        apply(&mut next, &mut books, &write)?;
        next.ledger = books.close(&write.keyring)?;
        *state = next;
        Ok(())
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.state().clone()))
    }
}

#[async_trait]
impl KeyTable for MemoryStore {
    async fn store_id(&self) -> Result<StoreId> {
        Ok(self.id)
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        let mut moment = self.state().clone();
        moment.keys().await
    }
}

#[async_trait]
impl Vacant for MemoryStore {
    async fn require_vacant(&self) -> Result<()> {
        let state = self.state();
        let [data_keys, records, notes] = [state.keys.len(), state.records.len(), state.audit.len()];
        Contents { data_keys: data_keys as u64, records: records as u64, notes: notes as u64 }.require_none()
    }

    async fn fill(self, beginning: Beginning, items: Items) -> Result<Self> {
        self.require_vacant().await?;
        let mut state = State { ledger: Some(beginning.ledger), ..State::default() };
        for item in items {
            state.put_item(item?);
        }
        Ok(Self { id: beginning.store, state: Mutex::new(state) })
    }
}

fn revision_row(id: RecordId, (stamp, sealed): &(Stamp, Sealed)) -> RevisionRow {
    RevisionRow { id, stamp: stamp.clone(), sealed: sealed.clone() }
}

impl State {
    fn select(&self, wanted: impl Fn(&Record) -> bool) -> Vec<Row> {
        let rows = self.records.values().filter(|record| wanted(record)).filter_map(|record| {
            let (stamp, sealed) = self.revisions.get(&(record.head.id, record.revision))?.clone();
            Some(Row { head: record.head.clone(), stamp, sealed, mac: record.mac })
        });
        rows.collect()
    }

    fn put_item(&mut self, item: Item) {
        match item {
            Item::Key(key) => drop(self.keys.insert((key.epoch, key.root), key.wrapped)),
            Item::Head(row) => {
                let HeadRow { head, stamp, mac, aliases, links } = *row;
                self.records.insert(head.id, Record { head, revision: stamp.number, mac, aliases, links });
            }
            Item::Revision(row) => {
                let RevisionRow { id, stamp, sealed } = *row;
                self.revisions.insert((id, stamp.number), (stamp, sealed));
            }
            Item::Note(position, note) => self.audit.push((position, note)),
        }
    }

    fn holder(&self, class: Class, held: impl Fn(&Record) -> bool) -> Option<RecordId> {
        let found = self.records.values().find(|record| record.head.class == class && held(record));
        found.map(|record| record.head.id)
    }
}

impl Tables for State {
    fn held(&self, id: RecordId) -> Result<Option<Held>> {
        let held = |record: &Record| Held { class: record.head.class, revision: record.revision, mac: record.mac };
        Ok(self.records.get(&id).map(held))
    }

    fn by_name(&self, class: Class, key: &str) -> Result<Option<RecordId>> {
        Ok(self.holder(class, |record| name_key(&record.head.name) == key))
    }

    fn by_alias(&self, class: Class, alias: &Alias) -> Result<Option<RecordId>> {
        Ok(self.holder(class, |record| record.aliases.contains(alias)))
    }

    fn put_record(&mut self, append: &Append) -> Result<()> {
        let Append { row, aliases, links, .. } = append.clone();
        let head = Head { released: None, ..row.head };
        self.revisions.insert((head.id, row.stamp.number), (row.stamp.clone(), row.sealed));
        let revision = row.stamp.number;
        self.records.insert(head.id, Record { head, revision, mac: row.mac, aliases, links });
        Ok(())
    }

    fn put_head(&mut self, head: &Head, mac: &Mac) -> Result<()> {
        if let Some(record) = self.records.get_mut(&head.id) {
            record.head = head.clone();
            record.mac = *mac;
            if head.released.is_some() {
                record.aliases.clear();
            }
        }
        Ok(())
    }

    fn remove_record(&mut self, id: RecordId) -> Result<()> {
        self.records.remove(&id);
        self.revisions.retain(|(record, _), _| *record != id);
        Ok(())
    }

    fn reseal(&mut self, id: RecordId, number: Revision, was: u32, sealed: &Sealed) -> Result<bool> {
        let held = self.revisions.get_mut(&(id, number)).filter(|(_, held)| held.epoch == was);
        Ok(held.map(|held| held.1 = sealed.clone()).is_some())
    }

    fn add_key(&mut self, key: &WrappedKey) -> Result<bool> {
        let place = (key.epoch, key.root.clone());
        let new = !self.keys.contains_key(&place);
        self.keys.entry(place).or_insert_with(|| key.wrapped.clone());
        Ok(new)
    }

    fn is_used(&self, epoch: u32) -> Result<bool> {
        let sealed = self.revisions.values().any(|(_, sealed)| sealed.epoch == epoch);
        Ok(sealed || self.records.values().any(|record| record.mac.epoch == epoch))
    }

    fn remove_key(&mut self, epoch: u32) -> Result<()> {
        self.keys.retain(|(held, _), _| *held != epoch);
        Ok(())
    }

    fn remove_root(&mut self, root: &str) -> Result<bool> {
        let epochs = |keys: &BTreeMap<(u32, String), Vec<u8>>| keys.keys().map(|key| key.0).collect::<HashSet<_>>();
        let before = epochs(&self.keys);
        let mut kept = self.keys.clone();
        kept.retain(|(_, held), _| held != root);
        let complete = epochs(&kept) == before;
        if complete {
            self.keys = kept;
        }
        Ok(complete)
    }

    fn put_note(&mut self, position: &Position, note: &Note) -> Result<()> {
        self.audit.push((*position, note.clone()));
        Ok(())
    }
}

#[async_trait]
impl Snapshot for State {
    async fn ledger(&mut self) -> Result<Option<Ledger>> {
        Ok(self.ledger.clone())
    }

    async fn keys(&mut self) -> Result<Vec<WrappedKey>> {
        let keys = self.keys.iter().map(|((epoch, root), wrapped)| WrappedKey {
            epoch: *epoch,
            root: root.clone(),
            wrapped: wrapped.clone(),
        });
        Ok(keys.collect())
    }

    async fn heads(&mut self, after: Option<RecordId>, limit: usize) -> Result<Vec<HeadRow>> {
        let past = self.records.values().filter(|record| after.is_none_or(|after| record.head.id > after));
        let heads = past.take(limit).filter_map(|record| {
            let (stamp, _) = self.revisions.get(&(record.head.id, record.revision))?.clone();
            let Record { head, mac, aliases, links, .. } = record.clone();
            Some(HeadRow { head, stamp, mac, aliases, links })
        });
        Ok(heads.collect())
    }

    async fn revisions(&mut self, after: Option<(RecordId, Revision)>, limit: usize) -> Result<Vec<RevisionRow>> {
        let past = self.revisions.iter().filter(|(place, _)| after.is_none_or(|after| **place > after));
        Ok(past.take(limit).map(|((id, _), held)| revision_row(*id, held)).collect())
    }

    async fn audit(&mut self, after: u64, limit: usize) -> Result<Vec<(Position, Note)>> {
        let past = self.audit.iter().filter(|(position, _)| position.number > after);
        Ok(past.take(limit).cloned().collect())
    }
}

/// Notes in memory, in their order.
#[derive(Default)]
pub struct MemoryJournal(Mutex<Vec<Note>>);

impl MemoryJournal {
    pub fn notes(&self) -> Vec<Note> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn note(&self, note: Note) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        Ok(())
    }
}
