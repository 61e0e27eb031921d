//! Many records: how long it takes, and in how much memory.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use strongroom::adapters::store::SqliteStore;
use strongroom::adapters::system::SystemEntropy;
use strongroom::app::body::{self, Body};
use strongroom::app::keyring::Keyring;
use strongroom::app::ports::{Append, Change, Row, Store, Write};
use strongroom::domain::credential::Memo;
use strongroom::domain::credential::{About, Credential, Kind, Material};
use strongroom::domain::entropy::Entropy;
use strongroom::domain::name::{Revision, Tenant};
use strongroom::domain::record::{Head, Origin, Stamp};
use strongroom::domain::secret::SecretText;

use super::{Folder, House, back_up, digest, keyring, store};
use crate::process::binary;

/// `BACKUP_RECORDS` in the environment asks for another number.
const RECORDS: usize = 10_000;
const BATCH: usize = 500;
/// Of the whole process; 10,000 records are 8 MB here, so that holding them all would not go unseen in a larger run.
const MEMORY: u64 = 160 << 20;

fn append(keyring: &Keyring, entropy: &dyn Entropy, number: usize) -> Append {
    let value = SecretText::new(format!("{number} {}", "v".repeat(300)));
    let body = Credential {
        title: format!("credential {number}"),
        kind: Kind::Pairs,
        about: About::default(),
        generated: None,
        rotated_at: Timestamp::UNIX_EPOCH,
        not_after: None,
        authority: None,
        lineage: None,
        memo: Memo::default(),
        material: Material::texts([("value", value)]),
    };
    let id = entropy.record_id(Timestamp::UNIX_EPOCH);
    let head = Head {
        id,
        class: Credential::CLASS,
        tenant: Tenant::outside(),
        name: format!("/confidant/{}", id.hex()),
        origin: Origin::Rest,
        retain_for: SignedDuration::ZERO,
        released: None,
    };
    let aliases = body.aliases(id);
    let (version_id, at) = (entropy.version_id(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
    let stamp = Stamp { number: Revision::FIRST, version_id, at, by: "ops".into() };
    let sealed = keyring.seal(&head, &stamp, &body::encode(&body).expect("bytes"), entropy).expect("sealed");
    let mac = keyring.mark(&head, &stamp).expect("a mark");
    Append { row: Row { head, stamp, sealed, mac }, expected: None, aliases, links: body.links() }
}

async fn populate(store: &Arc<SqliteStore>, keyring: &Arc<Keyring>, records: usize) {
    let entropy = SystemEntropy::default();
    for first in (0..records).step_by(BATCH) {
        let appends = (first..records.min(first + BATCH)).map(|number| append(keyring, &entropy, number));
        let changes = appends.map(|append| (Change::Append(Box::new(append)), None)).collect();
        store.write(Write { changes, keyring: keyring.clone(), fence: None }).await.expect("written");
    }
}

#[tokio::test]
async fn ten_thousand_records_are_restored_in_seconds() {
    let records = std::env::var("BACKUP_RECORDS").map_or(RECORDS, |text| text.parse().expect("a number"));
    let mut house = House::open().await;
    house.strongroom.stop().await;
    let data = house.strongroom.data.clone();
    {
        let store = store(&data);
        populate(&store, &keyring(&store, &data).await, records).await;
    }
    let folder = Folder::with_key_of(&data);
    let file = folder.file("a");
    let begun = Instant::now();
    let said = back_up(&data, &file);
    let (backing_up, bytes) = (begun.elapsed(), fs::metadata(&file).expect("a file").len());
    let begun = Instant::now();
    let mut restoring = binary()
        .args(["restore", &file.display().to_string(), "--data-dir", &folder.data.display().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut peak = 0;
    while restoring.try_wait().expect("a child").is_none() {
        peak = peak.max(peak_memory(restoring.id()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let output = restoring.wait_with_output().expect("its output");
    let took = begun.elapsed();
    assert_eq!(digest(&super::done(&output)), digest(&said));
    println!(
        "{records} records, {} MB: backed up in {backing_up:.1?}, restored and proven in {took:.1?}, at most {} MB of memory",
        bytes >> 20,
        peak >> 20
    );
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(peak > 0 && peak < MEMORY, "{peak}");
}

/// As the kernel counts it; 0 when it has ended.
fn peak_memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) << 10
}
