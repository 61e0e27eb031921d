//! The journal of reads in the database: nothing of it is lost by what ends one of the two sides.

use std::sync::Arc;
use std::time::Duration;

use strongroom::adapters::journal::{Pace, Stage, TableGround, TableJournal};
use strongroom::adapters::system::{SystemClock, SystemEntropy};
use strongroom::app::audit::Note;
use strongroom::app::ports::{Journal, JournalTable};

use super::load::{Root, Vault};
use super::server::Server;

fn ground(vault: &Vault) -> TableGround {
    TableGround {
        table: vault.store.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        keyring: vault.keyring.clone(),
        pace: Pace { sync: Duration::from_secs(3600), ..Pace::default() },
    }
}

fn note(number: usize) -> Note {
    Note::stored(format!("{{\"read\":{number}}}"))
}

/// The server is told to sync as late as it can, so a crash really loses what it had taken.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_of_the_server_loses_is_added_again() {
    let server = Server::start(&[("wal_writer_delay", "10s")]);
    let vault = Vault::open(&server.url("postgres"), &Root::new()).await;
    let (journal, mut anchors) = TableJournal::open(ground(&vault)).await.expect("a journal");
    for number in 0..50 {
        journal.note(note(number)).await.expect("noted");
    }
    let count = "SELECT count(*) FROM strongroom.notes WHERE note LIKE '%read%'";
    assert_eq!(server.sql("postgres", count), "50", "seen by others before it was answered");
    server.kill();
    tokio::task::block_in_place(|| server.revive());
    let left: usize = server.sql("postgres", count).parse().expect("a number");
    assert!(left < 50, "the crash lost nothing, so this shows nothing");
    let mut refused = 0;
    while let Err(error) = journal.note(note(50 + refused)).await {
        refused += 1;
        assert!(refused < 100, "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    journal.stop().await;
    let mut stages = Vec::new();
    while let Some(anchor) = anchors.recv().await {
        stages.push(anchor.stage);
    }
    assert_eq!(stages, [Stage::Opened, Stage::Closed]);
    let kept = vault.store.journals().await.expect("journals");
    assert!(kept.len() == 1 && kept[0].is_closed && !kept[0].is_live, "{kept:?}");
    let notes = vault.store.notes(&kept[0].name, 0, 1_000).await.expect("notes");
    assert!(notes.iter().map(|(position, _)| position.number).eq(1..=notes.len() as u64));
    for number in 0..=50 {
        assert!(notes.iter().any(|(_, found)| *found == note(number)), "{number}");
    }
    println!("notes in the journal: 51; lost by the crash of the server: {}, added again: all", 50 - left);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_others_took_for_over_is_continued_in_another() {
    let server = Server::start(&[("fsync", "off")]);
    let vault = Vault::open(&server.url("postgres"), &Root::new()).await;
    let (cut_off, _anchors) = TableJournal::open(ground(&vault)).await.expect("a journal");
    cut_off.note(note(1)).await.expect("noted");
    server.sql("postgres", "UPDATE strongroom.journals SET seen = now() - interval '1 h'");
    let (other, _others) = TableJournal::open(ground(&vault)).await.expect("a journal");
    let kept = vault.store.journals().await.expect("journals");
    assert_eq!(kept.iter().filter(|journal| journal.is_closed).count(), 1, "{kept:?}");
    cut_off.note(note(2)).await.expect("noted elsewhere");
    cut_off.stop().await;
    other.stop().await;
    let kept = vault.store.journals().await.expect("journals");
    assert!(kept.len() == 3 && kept.iter().all(|journal| journal.is_closed), "{kept:?}");
    let mut reads = Vec::new();
    for journal in &kept {
        let notes = vault.store.notes(&journal.name, 0, 1_000).await.expect("notes");
        reads.extend(notes.into_iter().filter(|(_, text)| text.as_str().contains("read")).map(|(at, _)| at.number));
    }
    reads.sort_unstable();
    assert_eq!(reads, [2, 2], "each behind the opening of its journal");
}
