//! The store's files exchanged or damaged while nobody serves them.

use std::fs;

use super::*;
use crate::backup::{Folder, back_up, restore};

/// With the log that its last writes are in, and with everything in the file.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_store_is_noticed_served_read_only_and_can_be_accepted() {
    for has_log in [true, false] {
        let mut house = House::open().await;
        let id = house.create("mail", "first").await;
        match has_log {
            true => house.strongroom.kill(),
            false => assert!(house.strongroom.stop().await.success()),
        }
        let data = house.strongroom.data.clone();
        let kept = keep(&data, "kept");
        assert_eq!(kept.join(STORE[1]).exists(), has_log, "one with a log and one without");
        house.strongroom.start().await;
        house.update(&id, "second").await;
        house.create("more", "m").await;
        house.strongroom.kill();
        put_back(&kept, &data);

        house.strongroom.start().await;
        assert_read_only(&house, &id, "first").await;
        let said = errors(&house.strongroom);
        assert_eq!(said.len(), 1, "said once: {said:?}");
        for part in ["it ends with record", "and had record", "its last record is of 20", ANCHOR] {
            assert!(said[0].contains(part), "{part}: {}", said[0]);
        }
        let check = house.strongroom.check();
        assert!(check.contains("FAIL  anchor") && check.contains("accept-rollback"), "{check}");
        let found = refused(&["audit", "verify"], &data);
        assert!(found.contains("not what it was") && found.contains("FAILED: 1 found"), "{found}");
        let backup = run(&["backup", "--output", &data.with_extension("backup").display().to_string()], &data);
        assert!(text(&backup.stderr).contains("the store is not what it was"), "{}", text(&backup.stderr));
        done(&backup);
        let client = refused(&["client", "create", "late"], &data);
        assert!(client.contains("accept-rollback"), "{client}");
        let asked = refused(&["accept-rollback"], &data);
        assert!(asked.contains("--yes") && asked.contains("is lost if you accept"), "{asked}");
        assert_read_only(&house, &id, "first").await;

        let accepted = accept(&data);
        assert!(accepted.contains("a rollback from record"), "{accepted}");
        assert_writes_go_on(&house, &id).await;
        assert!(accept(&data).contains("nothing to accept"));
        assert!(house.strongroom.stop().await.success());
        assert_audit_tells(&data, "accept rollback");
        house.strongroom.start().await;
        assert!(!detected(&house.strongroom).await);
        house.update(&id, "third").await;
        assert_eq!(errors(&house.strongroom).len(), 1, "{}", house.strongroom.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_never_served_since_is_refused_to_every_subcommand_that_writes() {
    let mut house = House::open().await;
    let data = house.strongroom.data.clone();
    house.strongroom.kill();
    let kept = keep(&data, "kept");
    house.strongroom.start().await;
    house.create("mail", "first").await;
    house.strongroom.kill();
    put_back(&kept, &data);
    for arguments in [&["rekey"][..], &["client", "create", "late", "--admin"]] {
        let said = refused(arguments, &data);
        assert!(said.contains("strongroom accept-rollback"), "{arguments:?}: {said}");
    }
    assert!(accept(&data).contains("a rollback from record"));
    assert_audit_tells(&data, "accept rollback");
    done(&run(&["rekey"], &data));
}

/// SQLite takes the first damage in its log for the log's end: the last write would silently be gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_byte_at_the_end_of_the_log_is_noticed() {
    let mut house = House::open().await;
    let id = house.create("mail", "first").await;
    house.update(&id, "second").await;
    house.strongroom.kill();
    let data = house.strongroom.data.clone();
    let log = data.join(STORE[1]);
    let mut bytes = fs::read(&log).expect("a log");
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(&log, &bytes).expect("written");
    house.strongroom.start().await;
    assert_read_only(&house, &id, "first").await;
    accept_and_go_on(&mut house, &id).await;
}

/// Whoever puts an older copy there and writes into it leaves it longer than it was, and not the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_that_was_written_to_since_is_noticed() {
    let (mut house, id, data) = stopped().await;
    let kept = keep(&data, "kept");
    house.strongroom.start().await;
    house.update(&id, "second").await;
    house.strongroom.kill();
    put_back(&kept, &data);
    let away = data.with_extension("anchor");
    fs::rename(data.join(ANCHOR), &away).expect("moved");
    house.strongroom.start().await;
    assert!(!detected(&house.strongroom).await, "without an anchor nobody can tell");
    for number in 0..20 {
        house.update(&id, &format!("other {number}")).await;
    }
    house.strongroom.kill();
    fs::rename(&away, data.join(ANCHOR)).expect("moved back");
    house.strongroom.start().await;
    assert_read_only(&house, &id, "other 19").await;
    let said = errors(&house.strongroom);
    assert!(said[0].contains("is not the one that it had at"), "{said:?}");
    accept_and_go_on(&mut house, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_store_put_back_needs_no_word_of_anybody() {
    let (mut house, id, data) = stopped().await;
    let older = keep(&data, "older");
    house.strongroom.start().await;
    house.update(&id, "second").await;
    house.strongroom.kill();
    let newer = keep(&data, "newer");
    put_back(&older, &data);
    house.strongroom.start().await;
    assert_read_only(&house, &id, "first").await;
    house.strongroom.kill();
    put_back(&newer, &data);
    house.strongroom.start().await;
    assert_eq!(value(&house, &id).await, "second");
    assert_writes_go_on(&house, &id).await;
}

/// A backup is older than the store was, and is put there on purpose.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_has_an_anchor_of_its_own() {
    let mut house = House::open().await;
    let id = house.create("mail", "first").await;
    let data = house.strongroom.data.clone();
    let file = data.with_extension("backup");
    back_up(&data, &file);
    for number in 0..9 {
        house.update(&id, &format!("{number}")).await;
    }
    assert!(house.strongroom.stop().await.success());
    put_back(&data.with_extension("nothing"), &data);
    done(&restore(&file, &data));
    house.strongroom.start().await;
    assert_eq!(value(&house, &id).await, "first");
    assert_writes_go_on(&house, &id).await;
    house.strongroom.kill();
    assert_audit_tells(&data, "restore");

    let other = House::open().await;
    let folder = Folder::with_key_of(&data);
    fs::copy(other.strongroom.data.join(ANCHOR), folder.data.join(ANCHOR)).expect("a copy");
    let said = text(&restore(&file, &folder.data).stderr);
    assert!(said.contains(ANCHOR) && said.contains("is of store"), "{said}");
}
