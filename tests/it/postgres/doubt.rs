//! Commits whose answer is lost: each is found out about, answered as it was, and done exactly once.

use std::time::{Duration, Instant};

use strongroom::domain::{Conflict, Error};

use super::load::{Load, Root, Vault, judge, rounds};
use super::server;
use super::wire::{Cut, Wire};

async fn vault() -> (Vault, Wire, Root, String) {
    let direct = tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database");
    let wire = Wire::to(server::shared().port()).await;
    let url = direct.replace(&server::shared().port().to_string(), &wire.port.to_string());
    let root = Root::new();
    (Vault::open(&url, &root).await, wire, root, direct)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_found_out_about() {
    let (vault, wire, ..) = vault().await;
    let mut number = 0;
    for how in [Cut::None, Cut::Before, Cut::Behind, Cut::Late, Cut::Behind, Cut::Before] {
        number += 1;
        let before = wire.cuts();
        wire.cut(how);
        vault.append(1, number).await.unwrap_or_else(|error| panic!("{how:?}: {error:?}"));
        assert_eq!(wire.cuts() - before, usize::from(how != Cut::None), "{how:?}");
        assert_eq!(vault.current(1).await, number, "{how:?}");
        let again = vault.append(1, number).await;
        assert!(matches!(again, Err(Error::Conflict(Conflict::Stale { .. }))), "{how:?}: {again:?}");
    }
    judge(&vault, &Default::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_found_out_is_neither_success_nor_refusal() {
    let (vault, wire, root, direct) = vault().await;
    vault.append(1, 1).await.expect("a write");
    wire.cut(Cut::ForGood);
    let begun = Instant::now();
    let answer = vault.append(1, 2).await;
    let Err(Error::Unavailable { detail, .. }) = answer else { panic!("{answer:?}") };
    assert!(detail.contains("not known"), "{detail}");
    assert!(begun.elapsed() > Duration::from_secs(10), "it was looked for");
    let other = Vault::open(&direct, &root).await;
    assert_eq!(other.current(1).await, 2, "this one had been done");
    judge(&other, &Default::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_cut_commit_is_done_once() {
    let (vault, wire, ..) = vault().await;
    let load = Load::start(&[vault.clone()]);
    for how in [Cut::Before, Cut::Behind, Cut::Late].into_iter().cycle().take(9) {
        load.go_on_for(50).await;
        let before = wire.cuts();
        wire.cut(how);
        load.go_on_for(50).await;
        assert_eq!(wire.cuts(), before + 1, "{how:?}");
    }
    let told = load.stop().await;
    assert_eq!(told.errors, 0, "nobody had to hear of it");
    judge(&vault, &told).await;
}

/// R11: a wire that is silent instead of cut. The last one is silent for longer than anybody waits for an answer.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_partition_writes_go_on_and_nothing_is_lost() {
    let (vault, wire, ..) = vault().await;
    let load = Load::start(&[vault.clone()]);
    let mut slowest = Duration::ZERO;
    let brief = (1..=rounds(6, 199)).map(|round| Duration::from_millis(50 + round as u64 * 977 % 2_000));
    for length in brief.chain([Duration::from_secs(16)]) {
        load.go_on_for(30).await;
        wire.silence(true);
        tokio::time::sleep(length).await;
        wire.silence(false);
        let healed = Instant::now();
        load.go_on_for(1).await;
        slowest = slowest.max(healed.elapsed());
    }
    let told = load.stop().await;
    judge(&vault, &told).await;
    println!(
        "partitions: {}; acknowledged writes: {}, lost: 0; writes that were told of it: {}; \
         writes went on {:.2} s after the end of one at the latest",
        rounds(6, 199) + 1,
        told.writes(),
        told.errors,
        slowest.as_secs_f64(),
    );
    assert!(slowest < Duration::from_secs(15), "{slowest:?}");
}
