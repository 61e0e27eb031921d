//! Input that no client should send: always 400 in Confidant's shape, naming the field, and nothing written.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::confidant::Confidant;
use strongroom::api::route::{Dialect, Route};

use crate::rest::blind::blind;
use crate::rest::certificates::CSR;
use crate::rest::house::{House, answer};

/// Operations that read a body, each at a record that may be written.
struct Write {
    method: Method,
    template: &'static str,
    path: String,
    /// A body that is accepted.
    good: Value,
}

/// Reverts, grants and logins need none, the other two take it or leave it.
pub fn reads_body(route: &Route<Confidant>) -> bool {
    let bare = ["/{revision}", "/archive", "/email"].iter().any(|end| route.template.ends_with(end));
    let unread = ["/v1/grants/{id}", "/v1/login"].contains(&route.template);
    route.method != Method::GET && !bare && !unread
}

async fn writes(house: &House) -> Vec<Write> {
    let id = house.credential("here", json!({"k": "v"})).await;
    let (_, made) = house.send(Method::POST, "/v1/blind_credentials", &blind("here", &[])).await;
    let blind_id = made["id"].as_str().unwrap();
    house.authority().await;
    let routes = Confidant::routes().iter().filter(|route| reads_body(route));
    let write = |route: &Route<Confidant>| {
        let (path, good) = match route.template {
            "/v1/credentials" => (route.template.to_owned(), json!({"name": "new", "credential_pairs": {"a": "b"}})),
            "/v1/credentials/{id}" => (format!("/v1/credentials/{id}"), json!({"credential_pairs": {"a": "b"}})),
            "/v1/services/{id}" => ("/v1/services/s".to_owned(), json!({"credentials": [&id]})),
            "/v1/blind_credentials" => (route.template.to_owned(), blind("new", &[])),
            "/v1/blind_credentials/{id}" => (format!("/v1/blind_credentials/{blind_id}"), json!({"enabled": true})),
            "/v1/certificates/{ca}" => ("/v1/certificates/shop.root".to_owned(), json!({"csr": CSR})),
            other => panic!("{other} has no row of bad input"),
        };
        Write { method: route.method.clone(), template: route.template, path, good }
    };
    routes.map(write).collect()
}

/// Everything that is stored, as far as lists tell.
pub async fn stored(house: &House) -> [Value; 3] {
    [
        house.get("/v1/credentials").await.1,
        house.get("/v1/services").await.1,
        house.get("/v1/blind_credentials").await.1,
    ]
}

fn assert_refused(what: &str, (status, answer): (u16, Value), field: &str) {
    assert_eq!(status, 400, "{what}: {answer}");
    assert_eq!(answer.as_object().unwrap().len(), 1, "{what}: {answer}");
    assert!(answer["error"].as_str().unwrap().contains(field), "{what}: {answer}");
}

#[tokio::test]
async fn bodies_that_are_none() {
    let house = House::open().await;
    let writes = writes(&house).await;
    let before = stored(&house).await;
    let deep = format!("{{\"metadata\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let bodies: [(&str, Vec<u8>); 12] = [
        ("nothing", vec![]),
        ("no JSON", b"name=x&credential_pairs=y".to_vec()),
        ("half", b"{\"name\": \"x\"".to_vec()),
        ("two", b"{} {}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a text", b"\"x\"".to_vec()),
        ("null", b"null".to_vec()),
        ("bytes that are no text", b"{\"name\": \"\xff\xfe\"}".to_vec()),
        ("a lone surrogate", br#"{"name": "\ud800"}"#.to_vec()),
        ("a raw NUL", b"{\"name\": \"a\0b\"}".to_vec()),
        ("depth", deep.into_bytes()),
        ("a number too large", br#"{"credential_pairs": {"a": 123456789012345678901234567890}}"#.to_vec()),
    ];
    for write in &writes {
        for (what, body) in &bodies {
            let request = house.ops(write.method.clone(), &write.path);
            let request = request.header("content-type", "application/json").body(body.clone());
            assert_refused(&format!("{what} to {}", write.template), answer(request).await, "body");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "", "application", "json"] {
            let request = house.ops(write.method.clone(), &write.path).header("content-type", kind);
            let request = request.body(write.good.to_string());
            assert_refused(&format!("{kind} to {}", write.template), answer(request).await, "Content-Type");
        }
    }
    assert_eq!(stored(&house).await, before);
    for (write, kind) in
        writes.iter().zip(["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"])
    {
        let request = house.ops(write.method.clone(), &write.path).header("content-type", kind);
        assert_eq!(answer(request.body(write.good.to_string())).await.0, 200, "{kind}");
    }
    house.close().await;
}

fn keys(count: usize) -> Value {
    (0..count).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

/// Fields of a credential that cannot be: the field named in the answer, and its value.
fn wrong_fields() -> Vec<(&'static str, Value)> {
    let long = "x".repeat(70_000);
    vec![
        ("credential_pairs", json!({})),
        ("credential_pairs", json!(null)),
        ("credential_pairs", json!([{"a": "b"}])),
        ("credential_pairs", json!("a=b")),
        ("credential_pairs", json!({"a": {"b": "c"}})),
        ("credential_pairs", json!({"a": []})),
        ("credential_pairs", json!({"a b": "c"})),
        ("credential_pairs", json!({"a\u{a0}b": "c"})),
        ("credential_pairs", json!({"a\u{0}b": "c"})),
        ("credential_pairs", json!({"x".repeat(254): "c"})),
        ("credential_pairs", keys(1001)),
        ("credential_pairs", keys(15_000)),
        ("credential_pairs", json!({"a": "x".repeat(600_000)})),
        ("name", json!(5)),
        ("name", json!(null)),
        ("name", json!(["x"])),
        ("name", json!("x".repeat(1025))),
        ("name", json!("a\u{0}b")),
        ("name", json!("a\nb")),
        ("enabled", json!("true")),
        ("enabled", json!(1)),
        ("enabled", json!(null)),
        ("metadata", json!(null)),
        ("metadata", json!([])),
        ("metadata", json!("x")),
        ("metadata", json!({"a": long})),
        ("documentation", json!(5)),
        ("documentation", json!({"a": "b"})),
        ("documentation", json!(long)),
        ("documentation", json!("a\u{0}")),
        ("tags", json!("prod")),
        ("tags", json!([1])),
        ("tags", json!(null)),
        ("tags", json!(["x".repeat(254)])),
        ("tags", json!(vec!["x"; 101])),
    ]
}

#[tokio::test]
async fn fields_of_a_credential_that_cannot_be() {
    let house = House::open().await;
    let writes = writes(&house).await;
    let before = stored(&house).await;
    for write in writes.iter().filter(|write| write.template.starts_with("/v1/credentials")) {
        for (field, value) in wrong_fields() {
            let mut body = write.good.clone();
            body[field] = value;
            let told = format!("{} {field}: {:.60}", write.template, body[field].to_string());
            assert_refused(&told, house.send(write.method.clone(), &write.path, &body).await, field);
        }
    }
    for missing in ["name", "credential_pairs"] {
        let mut body = json!({"name": "new", "credential_pairs": {"a": "b"}});
        body.as_object_mut().unwrap().shift_remove(missing);
        assert_refused(missing, house.send(Method::POST, "/v1/credentials", &body).await, missing);
    }
    let all = json!({"name": 1, "enabled": 2, "tags": 3, "metadata": 4, "documentation": 5, "credential_pairs": 6});
    let (_, told) = house.send(Method::POST, "/v1/credentials", &all).await;
    for field in all.as_object().unwrap().keys() {
        assert!(told["error"].as_str().unwrap().contains(field), "all errors are told at once: {told}");
    }
    for name in ["/kubernetes/Shop/db", "/kubernetes/shop/d_b", "/kubernetes/-/x"] {
        let body = json!({"name": name, "credential_pairs": {"a": "b"}});
        assert_refused(name, house.send(Method::POST, "/v1/credentials", &body).await, "name");
    }
    let renamed = house.send(Method::PUT, &writes[1].path, &json!({"name": "/kubernetes/shop/db"})).await;
    assert_refused("a place of a resource", renamed, "name");
    assert_eq!(stored(&house).await, before);
    house.close().await;
}

#[tokio::test]
async fn fields_of_a_service_that_cannot_be() {
    let house = House::open().await;
    let before = stored(&house).await;
    let wrong = [
        ("credentials", json!("x")),
        ("credentials", json!(null)),
        ("credentials", json!([5])),
        ("credentials", json!([{"id": "x"}])),
        ("credentials", (0..1001).map(|n| json!(format!("{n:032x}"))).collect()),
        ("blind_credentials", json!({})),
        ("blind_credentials", json!([null])),
        ("enabled", json!("false")),
        ("enabled", json!(0)),
        ("account", json!("sandbox")),
        ("account", json!(5)),
    ];
    for (field, value) in wrong {
        let body = json!({field: value});
        assert_refused(field, house.send(Method::PUT, "/v1/services/s", &body).await, field);
    }
    for id in ["x".repeat(254), "a%00b".into(), "a%0Ab".into()] {
        assert_refused(&id, house.send(Method::PUT, &format!("/v1/services/{id}"), &json!({})).await, "id");
    }
    assert_eq!(stored(&house).await, before);
    for id in ["a b", "ü", "a+b", "x".repeat(253).as_str()] {
        let (status, put) = house.send(Method::PUT, &format!("/v1/services/{id}"), &json!({})).await;
        assert_eq!((status, &put["id"]), (200, &json!(id)));
    }
    house.close().await;
}

#[tokio::test]
async fn queries_and_ids_that_cannot_be() {
    let house = House::open().await;
    house.credential("a", json!({"k": "v"})).await;
    for (query, field) in
        [("page=x", "page"), ("page=e30%3D", "page"), ("limit=1&page=%ff", "page"), ("limit=-1", "limit")]
    {
        for list in ["/v1/credentials", "/v1/services", "/v1/archive/credentials", "/v1/archive/services"] {
            assert_refused(query, house.get(&format!("{list}?{query}")).await, field);
        }
    }
    for id in ["x", "0", "%00", "x".repeat(5000).as_str(), "A".repeat(32).as_str()] {
        assert_eq!(house.get(&format!("/v1/services/{id}")).await.0, 404, "{id}");
        let (status, body) = house.get(&format!("/v1/credentials/{id}")).await;
        assert_eq!(status, 404, "{id}");
        assert!(body == json!({}) || body.is_null(), "{body}");
    }
    let (status, told) = house.send(Method::PUT, "/v1/credentials/x", &json!({})).await;
    assert_eq!(status, 404);
    assert!(told["error"].is_string());
    // Text that is no UTF-8 is no path of ours; what answers has no dialect.
    assert_eq!(house.get("/v1/services/%ff%fe").await.0, 404);
    house.close().await;
}
