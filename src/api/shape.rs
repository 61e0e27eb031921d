//! JSON schemas in few words. Of what we write, every member is named: a member more or less is an error.

use serde_json::{Map, Value, json};

use crate::api::openapi::reference;

pub type Members<'a> = &'a [(&'a str, Value)];

pub fn schema(name: &str) -> Value {
    reference("schemas", name)
}

pub fn properties(members: Members) -> Map<String, Value> {
    members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect()
}

/// An answer: all of these members and no others.
pub fn exactly(members: Members) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "required": names, "properties": properties(members), "additionalProperties": false })
}

/// An answer: some of these members and no others.
pub fn some_of(members: Members) -> Value {
    json!({ "type": "object", "properties": properties(members), "additionalProperties": false })
}

/// A body: these members, of which some must be there.
pub fn with(required: &[&str], members: Members) -> Value {
    json!({ "type": "object", "required": required, "properties": properties(members) })
}

pub fn text() -> Value {
    json!({ "type": "string" })
}

pub fn texts() -> Value {
    list(text())
}

pub fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

pub fn object() -> Value {
    json!({ "type": "object" })
}

pub fn text_or_null() -> Value {
    json!({ "type": ["string", "null"] })
}

pub type Schemas = Vec<(String, Value)>;

pub fn named<const N: usize>(schemas: [(&str, Value); N]) -> Schemas {
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
