//! A backup that is never a file: out of one container and into another.

use std::io::Write;
use std::process::Stdio;

use super::{Folder, House, digest, done, text};
use crate::process::binary;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_through_pipes_and_leaves_nothing_beside_the_store() {
    let mut house = House::open().await;
    house.create("Database", "one").await;
    house.strongroom.stop().await;
    let from = &house.strongroom.data;
    let made = binary().args(["backup", "--output", "-", "--data-dir"]).arg(from).output().expect("the binary");
    assert!(made.status.success(), "{}", text(&made.stderr));

    let there = Folder::with_key_of(from);
    let restore = |bytes: &[u8]| {
        let mut command = binary();
        command.args(["restore", "-", "--data-dir"]).arg(&there.data).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
        child.stdin.take().expect("a pipe").write_all(bytes).expect("all of it");
        child.wait_with_output().expect("an end")
    };
    let refused = restore(&made.stdout[..made.stdout.len() / 2]);
    assert!(!refused.status.success(), "half of a backup is none");
    assert_eq!(there.names(), ["strongroom.key"]);
    let restored = done(&restore(&made.stdout));
    assert_eq!(digest(&restored), digest(&text(&made.stderr)));
    assert!(!there.names().iter().any(|name| name.contains("part")), "{:?}", there.names());
}
