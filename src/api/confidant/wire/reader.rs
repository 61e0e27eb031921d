//! Takes fields out of a body and remembers all that is wrong with them.

use crate::api::json::{Json, Name};
use crate::domain::credential::material::FIELD_COUNT_LIMIT;
use crate::domain::credential::{Field, Form, Material, Words};
use crate::domain::name::RecordId;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result, Violation};

/// Kubernetes' limit on the keys of a Secret, in bytes.
const KEY_LIMIT: usize = 253;

pub struct Reader<'a> {
    body: &'a Json,
    violations: Vec<Violation>,
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a Json) -> Self {
        Self { body, violations: Vec::new() }
    }

    pub fn refuse(&mut self, field: &str, why: impl Into<String>) {
        self.violations.push(Violation { field: field.into(), why: why.into() });
    }

    /// `None` when the field is absent or wrong.
    pub fn read<T>(&mut self, field: &str, wanted: &str, read: impl FnOnce(&'a Json) -> Option<T>) -> Option<T> {
        let found = read(self.body.get(field)?);
        if found.is_none() {
            self.refuse(field, format!("must be {wanted}"));
        }
        found
    }

    pub fn require(&mut self, field: &str) {
        if self.body.get(field).is_none() {
            self.refuse(field, "is a required field");
        }
    }

    /// What is said about a credential of either sort. Only one sort has tags.
    pub fn words(&mut self) -> Words {
        Words {
            title: self.text("name"),
            enabled: self.enabled(),
            documentation: self.text_or_null("documentation"),
            metadata: self.object("metadata"),
            tags: None,
        }
    }

    pub fn enabled(&mut self) -> Option<bool> {
        self.boolean("enabled")
    }

    pub fn boolean(&mut self, field: &str) -> Option<bool> {
        self.read(field, "a boolean", Json::as_bool)
    }

    fn text_or_null(&mut self, field: &str) -> Option<Option<String>> {
        self.read(field, "a string or null", |json| match json {
            Json::Null => Some(None),
            _ => text(json).map(Some),
        })
    }

    /// For installations that insist on it.
    pub fn require_documentation(&mut self) {
        if self.body.get("documentation").and_then(text).is_none_or(|text| text.is_empty()) {
            self.refuse("documentation", "is a required field");
        }
    }

    pub fn texts(&mut self, field: &str) -> Option<Vec<String>> {
        self.read(field, "a list of strings", |json| match json {
            Json::List(items) => items.iter().map(text).collect(),
            _ => None,
        })
    }

    pub fn ids(&mut self, field: &str) -> Option<Vec<RecordId>> {
        let texts = self.texts(field)?;
        Some(texts.iter().filter_map(|id| RecordId::parse_hex(id)).collect())
    }

    /// Absent and null are none.
    pub fn account(&mut self, known: &[String]) -> Option<String> {
        let account = self.text_or_null("account").flatten()?;
        if known.contains(&account) {
            return Some(account);
        }
        self.refuse("account", "is not a known account");
        None
    }

    /// An object, as JSON text.
    pub fn object(&mut self, field: &str) -> Option<String> {
        self.read(field, "an object", |json| {
            matches!(json, Json::Object(_)).then(|| String::from_utf8_lossy(&json.bytes()).into_owned())
        })
    }

    pub fn whole_number(&mut self, field: &str) -> Option<u64> {
        self.read(field, "a whole number", |json| match json {
            Json::Literal(number) => number.expose().parse().ok(),
            _ => None,
        })
    }

    pub fn text(&mut self, field: &str) -> Option<String> {
        self.read(field, "a string", text)
    }

    pub fn pairs(&mut self) -> Option<Material> {
        const FIELD: &str = "credential_pairs";
        let members: &Vec<(Name, Json)> = self.read(FIELD, "an object of key: value", |json| match json {
            Json::Object(members) => Some(members),
            _ => None,
        })?;
        // Before the material is built, which compares each key with all before it.
        if members.is_empty() || members.len() > FIELD_COUNT_LIMIT {
            self.refuse(FIELD, format!("must have 1 to {FIELD_COUNT_LIMIT} keys"));
            return None;
        }
        let before = self.violations.len();
        let fields: Vec<Field> = members.iter().filter_map(|(key, value)| self.pair(key, value)).collect();
        (self.violations.len() == before).then(|| Material::new(fields))
    }

    fn pair(&mut self, key: &str, value: &Json) -> Option<Field> {
        let scalar = match value {
            Json::Text(text) => Some((Form::Text, text.clone())),
            Json::Literal(number) => Some((Form::Literal, number.clone())),
            Json::Bool(value) => Some((Form::Literal, SecretText::new(value.to_string()))),
            Json::Null => Some((Form::Literal, "null".into())),
            Json::Shared(_) | Json::List(_) | Json::Object(_) => None,
        };
        let why = match () {
            () if key.len() > KEY_LIMIT => "has a key longer than 253 bytes",
            () if key.chars().any(char::is_whitespace) => "has a key with whitespace",
            () if key.chars().any(char::is_control) => "has a key with a control character",
            () if scalar.is_none() => "must be key: value, without lists and objects",
            () => return scalar.map(|(form, value)| Field { name: key.to_lowercase(), form, value }),
        };
        self.refuse("credential_pairs", why);
        None
    }

    pub fn finish<T>(self, value: T) -> Result<T> {
        if self.violations.is_empty() { Ok(value) } else { Err(Error::Invalid(self.violations)) }
    }
}

pub fn text(json: &Json) -> Option<String> {
    json.as_text().map(|text| text.expose().to_owned())
}
