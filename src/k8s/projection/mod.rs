//! Projections: the Secrets and ConfigMaps that show what the store holds. Whatever decides about one that
//! exists decides by its metadata; values are written and never read back.
//! (docs/decisions/0010-projections-by-create-and-guarded-patch.md)

pub mod apply;
mod body;
pub mod held;
pub mod plan;
pub mod watch;

use std::collections::BTreeSet;

use aws_lc_rs::digest;

use crate::domain::credential::Kind;
use crate::domain::name::Revision;
use crate::domain::secret::SecretText;
use crate::k8s::failure::Failure;

/// What a projection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sort {
    Secret(SecretType),
    ConfigMap,
}

/// The type of a Secret; equal types only differ in what the API server holds them to.
pub type SecretType = &'static str;

impl Sort {
    pub fn shelf(self) -> Shelf {
        match self {
            Self::Secret(_) => Shelf::Secrets,
            Self::ConfigMap => Shelf::ConfigMaps,
        }
    }
}

/// Where the API server keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shelf {
    Secrets,
    ConfigMaps,
}

impl Shelf {
    pub fn kind(self) -> &'static str {
        match self {
            Self::Secrets => "Secret",
            Self::ConfigMaps => "ConfigMap",
        }
    }
}

/// One key with its value, and an identifier of where that comes from.
#[derive(Clone)]
pub struct Item {
    pub key: String,
    pub value: SecretText,
    pub source: String,
}

/// What a resource wants to show.
pub struct Projection {
    pub sort: Sort,
    pub name: String,
    pub revision: Revision,
    pub mark: Option<String>,
    pub content: Content,
}

/// Which values, and which words stand for them in an annotation.
pub struct Content {
    pub word: String,
    pub keys: BTreeSet<String>,
    /// `None`: nobody but the Secret itself has the values, and they are as they should be.
    pub items: Option<Vec<Item>>,
}

impl Content {
    /// These keys from these sources, with the values that are there.
    pub fn kept(sort: Sort, items: &[Item]) -> Self {
        let word = word(sort, items.iter().map(|item| (item.key.as_str(), item.source.as_str())));
        Self { word, keys: items.iter().map(|item| item.key.clone()).collect(), items: None }
    }
}

impl Projection {
    pub fn secret(
        name: String,
        secret_type: SecretType,
        revision: Revision,
        items: Vec<Item>,
    ) -> Result<Self, Failure> {
        Self::new(Sort::Secret(secret_type), name, revision, items)
    }

    pub fn config_map(name: String, revision: Revision, items: Vec<Item>) -> Result<Self, Failure> {
        Self::new(Sort::ConfigMap, name, revision, items)
    }

    fn new(sort: Sort, name: String, revision: Revision, items: Vec<Item>) -> Result<Self, Failure> {
        for item in &items {
            require_key(&item.key)?;
        }
        let kept = Content::kept(sort, &items);
        let content = Content { items: Some(items), ..kept };
        Ok(Self { sort, name, revision, mark: None, content })
    }

    /// Such as `Secret db-app`.
    pub fn what(&self) -> String {
        format!("{} {}", self.sort.shelf().kind(), self.name)
    }
}

/// Items of a credential of this kind, in its Secret's keys.
pub fn items(material: &crate::domain::credential::Material, kind: Kind, source: &str) -> Vec<Item> {
    let item = |(key, value): (&str, &SecretText)| Item {
        key: key.to_owned(),
        value: value.clone(),
        source: format!("{source}/{key}"),
    };
    material.secret_data(kind).map(item).collect()
}

/// Pairs that were written over REST may have any name; a Secret may not.
fn require_key(key: &str) -> Result<(), Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if (1..=253).contains(&key.len()) && key.bytes().all(plain) && key != "." && !key.starts_with("..") {
        return Ok(());
    }
    let message = format!("{key:?} cannot be a key of a Secret, which has letters, digits, -, _ and . only: rename it");
    Err(Failure::edit("InvalidKey", message))
}

/// A word for which revisions are shown under which keys: it changes when they do. It is made of random
/// identifiers and names only, so it says nothing about a value.
fn word<'a>(sort: Sort, sources: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let sort = match sort {
        Sort::Secret(secret_type) => secret_type,
        Sort::ConfigMap => "",
    };
    let mut sources: Vec<_> = sources.collect();
    sources.sort_unstable();
    let mut context = digest::Context::new(&digest::SHA256);
    for part in std::iter::once(sort).chain(sources.into_iter().flat_map(|(key, source)| [key, source])) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex::encode(&context.finish().as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, source: &str) -> Item {
        Item { key: key.into(), value: "v".into(), source: source.into() }
    }

    fn shown(secret_type: SecretType, items: Vec<Item>) -> String {
        Projection::secret("s".into(), secret_type, Revision::FIRST, items)
            .map(|it| it.content.word)
            .unwrap_or_default()
    }

    #[test]
    fn the_word_changes_with_type_key_and_source_and_not_with_order() {
        let first = shown("Opaque", vec![item("a", "1"), item("b", "2")]);
        assert_eq!(first, shown("Opaque", vec![item("b", "2"), item("a", "1")]));
        for other in [
            shown("kubernetes.io/tls", vec![item("a", "1"), item("b", "2")]),
            shown("Opaque", vec![item("a", "2"), item("b", "1")]),
            shown("Opaque", vec![item("a", "1")]),
            shown("Opaque", vec![item("ab", ""), item("", "12")]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn the_word_does_not_depend_on_the_value() {
        let other = Item { value: "another".into(), ..item("a", "1") };
        assert_eq!(shown("Opaque", vec![other]), shown("Opaque", vec![item("a", "1")]));
    }

    #[test]
    fn a_key_that_no_secret_can_have_is_refused_by_its_name() {
        for bad in ["", "a b", "a/b", "ü", "..", "..a"] {
            let failure = Projection::secret("s".into(), "Opaque", Revision::FIRST, vec![item(bad, "1")]);
            assert!(failure.is_err_and(|failure| failure.reason == "InvalidKey"), "{bad}");
        }
    }
}
