//! Which record each call leaves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, verified};
use crate::process::binary;

/// Who with which password does what, how it is answered, and what is recorded.
type Case<'a> = ((&'a str, &'a str), Method, String, Option<Value>, u16, Value);

/// What is the same in each record that is asked for here.
fn record(who: Option<&str>, action: &str, class: Option<&str>, name: Option<&str>, more: Value) -> Value {
    let mut expected = json!({"scheme": "basic", "from": "127.0.0.1", "action": action});
    for (key, value) in [("who", who), ("class", class), ("name", name)] {
        if let Some(value) = value {
            expected[key] = value.into();
        }
    }
    for (key, value) in more.as_object().expect("an object") {
        expected[key.as_str()] = value.clone();
    }
    expected
}

#[tokio::test]
async fn every_call_leaves_exactly_one_record_and_no_value_in_it() {
    let scene = Scene::new().await;
    let reader = scene.strongroom.create_client("shop", false);
    let id = scene.credential.clone();
    let (credential, service) = (Some("credential"), Some("service"));
    let path = scene.read_path();
    let name = format!("/confidant/{id}");
    let name = Some(name.as_str());
    let change = json!({"name": "db", "credential_pairs": {"user": "u", "pass": "w-o-r-d"}, "enabled": true});
    let mapping = json!({"credentials": [id], "enabled": true});
    let of_credential = |revision: u64| json!({"id": id, "revision": revision, "outcome": "done"});
    let done = json!({"outcome": "done"});
    let denied = json!({"outcome": "denied"});
    let ops = ("ops", scene.password.as_str());
    let shop = ("shop", reader.as_str());
    let cases: Vec<Case<'_>> = vec![
        (ops, Method::GET, path.clone(), None, 200, record(Some("ops"), "read", credential, name, of_credential(1))),
        (
            ops,
            Method::GET,
            format!("{path}?metadata_only=true"),
            None,
            200,
            record(Some("ops"), "see", credential, name, of_credential(1)),
        ),
        (ops, Method::HEAD, path.clone(), None, 200, record(Some("ops"), "read", credential, name, of_credential(1))),
        (
            ops,
            Method::GET,
            "/v1/credentials".into(),
            None,
            200,
            record(Some("ops"), "list", credential, None, done.clone()),
        ),
        (
            ops,
            Method::PUT,
            path.clone(),
            Some(change),
            200,
            record(Some("ops"), "update", credential, name, of_credential(2)),
        ),
        (
            ops,
            Method::PUT,
            "/v1/services/shop".into(),
            Some(mapping),
            200,
            record(Some("ops"), "create", service, Some("shop"), json!({"revision": 1, "outcome": "done"})),
        ),
        (ops, Method::GET, "/v1/services".into(), None, 200, record(Some("ops"), "list", service, None, done)),
        (
            shop,
            Method::GET,
            "/v1/services/shop".into(),
            None,
            200,
            record(
                Some("shop"),
                "read",
                service,
                Some("shop"),
                json!({"revision": 1, "outcome": "done", "with": [[name, 2]]}),
            ),
        ),
        (
            shop,
            Method::GET,
            "/v1/services/shop?metadata_only=true".into(),
            None,
            200,
            record(Some("shop"), "see", service, Some("shop"), json!({"revision": 1, "outcome": "done"})),
        ),
        (shop, Method::GET, path.clone(), None, 403, record(Some("shop"), "see", credential, name, denied.clone())),
        (
            shop,
            Method::GET,
            "/v1/credentials".into(),
            None,
            403,
            record(Some("shop"), "list", credential, None, denied.clone()),
        ),
        (
            shop,
            Method::PUT,
            "/v1/services/other".into(),
            Some(json!({"credentials": []})),
            403,
            record(Some("shop"), "create", service, Some("other"), denied.clone()),
        ),
        (
            ("ops", "wrong"),
            Method::GET,
            path.clone(),
            None,
            403,
            record(None, "authenticate", None, None, denied.clone()),
        ),
        (("nobody", "x"), Method::GET, path.clone(), None, 403, record(None, "authenticate", None, None, denied)),
    ];
    let mut seen = scene.records();
    for ((who, password), method, path, body, status, expected) in cases {
        let about = format!("{who} {method} {path}");
        let answer = scene.call_as(who, password, method, &path, body).await;
        assert_eq!(answer.0, status, "{about}: {}", answer.1);
        let new = scene.added(&mut seen);
        let [found] = &new[..] else { panic!("{about}: {new:?}") };
        for (key, value) in expected.as_object().expect("an object") {
            assert_eq!(found[key], *value, "{about}: {key} in {found}");
        }
        assert_eq!(found.get("who").is_some(), expected.get("who").is_some(), "{about}: {found}");
        assert!(found["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{found}");
    }
    for record in scene.records() {
        for value in ["v-a-l-u-e", "w-o-r-d", "wrong", &scene.password, &reader] {
            assert!(!record.contains(value), "{record}");
        }
    }
    verified(&scene.strongroom.data);
}

#[tokio::test]
async fn a_record_is_small() {
    let scene = Scene::new().await;
    for _ in 0..50 {
        scene.call(Method::GET, &scene.read_path(), None).await;
    }
    let folder = scene.strongroom.data.join("audit");
    let [file] = &fs::read_dir(folder).expect("journals").flatten().collect::<Vec<_>>()[..] else { panic!("one file") };
    let text = fs::read_to_string(file.path()).expect("a journal");
    let each = text.len() / text.lines().count();
    println!("{each} bytes a record");
    assert!(each <= 500, "{each} bytes a record");
}

#[tokio::test]
async fn the_last_records_are_shown_and_followed_in_the_order_of_their_times() {
    let mut scene = Scene::new().await;
    for _ in 0..3 {
        scene.call(Method::GET, &scene.read_path(), None).await;
        let body = json!({"name": "db", "documentation": "d"});
        scene.call(Method::PUT, &scene.read_path(), Some(body)).await;
    }
    let records = scene.records();
    let times: Vec<String> = records
        .iter()
        .map(|record| serde_json::from_str::<Value>(record).expect("JSON")["at"].as_str().expect("a time").to_owned())
        .collect();
    let parsed: Vec<jiff::Timestamp> = times.iter().map(|time| time.parse().expect("a time")).collect();
    assert!(parsed.is_sorted(), "{times:?}");
    assert!(
        records.iter().any(|record| record.contains("\"read\""))
            && records.iter().any(|record| record.contains("\"create\""))
    );

    let mut follower = binary()
        .args(["audit", "tail", "--follow", "--lines", "1", "--data-dir", &scene.strongroom.data.display().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut lines = BufReader::new(follower.stdout.take().expect("its output")).lines();
    let next = move || {
        tokio::task::spawn_blocking(move || {
            let line = lines.next().expect("a line").expect("text");
            (line, lines)
        })
    };
    let (first, rest) = next().await.expect("a line");
    assert_eq!(Some(&first), records.last());
    lines = rest;
    scene.call(Method::GET, "/v1/services", None).await;
    let next = move || tokio::task::spawn_blocking(move || lines.next().expect("a line").expect("text"));
    let line = tokio::time::timeout(std::time::Duration::from_secs(10), next()).await;
    assert!(line.expect("in time").expect("a line").contains("\"list\""));
    follower.kill().expect("to end it");
    follower.wait().expect("its end");
    assert_eq!(scene.strongroom.stop().await.code(), Some(0));
    let said = verified(&scene.strongroom.data);
    assert!(said.contains(" 0 not sealed"), "{said}");
    assert!(!scene.strongroom.log().contains("WARN"), "{}", scene.strongroom.log());
}
