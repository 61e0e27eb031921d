//! Bytes of the database and of its log are changed behind the store's back: whatever is served is right, what
//! cannot be is refused, and nothing panics.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom::app::App;
use strongroom::app::credentials::Draft;
use strongroom::domain::Error;
use strongroom::domain::credential::change::Patch;
use strongroom::domain::credential::{About, Credential, Kind, Material};
use strongroom::domain::name::RecordId;
use strongroom::domain::record::Entry;

use super::power::rolled_back;
use super::{Dice, Faults, Findings, admin, amount, bench, callers, copy, open};

const RECORDS: usize = 200;
/// How many of them the log still holds.
const LOGGED: usize = 20;
const THREADS: usize = 2;
const DATABASE: &str = "strongroom.db";
const LOG: &str = "strongroom.db-wal";

/// Values by revision, from 1.
type Values = BTreeMap<RecordId, Vec<String>>;

/// What came of asking for every record.
#[derive(Debug, Default)]
struct Served {
    /// Stores that were refused as a whole.
    unopened: usize,
    right: usize,
    /// Refused in words.
    refused: usize,
    /// Said not to exist.
    missing: usize,
    /// An earlier revision: SQLite takes the first damage in its log for the log's end.
    older: usize,
    wrong: Vec<String>,
    /// The damage that hid most records.
    worst: (usize, String),
}

fn material(value: &str) -> Material {
    Material::texts([("value", value.into())])
}

/// Two copies of one store: with the log that its last writes are in, and with everything in the file.
async fn stores(bench: &Path, dice: &mut Dice) -> ([PathBuf; 2], Values) {
    let data = bench.join("data");
    let mut app = open(&data).await.expect("a store");
    let mut values = Values::new();
    for number in 0..RECORDS {
        if number == RECORDS - LOGGED {
            // Everything goes into the file: the log holds the rest.
            close(app).await;
            app = open(&data).await.expect("a store");
        }
        let title = format!("credential {number}");
        let place = app.credentials.require_creatable(&admin(), Some(&title)).await.expect("a place");
        let value = callers::value(dice);
        let draft = Draft { title, kind: Kind::Pairs, about: About::default(), material: material(&value) };
        let mut entry = app.credentials.create(&admin(), place, draft).await.expect("a credential");
        let mut revisions = vec![value];
        for _ in 0..dice.below(3) {
            let value = callers::value(dice);
            let patch = Patch { material: Some(material(&value)), ..Patch::default() };
            entry = app.credentials.update(&admin(), &entry, patch).await.expect("a revision");
            revisions.push(value);
        }
        values.insert(entry.head.id, revisions);
    }
    let (logged, whole) = (bench.join("logged"), bench.join("whole"));
    copy(&data, &logged);
    close(app).await;
    copy(&data, &whole);
    assert!(logged.join(LOG).exists() && !whole.join(LOG).exists(), "one with a log and one without");
    ([logged, whole], values)
}

/// The writer lets go of a write a moment after it has answered it, and only then can the store be closed.
async fn close(app: App) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(app);
}

/// One fault in one of the files; a word for it.
fn damage(data: &Path, dice: &mut Dice) -> String {
    let files: Vec<PathBuf> = [DATABASE, LOG].iter().map(|name| data.join(name)).filter(|file| file.exists()).collect();
    let file = &files[dice.below(files.len())];
    let mut bytes = fs::read(file).expect("a file");
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let at = dice.below(bytes.len().max(1));
    let what = match dice.below(20) {
        0 => {
            bytes.truncate(at);
            "cut"
        }
        1 => {
            let sector = at / 512 * 512;
            let end = (sector + 512).min(bytes.len());
            bytes[sector..end].fill(0);
            "sector of zeros"
        }
        _ => {
            bytes[at] ^= u8::try_from(1 + dice.below(255)).expect("a byte");
            "byte"
        }
    };
    fs::write(file, bytes).expect("written");
    format!("{name}, {what} at {at}")
}

/// In one list where that can be read, and one by one what is not in it: a damaged record must not hide others.
async fn ask_for_all(data: &Path, values: &Values, in_log: bool) -> Option<Served> {
    let app = open(data).await.ok()?;
    let mut served = Served::default();
    let mut listed = app.credentials.list(&admin()).await.ok().map(|all| {
        let by_id = all.into_iter().map(|entry| (entry.head.id, entry));
        by_id.collect::<BTreeMap<_, _>>()
    });
    for (id, revisions) in values {
        let entry = match listed.as_mut().and_then(|listed| listed.remove(id)) {
            Some(entry) => Ok(Arc::new(entry)),
            None => app.credentials.view(&admin(), *id, true).await.map(|view| view.entry),
        };
        match entry {
            Ok(entry) => served.judge(&entry, revisions),
            Err(Error::NotFound { .. }) => served.missing += 1,
            Err(_) => served.refused += 1,
        }
    }
    drop(app);
    // What the log has lost is not only not wrong: the anchor tells that it is gone.
    let lost = if in_log { served.older + served.missing } else { served.older };
    if lost > 0 && rolled_back(data).await.is_none() {
        served.wrong.push(format!("{lost} records are older or gone, and nothing says so"));
    }
    Some(served)
}

impl Served {
    fn judge(&mut self, entry: &Entry<Credential>, revisions: &[String]) {
        let number = usize::try_from(entry.stamp.number.0).expect("a revision");
        let shown = entry.body.material.require("value").map(|value| value.expose().to_owned());
        match shown.is_ok_and(|shown| revisions.get(number.wrapping_sub(1)) == Some(&shown)) {
            true if number == revisions.len() => self.right += 1,
            true => self.older += 1,
            false => self.wrong.push(format!("{} revision {number} has another value", entry.head.id.hex())),
        }
    }

    fn add(&mut self, other: Self) {
        self.unopened += other.unopened;
        self.right += other.right;
        self.refused += other.refused;
        self.missing += other.missing;
        self.older += other.older;
        self.wrong.extend(other.wrong);
        self.worst = self.worst.clone().max(other.worst);
    }
}

/// Damages copies of both stores in turn.
fn damage_often(
    stores: &[PathBuf; 2],
    values: &Values,
    share: usize,
    faults: &Faults,
    mut dice: Dice,
) -> ([Served; 2], Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bench = bench();
    let data = bench.path().join("damaged");
    let (mut sums, mut violations) = (<[Served; 2]>::default(), Vec::new());
    for number in 0..share {
        copy(&stores[number % 2], &data);
        let what = damage(&data, &mut dice);
        faults.add();
        let (sum, in_log) = (&mut sums[number % 2], what.starts_with(LOG));
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(ask_for_all(&data, values, in_log)))) {
            Err(_) => violations.push(format!("{what}: panic")),
            Ok(None) => sum.unopened += 1,
            Ok(Some(served)) => {
                if served.missing > sum.worst.0 {
                    sum.worst = (served.missing, what.clone());
                }
                violations.extend(served.wrong.iter().map(|wrong| format!("{what}: {wrong}")));
                sum.add(served);
            }
        }
        fs::remove_dir_all(&data).expect("removed");
    }
    (sums, violations)
}

#[test]
fn a_changed_byte_never_becomes_a_wrong_value() {
    let (mut findings, mut dice) = Findings::of("changed bytes in the store");
    let bench = bench();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (stores, values) = runtime.block_on(stores(bench.path(), &mut dice));
    let share = amount(500, 100_000) / THREADS;
    let [mut logged, mut whole] = <[Served; 2]>::default();
    let (stores, values, faults) = (&stores, &values, &findings.faults.clone());
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..THREADS).map(|_| dice.split()).collect();
        let threads =
            starts.into_iter().map(|dice| scope.spawn(move || damage_often(stores, values, share, faults, dice)));
        for thread in threads.collect::<Vec<_>>() {
            let ([with, without], violations) = thread.join().expect("no panic but those that were caught");
            logged.add(with);
            whole.add(without);
            findings.violations.extend(violations);
        }
    });
    // One fault in the file takes few records with it, and no revision comes back that was replaced.
    assert!(whole.right > (findings.faults.count() / 2 - whole.unopened) * RECORDS * 9 / 10, "{whole:?}");
    assert_eq!(whole.older, 0, "{whole:?}");
    findings.judge(&format!("of {RECORDS} records each, without a log {whole:?}, with one {logged:?}"));
}
