//! `strongroom serve` and the subcommands that need no cluster, as somebody at a terminal would use them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};

use crate::process::{Strongroom, binary};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn what_is_written_survives_sigkill_and_ends_well_on_sigterm() {
    let mut strongroom = Strongroom::new(None);
    strongroom.start().await;
    let mode = fs::metadata(strongroom.data.join("strongroom.key")).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    let password = strongroom.create_client("ops", true);
    let body = json!({"name": "mail", "credential_pairs": {"user": "u", "pass": "v-a-l-u-e"}, "enabled": true});
    let created = strongroom
        .caller(None)
        .post(strongroom.url("/v1/credentials"))
        .basic_auth("ops", Some(&password))
        .json(&body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(created.status(), 200);
    let created: Value = created.json().await.expect("JSON");
    strongroom.kill();

    strongroom.start().await;
    let path = format!("/v1/credentials/{}", created["id"].as_str().expect("an id"));
    let read = strongroom.caller(None).get(strongroom.url(&path)).basic_auth("ops", Some(&password));
    let read: Value = read.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(read["credential_pairs"], created["credential_pairs"]);
    assert_eq!(strongroom.stop().await.code(), Some(0));
    for folder in [strongroom.data.clone(), strongroom.data.join("audit")] {
        for file in fs::read_dir(folder).expect("the folder").flatten().filter(|file| file.path().is_file()) {
            let bytes = fs::read(file.path()).expect("a file");
            assert!(!bytes.windows(9).any(|part| part == b"v-a-l-u-e"), "{}", file.path().display());
        }
    }
    assert!(!strongroom.log().contains("v-a-l-u-e"));
}

#[tokio::test]
async fn a_store_without_its_key_is_refused_and_stays_as_it_is() {
    let mut strongroom = Strongroom::new(None);
    strongroom.start().await;
    strongroom.kill();
    let key = strongroom.data.join("strongroom.key");
    fs::rename(&key, key.with_extension("away")).expect("to move the key");
    strongroom.spawn();
    assert!(!strongroom.ended().await.success());
    assert!(strongroom.log().contains("strongroom.key"), "{}", strongroom.log());
    assert!(!key.exists(), "no new key is made over an old store");
    fs::rename(key.with_extension("away"), &key).expect("to move it back");
    strongroom.start().await;
    strongroom.kill();

    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).expect("to open it");
    strongroom.spawn();
    assert!(!strongroom.ended().await.success());
    assert!(strongroom.log().contains("chmod"), "{}", strongroom.log());
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    type Case = (&'static [&'static str], Option<(&'static str, &'static str)>, &'static str);
    let cases: [Case; 5] = [
        (&["serve", "--lissten", "127.0.0.1:1"], None, "--lissten"),
        (&["serve"], Some(("STRONGROOM_LISSTEN", "x")), "STRONGROOM_LISSTEN"),
        (&["serve"], Some(("STRONGROOM_LISTEN", "nowhere")), "--listen"),
        (&["serve", "--config", "/nowhere"], None, "/nowhere"),
        (&["serve", "--plain-http", "--listen", "0.0.0.0:1"], None, "--plain-http"),
    ];
    for (arguments, environment, named) in cases {
        let output = binary().args(arguments).envs(environment).output().expect("the binary");
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said(&output).contains(named), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn what_needs_nothing_works_without_anything() {
    let run = |argument: &str| binary().arg(argument).output().expect("the binary");
    assert!(said(&run("version")).starts_with("strongroom "));
    let crds = said(&run("crds"));
    for kind in ["Credential", "Service", "CertificateAuthority", "ClientCredential"] {
        assert!(crds.contains(&format!("kind: {kind}\n")), "{kind}");
    }
    let help = said(&binary().args(["serve", "--help"]).output().expect("the binary"));
    for word in ["--listen", "STRONGROOM_LISTEN", "--retain-for", "--config"] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn check_says_line_by_line_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let output = binary()
        .args(["check", "--data-dir", &data.display().to_string()])
        .env("KUBECONFIG", dir.path().join("none"))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .expect("the binary");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("ok    settings") && said.contains("will be made") && said.contains("FAIL  api server"),
        "{said}"
    );
    assert!(!data.exists(), "check makes nothing");
}
