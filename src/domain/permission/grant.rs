//! Permissions as CredHub has them: one actor may do some operations at one path. What all of an actor's come to is
//! `granted`'s.

use serde::{Deserialize, Serialize};

use crate::domain::name::PATH_LIMIT;
use crate::domain::permission::{Action, Resource};
use crate::domain::record::Class;
use crate::domain::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Read,
    Write,
    Delete,
    ReadAcl,
    WriteAcl,
}

impl Operation {
    /// In the order in which they are always told.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Delete, Self::ReadAcl, Self::WriteAcl];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::ReadAcl => "read_acl",
            Self::WriteAcl => "write_acl",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The operation that an action is, where a permission can be had for it at all.
pub fn needed(action: Action, resource: Resource) -> Option<Operation> {
    match (resource, action) {
        (Resource::Record(Class::Credential), action) => Some(match action {
            // A list has no name, so that only who may read at every path may see one of all.
            Action::List | Action::Metadata | Action::Get => Operation::Read,
            Action::Create | Action::Update | Action::Revert => Operation::Write,
            Action::Archive | Action::Delete => Operation::Delete,
        }),
        (Resource::Record(Class::Permission), Action::Metadata | Action::Get) => Some(Operation::ReadAcl),
        (Resource::Record(Class::Permission), Action::Create | Action::Update | Action::Delete) => {
            Some(Operation::WriteAcl)
        }
        _ => None,
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Operation>", into = "Vec<Operation>")]
pub struct Operations(u8);

impl Operations {
    pub fn all() -> Self {
        Operation::ALL.into_iter().collect()
    }

    pub fn contains(self, operation: Operation) -> bool {
        self.0 & operation.bit() != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| self.contains(*operation))
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().fold(0, |bits, operation| bits | operation.bit()))
    }
}

impl From<Vec<Operation>> for Operations {
    fn from(operations: Vec<Operation>) -> Self {
        operations.into_iter().collect()
    }
}

impl From<Operations> for Vec<Operation> {
    fn from(operations: Operations) -> Self {
        operations.iter().collect()
    }
}

/// What a permission is about: the credential of this name, or with `/*` at its end everything below. Kept as it was
/// written, and compared with names ignoring ASCII case, as names are unique that way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scope(String);

const BELOW: &str = "/*";

impl Scope {
    /// A slash that is missing at its begin is added. What is wrong with it is for after the name of a field.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if matches!(text, "" | "/") {
            return Err("must be given");
        }
        let path = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        if path.len() > PATH_LIMIT {
            return Err("is longer than 1024 bytes");
        }
        if path.ends_with('/') || path.contains("//") {
            return Err("must not end with a slash or have an empty segment");
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_/.:,()[]+".contains(&b);
        if !path.strip_suffix(BELOW).unwrap_or(&path).bytes().all(plain) {
            return Err("may have letters, digits and -_/.:,()[]+ only, and * as its last segment");
        }
        Ok(Self(path))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that it covers, without a slash at its end; `None` where it is the name of one credential.
    pub fn folder(&self) -> Option<&str> {
        self.0.strip_suffix(BELOW)
    }

    /// No path at all.
    pub fn nowhere() -> Self {
        Self(String::new())
    }

    /// Of a name or folder that is known to be one.
    pub(super) fn of_name(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(super) fn of_folder(folder: &str) -> Self {
        Self(format!("{folder}{BELOW}"))
    }
}

/// Bytes; those of CredHub's tokens and certificates have some fifty.
const ACTOR_LIMIT: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Whoever calls by this id. Not asked for more: that nobody does yet is no mistake.
    pub actor: String,
    pub path: Scope,
    pub operations: Operations,
}

impl Permission {
    /// For whom one can be: told by the name of the field.
    pub fn check_actor(actor: &str) -> Result<()> {
        match actor.len() {
            0 => Err(Error::invalid("actor", "must be given")),
            1..=ACTOR_LIMIT => Ok(()),
            _ => Err(Error::invalid("actor", format!("is longer than {ACTOR_LIMIT} bytes"))),
        }
    }
}

/// How an installation wants permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Without it a grantee may do everything with credentials and permissions.
    pub are_enforced: bool,
    /// What there is from the start; what was taken away over REST comes back with the next.
    pub seeds: Vec<Permission>,
}

impl Default for Grants {
    fn default() -> Self {
        Self { are_enforced: true, seeds: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn operations_come_in_their_order_however_they_were_given() {
        use Operation::{Delete, Read, ReadAcl, Write, WriteAcl};
        let given: Operations = [WriteAcl, Read, Delete, Read, ReadAcl, Write].into_iter().collect();
        assert_eq!(Vec::from(given), Operation::ALL);
        assert_eq!(given, Operations::all());
        let some: Operations = [Delete, Read].into_iter().collect();
        assert_eq!(Vec::from(some), [Read, Delete]);
        assert!(some.contains(Read) && !some.contains(Write) && !some.contains(ReadAcl));
        assert_eq!(some.and([Write].into_iter().collect()).iter().collect::<Vec<_>>(), [Read, Write, Delete]);
        assert!(Operations::default().is_empty() && !some.is_empty());
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.as_str()), Some(operation));
        }
        for other in ["", "READ", "read ", "readAcl", "all"] {
            assert_eq!(Operation::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_path_names_a_credential_or_all_below_a_folder() {
        for (text, path, folder) in [
            ("/a", "/a", None),
            ("a/b", "/a/b", None),
            ("/a/*", "/a/*", Some("/a")),
            ("a/*", "/a/*", Some("/a")),
            ("/*", "/*", Some("")),
            ("*", "/*", Some("")),
            ("/A-z_0.9:,()[]+", "/A-z_0.9:,()[]+", None),
            ("/a/..", "/a/..", None),
        ] {
            let scope = Scope::parse(text).unwrap();
            assert_eq!((scope.as_str(), scope.folder()), (path, folder), "{text}");
        }
        assert!(Scope::parse(&format!("/{}", "a".repeat(PATH_LIMIT - 1))).is_ok());
        assert!(Scope::parse(&"a".repeat(PATH_LIMIT)).unwrap_err().contains("1024"));
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_reason() {
        for text in ["", "/"] {
            assert!(Scope::parse(text).unwrap_err().contains("given"), "{text:?}");
        }
        for text in ["//", "/a/", "a/", "//a", "/a//b", "/a//*", "//*", "/a/*/", "/*/"] {
            assert!(Scope::parse(text).unwrap_err().contains("segment"), "{text:?}");
        }
        for text in ["/a*", "/*a", "/a/*/b", "/*/*", "/**", "/a b", "/a\n", "/ü", "/a\u{0}", "/a%", "/a\\b", "/a'b"] {
            assert!(Scope::parse(text).unwrap_err().contains("letters"), "{text:?}");
        }
    }

    #[test]
    fn an_actor_is_any_text_of_some_length() {
        for good in ["a", "uaa-client:till", "some actor, 'quoted'", &"a".repeat(ACTOR_LIMIT)] {
            assert!(Permission::check_actor(good).is_ok());
        }
        for bad in ["", &"a".repeat(ACTOR_LIMIT + 1)] {
            assert!(Permission::check_actor(bad).unwrap_err().to_string().starts_with("actor "));
        }
    }

    proptest! {
        #[test]
        fn a_path_that_is_accepted_is_its_own_spelling(text in "[a-bA/*. ü]{0,9}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(scope.as_str()), Ok(scope.clone()));
                prop_assert_eq!(scope.folder().is_some(), text.contains('*'));
            }
        }
    }
}
