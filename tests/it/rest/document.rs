//! The OpenAPI document of a dialect, as it is served.

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use strongroom::api::confidant::Confidant;
use strongroom::api::route::Dialect;

use crate::peers;
use crate::process::Strongroom;
use crate::rest::house::{House, answer};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_document_is_served_to_anybody_and_keeps_to_the_rules_of_openapi() {
    let house = House::open().await;
    let before = house.recorded().await;
    let (status, document) = answer(house.client.get(house.url("/confidant/openapi.json"))).await;
    assert_eq!(status, 200);
    assert_eq!(answer(house.client.get(house.url("/openapi.json"))).await, (200, document.clone()));
    assert_eq!(house.recorded().await, before);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"]["/v1/credentials/{id}"]["get"]["parameters"][0]["name"], "id");
    assert_rules_are_kept(&document);

    // Whoever must be known is told so, and the others are not.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace(['{', '}'], "");
            let status = house.client.request(method.clone(), house.url(&path)).send().await.unwrap().status();
            let is_open = operation["security"].is_array();
            assert_eq!(status == 401, !is_open, "{method} {path}: {status}");
            assert_eq!(operation["responses"].get("401").is_none(), is_open, "{method} {path}");
        }
    }
    house.close().await;
}

fn assert_rules_are_kept(document: &Value) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("openapi.json");
    fs::write(&file, document.to_string()).unwrap();
    let judge = peers::program("openapi-spec-validator", "openapi");
    let judged = Command::new(judge).args(["--validation-errors", "all"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&judged.stdout).into_owned() + &String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{said}");
}

/// Valid requests may get 400 all the same: an archive's page that nobody gave, a revert to what is there already. And a
/// path may fit two templates, so that `Allow` lists what can be done at either.
const NOT_CHECKED: &str = "positive_data_acceptance,allow_header_conformance";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn generated_requests_get_what_the_document_says() {
    let mut strongroom = Strongroom::new(None);
    strongroom.set("STRONGROOM_PLAIN_HTTP", Some("true"));
    strongroom.start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut generator = Command::new(peers::program("schemathesis", "openapi"));
    generator
        .args(["run", &format!("http://127.0.0.1:{}/openapi.json", strongroom.rest)])
        .args(["--auth", &format!("ops:{}", strongroom.create_client("ops", true))])
        .args(["--exclude-checks", NOT_CHECKED, "--continue-on-failure", "--warnings", "off", "--no-color"])
        .args(["--max-examples", "10", "--generation-deterministic"])
        .current_dir(dir.path());
    let found = tokio::task::spawn_blocking(move || generator.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&found.stdout).into_owned() + &String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{said}");
    // The document itself is not among them.
    assert!(said.contains(&format!("Tested: {}\n", Confidant::routes().len() - 1)), "{said}");
    let log = strongroom.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
