//! The anchor's file: missing, damaged, another store's, on another volume.

use std::fs;

use super::*;

const PAGE: usize = 4096;

fn damage(data: &Path, copies: &[usize]) {
    let path = data.join(ANCHOR);
    let mut bytes = fs::read(&path).expect("an anchor");
    for copy in copies {
        bytes[copy * PAGE + 200] ^= 1;
    }
    fs::write(&path, bytes).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_that_is_not_there_is_made_and_that_is_said_once() {
    let mut house = House::open().await;
    let id = house.create("mail", "first").await;
    let data = house.strongroom.data.clone();
    assert!(!house.strongroom.log().contains("made anew"), "a first start has nothing to miss");
    house.strongroom.kill();
    fs::remove_file(data.join(ANCHOR)).expect("removed");
    let check = house.strongroom.check();
    assert!(check.contains("ok    anchor") && check.contains("will be made"), "{check}");
    assert!(!data.join(ANCHOR).exists(), "check makes nothing");
    house.strongroom.start().await;
    house.update(&id, "second").await;
    let log = house.strongroom.log();
    let warned: Vec<&str> = log.lines().filter(|line| line.contains("made anew")).collect();
    assert!(warned.len() == 1 && warned[0].contains("WARN") && warned[0].contains(ANCHOR), "{warned:?}");
    assert!(house.strongroom.check().contains("ok    anchor     "), "{}", house.strongroom.check());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_copy_is_made_good_and_two_are_not_passed_over() {
    let mut house = House::open().await;
    let id = house.create("mail", "first").await;
    house.update(&id, "second").await;
    let data = house.strongroom.data.clone();
    for copy in [0, 1] {
        house.strongroom.kill();
        damage(&data, &[copy]);
        house.strongroom.start().await;
        house.update(&id, "second").await;
        assert!(!detected(&house.strongroom).await, "copy {copy}");
    }
    house.strongroom.kill();
    damage(&data, &[0, 1]);
    house.strongroom.start().await;
    assert_eq!(value(&house, &id).await, "second");
    let (status, refused) = write(&house, &id, "never").await;
    assert_eq!(status, 503);
    assert!(refused["error"].as_str().is_some_and(|told| told.contains("anchor cannot be read")), "{refused}");
    let said = errors(&house.strongroom);
    assert!(said.len() == 1 && said[0].contains("neither of its two copies is whole"), "{said:?}");
    accept(&data);
    assert_writes_go_on(&house, &id).await;
    house.strongroom.kill();
    damage(&data, &[0]);
    house.strongroom.start().await;
    assert!(!detected(&house.strongroom).await, "both were made good");
    house.strongroom.kill();
    assert_audit_tells(&data, "from unknown to");
}

/// Fitting digests are no proof: the ledger's own signature is.
#[tokio::test(flavor = "multi_thread")]
async fn what_this_store_has_not_signed_is_no_anchor() {
    let (mut house, id, data) = stopped().await;
    let path = data.join(ANCHOR);
    let mut bytes = fs::read(&path).expect("an anchor");
    for at in [0, PAGE] {
        let line = text(&bytes[at..at + 512]);
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // The number, so that the anchor looks older than it is.
        let forged = [&words[..5], &["1"], &words[6..words.len() - 1]].concat().join(" ") + " ";
        let digest = strongroom::app::audit::sha256(forged.as_bytes());
        let slot = format!("{:<511}\n", forged + &hex::encode(digest));
        bytes[at..at + 512].copy_from_slice(slot.as_bytes());
    }
    fs::write(&path, bytes).expect("written");
    house.strongroom.start().await;
    let (status, _) = write(&house, &id, "never").await;
    assert_eq!(status, 503);
    assert!(errors(&house.strongroom)[0].contains("not signed by this store"), "{:?}", errors(&house.strongroom));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anchor_of_another_store_is_refused_by_its_name() {
    let mut house = House::open().await;
    let other = House::open().await;
    house.strongroom.kill();
    let path = house.strongroom.data.join(ANCHOR);
    let own = fs::read(&path).expect("an anchor");
    let foreign = fs::read(other.strongroom.data.join(ANCHOR)).expect("an anchor");
    fs::write(&path, &foreign).expect("written");
    house.strongroom.spawn();
    assert!(!house.strongroom.ended().await.success());
    let log = house.strongroom.log();
    assert!(log.contains(&path.display().to_string()) && log.contains("is of store"), "{log}");
    assert_eq!(fs::read(&path).expect("an anchor"), foreign, "it is left as it was");
    fs::write(&path, own).expect("written");
    house.strongroom.start().await;
}

/// A store that was taken away is not begun anew beside its anchor.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_missed() {
    let mut house = House::open().await;
    house.strongroom.kill();
    let data = house.strongroom.data.clone();
    let kept = keep(&data, "kept");
    put_back(&data.with_extension("nothing"), &data);
    house.strongroom.spawn();
    assert!(!house.strongroom.ended().await.success());
    assert!(house.strongroom.log().contains(ANCHOR), "{}", house.strongroom.log());
    put_back(&kept, &data);
    house.strongroom.start().await;
}

/// The whole folder put back, as a snapshot of its volume would be: only an anchor elsewhere can tell.
#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_on_another_volume_notices_a_snapshot_that_was_put_back() {
    let mut house = House::open().await;
    house.strongroom.kill();
    let data = house.strongroom.data.clone();
    let elsewhere = data.with_extension("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    house.strongroom.set("STRONGROOM_ANCHOR_FILE", Some(&elsewhere.join("anchor").display().to_string()));
    house.strongroom.start().await;
    let id = house.create("mail", "first").await;
    house.strongroom.kill();
    let snapshot = data.with_extension("snapshot");
    copy(&data, &snapshot);
    house.strongroom.start().await;
    house.update(&id, "second").await;
    house.strongroom.kill();
    fs::remove_dir_all(&data).expect("removed");
    copy(&snapshot, &data);
    house.strongroom.start().await;
    assert_read_only(&house, &id, "first").await;
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(done.success());
}

/// As when that volume was not mounted: a folder made in its place would hide that.
#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_that_cannot_be_made_is_no_start() {
    let mut house = House::open().await;
    house.strongroom.kill();
    let missing = house.strongroom.data.with_extension("missing").join("anchor").display().to_string();
    house.strongroom.set("STRONGROOM_ANCHOR_FILE", Some(&missing));
    house.strongroom.spawn();
    assert!(!house.strongroom.ended().await.success());
    assert!(house.strongroom.log().contains(&missing), "{}", house.strongroom.log());
    house.strongroom.set("STRONGROOM_ANCHOR_FILE", None);
    house.strongroom.start().await;
}
