//! What becomes of a certificate's versions, decided without writing anything: one comes, waits, counts, goes.

use crate::app::by_path::{Known, Version};
use crate::domain::credential::lineage::{self, Active, Content};
use crate::domain::credential::{About, Credential, Lineage};
use crate::domain::name::VersionId;
use crate::domain::permission::Action;
use crate::domain::record::Stamp;
use crate::domain::{Error, Result};

/// Which version is to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    None,
    Newest,
    Version(VersionId),
}

/// What becomes of a certificate's versions.
pub(super) enum Turn {
    /// Another one comes, and waits or counts.
    Add { content: Content, waits: bool },
    /// This one waits, or none does; what counts is the newest of the others.
    Move(Wanted),
    /// Nobody gets it any more. The last one stays.
    Remove(VersionId),
}

impl Turn {
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Add { .. } | Self::Move(_) => Action::Update,
            Self::Remove(_) => Action::Delete,
        }
    }

    /// The next body of a certificate that has these versions.
    pub(super) fn body(&self, entry: &Known, all: &[Version], stamp: &Stamp) -> Result<Credential> {
        match self {
            Self::Add { content, waits } => {
                require_room(&entry.body, *waits)?;
                Ok(with(entry, content.clone(), *waits, stamp))
            }
            Self::Move(wanted) => Ok(arranged(entry, all, wanted.among(all)?, stamp)),
            Self::Remove(doomed) => {
                let rest: Vec<Version> = all.iter().filter(|version| version.id() != *doomed).cloned().collect();
                if rest.len() == all.len() {
                    return Err(missing(*doomed));
                }
                if rest.is_empty() {
                    return Err(Error::invalid("version", "is the last one: delete the credential instead"));
                }
                let waiting = rest.iter().find(|version| version.is_transitional()).map(Version::id);
                let mut body = arranged(entry, &rest, waiting, stamp);
                body.lineage.get_or_insert_default().removed.insert(*doomed);
                Ok(body)
            }
        }
    }
}

impl Wanted {
    fn among(self, all: &[Version]) -> Result<Option<VersionId>> {
        match self {
            Self::None => Ok(None),
            Self::Newest => Ok(all.first().map(Version::id)),
            Self::Version(id) if all.iter().any(|version| version.id() == id) => Ok(Some(id)),
            Self::Version(_) => Err(Error::invalid("version", "is not there or belongs to another certificate")),
        }
    }
}

pub(super) fn waiting(body: &Credential) -> Option<&lineage::Version> {
    body.lineage.as_deref()?.transitional.as_deref()
}

pub(super) fn require_room(body: &Credential, waits: bool) -> Result<()> {
    if waits && waiting(body).is_some() {
        let why = "is for one version at a time, and another one is transitional already";
        return Err(Error::invalid("set_as_transitional", why));
    }
    Ok(())
}

/// The record with another version: the one that counts, or the one that waits.
fn with(entry: &Known, content: Content, waits: bool, stamp: &Stamp) -> Credential {
    if !waits {
        return counting(&entry.body, content, stamp, Active::Own);
    }
    let mut body = entry.body.clone();
    let lineage = body.lineage.get_or_insert_default();
    if lineage.active == Active::Own {
        lineage.active = Active::Earlier { id: entry.stamp.version_id, at: entry.stamp.at };
    }
    lineage.transitional = Some(Box::new(lineage::Version { id: stamp.version_id, at: stamp.at, content }));
    body
}

/// The record with this version waiting and the newest of the others counting.
fn arranged(entry: &Known, all: &[Version], waiting: Option<VersionId>, stamp: &Stamp) -> Credential {
    let (waits, others): (Vec<&Version>, Vec<_>) = all.iter().partition(|version| Some(version.id()) == waiting);
    let waits = waits.first();
    let mut body = match (others.first(), waits) {
        (Some(counts), _) => {
            let active = Active::Earlier { id: counts.id(), at: counts.at() };
            counting(&entry.body, content(counts), stamp, active)
        }
        // Readers who know no versions go on with the only one.
        (None, Some(only)) => counting(&entry.body, content(only), stamp, Active::None),
        (None, None) => entry.body.clone(),
    };
    let transitional = waits.map(|it| lineage::Version { id: it.id(), at: it.at(), content: content(it) });
    body.lineage.get_or_insert_default().transitional = transitional.map(Box::new);
    body
}

fn content(version: &Version) -> Content {
    Content {
        material: version.material().clone(),
        generated: version.generated().cloned(),
        not_after: version.not_after(),
        metadata: version.metadata().map(str::to_owned),
        signed: version.signed().cloned().unwrap_or_default(),
    }
}

/// The record with this content as what counts.
pub(super) fn counting(body: &Credential, content: Content, stamp: &Stamp, active: Active) -> Credential {
    let Content { material, generated, not_after, metadata, signed } = content;
    let lineage = body.lineage.as_deref().cloned().unwrap_or_default();
    let rotated_at = if material == body.material { body.rotated_at } else { stamp.at };
    Credential {
        about: About { metadata, ..body.about.clone() },
        generated,
        rotated_at,
        not_after,
        lineage: Some(Box::new(Lineage { signed, active, ..lineage })),
        material,
        ..body.clone()
    }
}

pub(super) fn missing(version: VersionId) -> Error {
    Error::not_found(format!("version {version}"))
}
