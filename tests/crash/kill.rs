//! SIGKILL at any moment while 64 callers write and read. Nothing acknowledged is lost, nothing is half there,
//! revisions are dense, no read is older than what was acknowledged or read before it.

use std::fs;
use std::time::Duration;

use super::callers::{self, Callers, Outcome};
use super::{Dice, Findings, amount, copy};

const CALLERS: usize = 64;
/// What the log says of a store that is older than its anchor, which may be behind but never ahead.
const ROLLBACK: &str = "the store is not what it was";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_sigkill() {
    let (mut findings, mut dice) = Findings::of("SIGKILL during mixed writes");
    let mut strongroom = callers::server();
    strongroom.start().await;
    let password = callers::create_admin(&strongroom, &[]);
    let callers = Callers::new(&strongroom, &password);
    let cycles = amount(30, 1000);
    callers.arrive().await;
    let old = strongroom.data.with_extension("old");
    for cycle in 0..cycles {
        let work: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(work(callers.clone(), dice.split()))).collect();
        tokio::time::sleep(Duration::from_millis(50 + dice.roll() % 451)).await;
        strongroom.kill();
        findings.faults.add();
        for caller in work {
            caller.await.expect("a caller");
        }
        if cycle == 0 {
            copy(&strongroom.data, &old);
        }
        // The repair after a crash may be interrupted as well.
        if dice.below(4) == 0 {
            strongroom.spawn();
            tokio::time::sleep(Duration::from_millis(dice.roll() % 200)).await;
            strongroom.kill();
            findings.faults.add();
        }
        strongroom.start().await;
        callers.arrive().await;
        callers.look_at(false).await;
        if strongroom.log().contains(ROLLBACK) {
            findings.violations.push(format!("cycle {cycle}: a rollback was reported that was none"));
        }
    }
    let looked = callers.look_at(true).await;
    strongroom.kill();
    findings.violations.extend(callers::verify_audit(&strongroom.data));
    findings.violations.extend(callers.violations());
    let writes = callers.acknowledged();
    fs::remove_dir_all(&strongroom.data).expect("removed");
    copy(&old, &strongroom.data);
    strongroom.start().await;
    callers.look_at(true).await;
    assert!(!callers.violations().is_empty(), "a store that has lost almost everything passes");
    assert!(writes > cycles, "hardly anything was written: {writes}");
    findings.judge(&format!("{writes} acknowledged writes, {looked} credentials looked at"));
}

/// Creates, updates and reads until the server is gone.
async fn work(callers: Callers, mut dice: Dice) {
    loop {
        let outcome = match (dice.below(10), callers.pick(usize::MAX, &mut dice), callers.pick(8, &mut dice)) {
            (0..=2, _, _) | (_, None, _) | (_, _, None) => callers.create(callers::value(&mut dice)).await,
            (3..=5, Some(id), _) => callers.update(&id, callers::value(&mut dice)).await,
            (6, _, Some(id)) => callers.update(&id, callers::value(&mut dice)).await,
            (_, Some(id), _) => callers.look(&id).await,
        };
        if outcome == Outcome::Unanswered {
            return;
        }
    }
}
