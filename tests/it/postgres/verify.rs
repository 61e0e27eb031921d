//! `strongroom audit verify` on a database, which copies the journals out: SIGKILL in the middle of it.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::server;
use crate::crashes::AUDIT_COPIED;
use crate::process::{Strongroom, binary};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_verify_copied_goes_away_with_the_next() {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database");
    let mut strongroom = Strongroom::new(None);
    strongroom.set("STRONGROOM_DATABASE", Some(&url));
    strongroom.start().await;
    let copies = || {
        let entries = fs::read_dir(&strongroom.data).expect("a folder").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("journals-")).count()
    };
    let verify = || {
        let mut command: Command = binary();
        command.args(["audit", "verify", "--data-dir"]).arg(&strongroom.data).env("STRONGROOM_DATABASE", &url);
        command
    };
    let mut killed = verify().env("FAILPOINTS", format!("{AUDIT_COPIED}=sleep(60000)")).spawn().expect("the binary");
    let begun = Instant::now();
    while copies() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no copies: {:?}", killed.try_wait());
        std::thread::sleep(Duration::from_millis(10));
    }
    // Beside the one that lives, whose copies stay.
    std::thread::sleep(Duration::from_millis(200));
    assert!(verify().status().expect("the binary").success());
    assert_eq!(copies(), 1);
    killed.kill().expect("to kill it");
    killed.wait().expect("its end");
    assert_eq!(copies(), 1, "left behind");
    assert!(verify().status().expect("the binary").success());
    assert_eq!(copies(), 0);
}
