//! Moving over from Confidant with the script of docs/dialects. A server that answers as Confidant does is in its place.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CONTEXT, Server, run};
use crate::kms::moto::REGION;

async fn copied(old: &Server, new: &Server, more: &[&str]) -> (bool, String) {
    let (from, to) = (old.strongroom.url(""), new.strongroom.url(""));
    let arguments = ["--confidant", &from, "--auth-key", &old.keys["user"], "--as", "ann", "--to", CONTEXT];
    let arguments = [&arguments[..], &["--region", REGION, "--strongroom", &to], more].concat();
    run(&[new, old], "docs/dialects/move-from-confidant.py", &arguments).await
}

fn assert_says(said: &str, lines: &[&str]) {
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    assert_eq!(said, lines);
}

fn blind(name: &str) -> Value {
    json!({
        "name": name, "credential_pairs": { "r": "sealed" }, "credential_keys": ["pin"], "data_key": { "r": "key" },
        "cipher_type": "fernet", "cipher_version": 2, "metadata": { "context": { "r": { "to": "mail" } } },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn everything_of_a_confidant_is_copied_once_and_then_only_what_differs() {
    let (old, new) = (Server::start().await, Server::start().await);
    let login = old.credential("login", json!({ "user": "u", "password": "p w", "port": 25, "none": null })).await;
    let change = json!({ "enabled": false, "documentation": "ask Ann", "tags": ["prod"], "metadata": { "env_var_prefix": "X_" } });
    old.ask(Method::PUT, &format!("/v1/credentials/{login}"), change).await;
    let spare = old.credential("spare", json!({ "spare": "s" })).await;
    let pin = old.ask(Method::POST, "/v1/blind_credentials", blind("pin")).await["id"].clone();
    let mapped = json!({ "credentials": [&login, &spare], "blind_credentials": [pin], "enabled": false });
    old.ask(Method::PUT, "/v1/services/mail", mapped).await;
    old.service("empty room", &[]).await;

    let (is_complete, said) = copied(&old, &new, &["--check"]).await;
    assert!(!is_complete);
    let missing = ["blind_credential pin: is missing", "credential login: is missing", "credential spare: is missing"];
    let service = "service mail: some of what it maps was not copied";
    assert_says(&said, &[&missing[..], &["service empty room: is missing", service]].concat());

    let names = ["blind_credential pin", "credential login", "credential spare", "service empty room", "service mail"];
    for how in ["copied", "same"] {
        let (is_complete, said) = copied(&old, &new, &[]).await;
        assert!(is_complete, "{said}");
        assert_says(&said, &names.map(|name| format!("{name}: {how}")).each_ref().map(String::as_str));
        assert!(!said.contains("p w") && !said.contains("sealed"), "a value in {said}");
    }
    assert_eq!(service_of(&new).await, service_of(&old).await);

    old.ask(Method::PUT, &format!("/v1/credentials/{spare}"), json!({ "credential_pairs": { "spare": "t" } })).await;
    let (is_complete, said) = copied(&old, &new, &["--check"]).await;
    assert!(!is_complete && said.contains("credential spare: differs"), "{said}");
    let (is_complete, said) = copied(&old, &new, &[]).await;
    assert!(is_complete && said.contains("credential spare: written anew"), "{said}");
    assert_eq!(said.matches(": same").count(), 4, "{said}");
    assert_eq!(service_of(&new).await, service_of(&old).await);
}

/// What its readers see, without what is each server's own.
async fn service_of(server: &Server) -> Value {
    let mut service = server.ask(Method::GET, "/v1/services/mail", Value::Null).await;
    for sort in ["credentials", "blind_credentials"] {
        for entry in service[sort].as_array_mut().expect("a list") {
            forget(entry, &["id", "revision", "modified_date", "last_rotation_date"]);
        }
    }
    forget(&mut service, &["revision", "modified_date"]);
    service
}

fn forget(object: &mut Value, names: &[&str]) {
    let members = object.as_object_mut().expect("an object");
    // `modified_by` stays: both were written by `ops`.
    members.retain(|name, _| !names.contains(&name.as_str()));
}
