//! The store in memory, for tests of everything above the port. Gone with the process; keeps no old revisions.
//! Look-ups other than by id walk all records: it is for thousands, not for millions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Holders, admit, epoch_taken, name_key};
use crate::app::ports::{Alias, Append, Key, KeyTable, Row, Store, WrappedKey};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, StoreId};
use crate::domain::record::{Class, Release};

pub struct MemoryStore {
    id: StoreId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: HashMap<RecordId, Record>,
    keys: BTreeMap<u32, Vec<u8>>,
}

struct Record {
    row: Row,
    name_key: String,
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
    /// No operation leaves the maps half changed when it panics, so a poisoned lock is as good as another.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>> {
        let state = self.state();
        let found: Vec<&Record> = match key {
            Key::Ids(ids) => {
                let distinct: HashSet<&RecordId> = ids.iter().collect();
                distinct.into_iter().filter_map(|id| state.records.get(id)).collect()
            }
            Key::Names(names) => {
                let keys: HashSet<String> = names.iter().map(|name| name_key(name)).collect();
                state.select(|record| keys.contains(&record.name_key))
            }
            Key::Alias(kind, value) => state.select(|record| {
                let held = |alias: &Alias| alias.kind == kind && alias.value == value;
                record.aliases.iter().any(held)
            }),
            Key::LinksTo(id) => state.select(|record| record.links.contains(&id)),
        };
        Ok(found.into_iter().filter(|record| record.row.head.class == class).map(|r| r.row.clone()).collect())
    }

    async fn list(&self, class: Class, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let after = after.map(name_key);
        let state = self.state();
        let mut listed = state.select(|record| {
            let head = &record.row.head;
            let past = after.as_ref().is_none_or(|after| record.name_key > *after);
            head.class == class && head.released.is_none() && past
        });
        listed.sort_unstable_by(|a, b| a.name_key.cmp(&b.name_key));
        Ok(listed.into_iter().take(limit).map(|record| record.row.clone()).collect())
    }

    async fn append(&self, append: Append) -> Result<()> {
        let mut state = self.state();
        admit(&*state, &append)?;
        let Append { mut row, aliases, links, .. } = append;
        row.head.released = None;
        let name_key = name_key(&row.head.name);
        state.records.insert(row.head.id, Record { row, name_key, aliases, links });
        Ok(())
    }

    async fn release(&self, ids: &[RecordId], release: Release) -> Result<()> {
        let mut state = self.state();
        for id in ids {
            let Some(record) = state.records.get_mut(id) else { continue };
            record.row.head.released.get_or_insert(release);
            record.aliases.clear();
        }
        Ok(())
    }

    async fn purge(&self, now: Timestamp) -> Result<u64> {
        let ended = |record: &Record| record.row.head.released.is_some_and(|release| release.purge_at <= now);
        Ok(self.state().records.extract_if(|_, record| ended(record)).count() as u64)
    }
}

#[async_trait]
impl KeyTable for MemoryStore {
    async fn store_id(&self) -> Result<StoreId> {
        Ok(self.id)
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        let state = self.state();
        Ok(state.keys.iter().map(|(epoch, wrapped)| WrappedKey { epoch: *epoch, wrapped: wrapped.clone() }).collect())
    }

    async fn add_data_key(&self, key: WrappedKey) -> Result<()> {
        let mut state = self.state();
        if state.keys.contains_key(&key.epoch) {
            return Err(epoch_taken(&key));
        }
        state.keys.insert(key.epoch, key.wrapped);
        Ok(())
    }
}

impl State {
    fn select(&self, wanted: impl Fn(&Record) -> bool) -> Vec<&Record> {
        self.records.values().filter(|record| wanted(record)).collect()
    }

    fn holder(&self, class: Class, held: impl Fn(&Record) -> bool) -> Option<RecordId> {
        let found = self.records.values().find(|record| record.row.head.class == class && held(record));
        found.map(|record| record.row.head.id)
    }
}

impl Holders for State {
    fn current(&self, id: RecordId) -> Result<Option<(Class, Revision)>> {
        Ok(self.records.get(&id).map(|record| (record.row.head.class, record.row.stamp.number)))
    }

    fn by_name(&self, class: Class, name_key: &str) -> Result<Option<RecordId>> {
        Ok(self.holder(class, |record| record.name_key == name_key))
    }

    fn by_alias(&self, class: Class, alias: &Alias) -> Result<Option<RecordId>> {
        Ok(self.holder(class, |record| record.aliases.contains(alias)))
    }
}
