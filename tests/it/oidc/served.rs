//! The real binary with these settings in its file: what is read at the start, what is refused there, and what is read
//! again.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use super::certificates::Authority;
use super::told;
use crate::issuer::Issuer;
use crate::process::Strongroom;

/// More than the pause between two looks at a file.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(folder: &Path, issuer: &Issuer) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    let issuers = json!([{"url": issuer.url(), "caFile": file("root.pem")}]);
    json!({"credhub": {"auth": {"issuers": issuers, "mutualTls": {"caFile": file("instances.pem")}}}}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_name_issuers_and_authorities_and_files_are_read_again() {
    let (issuer, dir) = (Issuer::start().await, tempfile::tempdir().unwrap());
    let (first, next) = (Authority::new("Root of instances"), Authority::new("Next root"));
    let lay = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    lay("root.pem", issuer.root());
    lay("instances.pem", &first.certificate);
    lay("config.yaml", &settings(dir.path(), &issuer));
    let mut strongroom = Strongroom::new(None);
    strongroom.set("STRONGROOM_CONFIG", dir.path().join("config.yaml").to_str());
    strongroom.start().await;
    let caller = strongroom.caller(None);
    let ask = async |caller: &Client| told(caller.get(strongroom.url("/version"))).await.status;

    let info: Value = caller.get(strongroom.url("/info")).send().await.unwrap().json().await.unwrap();
    assert_eq!(info["auth-server"]["url"], json!(issuer.url()));
    let begun = Instant::now();
    while issuer.asked("/token_keys") == 0 {
        assert!(begun.elapsed() < PATIENCE, "nobody asks for keys before the first caller comes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let token = issuer.token(&issuer.claims("till"));
    let answer = told(caller.get(strongroom.url("/version")).bearer_auth(&token)).await;
    assert_eq!(answer.status, 200, "{}", strongroom.log());
    assert_eq!(issuer.asked("/token_keys"), 1);

    let (old, new) = (strongroom.caller(Some(&first.app())), strongroom.caller(Some(&next.app())));
    assert_eq!((ask(&old).await, ask(&new).await), (200, 401));
    lay("instances.pem", "half of a");
    tokio::time::sleep(Duration::from_secs(1)).await;
    lay("instances.pem", &next.certificate);
    let begun = Instant::now();
    while ask(&old).await != 401 {
        assert!(begun.elapsed() < PATIENCE, "{}", strongroom.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(ask(&strongroom.caller(Some(&next.app()))).await, 200);
    assert!(!strongroom.log().contains(&token));
    assert_eq!(strongroom.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_refused_at_the_start_by_their_settings() {
    let (issuer, dir) = (Issuer::start().await, tempfile::tempdir().unwrap());
    let lay = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    lay("root.pem", issuer.root());
    lay("instances.pem", &Authority::new("Root of instances").certificate);
    lay("empty.pem", "");
    let good = settings(dir.path(), &issuer);
    let key_file = |name: &str| {
        let issuers = json!([{"url": issuer.url(), "keyFile": dir.path().join(name)}]);
        json!({"credhub": {"auth": {"issuers": issuers}}}).to_string()
    };
    for (text, named) in [
        (good.replace("root.pem", "nothing.pem"), "credhub.auth.issuers"),
        (good.replace("root.pem", "empty.pem"), "credhub.auth.issuers"),
        (good.replace("instances.pem", "nothing.pem"), "credhub.auth.mutualTls.caFile"),
        (good.replace("instances.pem", "empty.pem"), "credhub.auth.mutualTls.caFile"),
        (key_file("nothing.pem"), "keyFile"),
        (key_file("root.pem"), "keyFile"),
        (good.replace("\"url\"", "\"uri\""), "uri"),
    ] {
        lay("config.yaml", &text);
        let mut strongroom = Strongroom::new(None);
        strongroom.set("STRONGROOM_CONFIG", dir.path().join("config.yaml").to_str());
        strongroom.spawn();
        assert!(!strongroom.ended().await.success(), "{text}");
        assert!(strongroom.log().contains(named), "{named}: {}", strongroom.log());
    }
}
