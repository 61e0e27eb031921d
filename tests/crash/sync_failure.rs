//! One fsync fails with EIO. The kernel has then forgotten what it could not write, so nothing may be acknowledged
//! any more: the process ends by itself, and everything that was acknowledged before is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::callers::{self, Callers, Outcome};
use super::disk::{self, Event};
use super::medium::{Fate, Medium};
use super::power::{acknowledged, inspect};
use super::{Dice, Findings, amount, bench};
use crate::process::Strongroom;

const CALLERS: usize = 4;
/// How often the power is lost in the life of the next process.
const POINTS: usize = 8;
/// How long the load may take to come to the failure, and then again the process to end after it.
const PATIENCE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_nothing_is_acknowledged() {
    let (mut findings, mut dice) = Findings::of("EIO from fsync");
    for round in 0..amount(6, 200) {
        // The journal of reads is synced once a second, so few of its syncs come.
        let is_journals = callers::keeps_audit() && round % 3 == 2;
        let (part, number) = if is_journals { ("/audit/", 1) } else { ("strongroom.db", 1 + dice.below(60)) };
        let (injected, wrong) = fail(part, number, &mut dice).await;
        if injected {
            findings.faults.add();
        }
        findings.violations.extend(wrong.into_iter().map(|wrong| format!("sync {number} of {part}: {wrong}")));
    }
    findings.judge("each followed by a loss of power, and by a restart and another");
}

/// Lets one sync fail under load; whether it came to it, and everything that was wrong then.
async fn fail(part: &str, number: usize, dice: &mut Dice) -> (bool, Vec<String>) {
    let mut server = callers::server();
    let trace = server.data.with_extension("trace");
    let watching = disk::watching(&server.data, Some(&trace));
    let password = callers::create_admin(&server, &watching);
    let failing = [("DISK_FAIL_SYNC".into(), number.to_string()), ("DISK_FAIL_NAME".into(), part.to_owned())];
    let environment: Vec<(String, String)> = watching.into_iter().chain(failing).collect();
    environment.iter().for_each(|(name, value)| server.set(name, Some(value)));
    let callers = Callers::new(&server, &password);
    let mut wrong = end(&mut server, &trace, &callers, dice).await;
    let events = disk::read_trace(&trace);
    let Some(failure) = failure(&events) else {
        return (false, Vec::new());
    };
    wrong.extend(acknowledged_after(&events, failure));
    let before = events.len();
    wrong.extend(lose_power("after it", &events, &callers, dice).await);
    environment.iter().filter(|(name, _)| name.contains("FAIL")).for_each(|(name, _)| server.set(name, None));
    server.start().await;
    callers.arrive().await;
    callers.look_at(true).await;
    for _ in 0..5 {
        callers.create(callers::value(dice)).await;
    }
    server.kill();
    wrong.extend(callers.violations());
    // The next process sees what is not on the disk, and must not build upon it: at no point of its start.
    let events = disk::read_trace(&trace);
    for end in (0..POINTS).map(|_| before + dice.below(events.len() - before)).chain([events.len()]).collect::<Vec<_>>()
    {
        let when = format!("{} events after the restart", end - before);
        wrong.extend(lose_power(&when, &events[..end], &callers, dice).await);
    }
    wrong.extend(callers::verify_audit(&server.data));
    (true, wrong)
}

/// Runs it under load until it ends; what is wrong with the end.
async fn end(server: &mut Strongroom, trace: &Path, callers: &Callers, dice: &mut Dice) -> Vec<String> {
    server.spawn();
    let gone = Arc::new(AtomicBool::new(false));
    let work: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(work(callers.clone(), dice.split(), gone.clone()))).collect();
    let mut ended = tokio::time::timeout(PATIENCE, server.ended()).await;
    // On a busy machine it may have come to it only now.
    if ended.is_err() && failure(&disk::read_trace(trace)).is_some() {
        ended = tokio::time::timeout(PATIENCE, server.ended()).await;
    }
    let wrong = match ended {
        Ok(status) if status.code().is_none_or(|code| code == 0) => vec![format!("it ended with {status}")],
        Ok(_) => Vec::new(),
        Err(_) => vec!["the process goes on".to_owned()],
    };
    gone.store(true, Ordering::Relaxed);
    server.kill();
    for caller in work {
        caller.await.expect("a caller");
    }
    wrong
}

fn failure(events: &[Event]) -> Option<usize> {
    events.iter().position(|event| matches!(event, Event::SyncFailed { .. }))
}

async fn work(callers: Callers, mut dice: Dice, gone: Arc<AtomicBool>) {
    while !gone.load(Ordering::Relaxed) && !callers.is_answered().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut outcome = Outcome::Done;
    while outcome != Outcome::Unanswered {
        let value = callers::value(&mut dice);
        outcome = match callers.pick(usize::MAX, &mut dice).filter(|_| dice.below(4) > 0) {
            Some(id) if dice.below(3) == 0 => callers.look(&id).await,
            Some(id) => callers.update(&id, value).await,
            None => callers.create(value).await,
        };
    }
}

/// What was answered by then: each credential's last revision.
fn promised(events: &[Event]) -> BTreeMap<String, u64> {
    let mut certain = BTreeMap::new();
    for (id, revision) in events.iter().filter_map(acknowledged) {
        let known = certain.entry(id).or_insert(revision);
        *known = revision.max(*known);
    }
    certain
}

/// Each caller may still get the answer that was on its way, to a write that was synced before; nobody gets another.
fn acknowledged_after(events: &[Event], failure: usize) -> Option<String> {
    let certain = promised(&events[..failure]);
    let later = events[failure..].iter().filter_map(acknowledged);
    let new = later.filter(|(id, revision)| certain.get(id).is_none_or(|known| known < revision)).count();
    (new > CALLERS).then(|| format!("{new} revisions were acknowledged after the failure"))
}

async fn lose_power(when: &str, events: &[Event], callers: &Callers, dice: &mut Dice) -> Vec<String> {
    let (mut medium, certain) = (Medium::default(), promised(events));
    events.iter().for_each(|event| medium.happen(event));
    let mut wrong = Vec::new();
    for fate in [Fate::Gone, Fate::Mixed] {
        let bench = bench();
        let data = bench.path().join("data");
        medium.rebuild(&data, fate, dice);
        let found = inspect(&data, &certain, &callers.memory()).await;
        wrong.extend(found.into_iter().map(|found| format!("power lost {when}, {fate:?}: {found}")));
    }
    wrong
}
