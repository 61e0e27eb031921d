//! How often the disk is asked to sync: the preloaded library sees every sync that the real server makes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use futures::future::join_all;

use super::callers::{Callers, Outcome, create_admin, server, value_of};
use super::disk::{Event, read_trace, watching};
use super::{Dice, amount};

/// Long enough that the log starts over in between.
const ALONE: usize = 600;
const CALLERS: usize = 64;

struct Disk {
    trace: PathBuf,
    data: PathBuf,
}

impl Disk {
    /// Of the database and its log. The journal of reads is synced once a second by a thread of its own, whatever
    /// is asked.
    fn syncs(&self) -> usize {
        let inode = |name: &str| fs::metadata(self.data.join(name)).map(|found| found.ino()).ok();
        let own = ["strongroom.db", "strongroom.db-wal"].map(inode);
        let synced = |event: &Event| matches!(event, Event::Synced { inode } if own.contains(&Some(*inode)));
        read_trace(&self.trace).iter().filter(|event| synced(event)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_costs_one_sync_alone_and_a_tenth_of_one_among_many_and_a_read_none() {
    let mut dice = Dice(7);
    let mut strongroom = server();
    let password = create_admin(&strongroom, &[]);
    let trace = strongroom.data.with_extension("trace");
    let disk = Disk { trace: trace.clone(), data: strongroom.data.clone() };
    for (name, value) in watching(&strongroom.data, Some(&trace)) {
        strongroom.set(&name, Some(&value));
    }
    strongroom.start().await;
    let callers = Callers::new(&strongroom, &password);
    callers.arrive().await;

    let begun = disk.syncs();
    for _ in 0..ALONE {
        assert!(callers.create(value_of(8000, &mut dice)).await == Outcome::Done);
    }
    let alone = disk.syncs() - begun;

    // As on a disk that is slow to sync: on one that is not, how many writes wait for a sync depends on how fast the
    // callers of this very machine are.
    strongroom.kill();
    strongroom.set("DISK_SYNC_MS", Some("100"));
    strongroom.start().await;
    callers.arrive().await;
    let begun = disk.syncs();
    let rounds = amount(20, 200);
    let many = (0..CALLERS).map(|_| {
        let values: Vec<String> = (0..rounds).map(|_| value_of(200, &mut dice)).collect();
        let callers = &callers;
        async move {
            for value in values {
                assert!(callers.create(value).await == Outcome::Done);
            }
        }
    });
    join_all(many).await;
    let together = disk.syncs() - begun;

    let begun = disk.syncs();
    let read = callers.look_at(true).await;
    let reading = disk.syncs() - begun;

    let (per_write, among) = (alone as f64 / ALONE as f64, together as f64 / (CALLERS * rounds) as f64);
    println!("{per_write:.3} syncs for a write alone, {among:.3} among {CALLERS} callers, {reading} for {read} reads");
    assert!(alone >= ALONE, "fewer syncs than acknowledged writes: {alone}");
    assert!(per_write <= 1.1, "{alone} syncs for {ALONE} writes");
    assert!(among <= 0.1, "{together} syncs for {} writes", CALLERS * rounds);
    // How far the journal is may be noted meanwhile, once a minute.
    assert!(reading <= 1, "{reading} syncs for {read} reads");
}
