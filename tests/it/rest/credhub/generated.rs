//! Bodies that nobody thought of, at every route: whatever comes, nothing answers 5xx and no write is half done.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;

use super::bad_bodies::reads_body;
use super::stock::Stock;
use crate::rest::generated::{any_json, body_of, or_any};
use crate::rest::house::House;

const ROUNDS: u32 = 60;

/// What a field may say that means something, with what is made before.
#[derive(Clone)]
struct Known {
    certificate: Value,
    key: Value,
    versions: [Value; 2],
}

fn one_of(values: Vec<Value>) -> BoxedStrategy<Value> {
    proptest::sample::select(values).boxed()
}

fn names() -> BoxedStrategy<Value> {
    const NAMES: [&str; 12] = [
        "/value",
        "/password",
        "/user",
        "/json",
        "/leaf",
        "/LEAF",
        "/root",
        "/new/a",
        "new/b",
        "/new/c",
        "/bad//name",
        "",
    ];
    one_of(NAMES.map(Value::from).to_vec())
}

fn flags() -> BoxedStrategy<Value> {
    one_of(vec![json!(true), json!(false), json!("true"), json!("false"), json!(null), json!("pizza")])
}

fn values(known: &Known) -> BoxedStrategy<Value> {
    let Known { certificate, key, .. } = known;
    prop_oneof![
        ".{1,30}".prop_map(Value::from),
        any_json(),
        ("[a-z]{1,9}", ".{1,9}").prop_map(|(name, password)| json!({"username": name, "password": password})),
        "[a-z]{1,9}".prop_map(|name| json!({"username": name})),
        ".{0,30}".prop_map(|key| json!({"public_key": key, "private_key": "k"})),
        one_of(vec![
            json!({"certificate": certificate}),
            json!({"certificate": certificate, "private_key": key, "ca_name": "/root"}),
            json!({"certificate": certificate, "ca_name": "/other"}),
            json!({"certificate": certificate, "ca": certificate}),
        ]),
    ]
    .boxed()
}

fn parameters() -> BoxedStrategy<Value> {
    let characters = (any::<[bool; 4]>(), 0..250i64).prop_map(|([special, upper, lower, number], length)| {
        json!({"include_special": special, "exclude_upper": upper, "exclude_lower": lower, "exclude_number": number,
            "length": length})
    });
    let certificates = ("[a-z]{0,5}", 0..400i64, any::<[bool; 2]>()).prop_map(|(name, days, [is_ca, self_sign])| {
        json!({"common_name": name, "duration": days, "is_ca": is_ca, "self_sign": self_sign})
    });
    let signed = names().prop_map(|ca| json!({"common_name": "x", "ca": ca, "alternative_names": ["a.example"]}));
    let keys = one_of(vec![json!({"key_length": 2048}), json!({"key_length": "1024"}), json!({"ssh_comment": "me"})]);
    prop_oneof![characters, certificates, signed, keys].boxed()
}

fn operations() -> BoxedStrategy<Value> {
    const ALL: [&str; 6] = ["read", "write", "delete", "read_acl", "write_acl", "own"];
    proptest::sample::subsequence(ALL.to_vec(), 0..5).prop_map(|some| json!(some)).boxed()
}

fn field(name: &'static str, known: &Known) -> impl Strategy<Value = (String, Value)> + use<> {
    let fitting = match name {
        "name" | "signed_by" => names(),
        "type" => one_of(
            ["value", "json", "password", "PASSWORD", "user", "certificate", "ssh", "rsa", "pairs"]
                .map(Value::from)
                .to_vec(),
        ),
        "value" => values(known),
        "metadata" => any_json().boxed(),
        "mode" => one_of(["converge", "overwrite", "no-overwrite", "never"].map(Value::from).to_vec()),
        "parameters" => parameters(),
        "key_length" => one_of(vec![json!(2048), json!("2048"), json!(1024)]),
        "duration" => (0..4000i64).prop_map(Value::from).boxed(),
        "version" => one_of([&[json!(null), json!("latest"), json!("x")], &known.versions[..]].concat()),
        "path" | "credential_name" => names(),
        "actor" => one_of(vec![json!("old"), json!("new"), json!(""), json!("a b"), json!("uaa-client:x")]),
        "operations" => operations(),
        "permissions" => proptest::collection::vec(operations(), 0..3)
            .prop_map(|all| all.into_iter().map(|operations| json!({"actor": "a", "operations": operations})).collect())
            .boxed(),
        "services" => proptest::collection::vec(names(), 0..3)
            .prop_map(|names| names.into_iter().map(|name| json!({"credentials": {"credhub-ref": name}})).collect())
            .boxed(),
        _ => flags(),
    };
    or_any(name, fitting)
}

/// What a route knows. Anything else it is asked now and then too.
fn fields(method: &Method, template: &str) -> Vec<&'static str> {
    match (method.as_str(), template) {
        ("PUT", "/api/v1/data") => vec!["name", "type", "value", "metadata"],
        ("POST", "/api/v1/data") => vec!["name", "type", "parameters", "mode", "overwrite", "metadata", "value"],
        (_, "/api/v1/regenerate") => vec!["name", "metadata"],
        (_, "/api/v1/bulk-regenerate") => vec!["signed_by"],
        (_, "/api/v1/interpolate") => vec!["services", "value", "metadata"],
        (_, "/api/v1/certificates/{id}/versions") => vec!["value", "transitional"],
        (_, "/api/v1/certificates/{id}/update_transitional_version") => vec!["version"],
        (_, "/api/v1/certificates/{id}/regenerate") => {
            vec!["set_as_transitional", "allow_transitional_parent_to_sign", "key_length", "duration", "metadata"]
        }
        ("PATCH", "/api/v2/permissions/{uuid}") => vec!["operations"],
        (_, "/api/v2/permissions" | "/api/v2/permissions/{uuid}") => vec!["path", "actor", "operations"],
        (_, "/api/v1/permissions") => vec!["credential_name", "permissions"],
        (method, other) => panic!("{method} {other} has no row of generated input"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_breaks_an_operation_or_leaves_half_a_write() {
    let stock = Stock::open().await;
    let part = |made: &Value, name: &str| made["value"][name].clone();
    let known = Known {
        certificate: part(&stock.leaf, "certificate"),
        key: part(&stock.leaf, "private_key"),
        versions: [stock.root["id"].clone(), stock.leaf["id"].clone()],
    };
    let (id, permission) = (stock.id("/root").await, stock.permission().await);
    let routes: Vec<_> =
        Credhub::routes().iter().filter(|route| reads_body(route) && route.template != "/management").collect();
    let mut runner = TestRunner::new(Config { cases: ROUNDS, ..Config::default() });
    let (mut written, mut refused, mut kept) = (0, 0, 0);
    let mut before = stock.position().await;
    for (round, route) in (0..ROUNDS).flat_map(|round| routes.iter().map(move |route| (round, route))) {
        let mut names = fields(&route.method, route.template);
        if round % 12 == 11 {
            names.extend(["regenerate", "additional_permissions"]);
        }
        let own = known.clone();
        let sent = body_of(names, move |name| field(name, &own)).new_tree(&mut runner).unwrap().current();
        let path = route.template.replace("{id}", &id).replace("{uuid}", &permission);
        let (status, answer) = stock.send(route.method.clone(), &path, &sent).await;
        let told = format!("round {round}, {} {path}: {status} {answer} to {sent}", route.method);
        assert!(matches!(status, 200 | 201 | 400 | 404 | 409 | 413 | 422), "{told}");
        let after = stock.position().await;
        match status {
            200 | 201 if after == before => kept += 1,
            200 | 201 => {
                written += 1;
                assert_shown(&stock, &answer, &told).await;
            }
            _ => {
                refused += 1;
                assert_eq!(after, before, "{told}");
                assert!(answer["error"].is_string(), "{told}");
            }
        }
        before = after;
    }
    assert!(written > 30 && refused > 30 && kept > 5, "{written} written, {refused} refused, {kept} without a write");
    assert_whole(&stock).await;
    stock.close().await;
}

/// What was answered to a write is what is read after it.
async fn assert_shown(house: &House, written: &Value, told: &str) {
    let all = if let Some(versions) = written.as_array() { versions.clone() } else { vec![written.clone()] };
    for version in all.iter().filter(|version| version["id"].is_string()) {
        let (status, read) = house.get(&format!("/api/v1/data/{}", version["id"].as_str().unwrap())).await;
        assert_eq!(status, 200, "{told}: {read}");
        for field in ["type", "name", "metadata", "version_created_at", "transitional", "expiry_date"] {
            assert_eq!(read[field], version[field], "{field}: {told}");
        }
        // While its authority is rotated, two stand where one was answered.
        for part in ["certificate", "private_key", "username", "password", "public_key"] {
            assert_eq!(read["value"].get(part), version["value"].get(part), "{part}: {told}");
        }
        assert!(version["type"] == "certificate" || read["value"] == version["value"], "{told}: {read}");
    }
}

/// Everything that is there can be read, in all its versions.
async fn assert_whole(house: &House) {
    let (_, found) = house.get("/api/v1/data?path=/").await;
    let found = found["credentials"].as_array().unwrap().clone();
    assert!(found.len() >= 10, "{found:?}");
    for entry in found {
        let (status, read) = house.get(&format!("/api/v1/data?name={}", entry["name"].as_str().unwrap())).await;
        assert!(status == 200 && !read["data"].as_array().unwrap().is_empty(), "{read}");
    }
    assert_eq!(house.get("/api/v1/certificates").await.0, 200);
}
