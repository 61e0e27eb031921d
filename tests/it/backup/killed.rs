//! SIGKILL in the middle of a backup: what it leaves is gone after the next one, and one under way is not disturbed.

use std::fs;
use std::time::{Duration, Instant};

use super::{Folder, House, back_up, digest, done, restore, run, text};
use crate::crashes::BACKUP_WRITTEN;
use crate::process::binary;

#[tokio::test]
async fn what_a_killed_backup_left_goes_away_with_the_next() {
    let house = House::open().await;
    house.create("Database", "one").await;
    let data = &house.strongroom.data;
    let dir = tempfile::tempdir().expect("a folder");
    let (file, draft) = (dir.path().join("all"), dir.path().join(".all.part"));
    fs::write(&file, "the one before").expect("a file");
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).expect("a folder").flatten().map(|it| it.file_name()).collect();
        names.sort_unstable();
        names
    };
    for round in 0..3 {
        let mut command = binary();
        command.args(["backup", "--output"]).arg(&file).arg("--data-dir").arg(data);
        let mut killed =
            command.env("FAILPOINTS", format!("{BACKUP_WRITTEN}=sleep(60000)")).spawn().expect("the binary");
        let begun = Instant::now();
        while fs::metadata(&draft).map_or(0, |draft| draft.len()) < 500 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no draft: {:?}", killed.try_wait());
            std::thread::sleep(Duration::from_millis(10));
        }
        let beside = run(&["backup", "--output", &file.display().to_string()], data);
        assert!(
            !beside.status.success() && text(&beside.stderr).contains("still under way"),
            "{}",
            text(&beside.stderr)
        );
        killed.kill().expect("to kill it");
        killed.wait().expect("its end");
        assert_eq!(names(), [".all.part", "all"], "round {round}: the draft is left, and what was there before");
        if round == 0 {
            assert_eq!(fs::read_to_string(&file).expect("a file"), "the one before");
        }
        let said = back_up(data, &file);
        assert_eq!(names(), ["all"]);
        let folder = Folder::with_key_of(data);
        assert_eq!(digest(&done(&restore(&file, &folder.data))), digest(&said));
    }
}
