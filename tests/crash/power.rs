//! Loss of power at every change and every sync of a recorded workload: what was acknowledged by then is readable,
//! nothing else is there but what was being written, and the store and its key go on working.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use strongroom::app::App;
use strongroom::app::credentials::Draft;
use strongroom::domain::credential::{About, Kind, Material};
use x509_parser::pem::Pem;

use super::callers::{self, Callers, Memory, Outcome};
use super::disk::{self, Event};
use super::medium::{Fate, Medium};
use super::{Dice, Faults, Findings, admin, amount, bench, ground, is_torture, open};

const WRITES: usize = 512;
const PARTS: usize = 4;
const CALLERS: usize = 4;
const FATES: [Fate; 3] = [Fate::Gone, Fate::Kept, Fate::Mixed];

struct Recording {
    events: Vec<Event>,
    memory: Memory,
    writes: usize,
    _server: crate::process::Strongroom,
}

impl Recording {
    /// The same workload by a program that never syncs, with the power lost at its end.
    async fn is_lost_without_syncs(&self, dice: &mut Dice) -> bool {
        let (bench, mut medium) = (bench(), Medium::default());
        let careless = self.events.iter().filter(|event| !matches!(event, Event::Synced { .. }));
        careless.for_each(|event| medium.happen(event));
        let data = bench.path().join("data");
        medium.rebuild(&data, Fate::Mixed, dice);
        let certain = self.memory.credentials.iter().map(|(id, known)| (id.clone(), known.current())).collect();
        // Not only noticed by the anchor.
        let wrong = inspect(&data, &certain, &self.memory).await;
        wrong.iter().any(|wrong| !wrong.contains("rollback") && !wrong.contains("cannot be written"))
    }
}

/// The first start, 512 writes of four callers, and three ends and starts between them.
async fn record(dice: &mut Dice) -> Recording {
    let mut server = callers::server();
    let trace = server.data.with_extension("trace");
    let environment = disk::watching(&server.data, Some(&trace));
    environment.iter().for_each(|(name, value)| server.set(name, Some(value)));
    let password = callers::create_admin(&server, &environment);
    let callers = Callers::new(&server, &password);
    // Once with TLS, for the root certificate that callers read beside the store.
    server.set(callers::PLAIN, None);
    server.start().await;
    assert_eq!(server.stop().await.code(), Some(0), "{}", server.log());
    server.set(callers::PLAIN, Some("true"));
    for part in 0..PARTS {
        server.start().await;
        callers.arrive().await;
        if part == 1 && is_torture() {
            outgrow(&callers, dice).await;
        }
        let work = (0..CALLERS).map(|_| script(callers.clone(), dice.split()));
        futures::future::join_all(work).await;
        match part % 2 {
            0 => server.kill(),
            _ => assert_eq!(server.stop().await.code(), Some(0), "{}", server.log()),
        }
    }
    assert_eq!(callers.violations(), Vec::<String>::new());
    let events = disk::read_trace(&trace);
    let mut replayed = Medium::default();
    events.iter().for_each(|event| replayed.happen(event));
    assert_eq!(replayed.differences(&server.data), Vec::<String>::new(), "something was not recorded");
    let answers = events.iter().filter_map(acknowledged).collect::<BTreeSet<_>>().len();
    assert_eq!(answers, callers.acknowledged(), "each answer was recorded");
    Recording { events, memory: callers.memory(), writes: answers, _server: server }
}

/// Makes the log so large that it is copied into the file and starts over while writes go on.
async fn outgrow(callers: &Callers, dice: &mut Dice) {
    let id = callers.pick(1, dice).expect("a credential");
    for _ in 0..200 {
        assert_eq!(callers.update(&id, callers::value_of(100_000, dice)).await, Outcome::Done);
    }
}

async fn script(callers: Callers, mut dice: Dice) {
    let mut done = 0;
    while done < WRITES / PARTS / CALLERS {
        let value = callers::value(&mut dice);
        let outcome = match callers.pick(usize::MAX, &mut dice).filter(|_| done % 5 > 0) {
            Some(id) => callers.update(&id, value).await,
            None => callers.create(value).await,
        };
        // Two callers may meet at one credential; the later one tries another.
        assert!(matches!(outcome, Outcome::Done | Outcome::Taken(_)), "{outcome:?}");
        done += usize::from(outcome == Outcome::Done);
    }
}

/// What an answer promises: this revision of this credential.
pub fn acknowledged(event: &Event) -> Option<(String, u64)> {
    let Event::Answered(bytes) = event else { return None };
    let at = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
    let body = serde_json::from_slice(&bytes[at + 4..]).ok()?;
    bytes.starts_with(b"HTTP/1.1 200").then(|| callers::read(&body))?.map(|(id, revision, _)| (id, revision))
}

/// The root certificate for callers is there whole or not at all.
fn torn_root(data: &Path) -> Option<String> {
    let pem = fs::read(data.join("ca.crt")).ok()?;
    let whole =
        Pem::iter_from_buffer(&pem).filter(|pem| pem.as_ref().is_ok_and(|pem| pem.parse_x509().is_ok())).count();
    (whole == 0).then(|| format!("ca.crt is half there: {} bytes", pem.len()))
}

/// Opens what a loss of power left; everything that is wrong with it.
pub async fn inspect(data: &Path, certain: &BTreeMap<String, u64>, memory: &Memory) -> Vec<String> {
    let app = match open(data).await {
        Ok(app) => app,
        Err(error) => return vec![format!("does not open: {error:#}")],
    };
    // Before it would be refused: the anchor may be behind the store, whatever was lost, and never ahead of it.
    let mut wrong: Vec<String> = rolled_back(data).await.into_iter().collect();
    match app.credentials.list(&admin()).await {
        Ok(found) => {
            let found: BTreeMap<String, (u64, String)> = found
                .into_iter()
                .map(|entry| {
                    let value = entry.body.material.require("value").expect("a value").expose().to_owned();
                    (entry.head.id.hex(), (entry.stamp.number.0, value))
                })
                .collect();
            wrong.extend(compare(&found, certain, memory));
        }
        Err(error) => wrong.push(format!("cannot be read: {error}")),
    }
    wrong.extend(write_again(&app).await.err().map(|error| format!("cannot be written: {error}")));
    wrong
}

/// What is said of the store as it is, if it is older than its anchor.
pub async fn rolled_back(data: &Path) -> Option<String> {
    let ground = match ground(data).await {
        Ok(ground) => ground,
        Err(error) => return Some(format!("does not open again: {error:#}")),
    };
    let found = ground.witness.rollback().borrow().clone();
    let unseen = ground.witness.seen() == 0;
    found.map(|it| format!("a rollback that was none: {it}")).or(unseen.then(|| "there is no anchor".to_owned()))
}

fn compare(found: &BTreeMap<String, (u64, String)>, certain: &BTreeMap<String, u64>, memory: &Memory) -> Vec<String> {
    let lost = certain.iter().filter_map(|(id, revision)| match found.get(id) {
        Some((there, _)) if there >= revision => None,
        there => Some(format!("{id}: revision {revision} was acknowledged, {:?} is there", there.map(|it| it.0))),
    });
    let torn = found
        .iter()
        .filter(|(id, (revision, value))| !memory.allows(id, *revision, value))
        .map(|(id, (revision, _))| format!("{id}: revision {revision} is not what was written"));
    lost.chain(torn).collect()
}

async fn write_again(app: &App) -> strongroom::domain::Result<()> {
    let title = "after the crash".to_owned();
    let place = app.credentials.require_creatable(&admin(), Some(&title)).await?;
    let material = Material::texts([("value", "whole".into())]);
    let draft = Draft { title, kind: Kind::Pairs, about: About::default(), material };
    app.credentials.create(&admin(), place, draft).await.map(drop)
}

/// Walks through the record and loses power at the chosen events.
fn lose_power(recording: &Recording, chosen: &BTreeSet<usize>, faults: &Faults, mut dice: Dice) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bench = bench();
    let data: PathBuf = bench.path().join("data");
    let (mut medium, mut certain) = (Medium::default(), BTreeMap::new());
    let (mut inspected, mut violations) = (0, Vec::new());
    for (number, event) in recording.events.iter().enumerate() {
        if chosen.contains(&number) {
            for fate in FATES {
                medium.rebuild(&data, fate, &mut dice);
                let torn = torn_root(&data);
                let wrong = runtime.block_on(inspect(&data, &certain, &recording.memory)).into_iter().chain(torn);
                // A process for each would take too long.
                let audit = (inspected % 10 == 0).then(|| callers::verify_audit(&data)).flatten();
                let wrong = wrong.chain(audit);
                violations.extend(wrong.map(|wrong| format!("event {number}, {fate:?}: {wrong}")));
                inspected += 1;
                faults.add();
                let _ = fs::remove_dir_all(&data);
            }
        }
        medium.happen(event);
        if let Some((id, revision)) = acknowledged(event) {
            let known = certain.entry(id).or_insert(revision);
            *known = revision.max(*known);
        }
    }
    violations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_loss_of_power() {
    let (mut findings, mut dice) = Findings::of("loss of power at changes and syncs");
    let recording = record(&mut dice).await;
    let all: Vec<usize> =
        (0..recording.events.len()).filter(|number| !matches!(recording.events[*number], Event::Answered(_))).collect();
    let apart = if is_torture() { 1 } else { all.len().div_ceil(amount(150, usize::MAX)) };
    let offset = dice.below(apart);
    let mut shares = [BTreeSet::new(), BTreeSet::new()];
    for (count, number) in all.iter().skip(offset).step_by(apart).enumerate() {
        shares[count % 2].insert(*number);
    }
    let boundaries: usize = shares.iter().map(BTreeSet::len).sum();
    assert!(recording.is_lost_without_syncs(&mut dice).await, "a model that cannot lose anything shows nothing");
    findings.faults.plan(boundaries * FATES.len());
    let (recording, faults) = (&recording, &findings.faults.clone());
    std::thread::scope(|scope| {
        let walks: Vec<_> = shares
            .iter()
            .map(|share| {
                let dice = dice.split();
                scope.spawn(move || lose_power(recording, share, faults, dice))
            })
            .collect();
        for walk in walks {
            findings.violations.extend(walk.join().expect("a walk"));
        }
    });
    findings.judge(&format!("{boundaries} of {} boundaries of {} acknowledged writes", all.len(), recording.writes));
}
