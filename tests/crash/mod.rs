//! The crash laboratory: the real program on a disk that fails, and the proof that it lost nothing.
//! A bounded form of every experiment is part of `cargo test`; `make torture` sets TORTURE=1 for the full one.
//! Each prints how many faults it injected and how many violations it found; one that injected none fails.
//! CRASH_SEED repeats the dice of a run.
//!
//! # The model of the disk
//!
//! `disk.c`, preloaded into the real process, writes down each change to the data folder in the order in which it
//! happened, each sync, and each answer at the moment at which it leaves. `medium` replays that record up to any
//! point and makes the folder that a loss of power could leave there:
//!
//! - What was written to a file before it was synced is there. Of what was written since, there is nothing, or
//!   everything, or for each 4 KiB page of the file its state after any number of the writes to it; a torn page is
//!   such a choice for each 512 bytes. The size of the file is any that it had since then.
//! - A name (made, linked, renamed or removed) is certain once its folder was synced; before that, each change of
//!   names happened or did not, on its own. A rename is one change: never both names, never neither.
//!
//! - A sync that failed was no sync, and what it should have written is forgotten: the process and its successors go
//!   on reading it, but no later sync writes it, unless its page is written again.
//!
//! That is harsher than ext4 or XFS, which keep changes of names in order and persist a file's first name with it.
//!
//! Not covered: a sector that is torn within its 512 bytes, or that loses bytes outside of what was written to it (SQLite
//! relies on neither happening); a disk that reports a sync that it did not make; changes through shared memory
//! maps, of which Strongroom makes none but SQLite's index of its log (`-shm`), which is memory and is left out;
//! system calls that do not go through the C library. That nothing escaped is checked: the whole record, replayed,
//! must give the folder byte for byte.

mod callers;
mod counts;
mod disk;
mod flips;
mod full;
mod kill;
mod medium;
mod power;
mod sync_failure;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::iter;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strongroom::app::App;
use strongroom::app::alarm::Alarm;
use strongroom::config::{Given, Settings};
use strongroom::domain::actor::{Actor, Scheme, Standing};
use strongroom::domain::name::Tenant;
use strongroom::runtime::foundation::{self, Ground};

/// How much is done: a bounded number in `cargo test`, the full one in `make torture`.
fn amount(bounded: usize, full: usize) -> usize {
    if is_torture() { full } else { bounded }
}

fn is_torture() -> bool {
    std::env::var("TORTURE").is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

/// How often the full form, which takes hours, says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Counts what was injected, for several threads.
struct Faults {
    experiment: &'static str,
    count: AtomicUsize,
    /// How many there are to be, where that is known.
    planned: AtomicUsize,
    told: Mutex<Instant>,
}

impl Faults {
    fn plan(&self, count: usize) {
        self.planned.store(count, Ordering::Relaxed);
    }

    fn add(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = self.told.lock().expect("nobody panics while telling");
        if told.elapsed() > TOLD_EVERY {
            *told = Instant::now();
            match self.planned.load(Ordering::Relaxed) {
                0 => println!("{}: {count} faults injected so far", self.experiment),
                planned => println!("{}: {count} of {planned} faults injected so far", self.experiment),
            }
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// What an experiment did and found. It must be ended with [`Findings::judge`].
struct Findings {
    faults: Arc<Faults>,
    violations: Vec<String>,
    seed: u64,
}

impl Findings {
    fn of(experiment: &'static str) -> (Self, Dice) {
        let given = std::env::var("CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(experiment));
        let [count, planned] = [0; 2].map(AtomicUsize::new);
        let faults = Faults { experiment, count, planned, told: Mutex::new(Instant::now()) };
        (Self { faults: Arc::new(faults), violations: Vec::new(), seed }, Dice(seed))
    }

    fn judge(self, about: &str) {
        let Self { faults, violations, seed } = self;
        let (experiment, faults) = (faults.experiment, faults.count());
        println!("{experiment}: {faults} faults injected, {} violations found; {about}", violations.len());
        assert!(faults > 0, "{experiment}: nothing was injected, so nothing was shown");
        let first: Vec<&str> = violations.iter().take(20).map(String::as_str).collect();
        assert!(violations.is_empty(), "{experiment}, CRASH_SEED={seed}:\n{}", first.join("\n"));
    }
}

/// Randomness that can be repeated (splitmix64).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).expect("below a usize")
    }

    /// Dice of its own for somebody who rolls beside us.
    fn split(&mut self) -> Self {
        Self(self.roll())
    }
}

/// Everything that stands on a data folder, in this process: as fast to open as can be, once for each fault.
async fn open(data: &Path) -> anyhow::Result<App> {
    foundation::open(&settings(data)?, None, &Alarm::default()).await
}

/// The same without what answers callers. Makes nothing.
async fn ground(data: &Path) -> anyhow::Result<Ground> {
    Ground::of_existing(&settings(data)?).await
}

fn settings(data: &Path) -> anyhow::Result<Settings> {
    let given = Given { data_dir: Some(data.into()), ..Given::default() };
    Ok(given.settle(iter::empty())?)
}

fn admin() -> Actor {
    let (id, tenant) = ("ops".into(), Tenant::outside());
    Actor { id, tenant, scheme: Scheme::Basic, standing: Standing::Admin, from: None }
}

/// A folder for copies of a disk, in memory where that is possible.
fn bench() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A data folder as it is; SQLite's shared memory is not copied.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let path = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &path),
            false if entry.path().to_string_lossy().ends_with("-shm") => {}
            false => _ = fs::copy(entry.path(), path).expect("a copy"),
        }
    }
}
