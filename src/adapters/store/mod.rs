//! Where records and wrapped data keys are kept: in a file (`sqlite`) or in memory.
//!
//! Which appends are refused, and in which words, is decided here once for both. Bodies come and go
//! sealed: nothing here can read one.

#[cfg(test)]
mod contract;
pub mod memory;
pub mod postgres;
pub mod sqlite;

pub use memory::MemoryStore;
pub use sqlite::SqliteStore;

use crate::app::ports::{Alias, AliasKind, Append, WrappedKey};
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::{Class, Head};
use crate::domain::{Conflict, Error, Result};

/// What an append may collide with; each adapter looks it up in its own way.
trait Holders {
    fn current(&self, id: RecordId) -> Result<Option<(Class, Revision)>>;

    fn by_name(&self, class: Class, name_key: &str) -> Result<Option<RecordId>>;

    fn by_alias(&self, class: Class, alias: &Alias) -> Result<Option<RecordId>>;
}

/// Refuses an append that is not the next revision, or that takes a name or an alias of another record.
fn admit(holders: &impl Holders, append: &Append) -> Result<()> {
    let head = &append.row.head;
    require_next(append)?;
    let current = holders.current(head.id)?;
    if current.map(|(_, revision)| revision) != append.expected {
        return Err(Conflict::Stale { what: described(head) }.into());
    }
    if current.is_some_and(|(class, _)| class != head.class) {
        return Err(Error::internal(format!("record {} cannot become a {}", head.id, head.class.singular())));
    }
    let another = |holder: &RecordId| *holder != head.id;
    if let Some(id) = holders.by_name(head.class, &name_key(&head.name))?.filter(another) {
        return Err(Conflict::Exists { what: described(head), id }.into());
    }
    for alias in &append.aliases {
        if let Some(id) = holders.by_alias(head.class, alias)?.filter(another) {
            let what = format!("a {} with this {}", head.class.singular(), alias_word(alias.kind));
            return Err(Conflict::Exists { what, id }.into());
        }
    }
    Ok(())
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

fn described(head: &Head) -> String {
    format!("{} {}", head.class.singular(), head.name)
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
    }
}

/// A data key is no record, so the id that this conflict carries is the nil one.
fn epoch_taken(key: &WrappedKey) -> Error {
    let what = format!("the data key of epoch {}", key.epoch);
    Conflict::Exists { what, id: RecordId::from_bytes([0; 16]) }.into()
}
