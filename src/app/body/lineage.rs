//! A certificate's lineage as part of a body: its words among the words, and the transitional version's fields behind
//! the active one's, each with a word before its name that no field of a certificate begins with.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::credential::lineage::{Active, Content, Lineage, Signed, Version};
use crate::domain::credential::{Field, Generate, Material};
use crate::domain::name::{Path, VersionId};

const TRANSITIONAL: &str = "transitional/";

#[derive(Serialize, Deserialize)]
pub struct LineageWords {
    signed: SignedWords,
    active: ActiveWords,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transitional: Option<Box<VersionWords>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    removed: BTreeSet<VersionId>,
}

#[derive(Serialize, Deserialize)]
struct SignedWords {
    by: Option<Path>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trusted: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum ActiveWords {
    Own,
    Earlier { id: VersionId, at: Timestamp },
    None,
}

#[derive(Serialize, Deserialize)]
struct VersionWords {
    id: VersionId,
    at: Timestamp,
    generated: Option<Generate>,
    not_after: Option<Timestamp>,
    metadata: Option<String>,
    signed: SignedWords,
}

impl From<&Signed> for SignedWords {
    fn from(Signed { by, trusted }: &Signed) -> Self {
        Self { by: by.clone(), trusted: trusted.clone() }
    }
}

impl From<SignedWords> for Signed {
    fn from(SignedWords { by, trusted }: SignedWords) -> Self {
        Self { by, trusted }
    }
}

pub fn words(lineage: &Lineage) -> LineageWords {
    LineageWords {
        signed: (&lineage.signed).into(),
        active: match lineage.active {
            Active::Own => ActiveWords::Own,
            Active::Earlier { id, at } => ActiveWords::Earlier { id, at },
            Active::None => ActiveWords::None,
        },
        transitional: lineage.transitional.as_deref().map(|Version { id, at, content }| {
            Box::new(VersionWords {
                id: *id,
                at: *at,
                generated: content.generated.clone(),
                not_after: content.not_after,
                metadata: content.metadata.clone(),
                signed: (&content.signed).into(),
            })
        }),
        removed: lineage.removed.clone(),
    }
}

/// The fields of both versions.
pub fn beside(material: &Material, lineage: Option<&Lineage>) -> Material {
    let other = lineage.and_then(|lineage| lineage.transitional.as_ref());
    let Some(version) = other else { return material.clone() };
    let named = |field: &Field| Field { name: [TRANSITIONAL, &field.name].concat(), ..field.clone() };
    let others = version.content.material.fields().iter().map(named);
    Material::new(material.fields().iter().cloned().chain(others))
}

/// The active version's fields, and the lineage with the other's.
pub fn apart(words: LineageWords, material: Material) -> (Material, Option<Box<Lineage>>) {
    let other = |field: &Field| {
        field.name.strip_prefix(TRANSITIONAL).map(|name| Field { name: name.to_owned(), ..field.clone() })
    };
    let others = Material::new(material.fields().iter().filter_map(other));
    let own = Material::new(material.fields().iter().filter(|field| other(field).is_none()).cloned());
    let LineageWords { signed, active, transitional, removed } = words;
    let active = match active {
        ActiveWords::Own => Active::Own,
        ActiveWords::Earlier { id, at } => Active::Earlier { id, at },
        ActiveWords::None => Active::None,
    };
    let transitional = transitional.map(|words| {
        let VersionWords { id, at, generated, not_after, metadata, signed } = *words;
        Box::new(Version {
            id,
            at,
            content: Content { material: others, generated, not_after, metadata, signed: signed.into() },
        })
    });
    (own, Some(Box::new(Lineage { signed: signed.into(), active, transitional, removed })))
}

/// Of the newest version, whether it is active or transitional.
pub fn expiry(lineage: &Lineage, not_after: Option<Timestamp>) -> Option<Timestamp> {
    let transitional = lineage.transitional.as_deref();
    let is_newest = |version: &&Version| match lineage.active {
        // The revision that made the active version is newer than what it found.
        Active::Own => false,
        Active::Earlier { at, .. } => version.at > at,
        Active::None => true,
    };
    transitional.filter(is_newest).map_or(not_after, |version| version.content.not_after)
}
