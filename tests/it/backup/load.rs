//! Backups while sixteen callers write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use strongroom::domain::name::RecordId;

use super::{Folder, House, contents, digest, done, holds, restore};

const CALLERS: usize = 16;
const BACKUPS: usize = 5;

#[derive(Default)]
struct Known {
    /// Id and revision → value.
    acknowledged: Mutex<BTreeMap<(String, u64), String>>,
    count: AtomicUsize,
    stop: AtomicBool,
}

/// Makes credentials and gives each a few revisions, until it is time to stop.
async fn write(house: Arc<House>, known: Arc<Known>, caller: usize) {
    for round in 0.. {
        let value = |revision: u64| format!("value {caller} {round} {revision} {}", "x".repeat(round % 50 * 20));
        let first = value(1);
        let id = house.create(&format!("c {caller} {round}"), &first).await;
        let remember = |revision: u64, value: String| {
            known.acknowledged.lock().expect("known").insert((id.clone(), revision), value);
            known.count.fetch_add(1, Ordering::Relaxed);
        };
        remember(1, first);
        for revision in 2..=1 + (caller as u64 % 4) {
            let next = value(revision);
            house.update(&id, &next).await;
            remember(revision, next);
        }
        if known.stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_before_a_backup_began_is_in_it_byte_for_byte() {
    let house = Arc::new(House::open().await);
    let known = Arc::new(Known::default());
    house.create("the first request verifies the password", "slowly").await;
    let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(write(house.clone(), known.clone(), n))).collect();
    let place = Folder::new();
    let mut taken = Vec::new();
    let mut written = 0;
    for number in 0..BACKUPS {
        while known.count.load(Ordering::Relaxed) < written + 2 * CALLERS {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let before = known.acknowledged.lock().expect("known").clone();
        let (data, file) = (house.strongroom.data.clone(), place.file(&format!("{number}.backup")));
        let made = file.clone();
        let said = tokio::task::spawn_blocking(move || super::back_up(&data, &made)).await.expect("a backup");
        written = known.count.load(Ordering::Relaxed);
        taken.push((before, file, said));
    }
    known.stop.store(true, Ordering::Relaxed);
    futures::future::try_join_all(callers).await.expect("all callers went well");
    let total = known.count.load(Ordering::Relaxed);
    println!("{total} writes by {CALLERS} callers beside {BACKUPS} backups");
    assert!(taken[BACKUPS - 1].0.len() < total, "nobody wrote beside the last backup");

    let everything = known.acknowledged.lock().expect("known").clone();
    for (before, file, said) in &taken {
        let folder = Folder::with_key_of(&house.strongroom.data);
        let restored = done(&restore(file, &folder.data));
        assert_eq!(digest(&restored), digest(said));
        let contents = contents(&folder.data).await;
        for ((id, revision), value) in before {
            let plain = &contents.bodies[&(RecordId::parse_hex(id).expect("an id"), *revision)];
            assert!(holds(plain, value), "{id} revision {revision}");
        }
        // What came later is whole or absent, and is what was sent.
        for ((id, revision), plain) in &contents.bodies {
            if let Some(value) = everything.get(&(id.hex(), *revision)) {
                assert!(holds(plain, value), "{id} revision {revision}");
            }
        }
        assert!(contents.notes.iter().any(|note| note.contains("\"action\":\"backup\"")), "the audit tells of it");
        assert!(contents.notes.last().expect("notes").contains("\"action\":\"restore\""));
        println!("{} acknowledged before, {} revisions in the backup", before.len(), contents.revisions.len());

        let server = house.restored_in(&folder).await;
        let ((id, _), _) = before.iter().next().expect("something");
        assert_eq!(server.ask(Method::GET, &format!("/v1/credentials/{id}"), None).await.0, 200);
        server.update(id, "the restored store goes on").await;
    }
}
