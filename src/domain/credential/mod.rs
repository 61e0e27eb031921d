//! A credential: what it is, what it says about itself, how it changes.

pub mod change;
pub mod generate;
pub mod kind;
pub mod lineage;
pub mod material;
pub mod memo;
pub mod rotation;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use generate::{Characters, Generate};
pub use kind::Kind;
pub use lineage::Lineage;
pub use material::{Field, Form, Material};
pub use memo::Memo;

use crate::domain::authority::Authority;
use crate::domain::{Error, Result, Violation};

/// What people say about a credential; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Advisory: clients decide what to do with a disabled credential (Confidant's rule).
    pub enabled: bool,
    pub documentation: Option<String>,
    /// A JSON object as text.
    pub metadata: Option<String>,
    pub tags: Vec<String>,
}

impl Default for About {
    fn default() -> Self {
        Self { enabled: true, documentation: None, metadata: None, tags: Vec::new() }
    }
}

/// What a caller wants said otherwise; `None` keeps what is said.
#[derive(Debug, Default)]
pub struct Words {
    pub title: Option<String>,
    pub enabled: Option<bool>,
    pub documentation: Option<Option<String>>,
    pub metadata: Option<String>,
    pub tags: Option<Vec<String>>,
}

impl Words {
    pub fn over(self, title: &str, about: &About) -> (String, About) {
        let next = About {
            enabled: self.enabled.unwrap_or(about.enabled),
            documentation: self.documentation.unwrap_or_else(|| about.documentation.clone()),
            metadata: self.metadata.or_else(|| about.metadata.clone()),
            tags: self.tags.unwrap_or_else(|| about.tags.clone()),
        };
        (self.title.unwrap_or_else(|| title.to_owned()), next)
    }
}

/// Bytes: of a title as of a path, of documentation, of metadata as JSON, of one tag.
const TITLE_LIMIT: usize = 1024;
const TEXT_LIMIT: usize = 64 * 1024;
const TAG_LIMIT: usize = 253;
const TAG_COUNT_LIMIT: usize = 100;

/// Holds what is said about a credential within its limits.
pub fn check_words(title: &str, about: &About) -> Result<()> {
    let long = |text: &str, limit: usize| (text.len() > limit).then(|| format!("is longer than {limit} bytes"));
    let control = |text: &str| text.chars().any(char::is_control).then(|| "has a control character".to_owned());
    let nul = |text: &str| text.contains('\0').then(|| "has a NUL character".to_owned());
    let documentation = about.documentation.as_deref().unwrap_or_default();
    let metadata = about.metadata.as_deref().unwrap_or_default();
    let many = about.tags.len() > TAG_COUNT_LIMIT;
    let found = [
        ("name", long(title, TITLE_LIMIT).or_else(|| control(title))),
        ("documentation", long(documentation, TEXT_LIMIT).or_else(|| nul(documentation))),
        ("metadata", long(metadata, TEXT_LIMIT)),
        ("tags", about.tags.iter().find_map(|tag| long(tag, TAG_LIMIT).or_else(|| control(tag)))),
        ("tags", many.then(|| format!("has more than {TAG_COUNT_LIMIT} tags"))),
    ];
    let violations: Vec<Violation> =
        found.into_iter().filter_map(|(field, why)| Some(Violation { field: field.into(), why: why? })).collect();
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

#[derive(Clone, Debug)]
pub struct Credential {
    /// What people call it (Confidant's name). Unique among credentials.
    pub title: String,
    pub kind: Kind,
    pub about: About,
    /// How the material was generated; `None`: it was given to us.
    pub generated: Option<Generate>,
    /// When the material last changed.
    pub rotated_at: Timestamp,
    /// End of the certificate's life, for certificates.
    pub not_after: Option<Timestamp>,
    /// Set on certificate authorities.
    pub authority: Option<Authority>,
    /// Of certificates, unless they were written before there was any.
    pub lineage: Option<Box<Lineage>>,
    pub material: Material,
    /// As Confidant's API shows it in a service, with its values.
    pub memo: Memo,
}

impl Credential {
    /// The fields that a reader may be given. The key of an authority signs here and leaves the store for
    /// nobody, administrators included.
    pub fn readable(&self) -> impl Iterator<Item = &Field> {
        let kept = self.authority.is_some().then_some("private_key");
        self.material.fields().iter().filter(move |field| kept != Some(field.name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_held_to_their_limits_by_name() {
        let about = |tags: &[&str]| About { tags: tags.iter().map(ToString::to_string).collect(), ..About::default() };
        assert!(check_words("", &About::default()).is_ok());
        assert!(check_words(&"x".repeat(TITLE_LIMIT), &about(&["prod"])).is_ok());
        let refused = |title: &str, about: &About| check_words(title, about).unwrap_err().to_string();
        assert!(refused(&"x".repeat(TITLE_LIMIT + 1), &About::default()).starts_with("name is longer"));
        assert!(refused("a\0b", &About::default()).starts_with("name has a control"));
        assert!(refused("a", &about(&["a\nb"])).starts_with("tags has a control"));
        assert!(refused("a", &about(&["x"; TAG_COUNT_LIMIT + 1])).starts_with("tags has more"));
        let loud = About { documentation: Some("line\nline\0".into()), ..About::default() };
        assert_eq!(refused("a\n", &loud), "name has a control character; documentation has a NUL character");
    }
}
