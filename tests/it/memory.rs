//! What other processes can see of a running one. Only Linux says.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::binary;

/// Somebody who is not root: root may read everything.
const NOBODY: u32 = 65534;

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As an ordinary user, which the tests may be already.
fn ordinarily(mut command: Command) -> Command {
    if fs::metadata("/proc/self").expect("/proc").uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.stdin(Stdio::null());
    command
}

/// Whether this file of the process can be opened by another process of the same user.
fn can_be_opened(process: u32, file: &str) -> bool {
    let mut open = ordinarily(Command::new("sh"));
    let open = open.args(["-c", &format!("exec 3< /proc/{process}/{file}")]).stderr(Stdio::null());
    open.status().expect("sh").success()
}

fn strongroom(home: &Path) -> Running {
    fs::set_permissions(home, fs::Permissions::from_mode(0o777)).expect("a folder for everybody");
    let program = home.join("strongroom");
    let built = binary().get_program().to_owned();
    // Where nobody may go, a link does not help, and the folder of the build may be such a place.
    if fs::hard_link(&built, &program).is_err() {
        fs::copy(&built, &program).expect("a copy");
    }
    let mut command = ordinarily(Command::new(&program));
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"]);
    let log = fs::File::create(home.join("log")).expect("a log");
    let running = Running(command.arg(home.join("data")).env_clear().stderr(log).spawn().expect("it starts"));
    let begun = Instant::now();
    while !home.join("data/strongroom.key").exists() {
        let said = || fs::read_to_string(home.join("log")).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(20), "no key in time: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

#[test]
fn a_running_process_leaves_no_core_and_shows_its_memory_to_nobody_of_the_same_user() {
    let home = tempfile::tempdir().expect("a folder");
    let running = strongroom(home.path());
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.0.id())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit of cores");
    let values: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{core}");

    let other = Running(ordinarily(Command::new("sleep")).arg("60").spawn().expect("sleep"));
    for file in ["mem", "environ", "maps"] {
        assert!(can_be_opened(other.0.id(), file), "{file} of an ordinary process");
        assert!(!can_be_opened(running.0.id(), file), "{file}");
    }
}
