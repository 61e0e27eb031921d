//! The secret part of a credential: an ordered list of named fields.

use crate::domain::credential::Kind;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result, Violation};

/// How a field's text is meant: Confidant's pairs may hold JSON numbers, booleans and null, and give
/// them back with their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    /// The text is a JSON scalar other than a string.
    Literal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub form: Form,
    pub value: SecretText,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Material(Vec<Field>);

/// Enough for any credential, and little enough that a Service's Secret stays below etcd's 1 MiB.
pub const MATERIAL_LIMIT: usize = 512 * 1024;
pub const FIELD_COUNT_LIMIT: usize = 1000;

impl Material {
    /// Fields in the given order; the last of two with one name wins.
    pub fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut material = Self::default();
        for field in fields {
            match material.0.iter_mut().find(|known| known.name == field.name) {
                Some(known) => *known = field,
                None => material.0.push(field),
            }
        }
        material
    }

    pub fn texts<'a>(fields: impl IntoIterator<Item = (&'a str, SecretText)>) -> Self {
        let text = |(name, value): (&str, SecretText)| Field { name: name.to_owned(), form: Form::Text, value };
        Self::new(fields.into_iter().map(text))
    }

    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|field| field.name.as_str())
    }

    pub fn get(&self, name: &str) -> Option<&SecretText> {
        self.0.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    /// A field that its kind requires.
    pub fn require(&self, name: &str) -> Result<&SecretText> {
        self.get(name).ok_or_else(|| Error::internal(format!("the credential has no field {name}")))
    }

    /// Holds the material to its kind: the required fields, no others, within the limits.
    pub fn check(&self, kind: Kind) -> Result<()> {
        let missing = kind.fields().iter().filter(|spec| spec.required && self.get(spec.name).is_none());
        let missing = missing.map(|spec| Violation { field: spec.secret_key.into(), why: "is required".into() });
        self.judge(kind, missing.collect())
    }

    /// The same for one that need not have all that a Kubernetes Secret of its kind has.
    pub fn check_parts(&self, kind: Kind) -> Result<()> {
        self.judge(kind, Vec::new())
    }

    fn judge(&self, kind: Kind, mut violations: Vec<Violation>) -> Result<()> {
        let mut refuse = |field: &str, why: &str| violations.push(Violation { field: field.into(), why: why.into() });
        if kind == Kind::Pairs && self.0.is_empty() {
            refuse("pairs", "must have at least one key");
        }
        let is_foreign = |name: &&str| kind != Kind::Pairs && kind.fields().iter().all(|spec| spec.name != *name);
        for name in self.names().filter(is_foreign) {
            refuse(name, "does not belong to this kind of credential");
        }
        if self.0.len() > FIELD_COUNT_LIMIT {
            refuse("pairs", "has more than 1000 keys");
        }
        if self.0.iter().map(|field| field.name.len() + field.value.expose().len()).sum::<usize>() > MATERIAL_LIMIT {
            refuse("value", "is larger than 512 KiB");
        }
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }

    /// Keys and values as a Kubernetes Secret of this kind holds them.
    pub fn secret_data(&self, kind: Kind) -> impl Iterator<Item = (&str, &SecretText)> {
        self.0.iter().map(move |field| {
            let key = kind.fields().iter().find(|spec| spec.name == field.name).map(|spec| spec.secret_key);
            (key.unwrap_or(&field.name), &field.value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn material_is_held_to_its_kind() {
        let user = Material::texts([("username", "u".into()), ("password", "p".into())]);
        assert!(user.check(Kind::User).is_ok());
        let error = Material::texts([("username", "u".into()), ("token", "t".into())]).check(Kind::User).unwrap_err();
        assert_eq!(error.to_string(), "password is required; token does not belong to this kind of credential");
        assert!(Material::default().check(Kind::Pairs).is_err());
        assert!(Material::texts([("anything", "x".into())]).check(Kind::Pairs).is_ok());
    }

    #[test]
    fn too_much_is_refused() {
        let big = SecretText::new("x".repeat(MATERIAL_LIMIT));
        assert!(Material::texts([("value", big)]).check(Kind::Value).is_err());
    }

    #[test]
    fn secret_keys_follow_the_kind() {
        let ssh = Material::texts([("public_key", "a".into()), ("private_key", "b".into())]);
        assert_eq!(
            ssh.secret_data(Kind::Ssh).map(|(key, _)| key).collect::<Vec<_>>(),
            ["ssh-publickey", "ssh-privatekey"]
        );
        let pairs = Material::texts([("DB", "a".into())]);
        assert_eq!(pairs.secret_data(Kind::Pairs).map(|(key, _)| key).collect::<Vec<_>>(), ["DB"]);
    }

    #[test]
    fn the_last_of_two_fields_with_one_name_wins() {
        let material = Material::texts([("a", "1".into()), ("b", "2".into()), ("a", "3".into())]);
        assert_eq!(material.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(material.get("a"), Some(&"3".into()));
    }
}
