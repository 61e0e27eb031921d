//! A dialect's table of routes as an OpenAPI document. Paths, methods, parameters in paths, who may call and what comes
//! before an operation are taken from the table; a dialect adds words and shapes. What they mean is not known here.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use warp::http::Method;

use crate::api::route::{Dialect, Handler, Route};

/// What the table does not say of an operation.
pub struct Operation {
    pub summary: &'static str,
    pub query: &'static [Parameter],
    pub body: Option<Body>,
    /// What it answers when all is well: 200, or elsewhere.
    pub status: u16,
    /// The schema of that answer; `None`: it is empty.
    pub answer: Option<&'static str>,
    /// Statuses of its own besides that and those that every operation of its sort has.
    pub refusals: &'static [u16],
}

/// A parameter of a query or a path.
pub struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    pub schema: &'static str,
}

#[derive(Clone, Copy)]
pub struct Body {
    pub schema: &'static str,
    pub is_required: bool,
}

impl Operation {
    pub const fn new(summary: &'static str, answer: &'static str) -> Self {
        Self { summary, query: &[], body: None, status: 200, answer: Some(answer), refusals: &[] }
    }

    /// Nothing but this status.
    pub const fn bare(summary: &'static str, status: u16) -> Self {
        Self { summary, query: &[], body: None, status, answer: None, refusals: &[] }
    }

    pub const fn answers(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub const fn query(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    pub const fn body(mut self, schema: &'static str) -> Self {
        self.body = Some(Body { schema, is_required: true });
        self
    }

    pub const fn optional_body(mut self, schema: &'static str) -> Self {
        self.body = Some(Body { schema, is_required: false });
        self
    }

    pub const fn or(mut self, refusals: &'static [u16]) -> Self {
        self.refusals = refusals;
        self
    }
}

/// A dialect with words for its operations.
pub trait Described: Dialect {
    const TITLE: &'static str;
    /// By method and template, as in `GET /v1/things/{id}`.
    const OPERATIONS: &'static [(&'static str, Operation)];
    /// Of all templates.
    const PARAMETERS: &'static [Parameter];

    /// By name.
    fn schemas() -> Value;

    /// Answers other than 200, by status.
    fn refusals() -> Value;

    /// Ways of saying who calls, by name: any one of them will do.
    fn schemes() -> Value;
}

/// Whoever has to be known may be refused before the operation is reached, or find a part of us away.
const OF_KNOWN_CALLERS: [u16; 4] = [401, 403, 500, 503];
/// A body may be broken off, or too large.
const OF_WRITES: [u16; 2] = [400, 413];

/// The document as it is served.
pub fn document<D: Described>() -> Bytes {
    described::<D>().to_string().into()
}

fn described<D: Described>() -> Value {
    let schemes = D::schemes();
    let security: Vec<Value> = names(&schemes).map(|name| json!({ name: [] })).collect();
    let mounts = D::MOUNTS.iter().rev().map(|mount| json!({ "url": if mount.is_empty() { "/" } else { mount } }));
    json!({
        "openapi": "3.1.0",
        "info": { "title": D::TITLE, "version": env!("CARGO_PKG_VERSION") },
        "servers": mounts.collect::<Vec<_>>(),
        "security": security,
        "paths": paths::<D>(),
        "components": { "schemas": D::schemas(), "responses": D::refusals(), "securitySchemes": schemes },
    })
}

fn names(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
}

fn paths<D: Described>() -> Value {
    let mut paths = json!({});
    for route in D::routes() {
        if let Some(operation) = operation_of::<D>(route) {
            paths[route.template][route.method.as_str().to_ascii_lowercase()] = written::<D>(route, operation);
        }
    }
    paths
}

fn operation_of<D: Described>(route: &Route<D>) -> Option<&'static Operation> {
    let key = format!("{} {}", route.method, route.template);
    D::OPERATIONS.iter().find(|(known, _)| *known == key).map(|(_, operation)| operation)
}

fn written<D: Described>(route: &Route<D>, operation: &Operation) -> Value {
    let mut written = json!({ "operationId": identifier(route), "summary": operation.summary });
    let in_path = in_braces(route.template).filter_map(|name| D::PARAMETERS.iter().find(|known| known.name == name));
    let parameters = in_path.map(|parameter| parameter_in("path", parameter));
    let parameters = parameters.chain(operation.query.iter().map(|parameter| parameter_in("query", parameter)));
    written["parameters"] = parameters.collect();
    if let Some(body) = operation.body {
        written["requestBody"] = json!({ "required": body.is_required, "content": content(body.schema) });
    }
    written["responses"] = answers(route, operation);
    if matches!(route.handler, Handler::Open(_)) {
        written["security"] = json!([]);
    }
    written
}

fn answers<D>(route: &Route<D>, operation: &Operation) -> Value {
    let done = match operation.answer {
        Some(schema) => json!({ "description": "done", "content": content(schema) }),
        None => json!({ "description": "done" }),
    };
    let mut answers = json!({ operation.status.to_string(): done });
    let is_known = matches!(route.handler, Handler::Known { .. });
    let of_its_sort = OF_KNOWN_CALLERS.iter().filter(|_| is_known);
    let of_its_sort = of_its_sort.chain(OF_WRITES.iter().filter(|_| is_known && route.method != Method::GET));
    for status in of_its_sort.chain(operation.refusals) {
        answers[status.to_string()] = reference("responses", &status.to_string());
    }
    answers
}

fn parameter_in(place: &str, parameter: &Parameter) -> Value {
    let Parameter { name, about, schema } = parameter;
    json!({
        "name": name,
        "in": place,
        "required": place == "path",
        "description": about,
        "schema": reference("schemas", schema),
    })
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": reference("schemas", schema) } })
}

pub fn reference(sort: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{sort}/{name}") })
}

fn in_braces(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// `get_things_id` for `GET /v1/things/{id}`.
fn identifier<D>(route: &Route<D>) -> String {
    let words = route.template.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && *word != "v1");
    let method = route.method.as_str().to_ascii_lowercase();
    [method.as_str()].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::confidant::Confidant;
    use crate::api::credhub::Credhub;

    fn every_reference<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| match (name.as_str(), member) {
                ("$ref", Value::String(reference)) => drop(found.insert(reference)),
                _ => every_reference(member, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| every_reference(item, found)),
            _ => {}
        }
    }

    fn complete<D: Described>() {
        let routes: BTreeSet<String> =
            D::routes().iter().map(|route| format!("{} {}", route.method, route.template)).collect();
        let described: BTreeSet<String> = D::OPERATIONS.iter().map(|(key, _)| (*key).to_owned()).collect();
        assert_eq!(described, routes, "operations and routes");
        for name in D::routes().iter().flat_map(|route| in_braces(route.template)) {
            assert!(D::PARAMETERS.iter().any(|known| known.name == name), "{{{name}}}");
        }
        let document = described_again(&document::<D>());
        let mut found = BTreeSet::new();
        every_reference(&document, &mut found);
        for reference in &found {
            let place = reference.strip_prefix('#').expect("a place in this document");
            assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
        }
        for sort in ["schemas", "responses"] {
            for name in names(&document["components"][sort]) {
                let reference = format!("#/components/{sort}/{name}");
                assert!(found.contains(reference.as_str()), "nothing needs {reference}");
            }
        }
    }

    fn described_again(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("JSON")
    }

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        complete::<Confidant>();
        complete::<Credhub>();
    }

    fn own_names<D: Dialect>(one: &str) {
        let names: BTreeSet<String> = D::routes().iter().map(identifier).collect();
        assert_eq!(names.len(), D::routes().len());
        assert!(names.contains(one), "{names:?}");
    }

    #[test]
    fn operations_have_names_of_their_own() {
        own_names::<Confidant>("get_credentials_id_old_new");
        own_names::<Credhub>("put_api_certificates_id_update_transitional_version");
    }
}
