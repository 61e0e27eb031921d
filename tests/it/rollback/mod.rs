//! A store that is put back to an older state, as its operator meets it: the real server serves reads, refuses writes,
//! says so wherever somebody looks, and goes on when the right store is back or the older one was accepted.

mod anchors;
mod database;
mod operator;
mod swapped;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::backup::{House, done, run, text};
use crate::process::Strongroom;

const STORE: [&str; 2] = ["strongroom.db", "strongroom.db-wal"];
const ANCHOR: &str = "strongroom.anchor";
/// Longer than a write waits for a database that went away.
const PATIENCE: Duration = Duration::from_secs(20);

/// The store's files as they are; SQLite's shared memory is made anew.
fn keep(data: &Path, name: &str) -> PathBuf {
    let kept = data.with_extension(name);
    fs::create_dir(&kept).expect("a folder");
    for file in STORE.iter().filter(|file| data.join(file).exists()) {
        fs::copy(data.join(file), kept.join(file)).expect("a copy");
    }
    kept
}

/// Puts an earlier state in the place of the store. Nobody serves it meanwhile.
fn put_back(kept: &Path, data: &Path) {
    for file in STORE.iter().chain(&["strongroom.db-shm"]) {
        let _ = fs::remove_file(data.join(file));
    }
    for file in STORE.iter().filter(|file| kept.join(file).exists()) {
        fs::copy(kept.join(file), data.join(file)).expect("a copy");
    }
}

async fn page(strongroom: &Strongroom, page: &str) -> String {
    let client = Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("http://127.0.0.1:{}/{page}", strongroom.admin)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "whoever is not ready gets no reads either");
    answer.text().await.expect("text")
}

async fn detected(strongroom: &Strongroom) -> bool {
    let page = page(strongroom, "metrics").await;
    let value = page.lines().find_map(|line| line.strip_prefix("strongroom_rollback_detected "));
    value.expect("the metric") == "1"
}

/// A session that ended with its database is only missed when it is used.
async fn value(house: &House, id: &str) -> String {
    let begun = Instant::now();
    loop {
        match house.ask(Method::GET, &format!("/v1/credentials/{id}"), None).await {
            (200, shown) => return shown["credential_pairs"]["value"].as_str().expect("a value").to_owned(),
            (status, said) => assert!(status == 503 && begun.elapsed() < PATIENCE, "{status} {said}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn write(house: &House, id: &str, value: &str) -> (u16, Value) {
    let body = json!({"credential_pairs": {"value": value}});
    house.ask(Method::PUT, &format!("/v1/credentials/{id}"), Some(body)).await
}

/// Everything that a server on such a store must show. The value is there, and older.
async fn assert_read_only(house: &House, id: &str, old: &str) {
    let strongroom = &house.strongroom;
    assert_eq!(value(house, id).await, old);
    let (status, refused) = write(house, id, "never").await;
    assert_eq!(status, 503, "{refused}");
    let told = refused["error"].as_str().expect("Confidant's shape");
    assert!(told.contains("strongroom accept-rollback"), "{told}");
    assert_eq!(value(house, id).await, old, "nothing was written");
    let ready = page(strongroom, "readyz").await;
    assert!(ready.starts_with("ok, read-only: ") && ready.contains("accept-rollback"), "{ready}");
    assert!(detected(strongroom).await);
}

fn errors(strongroom: &Strongroom) -> Vec<String> {
    let log = strongroom.log();
    log.lines().filter(|line| line.contains("ERROR") && line.contains("not what it was")).map(str::to_owned).collect()
}

/// A write is done, and nothing is said any more.
async fn assert_writes_go_on(house: &House, id: &str) {
    let begun = Instant::now();
    loop {
        let (status, answer) = write(house, id, "after").await;
        if status == 200 {
            break;
        }
        assert!(status == 503 && begun.elapsed() < PATIENCE, "{status} {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while detected(&house.strongroom).await {
        assert!(begun.elapsed() < PATIENCE, "the metric stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(value(house, id).await, "after");
    assert_eq!(page(&house.strongroom, "readyz").await, "ok\n");
}

fn accept(data: &Path) -> String {
    done(&run(&["accept-rollback", "--yes"], data))
}

/// A server with one credential, killed, and its data.
async fn stopped() -> (House, String, PathBuf) {
    let mut house = House::open().await;
    let id = house.create("mail", "first").await;
    house.strongroom.kill();
    let data = house.strongroom.data.clone();
    (house, id, data)
}

/// While the server runs, and the audit knows of it afterwards.
async fn accept_and_go_on(house: &mut House, id: &str) {
    let data = house.strongroom.data.clone();
    accept(&data);
    assert_writes_go_on(house, id).await;
    house.strongroom.kill();
    assert_audit_tells(&data, "accept rollback");
}

/// The audit is whole, and tells of this.
fn assert_audit_tells(data: &Path, action: &str) {
    let said = done(&run(&["audit", "verify"], data));
    assert!(said.contains("ok: "), "{said}");
    let tail = done(&run(&["audit", "tail", "--lines", "1000"], data));
    assert!(tail.lines().any(|line| line.contains(action)), "{tail}");
}

fn refused(arguments: &[&str], data: &Path) -> String {
    let output = run(arguments, data);
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
