//! Records that were opened already: reading one again, while nothing is written, takes neither the store nor a key.
//! Bounded by bytes, wiped when they go. Never the last word: whether a record is still so is asked each time.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::app::audit::Position;
use crate::app::body::Body;
use crate::app::ports::{AliasKind, Key, Mac, Row};
use crate::app::records::{Records, answers, for_good};
use crate::domain::name::RecordId;
use crate::domain::record::{Class, Entry};
use crate::domain::{Error, Result};

/// Bytes of opened records that are held at most, and how many records that is likely to be. Ten thousand usual ones: a
/// read of one that is held costs half of a read of one that is not.
const BYTES: u64 = 16 << 20;
const RECORDS: usize = 10_000;
/// What a record takes beside its body.
const OVERHEAD: usize = 512;

pub struct Opened {
    entries: Cache<RecordId, Held, Bytes>,
    /// Where a name led last. The record says itself whether it still does.
    ids: Cache<Name, RecordId>,
}

/// A record as it was when the chain of writes had come to `position`. As long as it has come no further, whoever
/// writes, the record is the same; and if only others were written since, its mark is.
#[derive(Clone)]
struct Held {
    position: Option<Position>,
    mac: Mac,
    weight: u64,
    entry: Arc<dyn Any + Send + Sync>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<RecordId, Held> for Bytes {
    fn weight(&self, _: &RecordId, held: &Held) -> u64 {
        held.weight
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Name(Class, Option<AliasKind>, String);

/// A [`Name`] that is asked for.
struct Asked<'a>(Class, Option<AliasKind>, &'a str);

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1, self.2).hash(state);
    }
}

impl Equivalent<Name> for Asked<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        (self.0, self.1, self.2) == (name.0, name.1, name.2.as_str())
    }
}

impl<'a> Asked<'a> {
    fn of(class: Class, key: &Key<'a>) -> Option<Self> {
        match key {
            Key::Names([name]) => Some(Self(class, None, name)),
            Key::Alias(kind, value) => Some(Self(class, Some(*kind), value)),
            Key::Names(_) | Key::Ids(_) | Key::AliasesUpTo(..) | Key::LinksTo(_) => None,
        }
    }
}

impl Default for Opened {
    fn default() -> Self {
        Self { entries: Cache::with_weighter(RECORDS, BYTES, Bytes), ids: Cache::new(RECORDS) }
    }
}

impl Opened {
    /// Everything that the key leads to, if all of it is known to be as it is held.
    fn get<B: Body>(&self, key: &Key<'_>, position: Option<Position>) -> Option<Vec<Arc<Entry<B>>>> {
        let current =
            |id: &RecordId| self.entries.get(id).filter(|held| held.position == position)?.entry.downcast().ok();
        match (key, Asked::of(B::CLASS, key)) {
            (Key::Ids(ids), _) => ids.iter().map(current).collect(),
            (_, Some(asked)) => {
                let entry: Arc<Entry<B>> = current(&self.ids.get(&asked)?)?;
                answers(key, &entry).then(|| vec![entry])
            }
            _ => None,
        }
    }

    /// The record of this row, if it was opened in this state.
    fn same<B: Body>(&self, row: &Row) -> Option<Arc<Entry<B>>> {
        self.entries.get(&row.head.id).filter(|held| held.mac == row.mac)?.entry.downcast().ok()
    }

    fn keep<B: Body>(&self, key: &Key<'_>, position: Option<Position>, mac: Mac, entry: &Arc<Entry<B>>) {
        let weight = (OVERHEAD + entry.body.size()) as u64;
        self.entries.insert(entry.head.id, Held { position, mac, weight, entry: entry.clone() });
        if let Some(Asked(class, kind, name)) = Asked::of(B::CLASS, key) {
            self.ids.insert(Name(class, kind, name.to_owned()), entry.head.id);
        }
    }

    fn clear(&self) {
        self.entries.clear();
        self.ids.clear();
    }
}

impl Records {
    /// Like [`Records::find`], for readers: what is held and has not changed is not opened again.
    pub async fn known<B: Body>(&self, key: Key<'_>) -> Result<Vec<Arc<Entry<B>>>> {
        if let Err(locked) = self.keyring.require_unlocked() {
            self.opened.clear();
            return Err(locked);
        }
        // Before the rows: what is written between the two makes them newer than they are held to be, never older.
        let position = self.store.position().await?;
        if let Some(found) = self.opened.get(&key, position) {
            return Ok(found);
        }
        match self.look(key, position).await {
            Err(Error::KeyReplaced) => self.look(key, position).await.map_err(for_good),
            found => found,
        }
    }

    async fn look<B: Body>(&self, key: Key<'_>, position: Option<Position>) -> Result<Vec<Arc<Entry<B>>>> {
        let mut found = Vec::new();
        for row in &self.rows(B::CLASS, key).await? {
            let entry = match self.opened.same(row) {
                Some(entry) => entry,
                None => Arc::new(self.open::<B>(row).await?.map(B::trimmed)),
            };
            if self.is_answer(&key, &entry) {
                self.opened.keep(&key, position, row.mac, &entry);
                found.push(entry);
            }
        }
        Ok(found)
    }
}
