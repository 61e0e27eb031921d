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

#[tokio::test]
async fn what_was_archived_is_listed_and_brought_back() {
    let mut strongroom = Strongroom::new(None);
    strongroom.start().await;
    let password = strongroom.create_client("ops", true);
    let send = async |method: reqwest::Method, path: &str, body: Value| {
        let request = strongroom.caller(None).request(method, strongroom.url(path)).basic_auth("ops", Some(&password));
        let answer = request.json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let archive = |arguments: &[&str]| {
        let mut command = binary();
        command.arg("archive").args(arguments).args(["--data-dir", &strongroom.data.display().to_string()]);
        command.output().expect("the binary")
    };
    let (post, put, get) = (reqwest::Method::POST, reqwest::Method::PUT, reqwest::Method::GET);
    let body = json!({"name": "mail", "credential_pairs": {"k": "v"}, "enabled": false});
    let (_, made) = send(post.clone(), "/v1/credentials", body).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/credentials/{id}");
    assert_eq!(send(post.clone(), &format!("{path}/archive"), json!({"force": true})).await.0, 200);
    assert_eq!(send(get.clone(), &path, json!({})).await.0, 404);

    let listed = archive(&["list"]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.status.success() && text.starts_with(&id) && text.trim().ends_with(" mail"), "{text}");
    let (_, other) = send(post, "/v1/credentials", json!({"name": "mail", "credential_pairs": {"k": "w"}})).await;
    let taken = archive(&["restore", &id]);
    assert!(!taken.status.success() && said(&taken).contains(other["id"].as_str().expect("an id")), "{}", said(&taken));
    let rename = format!("/v1/credentials/{}", other["id"].as_str().expect("an id"));
    assert_eq!(send(put, &rename, json!({"name": "post"})).await.0, 200);
    let restored = archive(&["restore", &id]);
    assert!(restored.status.success(), "{}", said(&restored));
    let (status, read) = send(get.clone(), &path, json!({})).await;
    assert_eq!((status, &read["credential_pairs"], &read["revision"]), (200, &json!({"k": "v"}), &json!(2)));
    let (_, history) = send(get, &format!("/v1/archive/credentials/{id}"), json!({})).await;
    assert_eq!(history["revisions"].as_array().expect("a list").len(), 2);
    for wrong in ["x", &"0".repeat(32), &id] {
        let refused = archive(&["restore", wrong]);
        assert!(!refused.status.success() && said(&refused).contains(wrong), "{}", said(&refused));
    }
    assert!(archive(&["list"]).stdout.is_empty());
}
