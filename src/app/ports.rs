//! What the use cases need from the world, as small traits. Adapters implement them.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::authority::{CertificatePlan, Facts};
use crate::domain::credential::Material;
use crate::domain::name::{RecordId, Revision, StoreId};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Class, Head, Release, Stamp};
use crate::domain::secret::{SecretBytes, SecretText};

/// One revision of a record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub head: Head,
    pub stamp: Stamp,
    pub sealed: Vec<u8>,
}

/// A second name by which a record is found, unique within its class and kind of alias among records
/// that are not released. Compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    pub kind: AliasKind,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasKind {
    /// A credential's title.
    Title,
    /// SHA-256 of a client's certificate, in hexadecimal digits.
    Fingerprint,
}

/// How records are looked up.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    Ids(&'a [RecordId]),
    /// Ignoring ASCII case.
    Names(&'a [&'a str]),
    Alias(AliasKind, &'a str),
    /// Every record of the class that links to this one.
    LinksTo(RecordId),
}

/// A new revision: the first of a new record when `expected` is `None`, else the one after `expected`.
#[derive(Clone, Debug)]
pub struct Append {
    /// Written whole or not at all; its `head` replaces the stored one and ends a release.
    pub row: Row,
    pub expected: Option<Revision>,
    /// Replace the record's aliases and links.
    pub aliases: Vec<Alias>,
    pub links: Vec<RecordId>,
}

/// The number of a leadership: grows with every leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// Records with dense revisions. What `append` has acknowledged survives any crash.
#[async_trait]
pub trait Store: Send + Sync {
    /// Current revisions, released records included, in one query whatever the number; order unspecified.
    async fn find(&self, class: Class, key: Key<'_>) -> Result<Vec<Row>>;

    /// Current revisions of records that are not released, in the order of their lower-cased names,
    /// after the name `after`, at most `limit`.
    async fn list(&self, class: Class, after: Option<&str>, limit: usize) -> Result<Vec<Row>>;

    /// Compare-and-set. [`Conflict::Exists`](crate::domain::Conflict) when the name or an alias is taken,
    /// [`Conflict::Stale`](crate::domain::Conflict) when the current revision is not `expected`,
    /// [`Error::Overloaded`](crate::domain::Error) when the write queue is full.
    async fn append(&self, append: Append) -> Result<()>;

    /// Releases records and frees their aliases; those already released stay as they are.
    async fn release(&self, ids: &[RecordId], release: Release) -> Result<()>;

    /// Forgets every record whose release ended at or before `now`; says how many.
    async fn purge(&self, now: Timestamp) -> Result<u64>;
}

/// A data key, wrapped by the key service. Its epoch is named in what it seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    pub epoch: u32,
    pub wrapped: Vec<u8>,
}

/// Where the wrapped data keys are kept: beside the records, useless without the key service.
#[async_trait]
pub trait KeyTable: Send + Sync {
    /// The same for the life of the store.
    async fn store_id(&self) -> Result<StoreId>;

    /// In the order of their epochs.
    async fn data_keys(&self) -> Result<Vec<WrappedKey>>;

    /// `Conflict::Exists` when the epoch is taken: two first starts must not both win.
    async fn add_data_key(&self, key: WrappedKey) -> Result<()>;
}

/// The root of trust: a local key file or a KMS. `context` is authenticated and must be the same again.
#[async_trait]
pub trait KeyService: Send + Sync {
    async fn wrap(&self, plain: &SecretBytes, context: &[u8]) -> Result<Vec<u8>>;

    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<SecretBytes>;
}

/// Makes keys and certificates. Slow work runs in a bounded pool: a full one is `Error::Overloaded`.
#[async_trait]
pub trait Keymaker: Send + Sync {
    /// Fields of kind Rsa: SPKI public key and PKCS#1 private key, both PEM.
    async fn rsa(&self, bits: u16) -> Result<Material>;

    /// Fields of kind Ssh: one `ssh-rsa …` line and a PKCS#1 private key in PEM.
    async fn ssh(&self, bits: u16, comment: Option<&str>) -> Result<Material>;

    /// Makes a key pair and a certificate as planned. `issuer` holds the authority's fields of kind
    /// Certificate; absent: self-signed. The result's `certificate` is the leaf followed by the
    /// intermediates up to, and without, the root; `ca` is the root; `private_key` is PKCS#8.
    async fn certificate(&self, plan: &CertificatePlan, issuer: Option<&Material>) -> Result<Material>;

    /// What the first certificate of a PEM text says.
    fn facts(&self, certificate: &SecretText) -> Result<Facts>;
}

/// Hashes and verifies passwords, slowly on purpose and in a bounded pool (`Error::Overloaded`).
#[async_trait]
pub trait PasswordHash: Send + Sync {
    /// A PHC string with a salt of its own.
    async fn hash(&self, password: &SecretText) -> Result<SecretText>;

    async fn verify(&self, password: &SecretText, hash: &SecretText) -> Result<bool>;
}

/// Recognises bearer tokens.
#[async_trait]
pub trait Identify: Send + Sync {
    /// `None`: not a valid token of this scheme.
    async fn identify(&self, token: &SecretText) -> Result<Option<Actor>>;
}

/// Asks Kubernetes whether a delegated actor may.
#[async_trait]
pub trait Review: Send + Sync {
    async fn allows(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<bool>;
}

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}
