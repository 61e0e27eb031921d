//! The part of the tables that a batch of writes touches, in memory: loaded once, changed by one write after the
//! other, and written back once. Whoever holds the ledger's lock is alone, so this is what the tables say.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::row;
use crate::adapters::store::{Held, Tables, name_key};
use crate::app::audit::{Note, Position};
use crate::app::ports::{Alias, Append, Mac, Sealed, WrappedKey};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::{Class, Head, Stamp};

/// A map under a layer that holds what one write has changed, which is kept or taken back as a whole.
pub(super) struct Layered<K, V> {
    settled: HashMap<K, V>,
    open: HashMap<K, V>,
}

impl<K, V> Default for Layered<K, V> {
    fn default() -> Self {
        Self { settled: HashMap::new(), open: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone, V> Layered<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.open.get(key).or_else(|| self.settled.get(key))
    }

    fn put(&mut self, key: K, value: V) {
        self.open.insert(key, value);
    }

    fn keep(&mut self) {
        self.settled.extend(self.open.drain());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let below = self.settled.iter().filter(|(key, _)| !self.open.contains_key(key));
        self.open.iter().chain(below)
    }
}

/// A record as far as writes are judged by it, and what is to be written of it.
#[derive(Clone)]
pub(super) struct Card {
    pub(super) held: Held,
    pub(super) name_key: String,
    pub(super) aliases: Vec<Alias>,
    pub(super) head: Option<Head>,
    pub(super) links: Option<Vec<RecordId>>,
    pub(super) rewrites_aliases: bool,
    /// There are rows of it that may have to go.
    pub(super) is_stored: bool,
}

/// One revision of a record.
pub(super) enum Body {
    Stored { epoch: u32 },
    Resealed(Sealed),
    New(Stamp, Sealed),
    Gone,
}

/// A data key as one root has wrapped it.
pub(super) enum Copy {
    Stored,
    New(Vec<u8>),
    Gone,
}

#[derive(Default)]
pub(super) struct Draft {
    pub(super) cards: Layered<RecordId, Option<Card>>,
    names: Layered<(Class, String), Option<RecordId>>,
    aliases: Layered<(Class, i16, String), Option<RecordId>>,
    pub(super) bodies: Layered<(RecordId, Revision), Body>,
    pub(super) removed: Layered<RecordId, ()>,
    pub(super) keys: Layered<(u32, String), Copy>,
    used: HashSet<u32>,
    pub(super) notes: Vec<(Position, Note)>,
    kept_notes: usize,
}

/// Filling it with what is stored.
impl Draft {
    pub(super) fn load_record(&mut self, id: RecordId, held: Held, name_key: String) {
        self.names.settled.insert((held.class, name_key.clone()), Some(id));
        let card =
            Card { held, name_key, aliases: vec![], head: None, links: None, rewrites_aliases: false, is_stored: true };
        self.cards.settled.insert(id, Some(card));
    }

    pub(super) fn load_name(&mut self, class: Class, name_key: String, holder: RecordId) {
        self.names.settled.insert((class, name_key), Some(holder));
    }

    pub(super) fn load_alias(&mut self, class: Class, alias: Alias, holder: RecordId) {
        self.aliases.settled.insert((class, row::alias_number(alias.kind), alias.value.clone()), Some(holder));
        if let Some(Some(card)) = self.cards.settled.get_mut(&holder) {
            card.aliases.push(alias);
        }
    }

    pub(super) fn load_body(&mut self, id: RecordId, number: Revision, epoch: u32) {
        self.bodies.settled.insert((id, number), Body::Stored { epoch });
    }

    pub(super) fn load_key(&mut self, epoch: u32, root: String) {
        self.keys.settled.insert((epoch, root), Copy::Stored);
    }

    /// Something stored is sealed or marked under this epoch.
    pub(super) fn load_use(&mut self, epoch: u32) {
        self.used.insert(epoch);
    }
}

/// One write after the other.
impl Draft {
    /// What the last write has done, stays.
    pub(super) fn keep(&mut self) {
        self.cards.keep();
        self.names.keep();
        self.aliases.keep();
        self.bodies.keep();
        self.removed.keep();
        self.keys.keep();
        self.kept_notes = self.notes.len();
    }

    /// It was refused: nothing of it stays.
    pub(super) fn take_back(&mut self) {
        self.cards.open.clear();
        self.names.open.clear();
        self.aliases.open.clear();
        self.bodies.open.clear();
        self.removed.open.clear();
        self.keys.open.clear();
        self.notes.truncate(self.kept_notes);
    }

    fn card(&self, id: RecordId) -> Option<&Card> {
        self.cards.get(&id)?.as_ref()
    }

    fn free_aliases(&mut self, class: Class, aliases: &[Alias]) {
        for alias in aliases {
            self.aliases.put((class, row::alias_number(alias.kind), alias.value.clone()), None);
        }
    }

    fn free(&mut self, card: Card) {
        self.free_aliases(card.held.class, &card.aliases);
        self.names.put((card.held.class, card.name_key), None);
    }
}

impl Tables for Draft {
    fn held(&self, id: RecordId) -> Result<Option<Held>> {
        Ok(self.card(id).map(|card| card.held))
    }

    fn by_name(&self, class: Class, name_key: &str) -> Result<Option<RecordId>> {
        Ok(self.names.get(&(class, name_key.to_owned())).copied().flatten())
    }

    fn by_alias(&self, class: Class, alias: &Alias) -> Result<Option<RecordId>> {
        let key = (class, row::alias_number(alias.kind), alias.value.clone());
        Ok(self.aliases.get(&key).copied().flatten())
    }

    fn put_record(&mut self, append: &Append) -> Result<()> {
        let row = &append.row;
        let (id, class) = (row.head.id, row.head.class);
        let old = self.card(id).cloned();
        let is_stored = old.as_ref().is_some_and(|card| card.is_stored);
        old.into_iter().for_each(|card| self.free(card));
        let name_key = name_key(&row.head.name);
        self.names.put((class, name_key.clone()), Some(id));
        for alias in &append.aliases {
            self.aliases.put((class, row::alias_number(alias.kind), alias.value.clone()), Some(id));
        }
        let card = Card {
            held: Held { class, revision: row.stamp.number, mac: row.mac },
            name_key,
            aliases: append.aliases.clone(),
            head: Some(Head { released: None, ..row.head.clone() }),
            links: Some(append.links.clone()),
            rewrites_aliases: true,
            is_stored,
        };
        self.cards.put(id, Some(card));
        self.bodies.put((id, row.stamp.number), Body::New(row.stamp.clone(), row.sealed.clone()));
        Ok(())
    }

    fn put_head(&mut self, head: &Head, mac: &Mac) -> Result<()> {
        let Some(mut card) = self.card(head.id).cloned() else { return Ok(()) };
        if head.released.is_some() {
            self.free_aliases(card.held.class, &card.aliases);
            card.aliases.clear();
            card.rewrites_aliases = true;
        }
        card.held.mac = *mac;
        card.head = Some(head.clone());
        self.cards.put(head.id, Some(card));
        Ok(())
    }

    fn remove_record(&mut self, id: RecordId) -> Result<()> {
        if let Some(card) = self.card(id).cloned() {
            self.free(card);
        }
        let bodies: Vec<_> = self.bodies.iter().map(|(key, _)| *key).filter(|(record, _)| *record == id).collect();
        bodies.into_iter().for_each(|key| self.bodies.put(key, Body::Gone));
        self.cards.put(id, None);
        self.removed.put(id, ());
        Ok(())
    }

    fn reseal(&mut self, id: RecordId, number: Revision, was: u32, sealed: &Sealed) -> Result<bool> {
        let resealed = match self.bodies.get(&(id, number)) {
            Some(Body::Stored { epoch }) if *epoch == was => Body::Resealed(sealed.clone()),
            Some(Body::Resealed(old)) if old.epoch == was => Body::Resealed(sealed.clone()),
            Some(Body::New(stamp, old)) if old.epoch == was => Body::New(stamp.clone(), sealed.clone()),
            _ => return Ok(false),
        };
        self.bodies.put((id, number), resealed);
        Ok(true)
    }

    fn add_key(&mut self, key: &WrappedKey) -> Result<bool> {
        let place = (key.epoch, key.root.clone());
        if self.keys.get(&place).is_some_and(|copy| !matches!(copy, Copy::Gone)) {
            return Ok(false);
        }
        self.keys.put(place, Copy::New(key.wrapped.clone()));
        Ok(true)
    }

    /// What an earlier write of the same batch has freed of an epoch still counts: it is retired the next time.
    fn is_used(&self, epoch: u32) -> Result<bool> {
        let marked = |card: &Card| card.head.is_some() && card.held.mac.epoch == epoch;
        let sealed = |body: &Body| match body {
            Body::New(_, sealed) | Body::Resealed(sealed) => sealed.epoch == epoch,
            Body::Stored { .. } | Body::Gone => false,
        };
        Ok(self.used.contains(&epoch)
            || self.cards.iter().any(|(_, card)| card.as_ref().is_some_and(marked))
            || self.bodies.iter().any(|(_, body)| sealed(body)))
    }

    fn remove_key(&mut self, epoch: u32) -> Result<()> {
        self.remove_copies(|known, _| known == epoch);
        Ok(())
    }

    fn remove_root(&mut self, root: &str) -> Result<bool> {
        let copies = self.copies();
        let mut epochs = copies.iter().map(|(epoch, _)| *epoch);
        let kept = epochs.all(|epoch| copies.iter().any(|(other, by)| *other == epoch && by != root));
        if kept {
            self.remove_copies(|_, by| by == root);
        }
        Ok(kept)
    }

    fn put_note(&mut self, position: &Position, note: &Note) -> Result<()> {
        self.notes.push((*position, note.clone()));
        Ok(())
    }
}

impl Draft {
    fn copies(&self) -> Vec<(u32, String)> {
        let there = self.keys.iter().filter(|(_, copy)| !matches!(copy, Copy::Gone));
        there.map(|(place, _)| place.clone()).collect()
    }

    fn remove_copies(&mut self, which: impl Fn(u32, &str) -> bool) {
        for place in self.copies().into_iter().filter(|(epoch, root)| which(*epoch, root)) {
            self.keys.put(place, Copy::Gone);
        }
    }
}
