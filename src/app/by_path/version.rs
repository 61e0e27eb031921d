//! One version of a credential: a revision's material, or for certificates the version beside it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::credential::lineage::{self, Active, Signed};
use crate::domain::credential::{Credential, Generate, Kind, Lineage, Material};
use crate::domain::name::{Revision, VersionId};
use crate::domain::record::Entry;

/// Shares the record it is of.
#[derive(Clone)]
pub struct Version {
    entry: Arc<Entry<Credential>>,
    part: Part,
    is_transitional: bool,
    /// For a reader who may not have its key.
    is_veiled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Active,
    Transitional,
}

impl Version {
    /// Those of a record as it is: the active one, then the transitional one.
    pub(super) fn of(entry: &Arc<Entry<Credential>>) -> impl Iterator<Item = Self> {
        let lineage = entry.body.lineage.as_deref();
        let is_active = lineage.is_none_or(|lineage| lineage.active != Active::None);
        let is_transitional = lineage.is_some_and(|lineage| lineage.transitional.is_some());
        let parts = [(is_active, Part::Active), (is_transitional, Part::Transitional)];
        parts.into_iter().filter(|(is_there, _)| *is_there).map(|(_, part)| Self {
            entry: entry.clone(),
            part,
            is_transitional: part == Part::Transitional,
            is_veiled: false,
        })
    }

    pub(super) fn active(entry: &Arc<Entry<Credential>>) -> Option<Self> {
        Self::of(entry).find(|version| version.part == Part::Active)
    }

    /// The one that this revision made, if it made one: moving a version or deleting one makes none.
    pub(super) fn made_by(entry: &Arc<Entry<Credential>>) -> Option<Self> {
        Self::of(entry).find(|version| version.id() == entry.stamp.version_id)
    }

    /// As it stands beside the others now.
    pub(super) fn beside(self, current: &Entry<Credential>) -> Self {
        let transitional = current.body.lineage.as_deref().and_then(|lineage| lineage.transitional.as_deref());
        let is_transitional = transitional.is_some_and(|other| other.id == self.id());
        Self { is_transitional, ..self }
    }

    pub(super) fn veiled(self) -> Self {
        Self { is_veiled: true, ..self }
    }

    fn other(&self) -> Option<&lineage::Version> {
        let lineage = self.entry.body.lineage.as_deref()?;
        lineage.transitional.as_deref().filter(|_| self.part == Part::Transitional)
    }

    pub fn id(&self) -> VersionId {
        match (self.other(), self.entry.body.lineage.as_deref().map(|lineage| lineage.active)) {
            (Some(other), _) => other.id,
            (None, Some(Active::Earlier { id, .. })) => id,
            (None, _) => self.entry.stamp.version_id,
        }
    }

    /// When it was made.
    pub fn at(&self) -> Timestamp {
        match (self.other(), self.entry.body.lineage.as_deref().map(|lineage| lineage.active)) {
            (Some(other), _) => other.at,
            (None, Some(Active::Earlier { at, .. })) => at,
            (None, _) => self.entry.stamp.at,
        }
    }

    /// Of the revision in which it is.
    pub fn revision(&self) -> Revision {
        self.entry.stamp.number
    }

    pub fn entry(&self) -> &Arc<Entry<Credential>> {
        &self.entry
    }

    pub fn name(&self) -> &str {
        &self.entry.head.name
    }

    pub fn kind(&self) -> Kind {
        self.entry.body.kind
    }

    /// As readers may have it: the key of an authority that a resource manages signs here and leaves the store for nobody.
    pub fn shows_key(&self) -> bool {
        self.entry.body.authority.is_none() && !self.is_veiled
    }

    pub fn material(&self) -> &Material {
        self.other().map_or(&self.entry.body.material, |other| &other.content.material)
    }

    pub fn metadata(&self) -> Option<&str> {
        self.other().map_or(&self.entry.body.about.metadata, |other| &other.content.metadata).as_deref()
    }

    pub fn generated(&self) -> Option<&Generate> {
        self.other().map_or(&self.entry.body.generated, |other| &other.content.generated).as_ref()
    }

    pub fn not_after(&self) -> Option<Timestamp> {
        self.other().map_or(self.entry.body.not_after, |other| other.content.not_after)
    }

    /// `None`: no certificate, or written before that was known.
    pub fn signed(&self) -> Option<&Signed> {
        let own = || self.entry.body.lineage.as_deref().map(|lineage: &Lineage| &lineage.signed);
        self.other().map(|other| &other.content.signed).or_else(own)
    }

    pub fn is_transitional(&self) -> bool {
        self.is_transitional
    }
}

/// Those that these revisions of a record have made, and that are there still.
pub(super) fn among(
    entry: &Entry<Credential>,
    revisions: impl IntoIterator<Item = Entry<Credential>>,
) -> impl Iterator<Item = Version> {
    let made = revisions.into_iter().filter_map(|revision| Version::made_by(&Arc::new(revision)));
    made.filter(|version| !is_removed(entry, version.id())).map(|version| version.beside(entry))
}

pub(super) fn is_removed(entry: &Entry<Credential>, id: VersionId) -> bool {
    entry.body.lineage.as_deref().is_some_and(|lineage| lineage.removed.contains(&id))
}
