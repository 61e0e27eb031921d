//! Permissions over CredHub's API: its statuses and shapes.

mod first;
mod races;
mod rights;
mod served;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::rest::house::{House, answer};

const V1: &str = "/api/v1/permissions";
const V2: &str = "/api/v2/permissions";
const UNKNOWN: &str = "/api/v2/permissions/00000000-0000-4000-8000-000000000000";

/// A request of the admin `ops`, or of a client of CredHub's.
fn by(house: &House, who: &str, method: Method, path: &str) -> RequestBuilder {
    let request = house.client.request(method, house.url(path)).header("content-type", "application/json");
    match who {
        "ops" => request.basic_auth("ops", Some(house.password("ops"))),
        client => request.bearer_auth(format!("uaa-client:{client}")),
    }
}

async fn get(house: &House, who: &str, path: &str) -> (u16, Value) {
    answer(by(house, who, Method::GET, path)).await
}

async fn send(house: &House, who: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(by(house, who, method, path).json(body)).await
}

async fn delete(house: &House, who: &str, path: &str) -> (u16, Value) {
    answer(by(house, who, Method::DELETE, path)).await
}

fn wanted(path: &str, actor: &str, operations: &[&str]) -> Value {
    json!({"path": path, "actor": actor, "operations": operations})
}

/// Made by the admin; where it is.
async fn allow(house: &House, path: &str, client: &str, operations: &[&str]) -> String {
    let body = wanted(path, &format!("uaa-client:{client}"), operations);
    let (status, made) = send(house, "ops", Method::POST, V2, &body).await;
    assert_eq!(status, 201, "{made}");
    format!("{V2}/{}", made["uuid"].as_str().unwrap())
}

fn query(path: &str, actor: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("{V2}?{}", query.append_pair("path", path).append_pair("actor", actor).finish())
}

fn told(answer: &Value) -> &str {
    let members = answer.as_object().unwrap_or_else(|| panic!("no object: {answer}"));
    assert_eq!(members.keys().collect::<Vec<_>>(), ["error"], "{answer}");
    answer["error"].as_str().unwrap()
}

#[tokio::test]
async fn a_permission_is_made_read_replaced_and_deleted() {
    let house = House::open().await;
    // The slash may be missing; an operation that is named twice counts once, and their order is fixed.
    let body = wanted("Team/*", "uaa-client:till", &["write_acl", "read", "read", "delete"]);
    let (status, made) = send(&house, "ops", Method::POST, V2, &body).await;
    let id = made["uuid"].as_str().unwrap().to_owned();
    let shown = |operations: &[&str]| json!({"path": "/Team/*", "actor": "uaa-client:till", "operations": operations, "uuid": id});
    assert_eq!((status, &made), (201, &shown(&["read", "delete", "write_acl"])));
    assert_eq!(id.len(), 36);
    let path = format!("{V2}/{id}");
    let by_name = [query("/Team/*", "uaa-client:till"), query("Team/*", "uaa-client:till")];
    for path in [path.clone(), format!("{path}/"), format!("/credhub{V2}/{}", id.to_uppercase())].iter().chain(&by_name)
    {
        assert_eq!(get(&house, "ops", path).await, (200, made.clone()), "{path}");
    }
    let replacement = wanted("Team/*", "uaa-client:till", &["write"]);
    assert_eq!(send(&house, "ops", Method::PUT, &path, &replacement).await, (200, shown(&["write"])));
    let patch = json!({"operations": ["read_acl", "read"]});
    let patched = send(&house, "ops", Method::PATCH, &path, &patch).await;
    assert_eq!(patched, (200, shown(&["read", "read_acl"])), "replaced, not added to");
    for none in [json!({}), json!({"operations": []}), json!({"operations": null})] {
        assert_eq!(send(&house, "ops", Method::PATCH, &path, &none).await, (200, shown(&[])));
    }
    assert_eq!(delete(&house, "ops", &path).await, (200, shown(&[])));
    for gone in [&path, &by_name[0]] {
        assert_eq!(get(&house, "ops", gone).await.0, 404);
    }
    assert_eq!(delete(&house, "ops", &path).await.0, 404);
    // A deleted one leaves its place to another.
    let (status, again) = send(&house, "ops", Method::POST, V2, &body).await;
    assert_eq!(status, 201);
    assert_ne!(again["uuid"], made["uuid"]);
    house.close().await;
}

/// What is written is in the chain of the store, everything else in the journal.
#[tokio::test]
async fn every_read_write_and_denial_is_recorded_once_with_actor_path_and_operation() {
    let house = House::open().await;
    let path = allow(&house, "/a/*", "lead", &["read_acl", "write_acl"]).await;
    let (journal, before) = (house.reads(0).len(), house.recorded().await);
    get(&house, "lead", &path).await;
    get(&house, "till", &path).await;
    let (_, made) = send(&house, "lead", Method::POST, V2, &wanted("/a/b", "uaa-client:till", &["read"])).await;
    send(&house, "lead", Method::POST, V2, &wanted("/b", "uaa-client:till", &["read"])).await;
    let made = format!("{V2}/{}", made["uuid"].as_str().unwrap());
    send(&house, "lead", Method::PATCH, &made, &json!({"operations": ["write"]})).await;
    delete(&house, "till", &made).await;
    delete(&house, "lead", &made).await;
    assert_eq!(house.recorded().await - before, 7);
    let said = house.reads(journal);
    let said = said
        .iter()
        .map(|note| json!([note["who"], note["scheme"], note["action"], note["class"], note["name"], note["outcome"]]));
    let note = |who: &str, action: &str, name: &str, outcome: &str| {
        json!([format!("uaa-client:{who}"), "oidc", action, "permission", name, outcome])
    };
    let denials = [("lead", "create", "/b"), ("till", "delete", "/a/b")];
    let [first, second] = denials.map(|(who, action, name)| note(who, action, name, "denied"));
    let reads = [note("lead", "read", "/a/*", "done"), note("till", "read", "/a/*", "denied"), first, second];
    assert_eq!(said.collect::<Vec<_>>(), reads);
    let grant =
        |who: &str, operations: &[&str]| json!({"actor": format!("uaa-client:{who}"), "operations": operations});
    assert_eq!(house.reads(journal)[0]["grant"], grant("lead", &["read_acl", "write_acl"]));
    let written = house.writes().await;
    let written = written
        .iter()
        .filter(|note| note["name"] == "/a/b")
        .map(|note| json!([note["who"], note["action"], note["class"], note["revision"], note["grant"]]));
    let note = |action: &str, revision: u64, operation: &str| {
        json!(["uaa-client:lead", action, "permission", revision, grant("till", &[operation])])
    };
    let writes = [note("create", 1, "read"), note("update", 2, "write"), note("forget", 2, "write")];
    assert_eq!(written.collect::<Vec<_>>(), writes);
    house.close().await;
}

/// A good body with another value in place of one; without it, if that is nothing.
fn with(name: &str, value: Option<Value>) -> Value {
    let mut body = wanted("/x/*", "some-actor", &["read"]);
    match value {
        Some(value) => body[name] = value,
        None => drop(body.as_object_mut().unwrap().remove(name)),
    }
    body
}

/// Fields, values that they must not have, and what it comes to.
fn wrong() -> Vec<(&'static str, Option<Value>, u16)> {
    let mut wrong = vec![
        ("path", None, 400),
        ("path", Some(json!(null)), 400),
        ("path", Some(json!("a".repeat(1024))), 400),
        ("path", Some(json!({})), 400),
        ("actor", None, 400),
        ("actor", Some(json!(null)), 400),
        ("actor", Some(json!("")), 400),
        ("actor", Some(json!(["a"])), 400),
        ("actor", Some(json!("a".repeat(1025))), 400),
        ("operations", None, 400),
        ("operations", Some(json!([])), 400),
        ("operations", Some(json!(null)), 400),
        ("operations", Some(json!("read")), 400),
        ("operations", Some(json!(["read", "reads"])), 422),
        ("operations", Some(json!(["READ"])), 422),
        ("operations", Some(json!([null])), 422),
        ("operations", Some(json!([1])), 422),
        ("uuid", Some(json!("x")), 422),
        ("additional", Some(json!(true)), 422),
    ];
    wrong.extend(["", "/", "/a/", "/a//b", "/a b", "/a*", "/a/*/b", "/ü"].map(|path| ("path", Some(json!(path)), 400)));
    wrong
}

#[tokio::test]
async fn what_is_wrong_with_a_permission_is_told_by_its_field() {
    let house = House::open().await;
    let path = allow(&house, "/a", "till", &["read"]).await;
    for (method, path) in [(Method::POST, V2), (Method::PUT, path.as_str())] {
        for (named, value, status) in wrong() {
            let (body, before) = (with(named, value), house.recorded().await);
            let (got, answer) = send(&house, "ops", method.clone(), path, &body).await;
            assert_eq!(got, status, "{method} {body}: {answer}");
            assert!(told(&answer).contains(named), "{method} {body}: {answer}");
            assert_eq!(house.recorded().await, before, "{method} {body}");
        }
        for text in ["", "{", "null", "[]", "\"x\"", "{\"path\":}", "\u{feff}{}"] {
            let (got, answer) = answer(by(&house, "ops", method.clone(), path).body(text.to_owned())).await;
            assert_eq!((got, told(&answer).contains("body")), (400, true), "{method} {text:?}: {answer}");
        }
    }
    let patches = [(json!({"operations": ["x"]}), 422), (json!({"path": "/a"}), 422), (json!({"operations": 1}), 400)];
    for (body, status) in patches {
        assert_eq!(send(&house, "ops", Method::PATCH, &path, &body).await.0, status, "{body}");
    }
    assert_eq!(get(&house, "ops", &path).await.1["operations"], json!(["read"]), "nothing came of any of it");
    for (query, named) in [
        ("", "path"),
        ("?actor=a", "path"),
        ("?path=&actor=a", "path"),
        ("?path=/a", "actor"),
        ("?path=/a&actor=", "actor"),
    ] {
        let (status, answer) = get(&house, "ops", &format!("{V2}{query}")).await;
        assert_eq!((status, told(&answer).contains(named)), (400, true), "{query}: {answer}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_second_permission_of_an_actor_at_a_path_is_a_conflict() {
    let house = House::open().await;
    let path = allow(&house, "/a", "till", &["read"]).await;
    let (status, answer) = send(&house, "ops", Method::POST, V2, &wanted("a", "uaa-client:till", &["write"])).await;
    assert_eq!(status, 409, "{answer}");
    told(&answer);
    for (other, client) in [("/A", "till"), ("/a/*", "till"), ("/a", "Till")] {
        allow(&house, other, client, &["read"]).await;
    }
    // What is replaced is the one that the caller means.
    for (other, actor) in [("/A", "uaa-client:till"), ("/a", "uaa-client:Till"), ("/b", "x")] {
        let (status, answer) = send(&house, "ops", Method::PUT, &path, &wanted(other, actor, &["write"])).await;
        assert_eq!(status, 400, "{answer}");
        told(&answer);
    }
    assert_eq!(get(&house, "ops", &path).await.1["operations"], json!(["read"]));
    house.close().await;
}

#[tokio::test]
async fn permissions_are_read_and_not_written_while_nothing_is() {
    let house = House::open().await;
    let path = allow(&house, "/a", "till", &["read"]).await;
    let mode = async |on: bool| send(&house, "ops", Method::POST, "/management", &json!({"read_only_mode": on})).await;
    assert_eq!(mode(true).await.0, 200);
    let listed = json!({"credential_name": "/a", "permissions": [{"actor": "x", "operations": ["read"]}]});
    for (method, path, body) in [
        (Method::POST, V2, wanted("/b", "till", &["read"])),
        (Method::PATCH, path.as_str(), json!({"operations": []})),
        (Method::PUT, path.as_str(), wanted("/a", "uaa-client:till", &["write"])),
        (Method::DELETE, path.as_str(), json!({})),
        (Method::POST, V1, listed),
    ] {
        let (status, answer) = send(&house, "ops", method, path, &body).await;
        assert_eq!(status, 503);
        told(&answer);
    }
    assert_eq!(get(&house, "ops", &path).await.1["operations"], json!(["read"]));
    assert_eq!(mode(false).await.0, 200);
    assert_eq!(send(&house, "ops", Method::PATCH, &path, &json!({"operations": []})).await.0, 200);
    house.close().await;
}
