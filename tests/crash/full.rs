//! A disk that fills up: writes are refused in words and nothing is half done, reads go on, and when there is space
//! again writes go on, in the process that refused them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::callers::{self, Callers, Outcome};
use super::disk;
use super::{Dice, Findings, amount, is_torture};
use crate::process::Strongroom;

/// Room for all that is written while there is space; the full form writes for longer.
const SIZES: [&str; 2] = ["size=48m,mode=700", "size=192m,mode=700"];
const BLOCK: u64 = 4096;
/// How soon writes must go on.
const HEALING: Duration = Duration::from_secs(5);
/// Writes after which a disk with so little space must have been full.
const TRIES: usize = 60;
/// What a write on a full disk may be answered with.
const FULL: [u16; 2] = [503, 507];

/// A small disk whose free space can be set.
enum Disk {
    /// A real one, in memory; what is not to be free is taken by a file beside the folder.
    Mounted(PathBuf),
    /// None at all: the preloaded library counts the bytes by which files grow.
    Counted { budget: PathBuf, times: usize },
}

impl Disk {
    /// `None` where mounting is not permitted.
    fn mounted(server: &mut Strongroom) -> Option<Self> {
        let mount = server.data.clone();
        fs::create_dir(&mount).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZES[usize::from(is_torture())], "strongroom"])
            .arg(&mount)
            .output();
        mounted.is_ok_and(|output| output.status.success()).then(|| {
            server.data = mount.join("data");
            Self::Mounted(mount)
        })
    }

    /// For the files with this in their path, or for all.
    fn counted(server: &mut Strongroom, part: Option<&str>) -> Self {
        let budget = server.data.with_extension("budget");
        let environment = disk::watching(&server.data, None);
        environment.iter().for_each(|(name, value)| server.set(name, Some(value)));
        server.set("DISK_SPACE", Some(&budget.display().to_string()));
        server.set("DISK_SPACE_NAME", part);
        let mut disk = Self::Counted { budget, times: 0 };
        disk.free(None);
        disk
    }

    /// Leaves so many bytes, or all there are.
    fn free(&mut self, bytes: Option<u64>) {
        match self {
            Self::Mounted(mount) => fill(mount, bytes),
            Self::Counted { budget, times } => {
                *times += 1;
                let next = budget.with_extension("next");
                fs::write(&next, format!("{} {times}", bytes.unwrap_or(1 << 40))).expect("a budget");
                fs::rename(&next, budget).expect("a budget");
            }
        }
    }
}

fn fill(mount: &Path, leave: Option<u64>) {
    let filler = mount.join("filler");
    let _ = fs::remove_file(&filler);
    let Some(leave) = leave else { return };
    let about = statvfs(mount).expect("a file system");
    let taken = (about.f_bavail * about.f_frsize).saturating_sub(leave);
    let file = fs::File::create(&filler).expect("a file");
    if taken > 0 {
        fallocate(&file, FallocateFlags::empty(), 0, taken).expect("space");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted(mount) = self {
            let _ = Command::new("umount").arg("-l").arg(mount).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    let mut server = callers::server();
    match Disk::mounted(&mut server) {
        Some(disk) => fill_again_and_again("a full disk (tmpfs)", server, disk).await,
        None => println!("a full disk (tmpfs): left out, tmpfs cannot be mounted here"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_does_not_fit_is_refused_whole() {
    let mut server = callers::server();
    let disk = Disk::counted(&mut server, None);
    fill_again_and_again("a full disk (bytes counted)", server, disk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_audited_is_refused() {
    if !callers::keeps_audit() {
        return println!("a full audit log: left out, this build keeps none");
    }
    let mut server = callers::server();
    let disk = Disk::counted(&mut server, Some("/audit/"));
    fill_again_and_again("a full disk (the audit log's)", server, disk).await;
}

async fn fill_again_and_again(experiment: &'static str, mut server: Strongroom, mut disk: Disk) {
    let (mut findings, mut dice) = Findings::of(experiment);
    let password = callers::create_admin(&server, &[]);
    let callers = Callers::new(&server, &password);
    server.start().await;
    callers.arrive().await;
    for _ in 0..20 {
        assert_eq!(callers.create(callers::value(&mut dice)).await, Outcome::Done);
    }
    let points = amount(32, 1000);
    let mut slowest = Duration::ZERO;
    for point in 0..points {
        disk.free(Some(BLOCK * (point % 64) as u64 / 2));
        if fill_up(&callers, &mut dice, &mut findings.violations).await {
            findings.faults.add();
        }
        disk.free(None);
        match heal(&callers, &mut dice).await {
            Some(took) => slowest = slowest.max(took),
            None => findings.violations.push(format!("point {point}: writes or reads do not go on")),
        }
        assert!(!server.has_ended(), "it ended by itself: {}", server.log());
        // A log that starts again at its beginning needs no space for long.
        if point % 8 == 7 {
            restart(&mut server, &mut disk, &callers, &mut findings.violations, point).await;
        }
    }
    callers.look_at(true).await;
    server.kill();
    findings.violations.extend(callers::verify_audit(&server.data));
    findings.violations.extend(callers.violations());
    findings.judge(&format!("{points} fill points, everything went on after {slowest:?} at most"));
}

/// Writes and reads until something is refused; whether it was.
async fn fill_up(callers: &Callers, dice: &mut Dice, violations: &mut Vec<String>) -> bool {
    let mut refused = 0;
    for _ in 0..TRIES {
        let value = callers::value(dice);
        let id = callers.pick(usize::MAX, dice).expect("a credential");
        let outcome = match dice.below(2) {
            0 => callers.create(value).await,
            _ => callers.update(&id, value).await,
        };
        match outcome {
            Outcome::Done => {}
            Outcome::Refused(status) if FULL.contains(&status) => refused += 1,
            other => violations.push(format!("a write on a full disk: {other:?}")),
        }
        // What cannot be audited is refused too; whatever is shown is right.
        match callers.look(&id).await {
            Outcome::Done => {}
            Outcome::Refused(status) if FULL.contains(&status) => refused += 1,
            other => violations.push(format!("a read on a full disk: {other:?}")),
        }
        if refused > 2 {
            return true;
        }
    }
    refused > 0
}

/// How long it took until a write and a read were done.
async fn heal(callers: &Callers, dice: &mut Dice) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < HEALING {
        let written = callers.create(callers::value(dice)).await;
        let id = callers.pick(usize::MAX, dice)?;
        if (written, callers.look(&id).await) == (Outcome::Done, Outcome::Done) {
            return Some(begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// Killed while the disk is full, or stopped when it is not: what was acknowledged is there either way.
async fn restart(
    server: &mut Strongroom,
    disk: &mut Disk,
    callers: &Callers,
    violations: &mut Vec<String>,
    point: usize,
) {
    if point % 16 == 7 {
        disk.free(Some(0));
        server.kill();
        disk.free(None);
    } else if !server.stop().await.success() {
        violations.push("it did not end well".into());
    }
    server.start().await;
    callers.arrive().await;
    // All of them at the end: to look at everything each time would take ever longer.
    callers.look_at(false).await;
}
