//! `strongroom rekey`: beside a server that is read and written, and ended wherever it can be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use strongroom::adapters::store::SqliteStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::app::alarm::Alarm;
use strongroom::app::credentials::Draft;
use strongroom::app::ports::KeyTable;
use strongroom::domain::actor::{Actor, Scheme, Standing};
use strongroom::domain::credential::change::Patch;
use strongroom::domain::credential::{About, Kind, Material};
use strongroom::domain::name::{RecordId, Tenant};
use strongroom::domain::secret::SecretText;

use crate::ground::parts;
use crate::process::{Strongroom, binary};

fn admin() -> Actor {
    let (id, tenant) = ("ops".into(), Tenant::outside());
    Actor { id, tenant, scheme: Scheme::Basic, standing: Standing::Admin, from: None }
}

struct Store {
    app: App,
    table: Arc<SqliteStore>,
}

async fn open(data: &Path) -> Store {
    let table = SqliteStore::open(&data.join("strongroom.db"), Alarm::default()).expect("a store");
    let table = Arc::new(table);
    let parts = parts(table.clone(), &data.join("strongroom.key"), Arc::new(SystemClock)).await;
    Store { app: App::new(parts), table }
}

fn pair(value: String) -> Material {
    Material::texts([("value", SecretText::new(value))])
}

impl Store {
    async fn create(&self, number: usize) -> RecordId {
        let title = format!("c{number}");
        let place = self.app.credentials.require_creatable(&admin(), Some(&title)).await.expect("a place");
        let draft =
            Draft { title, kind: Kind::Pairs, about: About::default(), material: pair(format!("one {number}")) };
        self.app.credentials.create(&admin(), place, draft).await.expect("a credential").head.id
    }

    async fn update(&self, id: RecordId, number: usize) {
        let entry = self.app.credentials.require_writable(&admin(), id).await.expect("a credential");
        let patch = Patch { material: Some(pair(format!("two {number}"))), ..Patch::default() };
        self.app.credentials.update(&admin(), &entry, patch).await.expect("a revision");
    }

    async fn values(&self) -> BTreeMap<String, String> {
        let all = self.app.credentials.list(&admin()).await.expect("a list");
        let value = |material: &Material| material.require("value").expect("a value").expose().to_owned();
        all.iter().map(|entry| (entry.body.title.clone(), value(&entry.body.material))).collect()
    }

    async fn epochs(&self) -> Vec<u32> {
        self.table.data_keys().await.expect("keys").into_iter().map(|key| key.epoch).collect()
    }
}

fn rekey(data: &Path, more: &[&str], failpoints: Option<&str>) -> (bool, String) {
    let mut command = binary();
    command.arg("rekey").args(more).args(["--data-dir", &data.display().to_string()]);
    if let Some(failpoints) = failpoints {
        command.env("FAILPOINTS", failpoints);
    }
    let output = command.output().expect("the binary");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// Wherever it ends, everything can be read; the next run goes on from there; the last one leaves one key.
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_rekeying_loses_nothing_and_is_taken_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path()).await;
    let ids = join_all((0..300).map(|number| store.create(number))).await;
    join_all(ids.iter().enumerate().map(|(number, id)| store.update(*id, number))).await;
    let values = store.values().await;
    assert_eq!(values.len(), 300);
    let mut crashes = 0;
    for step in crate::crashes::STEPS_OF_REKEYING {
        for passing in 0.. {
            // One batch in each run but the first: the end of every batch is an end of some run.
            let terms = if passing == 0 { "return" } else { "1*off->return" };
            let (whole, said) = rekey(dir.path(), &[], Some(&format!("{step}={terms}")));
            assert_eq!(store.values().await, values, "after {step} for the {passing}th time: {said}");
            let verified = store.app.verify(&|_, _| {}).await.expect("to verify");
            assert_eq!((verified.findings, verified.revisions), (Vec::new(), 600));
            if whole {
                break;
            }
            crashes += 1;
        }
        assert_eq!(store.epochs().await.len(), 1, "{step}");
    }
    println!("{crashes} rekeyings were ended, 0 values lost");
    assert!(crashes >= 10, "{crashes} crashes");
}

/// Callers notice nothing: a process that has the old key only learns of the new one by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_goes_on_while_its_data_key_is_replaced() {
    let mut strongroom = Strongroom::new(None);
    strongroom.start().await;
    let password = strongroom.create_client("ops", true);
    let (ended, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let caller = strongroom.caller(None);
    let write_and_read = async |writer: usize| {
        let mut number = 0;
        while !ended.load(Ordering::Relaxed) {
            let name = format!("w{writer}-{number}");
            let body = json!({"name": name, "credential_pairs": {"value": name}, "enabled": true});
            let created = caller.post(strongroom.url("/v1/credentials")).basic_auth("ops", Some(&password)).json(&body);
            let created = created.send().await?.error_for_status()?.json::<Value>().await?;
            let path = format!("/v1/credentials/{}", created["id"].as_str().unwrap_or_default());
            let read = caller.get(strongroom.url(&path)).basic_auth("ops", Some(&password)).send().await?;
            let read = read.error_for_status()?.json::<Value>().await?;
            assert_eq!(read["credential_pairs"]["value"], name.as_str());
            served.fetch_add(1, Ordering::Relaxed);
            number += 1;
        }
        Ok::<_, reqwest::Error>(())
    };
    let data = strongroom.data.clone();
    let rekeyings = async {
        for _ in 0..3 {
            let before = served.load(Ordering::Relaxed);
            while served.load(Ordering::Relaxed) < before + 16 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let data = data.clone();
            let (whole, said) = tokio::task::spawn_blocking(move || rekey(&data, &[], None)).await.expect("a rekeying");
            assert!(whole, "{said}");
        }
        ended.store(true, Ordering::Relaxed);
        Ok(())
    };
    let written = tokio::try_join!(try_join_all((0..8).map(write_and_read)), rekeyings);
    written.expect("no caller to be refused");
    let store = open(&strongroom.data).await;
    assert_eq!(store.epochs().await, [4]);
    assert_eq!(store.app.verify(&|_, _| {}).await.expect("to verify").findings, Vec::<String>::new());
}

/// Its last seals are under the key that goes, and no start has told where it ended.
#[tokio::test(flavor = "multi_thread")]
async fn the_journal_of_a_killed_server_is_verified_when_its_key_is_gone() {
    let mut strongroom = Strongroom::new(None);
    strongroom.start().await;
    let password = strongroom.create_client("ops", true);
    let list = strongroom.caller(None).get(strongroom.url("/v1/credentials")).basic_auth("ops", Some(&password));
    list.send().await.expect("an answer").error_for_status().expect("a list");
    let sealed = || {
        let files = std::fs::read_dir(strongroom.data.join("audit")).expect("journals");
        files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).any(|text| text.contains("\"sealed\""))
    };
    while !sealed() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    strongroom.kill();
    let (whole, said) = rekey(&strongroom.data, &[], None);
    assert!(whole, "{said}");
    let data = strongroom.data.display().to_string();
    let verify = || binary().args(["audit", "verify", "--data-dir", &data]).output().expect("the binary");
    assert!(verify().status.success(), "{}", String::from_utf8_lossy(&verify().stdout));
    strongroom.start().await;
    assert!(verify().status.success(), "{}", String::from_utf8_lossy(&verify().stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_key_takes_over_and_the_first_opens_nothing_any_more() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(dir.path()).await;
    store.create(1).await;
    let values = store.values().await;
    drop(store);
    let next = dir.path().join("next.key");
    let next = next.to_str().expect("a path");
    let (whole, said) = rekey(dir.path(), &["--to-key-file", next], None);
    assert!(whole && said.contains("--retire-other-roots"), "{said}");
    // Both are valid, with the first still configured and with the next one.
    assert_eq!(open(dir.path()).await.values().await, values);
    let (whole, said) = rekey(dir.path(), &["--retire-other-roots", "--key-file", next], None);
    assert!(whole, "{said}");
    let (whole, said) = rekey(dir.path(), &[], None);
    assert!(!whole && said.contains("is wrapped by file:"), "{said}");
    std::fs::rename(next, dir.path().join("strongroom.key")).expect("to put the key in its place");
    assert_eq!(open(dir.path()).await.values().await, values);
    let (whole, said) = rekey(dir.path(), &["--retire-other-roots"], None);
    assert!(!whole && said.contains("no other root key"), "{said}");
}
