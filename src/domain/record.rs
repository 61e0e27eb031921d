//! What every stored thing has in common: an identity, a name, an origin, dense revisions.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::name::{RecordId, Revision, Tenant, VersionId};
use crate::domain::{Conflict, Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    Credential,
    Service,
    Client,
    /// Encrypted by its users; its values mean nothing here.
    BlindCredential,
    /// What one actor may do at one path.
    Permission,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::Credential, Self::Service, Self::Client, Self::BlindCredential, Self::Permission];

    /// In stores and in backups: never given to another.
    pub fn number(self) -> u8 {
        match self {
            Self::Credential => 1,
            Self::Service => 2,
            Self::Client => 3,
            Self::BlindCredential => 4,
            Self::Permission => 5,
        }
    }

    pub fn singular(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Service => "service",
            Self::Client => "client credential",
            Self::BlindCredential => "blind credential",
            Self::Permission => "permission",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::Credential => "credentials",
            Self::Service => "services",
            Self::Client => "client credentials",
            Self::BlindCredential => "blind credentials",
            Self::Permission => "permissions",
        }
    }
}

/// The custom resource that manages a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Who writes a record. There is one writer; everybody else may only read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    Rest,
    Resource(Owner),
    /// Strongroom's own, such as the authority of its webhook.
    Own,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rest => f.write_str("REST callers"),
            Self::Resource(owner) => owner.fmt(f),
            Self::Own => f.write_str("Strongroom"),
        }
    }
}

/// Set when the managing resource was deleted: the record answers nobody and goes at `purge_at`,
/// unless a resource of the same kind and name reclaims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub at: Timestamp,
    pub purge_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub id: RecordId,
    pub class: Class,
    pub tenant: Tenant,
    /// Unique within the class, ignoring ASCII case, released records included.
    pub name: String,
    pub origin: Origin,
    /// How long the record is kept after its resource was deleted.
    pub retain_for: SignedDuration,
    pub released: Option<Release>,
}

impl Head {
    /// Refuses a writer other than the origin: one writer per record.
    pub fn require_writer(&self, writer: &Origin) -> Result<()> {
        if self.origin == *writer {
            return Ok(());
        }
        let what = format!("{} {}", self.class.singular(), self.name);
        Err(Error::Conflict(match (&self.origin, writer) {
            (Origin::Rest, Origin::Resource(_)) => Conflict::WrittenElsewhere { what },
            (origin, _) => Conflict::Managed { what, owner: origin.to_string(), id: self.id },
        }))
    }
}

/// One revision: which, when, by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub number: Revision,
    pub version_id: VersionId,
    pub at: Timestamp,
    /// Id of the actor.
    pub by: String,
}

/// A record at one of its revisions.
#[derive(Clone, Debug)]
pub struct Entry<B> {
    pub head: Head,
    pub stamp: Stamp,
    pub body: B,
}

impl<B> Entry<B> {
    pub fn map<T>(self, body: impl FnOnce(B) -> T) -> Entry<T> {
        Entry { head: self.head, stamp: self.stamp, body: body(self.body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_origin_may_write() {
        let owner = |name: &str| {
            Origin::Resource(Owner { kind: "Credential".into(), namespace: "shop".into(), name: name.into() })
        };
        let head = Head {
            id: RecordId::from_random([1; 16]),
            class: Class::Credential,
            tenant: Tenant::namespace("shop"),
            name: "/kubernetes/shop/db".into(),
            origin: owner("db"),
            retain_for: SignedDuration::ZERO,
            released: None,
        };
        assert!(head.require_writer(&owner("db")).is_ok());
        for other in [Origin::Rest, Origin::Own, owner("other")] {
            let error = head.require_writer(&other).unwrap_err();
            assert!(error.to_string().contains("Credential shop/db"), "{error}");
        }
        let rest = Head { origin: Origin::Rest, ..head };
        assert!(matches!(rest.require_writer(&owner("db")), Err(Error::Conflict(Conflict::WrittenElsewhere { .. }))));
    }
}
