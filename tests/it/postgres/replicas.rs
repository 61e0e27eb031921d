//! The real program on PostgreSQL: several of it at one database, and what its log says of that database.

use serde_json::{Value, json};

use super::server::{self, Server};
use crate::process::{Strongroom, binary};

fn on(url: &str) -> Strongroom {
    let mut strongroom = Strongroom::new(None);
    strongroom.set("STRONGROOM_DATABASE", Some(&url.replace("tests@", "tests:hunter2@")));
    strongroom
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_acknowledges_another_serves() {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database");
    let mut first = on(&url);
    first.start().await;
    let password = first.create_client("ops", true);
    let mut second = on(&url);
    let key = first.data.join("strongroom.key");
    second.set("STRONGROOM_KEY_FILE", Some(&key.display().to_string()));
    second.start().await;
    let body = json!({"name": "mail", "credential_pairs": {"user": "u", "pass": "v-a-l-u-e"}, "enabled": true});
    let create = first.caller(None).post(first.url("/v1/credentials")).basic_auth("ops", Some(&password)).json(&body);
    let created = create.send().await.expect("an answer");
    assert_eq!(created.status(), 200);
    let created: Value = created.json().await.expect("JSON");
    first.kill();
    let path = format!("/v1/credentials/{}", created["id"].as_str().expect("an id"));
    let read = second.caller(None).get(second.url(&path)).basic_auth("ops", Some(&password));
    let read: Value = read.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(read["credential_pairs"], created["credential_pairs"]);
    assert_eq!(second.stop().await.code(), Some(0));
    for log in [first.log(), second.log()] {
        assert!(!log.contains("hunter2") && !log.contains("v-a-l-u-e"), "{log}");
        assert!(log.contains("fsync off"), "what the server does not guarantee is said: {log}");
    }
    let name = url.rsplit('/').next().expect("a name");
    let audit = |command: &str| {
        let mut audit = binary();
        audit.args(["audit", command, "--data-dir", &first.data.display().to_string()]);
        let output = audit.env("STRONGROOM_DATABASE", &url).output().expect("the binary");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (whole, said) = audit("verify");
    assert!(whole && said.contains("in 2 files"), "{said}");
    let (_, tail) = audit("tail");
    assert!(tail.contains(r#""action":"create""#) && tail.contains(r#""action":"read""#), "{tail}");
    let taken = "DELETE FROM strongroom.notes WHERE number = 2 AND journal =
        (SELECT journal FROM strongroom.notes WHERE note LIKE '%\"read\"%' LIMIT 1)";
    server::shared().sql(name, taken);
    let (whole, said) = audit("verify");
    assert!(!whole && said.contains("record 2 is missing"), "{said}");
    let rows = server::shared().sql(name, "SELECT string_agg(sealed::text, '') FROM strongroom.revisions");
    let value = hex::encode("v-a-l-u-e");
    assert!(!rows.is_empty() && !rows.contains(&value));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_may_lag_behind_is_named_at_start() {
    let primary = Server::start(&[("fsync", "off"), ("synchronous_commit", "off")]);
    let standby = primary.standby("second");
    server::eventually("the standby follows", || {
        primary.sql("postgres", "SELECT count(*) FROM pg_stat_replication") == "1"
    });
    let hosts = format!("tests@127.0.0.1:{},127.0.0.1:{}", standby.port(), primary.port());
    let mut strongroom = on(&format!("postgres://{hosts}/postgres"));
    strongroom.start().await;
    let log = strongroom.log();
    assert_eq!(log.matches("standbys are asynchronous").count(), 1, "{log}");
    assert!(log.contains("synchronous_commit is weaker"), "{log}");
    strongroom.kill();
    primary.await_standby("second");
    strongroom.start().await;
    assert!(strongroom.log().contains("when a synchronous standby has them too"), "{}", strongroom.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_looks_at_the_database_and_makes_nothing() {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    let check = |url: &str| {
        let mut check = binary();
        check.args(["check", "--data-dir", &folder.path().display().to_string()]).env("STRONGROOM_DATABASE", url);
        let output = check.env("KUBECONFIG", folder.path().join("none")).output().expect("the binary");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let said = check(&url);
    assert!(said.contains("ok    store") && said.contains("will be made"), "{said}");
    let name = url.rsplit('/').next().expect("a name");
    assert_eq!(server::shared().sql(name, "SELECT to_regnamespace('strongroom') IS NULL"), "t");
    let said = check("postgres://tests:hunter2@127.0.0.1:1/none");
    assert!(said.contains("FAIL  store") && said.contains("127.0.0.1:1") && !said.contains("hunter2"), "{said}");
    let said = check("postgres://tests:hunter2@127.0.0.1/none?sslmodus=require");
    assert!(said.contains("FAIL  store") && said.contains("sslmodus") && !said.contains("hunter2"), "{said}");
}
