//! Bodies that are none, at every route that reads one, and fields that no route or another one knows.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::credhub::Credhub;
use strongroom::api::route::{Dialect, Route};

use super::stock::{Case, Stock, assert_refused, case, is_sentence};
use crate::rest::house::answer;

/// An operation that reads a body.
pub struct Reader {
    pub method: Method,
    pub template: &'static str,
    pub path: String,
    /// A body that is accepted and changes nothing but what it says.
    pub good: Value,
    /// For members that it does not know; `None`: it knows all.
    pub unknown: Option<u16>,
    /// May come without a body.
    pub is_optional: bool,
}

pub fn reads_body(route: &Route<Credhub>) -> bool {
    matches!(route.method, Method::PUT | Method::POST | Method::PATCH)
}

pub async fn readers(stock: &Stock) -> Vec<Reader> {
    let (root, leaf) = (stock.id("/root").await, &stock.leaf["value"]);
    let permission = stock.permission().await;
    let reader = |route: &Route<Credhub>| {
        let (unknown, good) = match (route.method.as_str(), route.template) {
            ("PUT", "/api/v1/data") => (Some(422), json!({"name": "/a", "type": "value", "value": "b"})),
            ("POST", "/api/v1/data") => (Some(400), json!({"name": "/b", "type": "password"})),
            ("POST", "/api/v1/regenerate") => (Some(422), json!({"name": "/leaf"})),
            ("POST", "/api/v1/bulk-regenerate") => (Some(422), json!({"signed_by": "/other"})),
            ("POST", "/api/v1/interpolate") => (None, json!({"a": [{"credentials": {}}]})),
            ("POST", "/api/v1/certificates/{id}/regenerate") => (Some(422), json!({"metadata": 1})),
            ("POST", "/api/v1/certificates/{id}/versions") => {
                (Some(422), json!({"value": {"certificate": leaf["certificate"]}}))
            }
            (_, "/api/v1/certificates/{id}/update_transitional_version") => (Some(422), json!({"version": null})),
            ("POST", "/api/v2/permissions") => {
                (Some(422), json!({"path": "/x", "actor": "new", "operations": ["read"]}))
            }
            ("POST", "/api/v1/permissions") => {
                let entry = json!({"actor": "a", "operations": ["write"]});
                (Some(422), json!({"credential_name": "/y", "permissions": [entry]}))
            }
            ("PUT", "/api/v2/permissions/{uuid}") => {
                (Some(422), json!({"path": "/x", "actor": "old", "operations": ["write"]}))
            }
            ("PATCH", "/api/v2/permissions/{uuid}") => (Some(422), json!({"operations": []})),
            ("POST", "/management") => (Some(422), json!({"read_only_mode": "false"})),
            (method, other) => panic!("{method} {other} has no row of bad input"),
        };
        let path = route.template.replace("{id}", &root).replace("{uuid}", &permission);
        let is_optional = route.template.ends_with("{id}/regenerate");
        Reader { method: route.method.clone(), template: route.template, path, good, unknown, is_optional }
    };
    Credhub::routes().iter().filter(|route| reads_body(route)).map(reader).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_none_are_refused_at_every_route() {
    let stock = Stock::open().await;
    let readers = readers(&stock).await;
    let before = stock.position().await;
    let deep = format!("{{\"metadata\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let bodies: [(&str, Vec<u8>); 11] = [
        ("nothing", vec![]),
        ("no JSON", b"name=hunter2&type=value".to_vec()),
        ("half", b"{\"name\": \"hunter2\"".to_vec()),
        ("two", b"{} {}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a text", b"\"hunter2\"".to_vec()),
        ("null", b"null".to_vec()),
        ("bytes that are no text", b"{\"name\": \"\xff\xfe\"}".to_vec()),
        ("a raw NUL", b"{\"name\": \"a\0b\"}".to_vec()),
        ("depth", deep.into_bytes()),
        ("many values", format!("{{\"a\":[1{}]}}", ",1".repeat(20_000)).into_bytes()),
    ];
    for reader in readers {
        for (what, body) in bodies.iter().filter(|(_, body)| !(reader.is_optional && body.is_empty())) {
            let request = stock.ops(reader.method.clone(), &reader.path).header("content-type", "application/json");
            let (status, told) = answer(request.body(body.clone())).await;
            assert!(status == 400 && is_sentence(&told, "body"), "{what} to {}: {status} {told}", reader.template);
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "", "application", "json"] {
            let request = stock.ops(reader.method.clone(), &reader.path).header("content-type", kind);
            let (status, told) = answer(request.body(reader.good.to_string())).await;
            assert!(status == 400 && is_sentence(&told, "Content-Type"), "{kind} to {}: {told}", reader.template);
        }
        let (status, told) = answer(stock.ops(reader.method, &reader.path).body(reader.good.to_string())).await;
        assert!(status == 400 && is_sentence(&told, "Content-Type"), "nothing to {}: {told}", reader.template);
    }
    assert_eq!(stock.position().await, before);
    stock.close().await;
}

/// Wherever JSON is kept as it is, half a letter is found out as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_letters_are_no_text() {
    let stock = Stock::open().await;
    let before = stock.position().await;
    for body in [
        r#"{"name": "/\ud800", "type": "value", "value": "x"}"#,
        r#"{"name": "/a", "type": "value", "value": "\ud800"}"#,
        r#"{"name": "/a", "type": "json", "value": {"a": "\ud800"}}"#,
        r#"{"name": "/a", "type": "json", "value": {"\udfff": 1}}"#,
        r#"{"name": "/a", "type": "value", "value": "x", "metadata": {"a": "\ud800\u0061"}}"#,
        r#"{"name": "/a", "type": "user", "value": {"password": "\ud800"}}"#,
    ] {
        let request = stock.ops(Method::PUT, "/api/v1/data").header("content-type", "application/json");
        let (status, told) = answer(request.body(body)).await;
        assert!(status == 400 && is_sentence(&told, ""), "{body}: {status} {told}");
    }
    assert_eq!(stock.position().await, before);
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_a_route_does_not_know_is_named_by_its_status() {
    let stock = Stock::open().await;
    let mut cases = Vec::new();
    for reader in readers(&stock).await {
        let Some(status) = reader.unknown else { continue };
        for field in ["additional_permissions", "expiry_date", "Name"] {
            let mut body = reader.good.clone();
            body[field] = json!("hunter2");
            cases.push(Case { method: reader.method.clone(), path: reader.path.clone(), body, status, word: field });
        }
    }
    // What the one knows and the other does not.
    for field in ["mode", "overwrite", "parameters", "regenerate"] {
        let body = json!({"name": "/a", "type": "value", "value": "x", field: true});
        cases.push(case(Method::PUT, "/api/v1/data", body, 422, field));
    }
    for field in ["mode", "parameters", "value", "overwrite"] {
        let body = json!({"name": "/password", "regenerate": true, field: "x"});
        cases.push(case(Method::POST, "/api/v1/data", body, 400, field));
    }
    let nested = [
        ("password", "only_hex"),
        ("password", "username"),
        ("user", "key_length"),
        ("rsa", "ssh_comment"),
        ("ssh", "length"),
        ("certificate", "alternative_name"),
    ];
    for (kind, field) in nested {
        let body = json!({"name": "/a", "type": kind, "parameters": {field: 1}});
        cases.push(case(Method::POST, "/api/v1/data", body, 400, field));
    }
    let nested = [("user", "name"), ("rsa", "public_key_fingerprint"), ("ssh", "key"), ("certificate", "expiry_date")];
    for (kind, field) in nested {
        let body = json!({"name": "/a", "type": kind, "value": {field: "x"}});
        cases.push(case(Method::PUT, "/api/v1/data", body, 422, field));
    }
    let body = json!({"name": "/a", "type": "user", "value": {"username": "u", "password": "hunter2"}});
    cases.push(case(Method::POST, "/api/v1/data", body, 400, "password"));
    assert_refused(&stock, cases).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_everywhere_else_is_accepted_by_this_name_too() {
    let stock = Stock::open().await;
    for (reader, kind) in readers(&stock)
        .await
        .iter()
        .zip(["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"].into_iter().cycle())
    {
        let request = stock.ops(reader.method.clone(), &reader.path).header("content-type", kind);
        let (status, told) = answer(request.body(reader.good.to_string())).await;
        assert!(matches!(status, 200 | 201), "{kind} to {}: {status} {told}", reader.template);
    }
    stock.close().await;
}
