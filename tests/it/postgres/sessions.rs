//! Sessions that are ended from outside, and two processes at one store.

use std::time::{Duration, Instant};

use strongroom::domain::{Conflict, Error};

use super::load::{Load, Root, Vault, judge, rounds};
use super::server;

async fn database() -> String {
    tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database")
}

/// R16: sessions are terminated under load; nothing acknowledged is lost and no place in a pool is.
#[tokio::test(flavor = "multi_thread")]
async fn terminated_sessions_cost_neither_writes_nor_places() {
    let url = database().await;
    let name = url.rsplit('/').next().expect("a name").to_owned();
    let root = Root::new();
    let vault = Vault::open(&url, &root).await;
    let (_, places) = vault.store.readers_at_rest();
    let load = Load::start(&[vault.clone()]);
    let readers: Vec<_> = (0..16).map(|writer| tokio::spawn(read_on(vault.clone(), writer))).collect();
    let rounds = rounds(50, 1_000);
    let mut terminated = 0;
    for _ in 0..rounds {
        load.go_on_for(20).await;
        let end = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
        let ended = tokio::task::block_in_place(|| server::shared().sql("postgres", &end));
        terminated += ended.parse::<usize>().expect("a number");
    }
    load.go_on_for(200).await;
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    let told = load.stop().await;
    judge(&vault, &told).await;
    assert!(terminated > rounds, "sessions were terminated: {terminated}");
    let begun = Instant::now();
    while vault.store.readers_at_rest().1 != places {
        assert!(begun.elapsed() < Duration::from_secs(5), "places were lost: {:?}", vault.store.readers_at_rest());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "terminated sessions: {terminated} in {rounds} rounds; acknowledged writes: {}, lost: 0; \
         writes that were told of it: {}; places in the pool: {places} of {places}",
        told.writes(),
        told.errors,
    );
}

async fn read_on(vault: Vault, writer: u8) {
    loop {
        vault.current(writer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_one_chain_and_lose_no_update() {
    let url = database().await;
    let root = Root::new();
    let first = Vault::open(&url, &root).await;
    let second = Vault::open(&url, &root).await;
    let both = [first.clone(), second.clone()];
    let load = Load::start(&both);
    let contended: Vec<_> = both.iter().map(|vault| tokio::spawn(contend(vault.clone(), 200))).collect();
    let mut won: Vec<u64> = Vec::new();
    for contender in contended {
        won.extend(contender.await.expect("a contender"));
    }
    won.sort_unstable();
    assert!(won.iter().copied().eq(1..=won.len() as u64), "each revision was won once: {won:?}");
    let told = load.stop().await;
    assert_eq!((told.errors, first.current(200).await), (0, won.len() as u64));
    judge(&second, &told).await;
}

/// Both want each next revision of one record.
async fn contend(vault: Vault, writer: u8) -> Vec<u64> {
    let mut won = Vec::new();
    for _ in 0..100 {
        let next = vault.current(writer).await + 1;
        match vault.append(writer, next).await {
            Ok(()) => won.push(next),
            Err(Error::Conflict(Conflict::Stale { .. })) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    won
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_share_commits() {
    let vault = Vault::open(&database().await, &Root::new()).await;
    let before = vault.store.commits();
    for round in 1..=4 {
        let writes = (0..64).map(|writer| {
            let vault = vault.clone();
            tokio::spawn(async move { vault.append(writer, round).await })
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.expect("a task").expect("a write");
        }
    }
    let commits = vault.store.commits() - before;
    println!("256 writes by 64 clients in {commits} commits");
    assert!(commits <= 64, "{commits}");
}
