//! Each sort of refusal: how it is answered, and the one record that it leaves.

use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use strongroom::adapters::store::{MemoryStore, SqliteStore};
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::app::alarm::Alarm;
use strongroom::domain::client::State;

use super::{Scene, verified};
use crate::ground::parts;
use crate::rest::house::{certificate, owner};

const KEEP: SignedDuration = SignedDuration::from_hours(1);

/// The password of a client called `shop/till` that a resource would have revoked, on the store of a running server.
async fn revoked(data: &Path) -> String {
    let store = Arc::new(SqliteStore::open(&data.join("strongroom.db"), Alarm::default()).expect("the store"));
    let app = App::new(parts(store, &data.join("strongroom.key"), Arc::new(SystemClock)).await);
    let till = owner("ClientCredential", "shop", "till");
    let (password, mark) = app.clients.draw_password().expect("a password");
    let entry = app.clients.enroll(&till, &password, &mark, State::Active, KEEP).await.expect("enrolled");
    app.clients.converge_basic(&till, entry, State::Revoked, KEEP).await.expect("revoked");
    password.expose().to_owned()
}

/// A certificate of another house, with its key.
async fn foreign() -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let app = App::new(parts(Arc::new(MemoryStore::default()), &dir.path().join("key"), Arc::new(SystemClock)).await);
    let (chain, key, _) = certificate(&app, "elsewhere.example").await;
    chain + key.expose()
}

/// Of somebody who is not known.
fn unknown(scheme: &str) -> Value {
    json!({"scheme": scheme, "from": "127.0.0.1", "action": "authenticate", "outcome": "denied"})
}

/// The record without its time, which every record has.
fn timeless(mut record: Value) -> Value {
    let at = record.as_object_mut().expect("an object").remove("at");
    assert!(at.is_some_and(|at| at.as_str().is_some_and(|at| at.ends_with('Z'))), "{record}");
    record
}

#[tokio::test]
async fn who_presents_nothing_leaves_one_record_of_what_was_asked() {
    let scene = Scene::new().await;
    let mut seen = scene.records();
    let (id, long) = (scene.credential.clone(), "x".repeat(300));
    let credential = |action: &str, name: Option<&str>| ("credential", action.to_owned(), name.map(str::to_owned));
    let service = |action: &str, name: Option<&str>| ("service", action.to_owned(), name.map(str::to_owned));
    for (method, path, (class, action, name)) in [
        (Method::GET, "/v1/credentials".to_owned(), credential("list", None)),
        (Method::POST, "/v1/credentials".to_owned(), credential("create", None)),
        (Method::GET, scene.read_path(), credential("read", Some(&id))),
        (Method::HEAD, scene.read_path(), credential("read", Some(&id))),
        (Method::PUT, format!("/confidant{}", scene.read_path()), credential("update", Some(&id))),
        (Method::GET, "/v1/services?limit=1".to_owned(), service("list", None)),
        (Method::GET, "/v1/services/shop".to_owned(), service("read", Some("shop"))),
        (Method::PUT, "/v1/services/a%22b".to_owned(), service("update", Some("a\"b"))),
        // As much of it as a record's name may have.
        (Method::GET, format!("/v1/services/{long}"), service("read", Some(&long[..128]))),
    ] {
        let asked = scene.caller.request(method.clone(), scene.strongroom.url(&path)).send().await;
        assert_eq!(asked.expect("an answer").status(), 401, "{method} {path}");
        let mut expected = json!({"who": "anonymous", "scheme": "none", "from": "127.0.0.1", "action": action,
            "class": class, "outcome": "denied"});
        if let Some(name) = name {
            expected["name"] = name.into();
        }
        let new: Vec<Value> = scene.added(&mut seen).into_iter().map(timeless).collect();
        assert_eq!(new, [expected], "{method} {path}");
    }
    // What nobody needs a name for is no denial.
    for (method, path, status) in [
        (Method::GET, "/healthcheck", 200),
        (Method::GET, "/v1/nothing", 404),
        (Method::DELETE, "/v1/services/shop", 405),
        (Method::OPTIONS, "/v1/services/shop", 200),
    ] {
        let asked = scene.caller.request(method.clone(), scene.strongroom.url(path)).send().await;
        assert_eq!(asked.expect("an answer").status(), status, "{method} {path}");
        assert_eq!(scene.added(&mut seen), Vec::<Value>::new(), "{method} {path}");
    }
    verified(&scene.strongroom.data);
}

/// What is shown of oneself, how it is answered, and what is recorded.
type Case<'a> = (&'a str, Box<dyn Fn(RequestBuilder) -> RequestBuilder + 'a>, &'a Client, u16, Value);

#[tokio::test]
async fn each_sort_of_refusal_leaves_exactly_one_record() {
    let scene = Scene::new().await;
    let shop = scene.strongroom.create_client("shop", false);
    let till = revoked(&scene.strongroom.data).await;
    let stranger = scene.strongroom.caller(Some(&foreign().await));
    let (ops, plain) = (scene.password.clone(), &scene.caller);
    let basic = |name: &'static str, password: &str| {
        let password = password.to_owned();
        Box::new(move |request: RequestBuilder| request.basic_auth(name, Some(&password)))
    };
    let header = |text: &'static str| Box::new(move |request: RequestBuilder| request.header("authorization", text));
    let no_right = json!({"who": "shop", "scheme": "basic", "from": "127.0.0.1", "action": "see",
        "class": "credential", "name": format!("/confidant/{}", scene.credential), "outcome": "denied"});
    let nothing = json!({"who": "anonymous", "scheme": "none", "from": "127.0.0.1", "action": "read",
        "class": "credential", "name": scene.credential, "outcome": "denied"});
    let cases: Vec<Case<'_>> = vec![
        ("no credentials", Box::new(|request| request), plain, 401, nothing),
        ("a wrong password", basic("ops", "wrong"), plain, 403, unknown("basic")),
        ("an unknown user", basic("nobody", &ops), plain, 403, unknown("basic")),
        ("a revoked one", basic("shop/till", &till), plain, 403, unknown("basic")),
        ("a foreign certificate", Box::new(|request| request), &stranger, 403, unknown("mutual-tls")),
        ("a wrong password over it", basic("ops", "wrong"), &stranger, 403, unknown("basic")),
        ("no token of anybody", header("Bearer aaaa.bbbb.cccc"), plain, 403, unknown("service-account")),
        ("an unknown scheme", header("Negotiate aaaa"), plain, 403, unknown("unreadable")),
        ("no permission", basic("shop", &shop), plain, 403, no_right),
    ];
    let mut seen = scene.records();
    for (sort, show, caller, status, expected) in cases {
        let asked = show(caller.get(scene.strongroom.url(&scene.read_path()))).send().await;
        assert_eq!(asked.expect("an answer").status(), status, "{sort}");
        let new: Vec<Value> = scene.added(&mut seen).into_iter().map(timeless).collect();
        assert_eq!(new, [expected], "{sort}");
    }
    for value in ["wrong", "nobody", "aaaa", &till, &shop] {
        assert!(!seen.iter().any(|record| record.contains(value)), "{value}");
    }
    verified(&scene.strongroom.data);
}
