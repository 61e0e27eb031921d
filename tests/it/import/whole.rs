//! Everything that a CredHub can hold, moved from one server to another.

use reqwest::Method;
use serde_json::{Value, json};

use super::{DATA, House, done, import, said, text};
use crate::postgres::server;
use crate::process::binary;
use crate::rest::openssl::Desk;

/// How newer and older programs say who signed a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Export {
    Names,
    Texts,
}

/// All seven types, a chain of three, and an authority in the middle of its rotation.
async fn filled() -> House {
    let house = House::open(None).await;
    house.set("/a/value", "value", json!("plain-hunter2\n  and: more\n")).await;
    house.set("/a/json", "json", json!({ "z": [1, 2.5, null, true], "a": { "b": "json-hunter2" } })).await;
    house.set("/a/password", "password", json!("0123456")).await;
    house.set("/a/user", "user", json!({ "username": "u", "password": "user-hunter2" })).await;
    house.generate("/a/rsa", "rsa", json!({})).await;
    house.generate("/a/ssh", "ssh", json!({ "ssh_comment": "me" })).await;
    house.generate("/c/alone", "certificate", json!({ "common_name": "alone", "self_sign": true })).await;
    house.generate("/z/root", "certificate", json!({ "common_name": "root", "is_ca": true })).await;
    house
        .generate("/m/middle", "certificate", json!({ "common_name": "middle", "is_ca": true, "ca": "/z/root" }))
        .await;
    house.generate("/c/leaf", "certificate", json!({ "common_name": "leaf", "ca": "/m/middle" })).await;
    house.generate("/z/turning", "certificate", json!({ "common_name": "turning", "is_ca": true })).await;
    house.generate("/c/turned", "certificate", json!({ "common_name": "turned", "ca": "/z/turning" })).await;
    let id = house.certificate("/z/turning").await["id"].clone();
    let again = format!("/api/v1/certificates/{}/regenerate", text(&id));
    house.ask(Method::POST, &again, json!({ "set_as_transitional": true })).await;
    house
}

/// As the program does it: every name, its version that counts, and for certificates who signed them.
async fn export(house: &House, how: Export) -> String {
    let mut all = Vec::new();
    for name in house.names().await {
        let mut credential = house.current(&name).await;
        if credential["type"] == "certificate" && how == Export::Names {
            let signed_by = house.certificate(&name).await["signed_by"].clone();
            let value = credential["value"].as_object_mut().expect("an object");
            if signed_by.as_str().is_some_and(|signer| !signer.is_empty() && signer != name) {
                value.remove("ca");
                value.insert("ca_name".into(), signed_by);
            }
        }
        let kept = ["id", "name", "type", "value", "metadata", "version_created_at"];
        credential.as_object_mut().expect("an object").retain(|field, _| kept.contains(&field.as_str()));
        all.push(credential);
    }
    let all = json!({ "credentials": all });
    match how {
        Export::Names => serde_yaml::to_string(&all).expect("YAML"),
        Export::Texts => all.to_string(),
    }
}

/// What has to be alike: without ids and times, and without the salted hash.
async fn shown(house: &House, name: &str, how: Export) -> Value {
    let mut shown = house.current(name).await;
    let fields = shown.as_object_mut().expect("an object");
    fields.retain(|field, _| !["id", "version_created_at", "generated"].contains(&field.as_str()));
    if let Some(value) = fields["value"].as_object_mut() {
        value.remove("password_hash");
        // The name of a signer says nothing of its other certificate, which no export has.
        if how == Export::Names && name == "/c/turned" {
            value["ca"] = text(&value["ca"]).split_inclusive("-----END CERTIFICATE-----\n").next().into();
        }
    }
    if shown["type"] == "certificate" {
        let certificate = house.certificate(name).await;
        shown["signing"] = json!([certificate["signed_by"], certificate["signs"]]);
    }
    shown
}

async fn assert_alike(old: &House, new: &House, how: Export) {
    let names = old.names().await;
    assert_eq!(new.names().await, names);
    for name in &names {
        assert_eq!(shown(new, name, how).await, shown(old, name, how).await, "{name}");
    }
}

/// A new leaf under the authority that came along.
async fn assert_signs_again(house: &House) {
    let before = house.current("/c/leaf").await;
    house.ask(Method::POST, DATA, json!({ "name": "/c/leaf", "regenerate": true })).await;
    let desk = Desk::new();
    for (file, name) in [("root", "/z/root"), ("middle", "/m/middle"), ("leaf", "/c/leaf")] {
        desk.lay(file, text(&house.current(name).await["value"]["certificate"]));
    }
    let verified = desk.openssl(&["verify", "-CAfile", "root", "-untrusted", "middle", "leaf"]);
    assert_eq!(verified.as_deref(), Ok("leaf: OK\n"));
    assert_ne!(house.current("/c/leaf").await["value"]["certificate"], before["value"]["certificate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_server_everything_comes_over_by_the_names_of_its_authorities() {
    let (old, new) = (filled().await, House::open(None).await);
    let export = export(&old, Export::Names).await;
    let dry = new.import(&["--dry-run"], &export);
    let planned = done(&dry);
    assert!(planned.ends_with("would import 12, unchanged 0, refused 0"), "{}", said(&dry));
    assert!(planned.contains("would import /c/leaf (certificate)\n"), "{planned}");
    assert_eq!(new.names().await, Vec::<String>::new(), "a dry run writes nothing");

    let file = new.strongroom.data.join("export.yaml");
    std::fs::write(&file, &export).expect("a file");
    let output = new.command(&[&file.display().to_string()]).output().expect("the binary");
    assert_eq!(done(&output), "imported 12, unchanged 0, refused 0");
    assert_alike(&old, &new, Export::Names).await;

    let names = new.names().await;
    let again = new.import(&["-"], &export);
    assert_eq!(done(&again), "imported 0, unchanged 12, refused 0");
    assert_eq!(new.versions(&names).await, vec![1; names.len()]);
    assert_signs_again(&new).await;
    for output in [&dry, &output, &again] {
        assert!(!said(output).contains("hunter2") && !said(output).contains("PRIVATE"), "a value in {}", said(output));
    }
    let audit =
        binary().args(["audit", "verify", "--data-dir"]).arg(&new.strongroom.data).output().expect("the binary");
    assert!(audit.status.success(), "{}", said(&audit));
    let tail = binary().args(["audit", "tail", "-n", "200", "--data-dir"]).arg(&new.strongroom.data).output();
    let tail = said(&tail.expect("the binary"));
    let by = tail.lines().filter(|line| line.contains("\"import\"") && line.contains("create")).count();
    assert_eq!(by, 12, "each is recorded as written by the import: {tail}");
    assert!(!tail.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_known_by_their_certificates_and_both_of_a_rotation_stay_trusted() {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database");
    let (old, new) = (filled().await, House::open(Some(&url)).await);
    let export = export(&old, Export::Texts).await;
    let mut command = new.command(&[]);
    assert_eq!(done(&import(command.env("STRONGROOM_DATABASE", &url), &export)), "imported 12, unchanged 0, refused 0");
    assert_alike(&old, &new, Export::Texts).await;
    let turned = new.current("/c/turned").await;
    assert_eq!(text(&turned["value"]["ca"]).matches("BEGIN CERTIFICATE").count(), 2);
    let mut command = new.command(&[]);
    assert_eq!(done(&import(command.env("STRONGROOM_DATABASE", &url), &export)), "imported 0, unchanged 12, refused 0");
    assert_signs_again(&new).await;
}
