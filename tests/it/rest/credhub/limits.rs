//! How much fits: the most that is accepted, and one more.

use reqwest::Method;
use serde_json::{Value, json};

use super::stock::{Stock, assert_refused, case, put, set};
use crate::rest::house::answer;

const SECRET_LIMIT: usize = 65_519;
const CLEAR_LIMIT: usize = 7_000;

fn text(length: usize) -> Value {
    "x".repeat(length).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_up_to_their_limit_are_kept_and_one_more_is_413() {
    let stock = Stock::open().await;
    let quotes = 2;
    // How long a text can be, and a value with a text of that length in it.
    type Row = (&'static str, usize, fn(Value) -> Value);
    let rows: [Row; 7] = [
        ("value", SECRET_LIMIT, |text| text),
        ("password", SECRET_LIMIT, |text| text),
        ("json", SECRET_LIMIT - quotes, |text| text),
        ("user", SECRET_LIMIT, |text| json!({"password": text})),
        ("user", CLEAR_LIMIT, |text| json!({"username": text, "password": "p"})),
        ("rsa", CLEAR_LIMIT, |text| json!({"public_key": text})),
        ("ssh", SECRET_LIMIT, |text| json!({"private_key": text})),
    ];
    for (kind, limit, value) in rows {
        let body = |length: usize| json!({"name": format!("/long/{kind}"), "type": kind, "value": value(text(length))});
        let kept = put(&stock, body(limit)).await;
        let (_, read) = stock.get(&format!("/api/v1/data/{}", kept["id"].as_str().unwrap())).await;
        assert_eq!(read, kept);
        assert_refused(&stock, [set(body(limit + 1), 413, "longer")]).await;
    }
    let generate = |length: usize| json!({"name": "/long/u", "type": "user", "value": {"username": text(length)}});
    assert_eq!(stock.send(Method::POST, "/api/v1/data", &generate(CLEAR_LIMIT)).await.0, 200);
    let one_more = generate(CLEAR_LIMIT + 1);
    assert_refused(&stock, [case(Method::POST, "/api/v1/data", one_more, 413, "username")]).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_up_to_its_limit_is_kept_and_one_more_is_400() {
    let stock = Stock::open().await;
    // `{"a":""}` is eight of them; letters count, not bytes.
    let metadata = |length: usize| json!({"a": "é".repeat(length - 8)});
    let kept =
        put(&stock, json!({"name": "/m", "type": "value", "value": "x", "metadata": metadata(CLEAR_LIMIT)})).await;
    assert_eq!(kept["metadata"], metadata(CLEAR_LIMIT));
    let more = metadata(CLEAR_LIMIT + 1);
    let root = stock.id("/root").await;
    let mut cases = vec![set(json!({"name": "/m", "type": "value", "value": "x", "metadata": more}), 400, "metadata")];
    for (path, mut body) in [
        ("/api/v1/data".to_owned(), json!({"name": "/m", "type": "password"})),
        ("/api/v1/data".to_owned(), json!({"name": "/root", "regenerate": true})),
        ("/api/v1/regenerate".to_owned(), json!({"name": "/root"})),
        (format!("/api/v1/certificates/{root}/regenerate"), json!({})),
    ] {
        body["metadata"] = more.clone();
        cases.push(case(Method::POST, path, body, 400, "metadata"));
    }
    assert_refused(&stock, cases).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_more_than_a_mebibyte_is_413() {
    let stock = Stock::open().await;
    let before = stock.position().await;
    let body = json!({"name": "/a", "type": "value", "value": text(1 << 20)});
    let request = stock.ops(Method::PUT, "/api/v1/data").json(&body);
    let (status, told) = answer(request).await;
    assert_eq!((status, told["error"].is_string()), (413, true), "{told}");
    assert_eq!(stock.position().await, before);
    stock.close().await;
}
