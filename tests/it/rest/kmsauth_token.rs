//! kmsauth without AWS: the real binary with a key file, and tokens of `strongroom kmsauth-token`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use reqwest::Client;
use serde_json::json;

use crate::process::{Strongroom, binary};

/// A server with this part of the file, started.
async fn serving(part: &str) -> (Strongroom, PathBuf, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, key) = (dir.path().join("strongroom.yaml"), dir.path().join("tokens.key"));
    let kmsauth = format!("{{context: vault, keyFile: {}, {part}}}", key.display());
    fs::write(&file, format!("confidant:\n  kmsauth: {kmsauth}\n")).expect("a file");
    let mut strongroom = Strongroom::new(None);
    strongroom.set("STRONGROOM_CONFIG", Some(&file.display().to_string()));
    strongroom.start().await;
    (strongroom, file, dir)
}

fn token(file: &Path, arguments: &[&str]) -> Output {
    let mut command = binary();
    command.arg("kmsauth-token").arg("--config").arg(file).args(arguments).output().expect("the binary")
}

fn said(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.success(), text(&output.stdout).trim().to_owned(), text(&output.stderr))
}

fn made(file: &Path, arguments: &[&str]) -> String {
    let (success, token, complaint) = said(&token(file, arguments));
    assert!(success, "{complaint}");
    token
}

async fn get(strongroom: &Strongroom, client: &Client, path: &str, username: &str, token: &str) -> u16 {
    let request = client.get(strongroom.url(path)).basic_auth(username, Some(token));
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_a_key_file_lets_its_service_in() {
    let (mut strongroom, file, _dir) =
        serving("scopedKeys: {east: eastern}, authKeys: [service], userAuthKeys: [user]").await;
    let client = strongroom.caller(None);
    let user = made(&file, &["--from", "ann@example.com", "--user-type", "user", "--basic"]);
    let (username, password) = user.split_once(':').expect("user name and password");
    assert_eq!(username, "2/user/ann@example.com");
    for (id, account) in [("till", None), ("gate", Some("eastern"))] {
        let body = json!({"credentials": [], "enabled": true, "account": account});
        let put = client.put(strongroom.url(&format!("/v1/services/{id}"))).basic_auth(username, Some(password));
        assert_eq!(put.json(&body).send().await.expect("an answer").status(), 200, "{id}");
    }
    let till = made(&file, &["--from", "till"]);
    let gate = made(&file, &["--from", "gate", "--key", "east", "--lifetime", "60m"]);
    let elsewhere = made(&file, &["--from", "till", "--to", "other"]);
    for (path, username, token, expected) in [
        ("/v1/services/till", "2/service/till", &till, 200),
        ("/v1/services/gate", "2/service/till", &till, 403),
        ("/v1/services/gate", "2/service/gate", &gate, 200),
        ("/v1/services/till", "2/service/gate", &till, 403),
        ("/v1/services/till", "2/service/till", &elsewhere, 403),
        ("/v1/services/gate", "2/service/gate", &made(&file, &["--from", "gate"]), 401),
    ] {
        assert_eq!(get(&strongroom, &client, path, username, token).await, expected, "{path} by {username}");
    }
    assert_eq!(strongroom.stop().await.code(), Some(0));
    for token in [&till, &gate] {
        assert!(!strongroom.log().contains(token.as_str()));
    }
    // The file is there after a restart, and so are the tokens.
    strongroom.start().await;
    assert_eq!(get(&strongroom, &client, "/v1/services/till", "2/service/till", &till).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_token_is_said_by_its_name() {
    let (strongroom, file, dir) = serving("maxLifetime: 15m").await;
    for (arguments, named) in [
        (&["--from", "ann", "--user-type", "user"][..], "userTypes"),
        (&["--from", "a/b"], "--from"),
        (&["--from", ""], "--from"),
        (&["--from", "till", "--lifetime", "20m"], "maxLifetime"),
        (&["--from", "till", "--lifetime", "soon"], "--lifetime"),
        (&["--from", "till", "--key", "other"], "--key"),
        (&["--from", "till", "--user-type", "robot"], "--user-type"),
        (&[], "--from"),
    ] {
        let (success, printed, complaint) = said(&token(&file, arguments));
        assert!(!success && printed.is_empty(), "{arguments:?}: {printed}");
        assert!(complaint.contains(named), "{arguments:?}: {complaint}");
    }
    drop(strongroom);
    fs::remove_file(dir.path().join("tokens.key")).expect("the key file");
    let (success, _, complaint) = said(&token(&file, &["--from", "till"]));
    assert!(!success && complaint.contains("tokens.key"), "it makes no key that no server has: {complaint}");
    assert!(!dir.path().join("tokens.key").exists());
    let (_, help, _) = said(&token(&file, &["--help"]));
    assert!(help.contains("curl --user") && help.contains("keyFile"), "{help}");
}
