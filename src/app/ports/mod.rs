//! What the use cases need from the world, as small traits. Adapters implement them. Here: the store.

mod caller;
mod journal;
mod key;
mod making;
mod role;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

pub use caller::{Identify, Issuers, Review};
pub use journal::{Journal, JournalTable, KeptJournal};
pub use key::{KeyService, KeyTable, WrappedKey};
pub use making::{Chain, Countersign, Crypt, Inspect, Keymaker, SignTokens, SshLine};
pub use role::{GrantKeeper, Grants, RoleBook};
pub use token::{OpenedToken, TokenContext, TokenService};

use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::ledger::Ledger;
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, StoreId, VersionId};
use crate::domain::record::{Class, Head, Stamp};

/// A body as [`Keyring::seal`] made it, and the epoch of the data key that it is sealed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub epoch: u32,
    pub bytes: Vec<u8>,
}

/// The keyed mark of a record's head, which binds everything of it that a body does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac {
    pub epoch: u32,
    pub bytes: [u8; 32],
}

/// A record at one of its revisions, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub head: Head,
    pub stamp: Stamp,
    pub sealed: Sealed,
    /// Of the head at its current revision.
    pub mac: Mac,
}

/// A second name by which a record is found, unique within its class and kind of alias among records
/// that are not released. Compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    pub kind: AliasKind,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AliasKind {
    /// A credential's title.
    Title,
    /// SHA-256 of a client's certificate, in hexadecimal digits.
    Fingerprint,
    /// When a certificate ends, and the record's id behind it so that it is nobody else's: in the order of time.
    Expiry,
    /// SHA-256 of a permission's actor and path, in hexadecimal digits.
    Grant,
}

impl AliasKind {
    pub const ALL: [Self; 4] = [Self::Title, Self::Fingerprint, Self::Expiry, Self::Grant];

    /// In stores and in backups: never given to another.
    pub fn number(self) -> u8 {
        match self {
            Self::Title => 1,
            Self::Fingerprint => 2,
            Self::Expiry => 3,
            Self::Grant => 4,
        }
    }
}

/// How records are looked up.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    Ids(&'a [RecordId]),
    /// Ignoring ASCII case.
    Names(&'a [&'a str]),
    Alias(AliasKind, &'a str),
    /// Those that have an alias of the kind which does not come after this one.
    AliasesUpTo(AliasKind, &'a str),
    /// Every record of the class that links to this one.
    LinksTo(RecordId),
}

/// Which names, ignoring ASCII case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// What they begin with, and something after it.
    pub prefix: &'a str,
    /// What is somewhere in them.
    pub part: &'a str,
}

impl Names<'_> {
    pub const ALL: Self = Self { prefix: "", part: "" };
}

/// Revisions of which sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Each record's last.
    Current,
    All,
}

/// The place of a revision among all by their times; those of one moment have an order too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    pub at: Timestamp,
    pub id: RecordId,
    pub number: Revision,
}

/// A new revision: the first of a new record when `expected` is `None`, else the one after `expected`.
#[derive(Clone, Debug)]
pub struct Append {
    /// Its `head` replaces the stored one and ends a release.
    pub row: Row,
    pub expected: Option<Revision>,
    /// Replace the record's aliases and links.
    pub aliases: Vec<Alias>,
    pub links: Vec<RecordId>,
}

/// One thing that is done to the store.
#[derive(Clone, Debug)]
pub enum Change {
    /// [`Conflict::Exists`](crate::domain::Conflict) when the name or an alias is taken,
    /// [`Conflict::Stale`](crate::domain::Conflict) when the current revision is not `expected`,
    /// [`Error::KeyReplaced`](crate::domain::Error) when it is sealed under another than the ledger's epoch.
    Append(Box<Append>),
    /// Another release, retention or mark for a head that still has the mark `was`, `Conflict::Stale` if
    /// it has not. Frees the aliases of a released record.
    Rehead { head: Box<Head>, was: Mac, mac: Mac },
    /// The record with its revisions, aliases and links goes, if its head still has this mark.
    Forget { id: RecordId, name: String, was: Mac },
    /// The same body under another data key, if it is still under `was`.
    Reseal { id: RecordId, number: Revision, was: u32, sealed: Sealed },
    /// The first key begins the ledger; the one after the ledger's epoch is what is sealed under from now
    /// on; one of a known epoch is the same data key wrapped by another root. `Conflict::Exists` when the
    /// epoch has a key of this root.
    AddKey(WrappedKey),
    /// Forgets a data key, if it is not the current one and nothing is sealed or marked under it:
    /// `Conflict::Stale` otherwise.
    RetireKey { epoch: u32 },
    /// Forgets the copy of every data key that this root has wrapped, unless it is the only one.
    RetireRoot { root: String },
    /// Nothing but its note: of what happened beside the store.
    Remark,
    /// Nobody but the holder of this fence writes for resources from now on. `Error::Fenced` unless it is
    /// greater than every one before.
    Raise(Fence),
}

/// The number of a leadership: grows with every leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// Changes that happen together or not at all, each with what the audit says of it. Only what changes
/// nothing that anybody could read goes without.
#[derive(Clone)]
pub struct Write {
    pub changes: Vec<(Change, Option<Note>)>,
    /// Signs the ledger.
    pub keyring: Arc<Keyring>,
    /// `Error::Fenced` unless it is the ledger's.
    pub fence: Option<Fence>,
}

/// Records with dense revisions. What `write` has acknowledged survives any crash.
#[async_trait]
pub trait Store: Send + Sync {
    /// Current revisions, released records included, in one query whatever the number; order unspecified.
    async fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>>;

    /// Current revisions of records that are not released and have such names, in the order of their lower-cased names,
    /// after the name `after`, at most `limit`. Looks at no names that begin otherwise, and for a part of three letters and
    /// more of credentials' names at few others than it answers.
    async fn list(&self, class: Class, names: Names<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Row>>;

    /// Revisions of one record in their order, beginning with this number, at most `limit`.
    async fn revisions(&self, id: RecordId, from: Revision, limit: usize) -> Result<Vec<RevisionRow>>;

    /// The newest revisions of each of these records, at most `limit` of each: asked for once whatever their number. Records
    /// come in the order of their ids, each once, and of each the newest first.
    async fn newest_of(&self, ids: &[RecordId], limit: usize) -> Result<Vec<RevisionRow>>;

    /// The revision with this id, whatever record it is of.
    async fn version(&self, id: VersionId) -> Result<Option<RevisionRow>>;

    /// Revisions of records of the class that are not released, the newest first, after this place, at most `limit`.
    async fn newest(&self, class: Class, which: Which, after: Option<Age>, limit: usize) -> Result<Vec<RevisionRow>>;

    /// How many revisions of records of the class that are not released are sealed under each epoch. Counts them all.
    async fn sealed_under(&self, class: Class) -> Result<Vec<(u32, u64)>>;

    /// Records whose release ended at or before `now`, at most `limit`.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Row>>;

    /// The end of the chain of notes, if anything was ever written: what was read at one end is the same until it
    /// changes.
    async fn position(&self) -> Result<Option<Position>>;

    /// All of it or nothing. [`Error::Overloaded`](crate::domain::Error) when the write queue is full.
    async fn write(&self, write: Write) -> Result<()>;

    /// One moment of the whole store, for reading it through. Writes go on beside it.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>>;
}

/// The store as it was at one moment.
#[async_trait]
pub trait Snapshot: Send {
    /// `None` in a store without its first key.
    async fn ledger(&mut self) -> Result<Option<Ledger>>;

    /// As they were at that moment, in the order of epochs and roots: what is sealed opens with no others.
    async fn keys(&mut self) -> Result<Vec<WrappedKey>>;

    /// Heads at their current revisions, released ones included, in the order of ids, after `after`.
    async fn heads(&mut self, after: Option<RecordId>, limit: usize) -> Result<Vec<HeadRow>>;

    /// Every revision there is, in the order of ids and then numbers, after `after`.
    async fn revisions(&mut self, after: Option<(RecordId, Revision)>, limit: usize) -> Result<Vec<RevisionRow>>;

    /// Audit records of writes, in their order, after the position with this number.
    async fn audit(&mut self, after: u64, limit: usize) -> Result<Vec<(Position, Note)>>;
}

/// A head with what is found by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRow {
    pub head: Head,
    pub stamp: Stamp,
    pub mac: Mac,
    pub aliases: Vec<Alias>,
    pub links: Vec<RecordId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRow {
    pub id: RecordId,
    pub stamp: Stamp,
    pub sealed: Sealed,
}

/// What a store takes on when it is put in place of another: the id that every body is bound to, and the
/// signed ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    pub store: StoreId,
    pub ledger: Ledger,
}

/// Everything else of a store, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Key(WrappedKey),
    /// Comes directly before its revisions.
    Head(Box<HeadRow>),
    Revision(Box<RevisionRow>),
    Note(Position, Note),
}

/// Read from somewhere as they are asked for: bounded memory, whatever their number.
pub type Items = Box<dyn Iterator<Item = Result<Item>> + Send>;

/// A store that nobody has used yet, which becomes the copy of another. Whether the items are what they
/// should be was judged before; they are stored as they come, and neither keys nor a keyring are needed.
#[async_trait]
pub trait Vacant: Send + Sync + Sized {
    /// Refuses, saying what is in it, unless there is no data key, no record and no audit record.
    async fn require_vacant(&self) -> Result<()>;

    /// Takes on the beginning and all items in one transaction that also requires it to be vacant. An item
    /// that is an error, or a process that ends, leaves the store as empty as it was. Gives the store as it
    /// is opened anew: it has another id now.
    async fn fill(self, beginning: Beginning, items: Items) -> Result<Self>;
}

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}
