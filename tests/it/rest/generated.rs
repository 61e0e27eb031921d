//! Bodies that nobody thought of: whatever comes, no write answers 5xx and none is half done.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Map, Value, json};
use strongroom::api::confidant::Confidant;
use strongroom::api::route::Dialect;

use crate::rest::bad_input::{reads_body, stored};
use crate::rest::blind::blind;
use crate::rest::house::House;

const ROUNDS: u32 = 150;

pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9a-f]{32}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A value that fits the field, or any other.
fn field(name: &'static str) -> impl Strategy<Value = (String, Value)> {
    let fitting = match name {
        "name" => "[a-z]{0,6}".prop_map(Value::from).boxed(),
        "enabled" => any::<bool>().prop_map(Value::from).boxed(),
        "documentation" => ".{0,20}".prop_map(Value::from).boxed(),
        "metadata" => any_json().prop_map(|value| json!({"m": value})).boxed(),
        "tags" => proptest::collection::vec("[a-z]{1,4}", 0..4).prop_map(Value::from).boxed(),
        "data_key" => proptest::collection::hash_map("[a-z]{1,3}", ".{0,9}", 1..4).prop_map(|key| json!(key)).boxed(),
        "cipher_type" => "[a-z]{1,6}".prop_map(Value::from).boxed(),
        "cipher_version" => (0..9u64).prop_map(Value::from).boxed(),
        "credential_keys" => proptest::collection::vec("[a-z]{1,4}", 0..4).prop_map(Value::from).boxed(),
        "credential_pairs" => {
            proptest::collection::hash_map("[a-zA-Z]{1,3}", ".{0,9}", 1..4).prop_map(|pairs| json!(pairs)).boxed()
        }
        _ => proptest::collection::vec("[0-9a-f]{32}", 0..3).prop_map(Value::from).boxed(),
    };
    or_any(name, fitting)
}

/// Of this name, with a value that fits it most of the time.
pub fn or_any(name: &'static str, fitting: BoxedStrategy<Value>) -> impl Strategy<Value = (String, Value)> {
    prop_oneof![8 => fitting, 1 => any_json()].prop_map(move |value| (name.to_owned(), value))
}

/// Some of these fields most of the time, and else anything.
pub fn body_of<S>(names: Vec<&'static str>, field: impl Fn(&'static str) -> S + 'static) -> impl Strategy<Value = Value>
where
    S: Strategy<Value = (String, Value)> + 'static,
{
    let count = names.len();
    let members = proptest::sample::subsequence(names, 0..=count)
        .prop_flat_map(move |names| names.into_iter().map(|name| field(name).boxed()).collect::<Vec<_>>())
        .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into());
    prop_oneof![9 => members, 1 => any_json()]
}

const FIELDS: [&str; 12] = [
    "name",
    "enabled",
    "documentation",
    "metadata",
    "tags",
    "credential_pairs",
    "credentials",
    "blind_credentials",
    "data_key",
    "cipher_type",
    "cipher_version",
    "credential_keys",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_breaks_a_write_or_leaves_half_of_one() {
    let house = House::open().await;
    let id = house.credential("here", json!({"k": "v"})).await;
    let (_, made) = house.send(Method::POST, "/v1/blind_credentials", &blind("here", &[])).await;
    let blind = made["id"].as_str().unwrap();
    let paths: Vec<(Method, String)> = Confidant::routes()
        .iter()
        .filter(|route| reads_body(route) && !route.template.contains("{ca}")) // Of certificates nothing is kept.
        .map(|route| {
            let path = route.template.replace("/credentials/{id}", &format!("/credentials/{id}"));
            let path = path.replace("blind_credentials/{id}", &format!("blind_credentials/{blind}"));
            (route.method.clone(), path.replace("{id}", "s"))
        })
        .collect();
    let mut runner = TestRunner::new(Config { cases: ROUNDS, ..Config::default() });
    let (mut written, mut refused) = (0, 0);
    let mut before = stored(&house).await;
    for round in 0..ROUNDS {
        let sent = body_of(FIELDS.to_vec(), field).new_tree(&mut runner).unwrap().current();
        for (method, path) in &paths {
            let (status, answer) = house.send(method.clone(), path, &sent).await;
            assert!(matches!(status, 200 | 400 | 409), "round {round}, {method} {path}: {status} {answer} to {sent}");
            let after = stored(&house).await;
            if status == 200 {
                written += 1;
                assert_ne!(after, before, "{method} {path} {sent}");
                assert_shown(&house, &answer, path).await;
            } else {
                refused += 1;
                assert_eq!(after, before, "{method} {path} {sent}");
                assert!(answer["error"].is_string(), "{answer}");
            }
            before = after;
        }
    }
    assert!(written > 30 && refused > 30, "{written} written, {refused} refused");
    house.close().await;
}

/// What was answered to a write is what is read after it.
async fn assert_shown(house: &House, written: &Value, path: &str) {
    let id = written["id"].as_str().unwrap();
    let folder = path.split('/').nth(2).unwrap();
    let (status, read) = house.get(&format!("/v1/{folder}/{id}")).await;
    assert_eq!(status, 200);
    for field in ["name", "revision", "enabled", "documentation", "tags", "credential_pairs", "modified_date"] {
        assert_eq!(read[field], written[field], "{field}");
    }
}
