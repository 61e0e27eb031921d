//! What a restored store is beside its values.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;
use strongroom::app::ports::{Change, Store, Write};
use strongroom::domain::name::RecordId;
use strongroom::domain::record::{Head, Release};

use super::{Folder, House, back_up, contents, digest, done, keyring, restore, run, store, text};
use crate::process::binary;

/// Releases a credential as the end of its resource would.
async fn release(house: &House, id: &str) {
    let data = &house.strongroom.data;
    let store = store(data);
    let keyring = keyring(&store, data).await;
    let id = RecordId::parse_hex(id).expect("an id");
    let mut moment = store.snapshot().await.expect("a moment");
    let all = moment.heads(None, 100).await.expect("heads");
    let row = all.into_iter().find(|row| row.head.id == id).expect("the record");
    let times = [4_000_000_000, 4_100_000_000].map(|second| Timestamp::from_second(second).expect("a time"));
    let head = Head { released: Some(Release { at: times[0], purge_at: times[1] }), ..row.head };
    let mac = keyring.mark(&head, &row.stamp).expect("a mark");
    let changes = vec![(Change::Rehead { head: Box::new(head), was: row.mac, mac }, None)];
    store.write(Write { changes, keyring, fence: None }).await.expect("written");
}

#[tokio::test]
async fn a_restored_store_is_the_same_in_everything_and_goes_on() {
    let mut house = House::open().await;
    let first = house.create("Database", "one").await;
    house.update(&first, "two").await;
    house.update(&first, "three").await;
    house.create("Mail", "m").await;
    let gone = house.create("Gone", "g").await;
    let service = json!({"enabled": true, "credentials": [first]});
    assert_eq!(house.ask(Method::PUT, "/v1/services/shop", Some(service)).await.0, 200);
    house.strongroom.create_client("till", false);
    release(&house, &gone).await;
    house.strongroom.stop().await;

    let folder = Folder::with_key_of(&house.strongroom.data);
    let file = folder.file("all.backup");
    let said = back_up(&house.strongroom.data, &file);
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let restored = done(&restore(&file, &folder.data));
    assert_eq!(digest(&restored), digest(&said));
    let (before, after) = (contents(&house.strongroom.data).await, contents(&folder.data).await);
    assert_eq!((&after.heads, &after.revisions, &after.bodies), (&before.heads, &before.revisions, &before.bodies));
    assert_eq!(after.notes[..before.notes.len()], before.notes);
    assert_eq!(after.notes.len(), before.notes.len() + 1, "and that it was restored");
    assert_eq!(after.heads.iter().filter(|row| row.head.released.is_some()).count(), 1);

    // The journals of reads are files of their own: what is not here is told, and with them the audit is complete.
    const NOT_HERE: &str = "from before the store was restored, and not here";
    let verify = |data: &Path| done(&run(&["audit", "verify"], data));
    assert!(verify(&folder.data).contains(NOT_HERE));
    fs::create_dir(folder.data.join("audit")).expect("a folder");
    for journal in fs::read_dir(house.strongroom.data.join("audit")).expect("journals").flatten() {
        fs::copy(journal.path(), folder.data.join("audit").join(journal.file_name())).expect("a copy");
    }
    assert!(!verify(&folder.data).contains(NOT_HERE));

    let mut again = house.restored_in(&folder).await;
    let (status, shown) = again.ask(Method::GET, "/v1/services/shop", None).await;
    assert_eq!(status, 200, "{shown}");
    let body = json!({"name": "Database", "credential_pairs": {"a": "b"}, "enabled": true});
    let (status, answer) = again.ask(Method::POST, "/v1/credentials", Some(body)).await;
    assert_eq!((status, answer["reference"].as_str()), (409, Some(first.as_str())), "titles are taken: {answer}");
    assert_eq!(again.ask(Method::GET, &format!("/v1/credentials/{gone}"), None).await.0, 404);
    again.create("Gone", "its title is free").await;
    again.update(&first, "four").await;
    again.strongroom.stop().await;
    assert!(!verify(&folder.data).contains(NOT_HERE));

    // And is backed up and restored again.
    let second = Folder::with_key_of(&folder.data);
    let said = back_up(&folder.data, &second.file("again.backup"));
    assert_eq!(digest(&done(&restore(&second.file("again.backup"), &second.data))), digest(&said));
}

#[tokio::test]
async fn a_backup_needs_no_key_and_may_go_to_a_pipe() {
    let house = House::open().await;
    house.create("Database", "one").await;
    let folder = Folder::with_key_of(&house.strongroom.data);
    let key = house.strongroom.data.join("strongroom.key");
    fs::rename(&key, key.with_extension("away")).expect("to move the key");
    let mut command = binary();
    let piped = command.args(["backup", "--output", "-", "--data-dir"]).arg(&house.strongroom.data);
    let output = piped.stdin(Stdio::null()).output().expect("the binary");
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("not recorded in the audit"), "{said}");
    fs::write(folder.file("piped"), &output.stdout).expect("a file");
    let restored = done(&restore(&folder.file("piped"), &folder.data));
    assert_eq!(digest(&restored), digest(&said));
    let root = fs::read(folder.data.join("strongroom.key")).expect("the key");
    assert!(!output.stdout.windows(root.len()).any(|part| part == root));
}
