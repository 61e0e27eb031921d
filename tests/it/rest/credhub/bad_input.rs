//! Names, values and parameters that cannot be, and queries and ids that lead nowhere.

use reqwest::Method;
use serde_json::{Value, json};

use super::stock::{Case, SECRET, Stock, assert_refused, case, generate, is_sentence, put, set};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_cannot_be() {
    let stock = Stock::open().await;
    let bad: Vec<Value> =
        ["", "/", "//a", "a//b", "/a/", "a b", "/a*", "/a%2F", "/é", "/a\n", "/a\0", "/a/../b", "/a/."]
            .into_iter()
            .map(Value::from)
            .chain([Value::Null, json!(["/a"]), json!({"a": 1}), json!("x".repeat(1024)), json!("/".repeat(9))])
            .collect();
    let mut cases = Vec::new();
    for name in bad {
        cases.push(set(json!({"name": name, "type": "value", "value": SECRET}), 400, "name"));
        cases.push(generate(json!({"name": name, "type": "password"}), "name"));
        cases.push(generate(json!({"name": name, "regenerate": true}), "name"));
        let root = json!({"common_name": "x", "ca": name});
        // Who is to sign is not said by nothing, and with an empty name nobody is.
        let word = if name.is_null() || name == "" || !name.is_string() { "ca" } else { "name" };
        cases.push(generate(json!({"name": "/a", "type": "certificate", "parameters": root}), word));
        let word = if name.is_null() || name == "" || !name.is_string() { "signed_by" } else { "name" };
        cases.push(case(Method::POST, "/api/v1/bulk-regenerate", json!({"signed_by": name}), 400, word));
    }
    cases.push(set(json!({"type": "value", "value": SECRET}), 400, "name"));
    cases.push(generate(json!({"type": "password"}), "name"));
    for name in ["/kubernetes/Shop/db", "/kubernetes/shop/d_b", "kubernetes/-/x"] {
        cases.push(set(json!({"name": name, "type": "value", "value": SECRET}), 400, "name"));
        cases.push(generate(json!({"name": name, "type": "password"}), "name"));
    }
    for name in ["", "/a//b", "/a/", "/a b", "/a/../b"] {
        cases.push(case(Method::POST, "/api/v1/regenerate", json!({"name": name}), 400, "name"));
    }
    // Here the slash in front is not put there.
    for name in ["password", "password/", "absent"] {
        cases.push(case(Method::POST, "/api/v1/regenerate", json!({"name": name}), 404, "does not exist"));
    }
    assert_refused(&stock, cases).await;
    for name in [format!("/{}", "x".repeat(1023)), "A-b_c/d.e:f,(g)[h]+i".into(), "/..a/b..".into()] {
        put(&stock, json!({"name": name, "type": "value", "value": "x"})).await;
    }
    stock.close().await;
}

/// Bodies of `set` that are 400, with what is named.
fn wrong_values() -> Vec<(&'static str, Value, &'static str)> {
    let mut all = Vec::new();
    for kind in ["value", "password", "user", "rsa", "ssh", "certificate", "json"] {
        all.push((kind, Value::Null, "value"));
    }
    for kind in ["value", "password"] {
        all.extend([json!(""), json!({"a": SECRET}), json!([SECRET])].map(|value| (kind, value, "value")));
    }
    for kind in ["user", "rsa", "ssh", "certificate"] {
        all.extend([json!(SECRET), json!([SECRET]), json!(5), json!(true)].map(|value| (kind, value, "value")));
    }
    for value in [json!({}), json!({"username": SECRET}), json!({"password": ""}), json!({"password": null})] {
        all.push(("user", value, "password"));
    }
    all.push(("user", json!({"username": [SECRET], "password": "p"}), "username"));
    for kind in ["rsa", "ssh"] {
        all.push((kind, json!({}), "value"));
        all.push((kind, json!({"public_key": "", "private_key": null}), "value"));
        all.push((kind, json!({"private_key": {"a": SECRET}}), "private_key"));
        all.push((kind, json!({"public_key": [SECRET], "private_key": "x"}), "public_key"));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_cannot_be_set() {
    let stock = Stock::open().await;
    let mut cases: Vec<Case> = Vec::new();
    for (kind, value, word) in wrong_values() {
        cases.push(set(json!({"name": "/a", "type": kind, "value": value}), 400, word));
    }
    for kind in ["value", "password", "user", "rsa", "ssh", "certificate", "json"] {
        cases.push(set(json!({"name": "/a", "type": kind}), 400, "value"));
    }
    for kind in [json!("secret"), json!(""), json!("pairs"), Value::Null, json!(5), json!(true)] {
        cases.push(set(json!({"name": "/a", "type": kind, "value": SECRET}), 422, "type"));
    }
    cases.push(set(json!({"name": "/a", "value": SECRET}), 422, "type"));
    cases.push(set(json!({"name": "/a", "type": ["value"], "value": SECRET}), 400, "type"));
    // Another type than what is there.
    for (there, other) in [("value", "password"), ("password", "value"), ("json", "value"), ("root", "json")] {
        let body = json!({"name": format!("/{there}"), "type": other, "value": SECRET});
        cases.push(set(body, 400, "type"));
    }
    assert_refused(&stock, cases).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_cannot_be_generated() {
    let stock = Stock::open().await;
    let mut cases = Vec::new();
    for kind in [json!("value"), json!("JSON"), json!("secret"), json!(""), Value::Null, json!(["password"])] {
        cases.push(generate(json!({"name": "/a", "type": kind}), "type"));
    }
    cases.push(generate(json!({"name": "/a"}), "type"));
    for (there, other) in [("password", "user"), ("root", "rsa"), ("value", "password"), ("rsa", "ssh")] {
        for how in [json!(null), json!("overwrite"), json!("no-overwrite"), json!("converge")] {
            cases.push(generate(json!({"name": format!("/{there}"), "type": other, "mode": how}), "type"));
        }
    }
    let of = |more: Value| {
        let mut body = json!({"name": "/a", "type": "password"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, word) in [
        (json!({"mode": "converge", "overwrite": false}), "mode"),
        (json!({"mode": "sometimes"}), "mode"),
        (json!({"mode": ["converge"]}), "mode"),
        (json!({"overwrite": "pizza"}), "overwrite"),
        (json!({"overwrite": 1}), "overwrite"),
        (json!({"regenerate": "pizza"}), "regenerate"),
        (json!({"value": {"username": "u"}}), "value"),
        (json!({"parameters": []}), "parameters"),
        (json!({"parameters": "length"}), "parameters"),
        (json!({"parameters": {"length": "long"}}), "length"),
        (json!({"parameters": {"length": 7.5}}), "length"),
        (json!({"parameters": {"length": [7]}}), "length"),
        (json!({"parameters": {"include_special": "pizza"}}), "include_special"),
        (json!({"parameters": {"exclude_lower": true, "exclude_upper": "true", "exclude_number": true}}), "parameters"),
        (json!({"type": "user", "value": SECRET}), "value"),
        (json!({"type": "user", "value": {"username": [SECRET]}}), "username"),
        (json!({"type": "rsa", "parameters": {"key_length": 1024}}), "key_length"),
        (json!({"type": "rsa", "parameters": {"key_length": "big"}}), "key_length"),
        (json!({"type": "rsa", "parameters": {"key_length": -2048}}), "key_length"),
        (json!({"type": "ssh", "parameters": {"key_length": 2049}}), "key_length"),
        (json!({"type": "ssh", "parameters": {"key_length": 67_584}}), "key_length"),
        (json!({"type": "ssh", "parameters": {"ssh_comment": "a\nssh-rsa b"}}), "ssh_comment"),
        (json!({"type": "ssh", "parameters": {"ssh_comment": "x".repeat(1025)}}), "ssh_comment"),
        (json!({"type": "ssh", "parameters": {"ssh_comment": ["a"]}}), "ssh_comment"),
    ] {
        cases.push(generate(of(more), word));
    }
    assert_refused(&stock, cases).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_set_is_not_generated_again() {
    let stock = Stock::open().await;
    let mut cases = Vec::new();
    for (name, status, word) in [
        ("/password", 400, "password"),
        ("/user", 400, "user"),
        ("/value", 400, "type"),
        ("/json", 400, "type"),
        ("/given", 400, "certificate"),
        ("/absent", 404, "does not exist"),
    ] {
        cases.push(case(Method::POST, "/api/v1/regenerate", json!({"name": name}), status, word));
        cases.push(Case { status, ..generate(json!({"name": name, "regenerate": "true"}), word) });
    }
    assert_refused(&stock, cases).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_and_ids_of_credentials_that_cannot_be() {
    let stock = Stock::open().await;
    let (absent, id) = ("00000000-0000-4000-8000-000000000000", stock.root["id"].as_str().unwrap());
    let simple = id.replace('-', "");
    let password = stock.get("/api/v1/data?name=/password").await.1["data"][0]["id"].as_str().unwrap().to_owned();
    let certificates = "/api/v1/certificates";
    for (path, status, word) in [
        ("/api/v1/data", 400, "name"),
        ("/api/v1/data?name=", 400, "name"),
        ("/api/v1/data?current=true", 400, "name"),
        ("/api/v1/data?name=/root&current=true&versions=1", 400, "current"),
        ("/api/v1/data?name=/root&current=maybe", 400, "current"),
        ("/api/v1/data?name=/root&versions=-1", 400, "versions"),
        ("/api/v1/data?name=/root&versions=two", 400, "versions"),
        ("/api/v1/data?name=/root&versions=4294967296", 400, "versions"),
        ("/api/v1/data?path=/&versions=two", 400, "versions"),
        ("/api/v1/data?name=/root&versions=0", 404, "does not exist"),
        ("/api/v1/data?name=/absent", 404, "does not exist"),
        ("/api/v1/data?name=//root", 404, "does not exist"),
        ("/api/v1/data?name=/root/", 404, "does not exist"),
        ("/api/v1/data?name=/ro%25", 404, "does not exist"),
        ("/api/v1/data?path=/&expires-within-days=soon", 400, "expires-within-days"),
        ("/api/v1/data?expires-within-days=1.5", 400, "expires-within-days"),
        (&format!("{certificates}?name=/absent"), 404, "does not exist"),
        (&format!("{certificates}?name=/password"), 404, "does not exist"),
        (&format!("{certificates}?name="), 404, "does not exist"),
        (&format!("{certificates}/{absent}/versions?current=maybe"), 400, "current"),
        ("/api/v1/nothing", 404, "path"),
        ("/api/v2", 404, "path"),
    ] {
        assert_refused(&stock, [case(Method::GET, path, Value::Null, status, word)]).await;
    }
    let mut cases = Vec::new();
    for bad in ["x", absent, &simple, &format!("{{{id}}}"), "%00", &password] {
        // Of a version that is there, whatever its type.
        if bad != password {
            cases.push(case(Method::GET, format!("/api/v1/data/{bad}"), Value::Null, 404, "does not exist"));
        }
        let routes = [
            (Method::GET, "/versions"),
            (Method::POST, "/regenerate"),
            (Method::PUT, "/update_transitional_version"),
            (Method::DELETE, "/versions/x"),
            (Method::DELETE, &format!("/versions/{id}")),
        ];
        for (method, rest) in routes {
            let path = format!("{certificates}/{bad}{rest}");
            cases.push(case(method, path, json!({}), 404, "does not exist"));
        }
        let path = format!("{certificates}/{bad}/versions");
        let body = json!({"value": {"certificate": stock.leaf["value"]["certificate"]}});
        cases.push(case(Method::POST, path, body, 404, "does not exist"));
    }
    for (query, status, word) in [("", 400, "name"), ("?name=", 400, "name"), ("?name=/absent", 404, "does not exist")]
    {
        cases.push(case(Method::DELETE, format!("/api/v1/data{query}"), Value::Null, status, word));
    }
    assert_refused(&stock, cases).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_a_path_does_not_have_is_404_and_empty() {
    let stock = Stock::open().await;
    for (method, path) in [(Method::PATCH, "/api/v1/data"), (Method::GET, "/api/v1/regenerate"), (Method::PUT, "/info")]
    {
        let response = stock.ops(method, path).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (404, 0), "{path}");
    }
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_that_cannot_be_resolved_are_refused_as_a_whole() {
    let stock = Stock::open().await;
    let with = |reference: &str| {
        let bindings = ["/json", reference].map(|name| json!({"credentials": {"credhub-ref": name}}));
        json!({"a": bindings})
    };
    for (reference, status, word) in [
        ("/absent", 404, "does not exist"),
        ("json", 404, "does not exist"),
        ("((json))", 404, "does not exist"),
        ("", 404, "does not exist"),
        ("/password", 400, "json"),
        ("((/root))", 400, "json"),
    ] {
        let (found, told) = stock.send(Method::POST, "/api/v1/interpolate", &with(reference)).await;
        assert!(found == status && is_sentence(&told, word), "{reference}: {found} {told}");
    }
    let (status, whole) = stock.send(Method::POST, "/api/v1/interpolate", &with("((/json))")).await;
    assert_eq!((status, &whole["a"][1]["credentials"]["a"]), (200, &json!(SECRET)));
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_resource_manages_is_read_here_and_refused_to_writers() {
    let stock = Stock::open().await;
    stock.managed("shop", "db", &[("user", "u"), ("password", SECRET)]).await;
    let name = "/kubernetes/shop/db";
    let (status, read) = stock.get(&format!("/api/v1/data?name={name}&current=true")).await;
    let shown = json!({"user": "u", "password": SECRET});
    assert_eq!((status, &read["data"][0]["value"], &read["data"][0]["type"]), (200, &shown, &json!("json")));
    let word = "Credential shop/db";
    assert_refused(
        &stock,
        [
            set(json!({"name": name, "type": "json", "value": {"a": SECRET}}), 409, word),
            Case { status: 409, ..generate(json!({"name": name, "type": "password"}), word) },
            case(Method::DELETE, format!("/api/v1/data?name={name}"), Value::Null, 409, word),
        ],
    )
    .await;
    stock.close().await;
}
