//! References in an application's environment: which are replaced, and that all are or none.

use reqwest::Method;
use serde_json::json;

use super::set;
use crate::rest::house::{House, answer, grantee};

const PATH: &str = "/api/v1/interpolate";

async fn interpolate(house: &House, body: &str) -> (u16, String) {
    let request = house.ops(Method::POST, PATH).header("content-type", "application/json");
    let response = request.body(body.to_owned()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_references_that_bindings_have_in_their_credentials_are_replaced() {
    let house = House::open().await;
    set(&house, "/db", "json", json!({"user": "u", "port": 5432})).await;
    set(&house, "/text", "json", json!("a \"text\"")).await;
    set(&house, "/list", "json", json!([1, 2.50, null])).await;
    let untouched = [
        "{}",
        r#"{"a":[]}"#,
        r#"{"a":null,"b":7,"c":"((/db))","d":true}"#,
        // Too high, too deep, or no list.
        r#"{"credentials":{"credhub-ref":"/db"}}"#,
        r#"{"a":{"credentials":{"credhub-ref":"/db"}}}"#,
        r#"{"a":[{"credhub-ref":"/db"}]}"#,
        r#"{"a":[[{"credentials":{"credhub-ref":"/db"}}]]}"#,
        r#"{"a":[{"b":[{"credentials":{"credhub-ref":"/db"}}]}]}"#,
        r#"{"a":[{"credentials":{"b":{"credhub-ref":"/db"}}}]}"#,
        // Of another shape, or by another word.
        r#"{"a":[{"credentials":"((/db))"},{"credentials":["credhub-ref"]},{"credentials":null},{}]}"#,
        r#"{"a":[{"credentials":{"credhub-ref":7}},{"credentials":{"credhub_ref":null}}]}"#,
        r#"{"a":[{"credentials":{"credhub-ref":["/db"]}},{"credentials":{"credhub-ref":{"n":"/db"}}}]}"#,
        r#"{"a":[{"credentials":{"Credhub-Ref":"/db","credhubref":"/db"}},"/db",7,null]}"#,
        // Letters and numbers as they are.
        r#"{"è \"":[{"credentials":{"a":1.50,"b":"\u00e9"}}],"é":1e400,"n":-0.0,"big":123456789012345678901234567890}"#,
    ];
    for body in untouched {
        assert_eq!(interpolate(&house, body).await, (200, body.to_owned()));
    }
    let binding = |reference: &str| format!(r#"{{"a":[{{"credentials":{reference}}}]}}"#);
    let db = r#"{"user":"u","port":5432}"#;
    for (reference, value) in [
        (r#"{"credhub-ref":"/db"}"#, db),
        (r#"{"credhub_ref":"/db"}"#, db),
        (r#"{"credhub-ref":"((/db))"}"#, db),
        (r#"{"credhub-ref":"((/DB"}"#, db),
        (r#"{"credhub-ref":"/db))"}"#, db),
        (r#"{"other":1,"credhub-ref":"/db","more":[{}]}"#, db),
        (r#"{"credhub-ref":"/nothing","credhub_ref":"/db"}"#, db),
        (r#"{"credhub_ref":7,"credhub-ref":"/db"}"#, db),
        (r#"{"credhub-ref":"\u002fdb"}"#, db),
        (r#"{"credhub-ref":"/text"}"#, r#""a \"text\"""#),
        (r#"{"credhub-ref":"/list"}"#, "[1,2.5,null]"),
    ] {
        assert_eq!(interpolate(&house, &binding(reference)).await, (200, binding(value)), "{reference}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_references_are_replaced_or_none_is_and_no_value_is_told() {
    let house = House::open().await;
    for n in 0..20 {
        set(&house, &format!("/mine/{n}"), "json", json!({"a": format!("hunter2-{n}")})).await;
    }
    set(&house, "/theirs/db", "json", json!({"a": "hunter2"})).await;
    set(&house, "/mine/password", "password", json!("hunter2")).await;
    let permission = json!({"path": "/mine/*", "actor": grantee("app").id, "operations": ["read"]});
    assert_eq!(house.send(Method::POST, "/api/v2/permissions", &permission).await.0, 201);
    let with = |odd: Option<&str>| {
        let own: Vec<String> = (0..20).map(|n| format!("/mine/{n}")).collect();
        let names = own[..10].iter().map(String::as_str).chain(odd).chain(own[10..].iter().map(String::as_str));
        let bindings: Vec<_> = names.map(|name| json!({"credentials": {"credhub-ref": name}})).collect();
        json!({"first": bindings[..5], "second": bindings[5..]})
    };
    for (odd, status) in [
        (None, 200),
        (Some("/theirs/db"), 404),
        (Some("/nothing"), 404),
        (Some("/mine/nothing"), 404),
        (Some("mine/1"), 404),
        (Some("((/mine/1 ))"), 404),
        (Some("((((/mine/1))))"), 404),
        (Some("/mine//1"), 404),
        (Some("/mine/1/"), 404),
        (Some("/mine/%"), 404),
        (Some("/mine/password"), 400),
    ] {
        let request = house.client.post(house.url(PATH)).bearer_auth(&grantee("app").id);
        let (found, told) = answer(request.json(&with(odd))).await;
        assert_eq!(found, status, "{odd:?}: {told}");
        assert_eq!(told.to_string().contains("hunter2"), status == 200, "{odd:?}: {told}");
        if status == 404 {
            // Whether it is there or not.
            assert_eq!(told["error"], "the credential does not exist, or you are not permitted to do this to it");
        }
        let whole = house.send(Method::POST, PATH, &with(odd)).await;
        assert_eq!(whole.0, if odd == Some("/theirs/db") { 200 } else { status }, "{odd:?}");
    }
    house.close().await;
}

/// What a resource imported under this type was looked at by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_that_is_none_is_a_text_wherever_it_is_shown() {
    let house = House::open().await;
    house.managed_as("shop", "odd", strongroom::domain::credential::Kind::Json, &[("value", "{no \"json\"")]).await;
    let (_, read) = house.get("/api/v1/data?name=/kubernetes/shop/odd").await;
    assert_eq!(read["data"][0]["value"], "{no \"json\"");
    let body = json!({"a": [{"credentials": {"credhub-ref": "/kubernetes/shop/odd"}}]});
    let (status, whole) = house.send(Method::POST, PATH, &body).await;
    assert_eq!((status, &whole), (200, &json!({"a": [{"credentials": "{no \"json\""}]})));
    house.close().await;
}
