//! Where a certificate comes from and what comes beside it: who signed it, which other certificate of that signer is
//! trusted as well, and the other version of a certificate that is being rotated (CredHub's transitional version).
//!
//! A revision is the whole state. Its material is the active version, so that readers who know no versions get that one;
//! what a version is called says its revision, unless the lineage says otherwise.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::authority::{CertificateRequest, Issuer, Role};
use crate::domain::credential::{Generate, Kind, Material};
use crate::domain::name::{Path, VersionId};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    pub signed: Signed,
    pub active: Active,
    pub transitional: Option<Box<Version>>,
    /// Versions that were deleted: their revisions are there, and nobody gets them.
    pub removed: BTreeSet<VersionId>,
}

impl Lineage {
    /// Of new material at this path; `None` where it is no certificate.
    pub fn begin(path: &Path, kind: Kind, generated: Option<&Generate>) -> Option<Box<Self>> {
        let by = match generated {
            Some(Generate::Certificate(request)) => signer(path, request),
            _ => None,
        };
        (kind == Kind::Certificate).then(|| Box::new(Self { signed: Signed { by, trusted: None }, ..Self::default() }))
    }

    /// Everybody who signed a version that counts, each once.
    pub fn signers(&self) -> impl Iterator<Item = &Path> {
        let own = self.signed.by.as_ref();
        let other = self.transitional.as_ref().and_then(|version| version.content.signed.by.as_ref());
        let is_another = |other: &&Path| own.is_none_or(|own| !own.as_str().eq_ignore_ascii_case(other.as_str()));
        own.into_iter().chain(other.filter(is_another))
    }
}

fn signer(path: &Path, request: &CertificateRequest) -> Option<Path> {
    match (&request.issuer, request.role) {
        (Issuer::Authority(path), _) => Some(path.clone()),
        (Issuer::SelfSigned, Role::Authority { .. }) => Some(path.clone()),
        (Issuer::SelfSigned, Role::Leaf) => None,
    }
}

/// By whom a certificate was signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// The authority's path, its own for a self-signed authority. `None`: unknown, or a self-signed leaf.
    pub by: Option<Path>,
    /// The signer's other certificate, in PEM, while that is being rotated.
    pub trusted: Option<String>,
}

/// Which version the material is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Active {
    /// The one that the revision made.
    #[default]
    Own,
    Earlier {
        id: VersionId,
        at: Timestamp,
    },
    /// There is none: the material is the transitional version's.
    None,
}

/// A version that is not the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub id: VersionId,
    pub at: Timestamp,
    pub content: Content,
}

/// What a version consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub material: Material,
    pub generated: Option<Generate>,
    pub not_after: Option<Timestamp>,
    pub metadata: Option<String>,
    pub signed: Signed,
}
