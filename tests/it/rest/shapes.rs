//! Confidant's answers, field by field, as its clients read them.

use std::collections::BTreeSet;

use base64::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rest::house::{House, answer};

const CREDENTIAL: [&str; 14] = [
    "id",
    "name",
    "revision",
    "enabled",
    "documentation",
    "metadata",
    "modified_date",
    "modified_by",
    "credential_keys",
    "credential_pairs",
    "permissions",
    "tags",
    "last_rotation_date",
    "next_rotation_date",
];
const SERVICE: [&str; 9] = [
    "id",
    "revision",
    "enabled",
    "modified_date",
    "modified_by",
    "account",
    "credentials",
    "blind_credentials",
    "permissions",
];

fn assert_fields(object: &Value, fields: &[&str]) {
    let found: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, fields.iter().copied().collect(), "{object}");
}

/// `2026-11-21T19:33:01.802630+00:00`
fn assert_date(date: &Value) {
    let date = date.as_str().unwrap();
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000+00:00");
}

/// Everything but what differs from run to run.
fn settled(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["id", "modified_date", "last_rotation_date"] {
        object.as_object_mut().unwrap().shift_remove(field);
    }
    object
}

const ALL: [(&str, bool); 3] = [("metadata", true), ("get", true), ("update", true)];

fn rights(rights: &[(&str, bool)]) -> Value {
    rights.iter().map(|(name, granted)| ((*name).to_owned(), json!(granted))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn a_credential_through_its_life() {
    let house = House::open().await;
    let sent = json!({
        "name": "Mail", "extra": {"ignored": []},
        "credential_pairs": {"USER": "u", "Port": 587, "tls": true, "none": null, "ratio": 0.5},
    });
    let (status, made) = house.send(Method::POST, "/v1/credentials", &sent).await;
    assert_eq!(status, 200);
    assert_fields(&made, &CREDENTIAL);
    assert_date(&made["modified_date"]);
    assert_date(&made["last_rotation_date"]);
    let id = made["id"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
    let mut wanted = json!({
        "name": "Mail", "revision": 1, "enabled": true, "documentation": null, "metadata": null,
        "modified_by": "ops", "credential_keys": ["user", "port", "tls", "none", "ratio"],
        "credential_pairs": {"user": "u", "port": 587, "tls": true, "none": null, "ratio": 0.5},
        "permissions": rights(&ALL), "tags": [], "next_rotation_date": null,
    });
    assert_eq!(settled(&made), wanted);

    let path = format!("/v1/credentials/{id}");
    wanted["metadata"] = json!({});
    assert_eq!(settled(&house.get(&path).await.1), wanted);
    for (query, only) in [("True", true), ("true", true), ("1", true), ("TRUE", false), ("yes", false), ("", false)] {
        let (_, seen) = house.get(&format!("{path}?metadata_only={query}")).await;
        assert_eq!(seen["credential_pairs"] == json!({}), only, "{query}");
        assert_eq!((&seen["credential_keys"], &seen["permissions"]), (&wanted["credential_keys"], &rights(&ALL)));
    }

    let (status, same) = house.send(Method::PUT, &path, &json!({})).await;
    assert_eq!((status, &same["revision"]), (200, &json!(2)), "every update counts");
    assert_eq!(same["credential_pairs"], made["credential_pairs"], "what is not sent stays");
    assert_eq!(same["last_rotation_date"], made["last_rotation_date"], "the values did not change");
    let change = json!({
        "name": "Post", "enabled": false, "documentation": "see\nwiki", "metadata": {"env_var_prefix": "MAIL_"},
        "tags": ["prod"], "credential_pairs": {"a": "1", "A": "2"},
    });
    let (status, next) = house.send(Method::PUT, &path, &change).await;
    assert_eq!(status, 200);
    for field in ["name", "enabled", "documentation", "metadata", "tags"] {
        assert_eq!(next[field], change[field], "{field}");
    }
    assert_eq!(next["credential_pairs"], json!({"a": "2"}), "lower-case keys, the last wins");
    assert_ne!(next["last_rotation_date"], made["last_rotation_date"]);
    house.close().await;
}

#[tokio::test]
async fn lists_show_no_keys_and_cut_pages_newest_first() {
    let house = House::open().await;
    for name in ["b", "A", "d", "C", "e"] {
        house.credential(name, json!({"k": "v"})).await;
    }
    let (_, all) = house.get("/v1/credentials").await;
    assert_fields(&all, &["credentials", "next_page"]);
    let names = |page: &Value| {
        let entries = page["credentials"].as_array().unwrap();
        entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&all), ["A", "b", "C", "d", "e"]);
    for entry in all["credentials"].as_array().unwrap() {
        assert_fields(entry, &CREDENTIAL);
        assert_eq!(
            (&entry["credential_keys"], &entry["credential_pairs"], &entry["permissions"]),
            (&json!([]), &json!({}), &json!({}))
        );
    }
    let mut pages = Vec::new();
    let mut page = String::new();
    loop {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("limit", "2")
            .append_pair("page", &page)
            .finish();
        let (status, found) = house.get(&format!("/v1/credentials?{query}")).await;
        assert_eq!(status, 200);
        pages.push(names(&found));
        match found["next_page"].as_str() {
            Some(token) => page = token.to_owned(),
            None => break,
        }
        let token = base64::prelude::BASE64_STANDARD.decode(&page).unwrap();
        let token: Value = serde_json::from_slice(&token).unwrap();
        assert_eq!(token["data_type"]["S"], "credential");
    }
    assert_eq!(pages, [vec!["C", "e"], vec!["A", "d"], vec!["b"]]);
    for (query, whole) in [("limit=0", 5), ("limit=x", 5), ("limit=99", 5), ("limit=1", 1)] {
        let (_, page) = house.get(&format!("/v1/credentials?{query}")).await;
        assert_eq!(names(&page).len(), whole, "{query}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_service_and_what_it_shows() {
    let house = House::open().await;
    let (a, b) = (house.credential("a", json!({"x": "1"})).await, house.credential("b", json!({"y": "2"})).await);
    // As the python client sends it, and with an id that nobody has.
    let sent = json!({
        "id": "mail", "account": null, "enabled": true, "blind_credentials": [],
        "credentials": [&a, "f".repeat(32), &b, &a],
    });
    let (status, put) = house.send(Method::PUT, "/v1/services/mail", &sent).await;
    assert_eq!(status, 200, "{put}");
    assert_fields(&put, &SERVICE);
    assert_date(&put["modified_date"]);
    assert_eq!(put["permissions"], rights(&[("create", true), ("metadata", true), ("get", true), ("update", true)]));
    let pairs = |service: &Value| -> Vec<Value> {
        let members = service["credentials"].as_array().unwrap();
        members.iter().map(|member| member["credential_pairs"].clone()).collect()
    };
    assert_eq!(pairs(&put), [json!({}), json!({})]);
    assert_eq!(put["credentials"][0]["credential_keys"], json!(["x"]));
    assert_fields(&put["credentials"][0], &CREDENTIAL);
    assert_eq!((&put["account"], &put["blind_credentials"], &put["revision"]), (&json!(null), &json!([]), &json!(1)));

    let (_, got) = house.get("/v1/services/mail").await;
    assert_eq!(pairs(&got), [json!({"x": "1"}), json!({"y": "2"})]);
    assert_eq!(got["credentials"][1]["id"], json!(b));
    assert_eq!(got["credentials"][0]["permissions"], json!({}));
    assert_eq!(got["permissions"], rights(&[("metadata", false), ("get", true), ("update", true)]));
    let (_, seen) = house.get("/v1/services/mail?metadata_only=True").await;
    assert_eq!(pairs(&seen), [json!({}), json!({})]);
    assert_eq!(seen["permissions"], rights(&[("metadata", true), ("get", false), ("update", true)]));

    let (_, listed) = house.get("/v1/services").await;
    assert_fields(&listed, &["services", "next_page"]);
    assert_fields(&listed["services"][0], &SERVICE);
    assert_eq!((&listed["services"][0]["credentials"], &listed["next_page"]), (&json!([]), &json!(null)));

    let (_, kept) = house.send(Method::PUT, "/v1/services/mail", &json!({"enabled": false})).await;
    assert_eq!((kept["credentials"].as_array().unwrap().len(), &kept["enabled"]), (2, &json!(false)));
    // A credential's change reaches the service at once, without a revision of the service.
    house.send(Method::PUT, &format!("/v1/credentials/{a}"), &json!({"credential_pairs": {"x": "new"}})).await;
    let (_, got) = house.get("/v1/services/mail").await;
    assert_eq!((&got["credentials"][0]["credential_pairs"], &got["revision"]), (&json!({"x": "new"}), &json!(2)));
    house.close().await;
}

#[tokio::test]
async fn conflicts_name_their_holders() {
    let house = House::open().await;
    let (a, b) = (house.credential("a", json!({"x": "1"})).await, house.credential("b", json!({"X": "2"})).await);
    let (status, refused) = house.send(Method::PUT, "/v1/services/s", &json!({"credentials": [&a, &b]})).await;
    assert_eq!(status, 400);
    assert_eq!(refused["conflicts"], json!({"x": {"credentials": [&a, &b], "blind_credentials": []}}));
    assert!(refused["error"].is_string());

    let c = house.credential("c", json!({"z": "3"})).await;
    for service in ["s", "t"] {
        let path = format!("/v1/services/{service}");
        assert_eq!(house.send(Method::PUT, &path, &json!({"credentials": [&a, &c]})).await.0, 200);
    }
    let path = format!("/v1/credentials/{c}");
    let (status, refused) = house.send(Method::PUT, &path, &json!({"credential_pairs": {"X": "4"}})).await;
    assert_eq!(status, 400);
    let mut services = refused["conflicts"]["x"]["services"].as_array().unwrap().clone();
    services.sort_by_key(ToString::to_string);
    assert_eq!((&refused["conflicts"]["x"]["credentials"], services), (&json!([&a]), vec![json!("s"), json!("t")]));

    let body = json!({"name": "a", "credential_pairs": {"k": "v"}});
    let (status, taken) = house.send(Method::POST, "/v1/credentials", &body).await;
    assert_eq!((status, &taken["reference"]), (409, &json!(a)));
    let (status, taken) = house.send(Method::PUT, &path, &json!({"name": "a"})).await;
    assert_eq!((status, &taken["reference"]), (409, &json!(a)));
    let (status, taken) = house.send(Method::PUT, "/v1/services/S", &json!({})).await;
    assert_eq!((status, &taken["reference"]), (409, &json!("S")), "ids are unique ignoring case");
    house.close().await;
}

#[tokio::test]
async fn what_a_resource_manages_is_read_here_and_written_there() {
    let house = House::open().await;
    let id = house.managed("shop", "db", &[("DB_URL", "v")]).await;
    house.service("shop", "till", &["db"], &[]).await;
    let path = format!("/v1/credentials/{id}");
    let (_, read) = house.get(&path).await;
    assert_eq!((&read["name"], &read["credential_pairs"]), (&json!("/kubernetes/shop/db"), &json!({"DB_URL": "v"})));
    for (path, reference, owner) in [
        (path.as_str(), id.as_str(), "Credential shop/db"),
        ("/v1/services/shop.till", "shop.till", "Service shop/till"),
    ] {
        let (status, refused) = house.send(Method::PUT, path, &json!({})).await;
        assert_eq!((status, &refused["reference"]), (409, &json!(reference)));
        assert!(refused["error"].as_str().unwrap().contains(owner), "{refused}");
    }
    let body = json!({"name": "/kubernetes/shop/db", "credential_pairs": {"k": "v"}});
    let (status, taken) = house.send(Method::POST, "/v1/credentials", &body).await;
    assert_eq!((status, &taken["reference"]), (409, &json!(id)));
    house.close().await;
}

#[tokio::test]
async fn headers_and_pages_around_the_operations() {
    let house = House::open().await;
    let answer = house.ops(Method::GET, "/v1/credentials").header("accept", "text/plain").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-xss-protection", "1; mode=block"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'self'; style-src 'self' 'unsafe-inline'"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
    let ask = async |method: Method, path: &str| house.client.request(method, house.url(path)).send().await.unwrap();
    let healthy = ask(Method::GET, "/healthcheck").await;
    assert_eq!((healthy.status().as_u16(), healthy.content_length()), (200, Some(0)));
    for (method, path, status) in [
        (Method::GET, "/v1/credentials", 401),
        (Method::GET, "/v1/credentials/", 404),
        (Method::GET, "/v1/nothing", 404),
        (Method::GET, "/", 404),
        (Method::GET, "/v1/credentials/%2F", 404),
        (Method::DELETE, "/v1/credentials", 405),
        (Method::PATCH, "/v1/services/x", 405),
    ] {
        let answer = ask(method, path).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        assert!(answer.headers().contains_key("content-security-policy"));
        assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
        assert_eq!(answer.headers().contains_key("allow"), status == 405);
    }
    let options = ask(Method::OPTIONS, "/confidant/v1/services/x").await;
    assert_eq!(
        (options.status().as_u16(), options.headers()["allow"].to_str().unwrap()),
        (200, "GET, PUT, HEAD, OPTIONS")
    );
    let head = house.ops(Method::HEAD, "/v1/services").send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.content_length()), (200, Some(32)));
    house.close().await;
}

#[tokio::test]
async fn two_writers_of_one_revision_do_not_overwrite_each_other() {
    let house = House::open().await;
    let id = house.credential("a", json!({"n": 0})).await;
    let path = format!("/v1/credentials/{id}");
    let body = json!({"credential_pairs": {"n": 1}});
    let writers = (0..8).map(|_| answer(house.ops(Method::PUT, &path).json(&body)));
    let answers = futures::future::join_all(writers).await;
    let written = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 409)), "{answers:?}");
    assert_eq!(house.get(&path).await.1["revision"], json!(1 + written));
    house.close().await;
}

#[tokio::test]
async fn metrics_have_templates_and_no_names() {
    let house = House::open().await;
    house.get("/v1/services/secret-name").await;
    house.get("/v1/odd/secret-name").await;
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &house.registry).unwrap();
    assert!(page.contains(r#"dialect="confidant",method="GET",route="/v1/services/{id}",status="404"} 1"#), "{page}");
    assert!(page.contains(r#"method="other",route="none",status="404"} 1"#), "{page}");
    assert!(!page.contains("secret-name"));
    house.close().await;
}

#[tokio::test]
async fn metadata_is_an_object_whatever_another_api_wrote() {
    let house = House::open().await;
    let set = async |metadata: &Value| {
        let body = json!({"name": "/a", "type": "value", "value": "x", "metadata": metadata});
        assert_eq!(house.send(Method::PUT, "/api/v1/data", &body).await.0, 200);
    };
    let all = [json!("words"), json!(7), json!(["{}"]), json!(true), json!({"by": "till", "deep": {"a": [1]}})];
    for (at, metadata) in all.iter().enumerate() {
        set(metadata).await;
        let listed = house.get("/v1/credentials").await.1["credentials"][0].clone();
        let id = listed["id"].as_str().unwrap().to_owned();
        let wanted = if metadata.is_object() { metadata.clone() } else { json!({}) };
        let (status, shown) = house.get(&format!("/v1/credentials/{id}")).await;
        assert_eq!((status, &shown["metadata"], &listed["metadata"]), (200, &wanted, &wanted), "{metadata}");
        if at == 0 {
            let changed = house.send(Method::PUT, &format!("/v1/credentials/{id}"), &json!({"tags": ["a"]})).await;
            assert_eq!((changed.0, &changed.1["metadata"]), (200, &json!({})));
            let own = house.get("/api/v1/data?current=true&name=/a").await.1;
            assert_eq!(own["data"][0]["metadata"], *metadata, "who changes something else keeps it");
        }
    }
    house.close().await;
}
