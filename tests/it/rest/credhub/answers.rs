//! What every answer has, and requests of odd form: each gets one of CredHub's answers.

use std::fmt::Write;

use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;

use super::bad_bodies::readers;
use super::stock::{SECRET, Stock, is_sentence};
use super::{DATA, set, text};
use crate::rest::house::{House, answer};

const HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
    ("pragma", "no-cache"),
    ("expires", "0"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// Its status, and what it lacks or has too much.
async fn looked_at(request: reqwest::RequestBuilder) -> (u16, Vec<String>) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    let mut wrong = Vec::new();
    for (name, value) in HEADERS {
        let given: Vec<_> = headers.get_all(name).iter().collect();
        if given != [value] {
            wrong.push(format!("{name}: {given:?}"));
        }
    }
    let kind = headers.get("content-type").map(|kind| kind.to_str().unwrap());
    let is_json = serde_json::from_slice::<Value>(&body).is_ok();
    if kind != (!body.is_empty()).then_some("application/json") || is_json == body.is_empty() {
        wrong.push(format!("content-type: {kind:?} of {} bytes", body.len()));
    }
    for name in ["server", "x-powered-by", "via", "set-cookie", "access-control-allow-origin"] {
        if headers.contains_key(name) {
            wrong.push(format!("{name} is there"));
        }
    }
    if (status == 401) != headers.contains_key("www-authenticate") {
        wrong.push("www-authenticate".into());
    }
    (status, wrong)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_says_that_it_is_json_and_not_to_be_kept() {
    let stock = Stock::open().await;
    let id = stock.id("/root").await;
    let fill = |template: &str| template.replace("{id}", &id).replace("{version}", "x").replace("{uuid}", "x");
    let mut wrong = String::new();
    let mut statuses = std::collections::BTreeSet::new();
    let mut look = async |what: &str, request| {
        let (status, faults) = looked_at(request).await;
        statuses.insert(status);
        assert!(status < 500, "{what}: {status}");
        for fault in faults {
            writeln!(wrong, "{what}: {status}: {fault}").unwrap();
        }
    };
    for route in Credhub::routes().iter().filter(|route| route.template != "/openapi.json") {
        let path = fill(route.template);
        for mount in ["", "/credhub"] {
            let what = format!("{} {mount}{path}", route.method);
            let url = stock.url(&format!("{mount}{path}"));
            look(&format!("nobody's {what}"), stock.client.request(route.method.clone(), url.clone())).await;
            let wrong_one = stock.client.request(route.method.clone(), url).bearer_auth("unknown");
            look(&format!("a stranger's {what}"), wrong_one).await;
            let own = stock.ops(route.method.clone(), &format!("{mount}{path}?name=/absent&path=/&actor=a"));
            look(&format!("the admin's {what}"), own.json(&json!({}))).await;
            look(&format!("{what} as PATCH"), stock.ops(Method::from_bytes(b"BREW").unwrap(), &path)).await;
        }
    }
    for reader in readers(&stock).await {
        let what = format!("{} {}", reader.method, reader.path);
        look(&what, stock.ops(reader.method.clone(), &reader.path).json(&reader.good)).await;
    }
    for path in ["/api/v1/data?name=/password", "/api/v1/data?path=/", "/api/v1/data/x", "/api/v1/nothing", "/info/x"] {
        look(path, stock.ops(Method::GET, path)).await;
    }
    look("a deletion", stock.ops(Method::DELETE, "/api/v1/data?name=/alone")).await;
    look("a body too large", stock.ops(Method::PUT, DATA).json(&json!({"a": "x".repeat(1 << 20)}))).await;
    assert!(wrong.is_empty(), "{wrong}");
    for status in [200, 201, 204, 400, 401, 404, 413, 422] {
        assert!(statuses.contains(&status), "{status} in {statuses:?}");
    }
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_is_get_without_its_body_and_other_methods_are_told_which_there_are() {
    let stock = Stock::open().await;
    for path in ["/info", "/health", "/version", "/api/v1/data?name=/value", "/api/v1/data?name=/absent", DATA] {
        let get = stock.ops(Method::GET, path).send().await.unwrap();
        let head = stock.ops(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), get.status(), "{path}");
        assert_eq!(head.headers()["content-length"], get.headers()["content-length"], "{path}");
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
    }
    for (path, allowed) in [
        (DATA, "GET, PUT, POST, DELETE, HEAD, OPTIONS"),
        ("/api/v1/regenerate", "POST, OPTIONS"),
        ("/info/", "GET, HEAD, OPTIONS"),
        ("/credhub/api/v2/permissions/x", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
    ] {
        for (method, status) in [("OPTIONS", 200), ("TRACE", 404), ("PROPFIND", 404)] {
            // Whoever asks: it is no secret.
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let response = stock.client.request(method.clone(), stock.url(path)).send().await.unwrap();
            assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (status, &allowed.parse().unwrap()));
            assert_eq!(response.bytes().await.unwrap().len(), 0, "{method} {path}");
        }
    }
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_queries_of_odd_form_mean_what_they_say() {
    let house = House::open().await;
    let odd = "/team/A-b_c.d:e,(f)[g]+h";
    set(&house, odd, "value", json!("odd")).await;
    let long = format!("/{}", "x/y".repeat(341));
    assert_eq!(long.len(), 1024);
    set(&house, &long, "value", json!("long")).await;
    let encoded = "%2Fteam%2FA-b_c.d%3Ae%2C%28f%29%5Bg%5D%2Bh";
    for (path, status) in [
        (format!("/api/v1/data?name={encoded}"), 200),
        (format!("/api/v1/data/?name={encoded}&current=true"), 200),
        (format!("/credhub/api/v1/data?name={encoded}&unknown=1&&=&x"), 200),
        (format!("/api/v1/data?current=&name={encoded}&versions="), 200),
        (format!("/api/v1/data?current=FALSE&name={encoded}"), 200),
        // The first of two counts.
        (format!("/api/v1/data?name={encoded}&name=/absent"), 200),
        (format!("/api/v1/data?name=/absent&name={encoded}"), 404),
        // A plus sign is a space in a query.
        ("/api/v1/data?name=/team/A-b_c.d:e,(f)[g]+h".into(), 404),
        (format!("/api/v1/data?NAME={encoded}"), 400),
        ("/api/v1//data?name=/x".into(), 404),
        ("/api/v1/data//?name=/x".into(), 404),
        ("/api/v1/Data?name=/x".into(), 404),
        ("/api/v1/data;a=b?name=/x".into(), 404),
        ("/api/v1/data?name=%00".into(), 404),
        ("/api/v1/data?name=%ff%fe".into(), 404),
        ("/api/v1/data?name=/%F0%9F%94%91".into(), 404),
        (format!("/api/v1/data?name={long}"), 200),
        (format!("/api/v1/data?name={}", "x".repeat(1025)), 404),
        (format!("/api/v1/data?name-like={}", "x".repeat(4000)), 200),
        (format!("/api/v1/data?path={}", "/%25".repeat(300)), 200),
        ("/api/v1/data?path=%00&name-like=%ff".into(), 200),
        ("/health/".into(), 200),
        ("/version/?x=y".into(), 200),
    ] {
        let (found, told) = house.get(&path).await;
        let short: String = path.chars().take(120).collect();
        assert_eq!(found, status, "{short}: {told}");
        assert!(status == 200 || is_sentence(&told, ""), "{short}: {told}");
        if status == 200 && path.contains(encoded) {
            assert_eq!(told["data"][0]["name"], odd, "{short}");
        }
    }
    // Neither is what a GET brings with it, which some clients send always.
    let request = house.ops(Method::GET, &format!("{DATA}?name={encoded}")).header("content-type", "application/json");
    assert_eq!(answer(request.body("null")).await.0, 200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_or_encoded_otherwise_is_json_all_the_same() {
    let stock = Stock::open().await;
    for accept in ["text/html", "application/xml;q=0.9", "*/*", "nonsense", ""] {
        let request = stock.ops(Method::GET, "/api/v1/data?name=/value").header("accept", accept);
        let response = request.header("accept-encoding", "gzip, br").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        // What is compressed beside what a caller chooses can be guessed by its length.
        assert!(!response.headers().contains_key("content-encoding"));
        assert_eq!(response.json::<Value>().await.unwrap()["data"][0]["value"], SECRET);
    }
    let before = stock.position().await;
    // `{"name":"/a","type":"value","value":"b"}`, compressed.
    let packed = hex::decode(
        "1f8b08000000000002ffab56ca4bcc4d55b252d24f54d2512aa92c00b1cb12734a53815c086da594a4540b00b26a4bd328000000",
    )
    .unwrap();
    let request = stock.ops(Method::PUT, DATA).header("content-type", "application/json");
    let (status, told) = answer(request.header("content-encoding", "gzip").body(packed)).await;
    assert!(status == 400 && is_sentence(&told, "body"), "{status} {told}");
    assert_eq!(stock.position().await, before);
    stock.close().await;
}

/// Whatever is wrong, and wherever a secret stands in the body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_repeats_a_value_or_a_reference_to_one_that_is_hidden() {
    let stock = Stock::open().await;
    let id = stock.id("/root").await;
    let key = stock.root["value"]["private_key"].as_str().unwrap();
    let mut count = 0;
    for secret in [SECRET, key] {
        let at = |path: &str, body: Value| (path.to_owned(), body);
        for (path, body) in [
            at(DATA, json!({"name": "/a", "type": "value", "value": [secret]})),
            at(DATA, json!({"name": "/a", "type": "user", "value": {"password": secret, "other": secret}})),
            at(DATA, json!({"name": "/a", "type": "user", "value": secret})),
            at(DATA, json!({"name": "/a", "type": "certificate", "value": {"certificate": secret}})),
            at(
                DATA,
                json!({"name": "/a", "type": "certificate", "value": {"certificate": stock.leaf["value"]["certificate"], "private_key": secret}}),
            ),
            at(
                DATA,
                json!({"name": "/a", "type": "certificate", "value": {"certificate": secret, "ca": secret, "private_key": secret}}),
            ),
            at(DATA, json!({"name": "/a", "type": secret, "value": secret})),
            at(DATA, json!({"name": "/root", "type": "value", "value": secret})),
            at(
                DATA,
                json!({"name": "/a", "type": "password", "value": "x", "metadata": format!("{secret}{}", "x".repeat(7000))}),
            ),
            at("/api/v1/interpolate", json!({"a": [{"credentials": {"credhub-ref": format!("/{secret}")}}]})),
            at(&format!("/api/v1/certificates/{id}/versions"), json!({"value": {"certificate": secret}})),
            at(&format!("/api/v1/certificates/{id}/versions"), json!({"value": secret})),
            at(&format!("/api/v1/certificates/{id}/update_transitional_version"), json!({"version": secret})),
            at("/management", json!({"read_only_mode": secret})),
        ] {
            let method = if path == DATA || path.ends_with("version") { Method::PUT } else { Method::POST };
            let (status, told) = stock.send(method, &path, &body).await;
            let said = text(&told["error"]);
            assert!(
                matches!(status, 400 | 404 | 422) && told.as_object().unwrap().len() == 1,
                "{path}: {status} {told}"
            );
            assert!(!said.contains("hunter2") && !said.contains("PRIVATE") && said.len() < 300, "{path}: {said}");
            assert!(!said.contains(&key[40..60]), "{path}: {said}");
            count += 1;
        }
    }
    assert_eq!(count, 28);
    stock.close().await;
}
