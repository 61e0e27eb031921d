//! Somebody with the folder of a real server, and without its key.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;

use super::{Scene, audit, verified};

/// Three processes wrote here, and the second was killed.
async fn folder() -> Scene {
    let mut scene = Scene::new().await;
    for round in 0..3 {
        for number in 0..4 {
            scene.call(Method::GET, &scene.read_path(), None).await;
            let body = json!({"name": "db", "documentation": format!("{round} {number}")});
            scene.call(Method::PUT, &scene.read_path(), Some(body)).await;
            scene.call(Method::PUT, "/v1/services/shop", Some(json!({"credentials": [scene.credential]}))).await;
        }
        match round {
            1 => scene.strongroom.kill(),
            _ => assert_eq!(scene.strongroom.stop().await.code(), Some(0)),
        }
        if round < 2 {
            scene.start_again().await;
        }
    }
    scene
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let there = to.join(entry.file_name());
        if entry.path().is_dir() {
            copied(&entry.path(), &there);
        } else {
            fs::copy(entry.path(), there).expect("a copy");
        }
    }
}

/// What `verify` says after a change to a copy.
fn after(data: &Path, change: impl FnOnce(&Path)) -> (bool, String) {
    let dir = tempfile::tempdir().expect("a folder");
    copied(data, dir.path());
    change(dir.path());
    audit(dir.path(), &["verify"])
}

#[track_caller]
fn found(data: &Path, about: &str, change: impl FnOnce(&Path)) -> String {
    let (whole, said) = after(data, change);
    assert!(!whole && said.contains("FAILED"), "{about} is not found: {said}");
    said
}

fn journals(data: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(data.join("audit")).expect("journals").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn with_lines(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).expect("a journal");
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    change(&mut lines);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("to write");
    fs::write(path, lines.concat()).expect("to write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).expect("to write");
}

fn with_database(data: &Path, sql: &str) {
    let database = Connection::open(data.join("strongroom.db")).expect("the store");
    database.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test]
async fn whatever_is_done_to_a_line_of_a_journal_is_found() {
    let scene = folder().await;
    let data = &scene.strongroom.data;
    assert!(after(data, |_| {}).0, "{}", after(data, |_| {}).1);
    let files = journals(data);
    assert_eq!(files.len(), 3);
    type Change = (&'static str, fn(&mut Vec<String>, usize));
    let changes: [Change; 6] = [
        ("removed", |lines, at| drop(lines.remove(at))),
        ("changed", |lines, at| lines[at] = lines[at].replace("\"at\":\"2", "\"at\":\"3")),
        ("renumbered", |lines, at| lines[at] = lines[at].replacen("\"n\":", "\"n\":1", 1)),
        ("moved", |lines, at| lines.swap(at, (at + 1) % 4)),
        ("doubled", |lines, at| lines.insert(at, lines[at].clone())),
        ("cut", |lines, at| lines.truncate(at)),
    ];
    let mut tried = 0;
    for file in &files {
        let file = Path::new("audit").join(file.file_name().expect("a name"));
        let count = fs::read_to_string(data.join(&file)).expect("a journal").lines().count();
        for at in [0, 1, count / 2, count - 1] {
            for (how, change) in &changes {
                let about = format!("{} {at} {how}", file.display());
                found(data, &about, |copy| with_lines(&copy.join(&file), |lines| change(lines, at)));
                tried += 1;
            }
        }
        let gone = found(data, "a journal that is gone", |copy| fs::remove_file(copy.join(&file)).expect("removed"));
        assert!(gone.contains("is gone"), "{gone}");
    }
    println!("{tried} changes of lines found");
    verified(data);
}

#[tokio::test]
async fn whatever_is_done_to_the_store_is_found() {
    let scene = folder().await;
    let data = &scene.strongroom.data;
    assert!(after(data, |copy| with_database(copy, "PRAGMA user_version")).0);
    let last = "(SELECT max(number) FROM audit)";
    let changes = [
        "DELETE FROM audit WHERE number = 1".to_owned(),
        "DELETE FROM audit WHERE number = 7".to_owned(),
        format!("DELETE FROM audit WHERE number = {last}"),
        format!("DELETE FROM audit WHERE number > {last} - 5"),
        "DELETE FROM audit".to_owned(),
        "UPDATE audit SET note = replace(note, 'ops', 'eve') WHERE number IN (SELECT max(number) FROM audit WHERE note LIKE '%ops%')".to_owned(),
        "UPDATE audit SET hash = zeroblob(32) WHERE number = 6".to_owned(),
        "UPDATE audit SET note = 7 WHERE number = 6".to_owned(),
        format!("UPDATE audit SET hash = zeroblob(32) WHERE number = {last}"),
        "UPDATE audit SET number = number + 1000 WHERE number = 6".to_owned(),
        "UPDATE audit SET number = -1 WHERE number = 6; UPDATE audit SET number = 6 WHERE number = 7; UPDATE audit SET number = 7 WHERE number = -1".to_owned(),
        format!("INSERT INTO audit (number, hash, note) SELECT {last} + 1, hash, note FROM audit WHERE number = 6"),
        "PRAGMA foreign_keys = ON; DELETE FROM records WHERE name LIKE '/confidant/%'".to_owned(),
        "PRAGMA foreign_keys = ON; DELETE FROM records WHERE name = 'shop'".to_owned(),
        "DELETE FROM revisions WHERE number = 2".to_owned(),
        "UPDATE revisions SET number = 900 WHERE number = 2".to_owned(),
        "UPDATE revisions SET actor = 'eve' WHERE number = 2".to_owned(),
        "UPDATE revisions SET sealed = zeroblob(120) WHERE number = 3".to_owned(),
        "UPDATE records SET revision = revision - 1 WHERE revision > 1".to_owned(),
        "UPDATE records SET retain_for = 7 WHERE name = 'shop'".to_owned(),
        "UPDATE ledger SET count = count + 1".to_owned(),
    ];
    for change in &changes {
        found(data, change, |copy| with_database(copy, change));
    }
    println!("{} changes of the store found", changes.len());
}

/// An older record is put back whole, with its mark: every row in itself is right.
#[tokio::test]
async fn an_older_state_of_one_record_is_found() {
    let mut scene = Scene::new().await;
    scene.strongroom.stop().await;
    let old = tempfile::tempdir().expect("a folder");
    copied(&scene.strongroom.data, old.path());
    scene.start_again().await;
    scene.call(Method::PUT, &scene.read_path(), Some(json!({"name": "db", "documentation": "new"}))).await;
    scene.strongroom.stop().await;
    let put_back = format!(
        "ATTACH '{}' AS old; PRAGMA foreign_keys = OFF;
         DELETE FROM revisions WHERE number = 2;
         INSERT OR REPLACE INTO records SELECT * FROM old.records WHERE name LIKE '/confidant/%';",
        old.path().join("strongroom.db").display()
    );
    let said = found(&scene.strongroom.data, "an older state", |copy| with_database(copy, &put_back));
    assert!(said.contains("older state") && said.contains("revision 1"), "{said}");
}
