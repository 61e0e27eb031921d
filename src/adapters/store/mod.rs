//! Where records and wrapped data keys are kept: in a file (`sqlite`), in PostgreSQL or in memory.
//!
//! Which appends are refused, and in which words, is decided here once for all. Bodies come and go
//! sealed: nothing here can read one.

mod column;
#[cfg(test)]
mod contract;
pub mod memory;
pub mod postgres;
mod search;
pub mod sqlite;

pub use memory::{MemoryJournal, MemoryStore};
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

use crate::app::audit::{Note, Position};
use crate::app::ledger::Books;
use crate::app::ports::{Alias, AliasKind, Append, Change, Mac, Names, Sealed, WrappedKey, Write};
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::{Class, Head};
use crate::domain::{Conflict, Error, Result};

/// What stands under an id.
#[derive(Clone, Copy)]
struct Held {
    class: Class,
    revision: Revision,
    mac: Mac,
}

/// What an adapter keeps, inside one transaction. It does as it is told; [`apply`] decides.
trait Tables {
    fn held(&self, id: RecordId) -> Result<Option<Held>>;

    fn by_name(&self, class: Class, name_key: &str) -> Result<Option<RecordId>>;

    fn by_alias(&self, class: Class, alias: &Alias) -> Result<Option<RecordId>>;

    /// Adds the revision; its head, aliases and links replace what is there.
    fn put_record(&mut self, append: &Append) -> Result<()>;

    /// Replaces release, retention and mark, and frees the aliases of a released record.
    fn put_head(&mut self, head: &Head, mac: &Mac) -> Result<()>;

    fn remove_record(&mut self, id: RecordId) -> Result<()>;

    /// False if that revision is not sealed under `was`.
    fn reseal(&mut self, id: RecordId, number: Revision, was: u32, sealed: &Sealed) -> Result<bool>;

    /// False if its root has wrapped this epoch already.
    fn add_key(&mut self, key: &WrappedKey) -> Result<bool>;

    /// Whether anything is sealed or marked under it.
    fn is_used(&self, epoch: u32) -> Result<bool>;

    fn remove_key(&mut self, epoch: u32) -> Result<()>;

    /// False if there is an epoch that nothing else has wrapped.
    fn remove_root(&mut self, root: &str) -> Result<bool>;

    fn put_note(&mut self, position: &Position, note: &Note) -> Result<()>;
}

/// All of a write, or an error after which the adapter takes back what was done.
fn apply(tables: &mut impl Tables, books: &mut Books, write: &Write) -> Result<()> {
    for (change, note) in &write.changes {
        apply_change(tables, books, change)?;
        if let Some(note) = note {
            let position = books.enter(note)?;
            tables.put_note(&position, note)?;
        }
    }
    // Last: a raise is judged by itself, and whoever it replaces finds out at the next write.
    books.require_fence(write.fence)
}

fn apply_change(tables: &mut impl Tables, books: &mut Books, change: &Change) -> Result<()> {
    match change {
        Change::Append(append) => {
            books.require_current(append.row.sealed.epoch)?;
            books.require_current(append.row.mac.epoch)?;
            let old = admit(tables, append)?;
            tables.put_record(append)?;
            books.replace(old.as_ref(), Some(&append.row.mac))
        }
        Change::Rehead { head, was, mac } => {
            books.require_current(mac.epoch)?;
            require_mark(tables, head.id, *was, || described(head))?;
            tables.put_head(head, mac)?;
            books.replace(Some(was), Some(mac))
        }
        Change::Forget { id, name, was } => {
            require_mark(tables, *id, *was, || name.clone())?;
            tables.remove_record(*id)?;
            books.replace(Some(was), None)
        }
        Change::Reseal { id, number, was, sealed } => {
            books.require_current(sealed.epoch)?;
            let resealed = tables.reseal(*id, *number, *was, sealed)?;
            require_fresh(resealed, || format!("revision {number} of record {id}"))
        }
        Change::AddKey(key) => {
            books.add_epoch(key.epoch)?;
            if tables.add_key(key)? { Ok(()) } else { Err(epoch_taken(key)) }
        }
        Change::RetireKey { epoch } => {
            let unused = *epoch != books.epoch()? && !tables.is_used(*epoch)?;
            require_fresh(unused, || format!("data key {epoch}, which is in use"))?;
            tables.remove_key(*epoch)
        }
        Change::RetireRoot { root } => {
            let removed = tables.remove_root(root)?;
            require_fresh(removed, || format!("{root}, without which a data key would be lost,"))
        }
        Change::Remark => Ok(()),
        Change::Raise(fence) => books.raise(*fence),
    }
}

/// Refuses an append that is not the next revision, or that takes a name or an alias of another record.
/// Gives the mark of the head that it replaces.
fn admit(tables: &impl Tables, append: &Append) -> Result<Option<Mac>> {
    let head = &append.row.head;
    require_next(append)?;
    let held = tables.held(head.id)?;
    require_fresh(held.map(|held| held.revision) == append.expected, || described(head))?;
    if held.is_some_and(|held| held.class != head.class) {
        return Err(Error::internal(format!("record {} cannot become a {}", head.id, head.class.singular())));
    }
    let another = |holder: &RecordId| *holder != head.id;
    if let Some(id) = tables.by_name(head.class, &name_key(&head.name))?.filter(another) {
        return Err(Conflict::Exists { what: described(head), id }.into());
    }
    for alias in &append.aliases {
        if let Some(id) = tables.by_alias(head.class, alias)?.filter(another) {
            let what = format!("a {} with this {}", head.class.singular(), alias_word(alias.kind));
            return Err(Conflict::Exists { what, id }.into());
        }
    }
    Ok(held.map(|held| held.mac))
}

/// The mark covers everything of a head, so who has it has seen the head as it is.
fn require_mark(tables: &impl Tables, id: RecordId, was: Mac, what: impl FnOnce() -> String) -> Result<()> {
    let held = tables.held(id)?;
    require_fresh(held.is_some_and(|held| held.mac == was), what)
}

/// Refuses what is not any more as it was seen by whoever asks for the change.
fn require_fresh(is_fresh: bool, what: impl FnOnce() -> String) -> Result<()> {
    if is_fresh { Ok(()) } else { Err(Conflict::Stale { what: what() }.into()) }
}

/// Revisions are dense, so only a mistake of ours gives another number than the next.
fn require_next(append: &Append) -> Result<()> {
    let next = append.expected.map_or(Revision::FIRST, Revision::next);
    let given = append.row.stamp.number;
    if given == next {
        return Ok(());
    }
    Err(Error::internal(format!("record {}: revision {given} where {next} is next", append.row.head.id)))
}

/// What keeps a store from being filled.
struct Contents {
    data_keys: u64,
    records: u64,
    notes: u64,
}

impl Contents {
    fn require_none(&self) -> Result<()> {
        let Self { data_keys, records, notes } = self;
        if data_keys + records + notes == 0 {
            return Ok(());
        }
        let holds = format!("{data_keys} data keys, {records} records and {notes} audit records");
        let message = format!("the store is not empty: it holds {holds}; choose another");
        Err(Error::Awaiting { reason: "NotEmpty", message })
    }
}

fn described(head: &Head) -> String {
    format!("{} {}", head.class.singular(), head.name)
}

/// Between which keys names are looked for, and what must be in them.
struct Range {
    /// Not itself.
    from: String,
    /// What all begin with; `None`: anything.
    to: Option<String>,
    part: String,
}

impl Range {
    fn of(names: Names<'_>, after: Option<&str>) -> Self {
        let prefix = name_key(names.prefix);
        let from = after.map(name_key).unwrap_or_default().max(prefix.clone());
        Self { from, to: Some(prefix).filter(|prefix| !prefix.is_empty()), part: name_key(names.part) }
    }
}

/// Names are unique and ordered by this. Only ASCII is folded, as CredHub does.
fn name_key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The alias itself is not repeated: a title may say more than the caller may know.
fn alias_word(kind: AliasKind) -> &'static str {
    match kind {
        AliasKind::Title => "title",
        AliasKind::Fingerprint => "certificate",
        AliasKind::Expiry => "time of expiry",
        AliasKind::Grant => "actor and path",
    }
}

/// A data key is no record, so the id that this conflict carries is the nil one.
fn epoch_taken(key: &WrappedKey) -> Error {
    let what = format!("the data key of epoch {}", key.epoch);
    Conflict::Exists { what, id: RecordId::from_bytes([0; 16]) }.into()
}
