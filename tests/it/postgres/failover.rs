//! The primary is killed under sixteen writers and its synchronous standby promoted; servers are restarted. Durability
//! is on: what was acknowledged must be there.

use super::load::{Load, Root, Vault, judge, rounds};
use super::server::Server;

/// `SIGKILL` for the primary, again and again: each time the old standby is the new primary, and gets a new standby.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_primary() {
    let mut primary = Server::start(&[]);
    let root = Root::new();
    let rounds = rounds(3, 200);
    let (mut writes, mut errors, mut outages) = (0, 0, Vec::new());
    for round in 0..rounds {
        let standby = primary.standby("second");
        primary.await_standby("second");
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
        let vault = Vault::open(&format!("postgres://tests@{hosts}/postgres"), &root).await;
        let load = Load::start(&[vault.clone()]);
        load.go_on_for(300).await;
        primary.kill();
        standby.promote();
        load.go_on_for(300).await;
        let told = load.stop().await;
        judge(&vault, &told).await;
        writes += told.writes();
        errors += told.errors;
        outages.push(told.longest_silence());
        assert!(told.longest_silence().as_secs() < 10, "round {round}: {:?}", told.longest_silence());
        drop(primary);
        primary = standby;
    }
    outages.sort_unstable();
    println!(
        "failovers: {rounds}; acknowledged writes: {writes}, lost: 0; writes that were told of it: {errors}; \
         longest write outage: {:.2} s, median {:.2} s",
        outages[outages.len() - 1].as_secs_f64(),
        outages[outages.len() / 2].as_secs_f64(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_restarts_and_crashes_of_the_server() {
    let server = Server::start(&[]);
    let root = Root::new();
    let vault = Vault::open(&server.url("postgres"), &root).await;
    let load = Load::start(&[vault.clone()]);
    let rounds = rounds(2, 50);
    for _ in 0..rounds {
        load.go_on_for(200).await;
        tokio::task::block_in_place(|| server.restart("fast"));
        load.go_on_for(200).await;
        tokio::task::block_in_place(|| server.restart("immediate"));
        load.go_on_for(200).await;
        server.kill();
        tokio::task::block_in_place(|| server.revive());
    }
    load.go_on_for(200).await;
    let told = load.stop().await;
    judge(&vault, &told).await;
    println!(
        "restarts: {}; acknowledged writes: {}, lost: 0; writes that were told of it: {}; longest silence: {:.2} s",
        3 * rounds,
        told.writes(),
        told.errors,
        told.longest_silence().as_secs_f64(),
    );
}

/// The primary lives but its standby does not: nothing is acknowledged that only one of them has.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_that_the_standby_does_not_have() {
    let primary = Server::start(&[]);
    let standby = primary.standby("second");
    primary.await_standby("second");
    let root = Root::new();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
    let vault = Vault::open(&format!("postgres://tests@{hosts}/postgres"), &root).await;
    vault.append(1, 1).await.expect("a write that both have");
    standby.kill();
    let waiting = tokio::spawn({
        let vault = vault.clone();
        async move { vault.append(1, 2).await }
    });
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(!waiting.is_finished(), "it waits for the standby");
    primary.kill();
    tokio::task::block_in_place(|| {
        standby.revive();
        standby.promote();
    });
    let answer = waiting.await.expect("a task");
    let there = vault.current(1).await;
    assert_eq!(there, if answer.is_ok() { 2 } else { 1 }, "{answer:?}");
    judge(&vault, &Default::default()).await;
}
