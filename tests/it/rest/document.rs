//! The OpenAPI document of a dialect, as it is served.

use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use strongroom::api::confidant::Confidant;
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;

use crate::peers;
use crate::process::Strongroom;
use crate::rest::house::{House, answer};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_document_is_served_to_anybody_and_keeps_to_the_rules_of_openapi() {
    let house = House::open().await;
    let document = served::<Confidant>(&house).await;
    assert_eq!(answer(house.client.get(house.url("/openapi.json"))).await, (200, document.clone()));
    assert_eq!(document["paths"]["/v1/credentials/{id}"]["get"]["parameters"][0]["name"], "id");
    let document = served::<Credhub>(&house).await;
    assert_eq!(document["paths"]["/api/v1/data/{id}"]["get"]["parameters"][0]["name"], "id");
    house.close().await;
}

/// A dialect's document, once it is seen that what it says is so.
async fn served<D: Dialect>(house: &House) -> Value {
    let before = house.recorded().await;
    let (status, document) = answer(house.client.get(house.url(&format!("{}/openapi.json", D::MOUNTS[0])))).await;
    assert_eq!((status, house.recorded().await), (200, before));
    assert_eq!(document["openapi"], "3.1.0");
    assert_rules_are_kept(&document);
    // Whoever must be known is told so, and the others are not. From where they ask is something else.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let url = house.url(&format!("{}{}", D::MOUNTS[0], path.replace(['{', '}'], "")));
            let status = house.client.request(method.clone(), url).send().await.unwrap().status();
            let is_open = operation["security"].is_array();
            assert_eq!(status == 401, !is_open, "{method} {path}: {status}");
            let is_told = operation["responses"].get("401").is_some();
            assert!(is_told != is_open || path == "/management", "{method} {path}");
        }
    }
    document
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

/// Runs the generator on the document at this place; what it said, and the log of the server.
async fn generated(place: &str, examples: &str, more: &[&str]) -> (String, String) {
    let mut strongroom = Strongroom::new(None);
    strongroom.set("STRONGROOM_PLAIN_HTTP", Some("true"));
    strongroom.start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut generator = Command::new(peers::program("schemathesis", "openapi"));
    generator
        .args(["run", &format!("http://127.0.0.1:{}{place}/openapi.json", strongroom.rest)])
        .args(["--url", &format!("http://127.0.0.1:{}{place}", strongroom.rest)])
        .args(["--auth", &format!("ops:{}", strongroom.create_client("ops", true))])
        .args(["--continue-on-failure", "--warnings", "off", "--no-color"])
        .args(["--max-examples", examples, "--generation-deterministic"])
        // A key of 4096 bits takes its time where much else is going on.
        .args(["--request-timeout", "60"])
        .args(more)
        .current_dir(dir.path());
    let found = tokio::task::spawn_blocking(move || generator.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&found.stdout).into_owned() + &String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{said}");
    (said, strongroom.log())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn generated_requests_get_what_the_document_says() {
    let (said, log) = generated("", "10", &["--exclude-checks", NOT_CHECKED]).await;
    // The document itself is not among them.
    assert!(said.contains(&format!("Tested: {}\n", Confidant::routes().len() - 1)), "{said}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// CredHub answers 404 to methods that a path does not have, and so it is here.
const NOT_CHECKED_OF_CREDHUB: &str = "positive_data_acceptance,unsupported_method";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn generated_requests_get_what_the_document_of_credhub_says() {
    // Told to write nothing, it would do that for the rest of the run.
    let more = ["--exclude-checks", NOT_CHECKED_OF_CREDHUB, "--exclude-path", "/management"];
    let (said, log) = generated("/credhub", "5", &more).await;
    // Neither the document itself is among them.
    assert!(said.contains(&format!("Tested: {}\n", Credhub::routes().len() - 3)), "{said}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
