//! What an import does not write, and how it says so: by name, with the reason, and never with a value.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use strongroom::adapters::store::SqliteStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::app::alarm::Alarm;
use strongroom::domain::credential::change::{Source, Wish};
use strongroom::domain::credential::{About, Generate, Kind};
use strongroom::domain::record::Owner;

use super::{House, command, import, said, text};
use crate::ground::parts;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_by_its_name_and_the_rest_goes_on() {
    let house = House::open(None).await;
    house.set("/taken", "value", json!("before")).await;
    let root = house.generate("/old/root", "certificate", json!({ "common_name": "root", "is_ca": true })).await;
    let leaf = house.generate("/old/leaf", "certificate", json!({ "common_name": "leaf", "ca": "/old/root" })).await;
    let pair = |of: &Value, more: Value| {
        let mut value = json!({ "certificate": of["value"]["certificate"], "private_key": of["value"]["private_key"] });
        value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        value
    };
    let other = house.generate("/old/other", "certificate", json!({ "common_name": "other", "is_ca": true })).await;
    let entries = json!([
        { "name": "/new/good", "type": "password", "value": "hunter2" },
        { "name": "/taken", "type": "password", "value": "hunter2" },
        { "name": "/new/strange", "type": "hunter", "value": "hunter2" },
        { "name": "/new/shape", "type": "user", "value": "hunter2" },
        { "name": "/new/twice", "type": "value", "value": "hunter2" },
        { "name": "/NEW/twice", "type": "value", "value": "hunter2" },
        { "name": "/new/below", "type": "certificate", "value": pair(&leaf, json!({ "ca_name": "/nowhere" })) },
        { "name": "/new/round", "type": "certificate", "value": pair(&leaf, json!({ "ca_name": "/new/about" })) },
        { "name": "/new/about", "type": "certificate", "value": pair(&leaf, json!({ "ca_name": "/new/round" })) },
        { "name": "/new/foreign", "type": "certificate", "value": pair(&leaf, json!({ "ca_name": "/old/other" })) },
        { "name": "/new/other", "type": "certificate",
          "value": { "certificate": other["value"]["certificate"], "private_key": "hunter2" } },
        { "name": "/new/under", "type": "certificate", "value": pair(&leaf, json!({ "ca_name": "/new/other" })) },
        // Signed by what the store has, though the list has not.
        { "name": "/new/leaf", "type": "certificate",
          "value": pair(&leaf, json!({ "ca": root["value"]["certificate"] })) },
    ]);
    let export = json!({ "credentials": entries }).to_string();
    let output = house.import(&[], &export);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("imported 2, unchanged 0, refused 11\n"), "{told}");
    for (name, why) in [
        ("/taken", "is a Value already"),
        ("/new/strange", "type must be"),
        ("/new/shape", "must be a JSON object"),
        ("/new/twice", "more than once"),
        ("/NEW/twice", "more than once"),
        ("/new/below", "/nowhere does not exist"),
        ("/new/round", "in a circle"),
        ("/new/about", "in a circle"),
        ("/new/foreign", "not signed by the authority in ca (ca_name is /old/other)"),
        ("/new/other", "private_key"),
        ("/new/under", "/new/other has signed it and was refused"),
    ] {
        let line = told.lines().find(|line| line.starts_with(&format!("refused {name}: ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {line:?} in {told}");
    }
    assert!(!told.contains("hunter2") && !told.contains("BEGIN"), "a value in {told}");
    let names = ["/new/good", "/new/leaf", "/old/leaf", "/old/other", "/old/root", "/taken"];
    assert_eq!(house.names().await, names, "nothing of what was refused is there");
    assert_eq!(text(&house.current("/taken").await["value"]), "before");
    assert_eq!(house.certificate("/new/leaf").await["signed_by"], "/old/root");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_resource_manages_stays_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&dir.path().join("strongroom.db"), Alarm::default()).expect("a store");
    let app = App::new(parts(Arc::new(store), &dir.path().join("strongroom.key"), Arc::new(SystemClock)).await);
    let owner = Owner { kind: "Credential".into(), namespace: "shop".into(), name: "db".into() };
    let source = Source::Generate(Generate::Password(Default::default()));
    let wish = Wish { kind: Kind::Password, about: About::default(), source };
    app.credentials.converge(&owner, wish, None, SignedDuration::from_hours(1)).await.expect("a credential");
    let export = "credentials:\n- {name: /kubernetes/shop/db, type: password, value: hunter2}\n";
    let output = import(&mut command(dir.path(), &[]), export);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("refused /kubernetes/shop/db: ") && told.contains("is managed by"), "{told}");
    assert!(told.contains("imported 0, unchanged 0, refused 1") && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_file_that_was_never_exported_is_refused_before_anything_is_opened() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    for (export, why) in [
        ("hunter2: [", "is neither YAML nor JSON"),
        ("hunter2", "has no credentials"),
        ("secrets: [hunter2]", "has no credentials"),
        ("credentials: hunter2", "no list"),
    ] {
        let output = import(&mut command(&data, &[]), export);
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(told.contains("standard input") && told.contains(why) && !told.contains("hunter2"), "{export}: {told}");
    }
    let missing = command(&data, &["/nowhere/export"]).output().expect("the binary");
    assert!(!missing.status.success() && said(&missing).contains("/nowhere/export"), "{}", said(&missing));
    assert!(!data.exists(), "a store was made");
}
