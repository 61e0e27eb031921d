//! How a credential becomes its next revision: pure decisions, for REST callers and for resources.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::credential::lineage::{Active, Signed};
use crate::domain::credential::{About, Credential, Generate, Kind, Material, Words};
use crate::domain::{Error, Result};

/// What a REST caller wants changed; `None` keeps what is there.
#[derive(Debug, Default)]
pub struct Patch {
    pub words: Words,
    pub material: Option<Material>,
}

/// The next revision. Always a new one, even when nothing differs: Confidant counts every update.
pub fn patched(current: &Credential, patch: Patch, now: Timestamp) -> Result<Credential> {
    // What is there already need not be judged again: over another API it may have come with less.
    patch.material.as_ref().map_or(Ok(()), |material| material.check(current.kind))?;
    let material = patch.material.unwrap_or_else(|| current.material.clone());
    let rotated = material != current.material;
    let (title, about) = patch.words.over(&current.title, &current.about);
    let mut lineage = current.lineage.clone();
    if let Some(lineage) = lineage.as_mut().filter(|_| rotated) {
        (lineage.active, lineage.signed) = (Active::Own, Signed::default());
    }
    Ok(Credential {
        lineage,
        title,
        about,
        rotated_at: if rotated { now } else { current.rotated_at },
        generated: if rotated { None } else { current.generated.clone() },
        material,
        ..current.clone()
    })
}

/// Whether two revisions say the same, the order of tags apart.
pub fn is_same(one: &Credential, other: &Credential) -> bool {
    let tags = |credential: &Credential| credential.about.tags.iter().cloned().collect::<BTreeSet<_>>();
    let untagged = |credential: &Credential| About { tags: Vec::new(), ..credential.about.clone() };
    one.title == other.title
        && one.material == other.material
        && untagged(one) == untagged(other)
        && tags(one) == tags(other)
}

/// Where a resource says that its value comes from.
#[derive(Debug)]
pub enum Source {
    Generate(Generate),
    Import(Material),
}

/// What a resource wants its credential to be.
#[derive(Debug)]
pub struct Wish {
    pub kind: Kind,
    pub about: About,
    pub source: Source,
}

/// What has to happen for a credential to be as its resource wants it.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is so already.
    Keep,
    /// Same value, other words about it.
    Describe,
    /// A new value is generated; why.
    Generate(&'static str),
    /// The imported value is taken over.
    Import,
}

/// Decides. A value is generated once and again only when what was asked for has changed.
pub fn converge(current: Option<&Credential>, wish: &Wish) -> Result<Step> {
    let Some(current) = current else {
        return Ok(match wish.source {
            Source::Generate(_) => Step::Generate("the credential is new"),
            Source::Import(_) => Step::Import,
        });
    };
    if current.kind != wish.kind {
        return Err(Error::invalid(
            "spec.type",
            format!(
                "is {}, but the stored credential of this name is of type {}",
                wish.kind.name(),
                current.kind.name()
            ),
        ));
    }
    Ok(match &wish.source {
        Source::Generate(parameters) if current.generated.as_ref() != Some(parameters) => {
            Step::Generate("its generation parameters changed")
        }
        Source::Import(material) if current.material != *material => Step::Import,
        _ if current.about != wish.about => Step::Describe,
        _ => Step::Keep,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credential::Characters;
    use crate::domain::credential::Memo;

    fn credential() -> Credential {
        Credential {
            title: "t".into(),
            kind: Kind::Password,
            about: About::default(),
            generated: Some(Generate::Password(Characters::default())),
            rotated_at: Timestamp::UNIX_EPOCH,
            not_after: None,
            authority: None,
            lineage: None,
            memo: Memo::default(),
            material: Material::texts([("password", "p".into())]),
        }
    }

    fn wish(source: Source) -> Wish {
        Wish { kind: Kind::Password, about: About::default(), source }
    }

    fn generate(length: u16) -> Source {
        Source::Generate(Generate::Password(Characters { length, ..Characters::default() }))
    }

    #[test]
    fn a_value_is_generated_once() {
        assert!(matches!(converge(None, &wish(generate(30))).unwrap(), Step::Generate(_)));
        assert_eq!(converge(Some(&credential()), &wish(generate(30))).unwrap(), Step::Keep);
    }

    #[test]
    fn a_changed_wish_generates_again() {
        assert!(matches!(converge(Some(&credential()), &wish(generate(31))).unwrap(), Step::Generate(_)));
    }

    #[test]
    fn an_import_follows_its_source() {
        let import = |p: &str| Source::Import(Material::texts([("password", p.into())]));
        assert_eq!(converge(None, &wish(import("p"))).unwrap(), Step::Import);
        assert_eq!(converge(Some(&credential()), &wish(import("p"))).unwrap(), Step::Keep);
        assert_eq!(converge(Some(&credential()), &wish(import("q"))).unwrap(), Step::Import);
    }

    #[test]
    fn other_words_make_a_revision_without_a_new_value() {
        let mut wish = wish(generate(30));
        wish.about.tags = vec!["prod".into()];
        assert_eq!(converge(Some(&credential()), &wish).unwrap(), Step::Describe);
    }

    #[test]
    fn the_type_does_not_change() {
        let wish = Wish { kind: Kind::Pairs, ..wish(generate(30)) };
        assert!(converge(Some(&credential()), &wish).unwrap_err().to_string().starts_with("spec.type"));
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name_and_dates_only_a_new_value() {
        let now = Timestamp::from_second(1_000).unwrap();
        let same = patched(&credential(), Patch::default(), now).unwrap();
        assert_eq!((same.rotated_at, same.title.as_str()), (Timestamp::UNIX_EPOCH, "t"));
        assert!(same.generated.is_some());
        let material = Some(Material::texts([("password", "new".into())]));
        let disabled = Words { enabled: Some(false), ..Words::default() };
        let next = patched(&credential(), Patch { material, words: disabled }, now).unwrap();
        assert_eq!((next.rotated_at, next.about.enabled, next.generated), (now, false, None));
    }

    #[test]
    fn a_patch_that_breaks_the_kind_is_refused() {
        let material = Some(Material::texts([("token", "x".into())]));
        assert!(patched(&credential(), Patch { material, ..Patch::default() }, Timestamp::UNIX_EPOCH).is_err());
    }
}
