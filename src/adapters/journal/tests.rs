//! The journal on a real folder: what is on the disk when, after which end, and what the next start says.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use super::page::{Page, Trouble};
use super::*;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::keyring::tests::keyring;

const QUICK: Pace =
    Pace { sync: Duration::from_millis(20), anchor: Duration::ZERO, page: 64 << 20, stall: Duration::from_secs(10) };
/// Nothing is synced or sealed but by the end.
const SLOW: Pace = Pace { sync: Duration::from_hours(1), ..QUICK };
const PATIENCE: Duration = Duration::from_secs(10);

fn ground(folder: &Path, pace: Pace) -> Ground {
    Ground {
        folder: folder.to_owned(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        alarm: Alarm::default(),
        keyring: Arc::new(keyring()),
        pace,
    }
}

fn note(about: &str) -> Note {
    Note::stored(format!(r#"{{"who":"ops","what":"{about}"}}"#))
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("audit")
    }

    fn open(&self, pace: Pace) -> (FileJournal, UnboundedReceiver<Anchor>) {
        FileJournal::open(ground(&self.path(), pace)).unwrap()
    }

    /// A journal that a crash ended: what its process leaves, and nothing of its end.
    fn crashed(&self, notes: &[&str], torn: &[u8]) -> JournalFile {
        let chain = "c".repeat(32);
        let mut page = Page::draft(&self.path(), SystemClock.now(), &chain).unwrap();
        let seal = Seal::from(keyring().sign_position(chain.as_bytes(), &page.position).unwrap());
        let opened = Own::Opened { at: SystemClock.now(), chain: chain.clone(), after: vec![], seal };
        page.begin(&opened).unwrap();
        for about in notes {
            page.append(&note(about)).unwrap();
        }
        OpenOptions::new().append(true).open(&page.path).unwrap().write_all(torn).unwrap();
        self.files().into_iter().find(|file| file.chain == chain).unwrap()
    }

    fn files(&self) -> Vec<JournalFile> {
        list(&self.path()).unwrap()
    }
}

/// Every line of a file, after its numbers, hashes and seals were found right.
fn read(file: &JournalFile) -> Vec<Line> {
    let mut reading = Reading::open(&file.path).unwrap();
    let mut at = chain_start(&file.chain);
    let mut lines = Vec::new();
    while let Some(piece) = reading.next_piece().unwrap() {
        let Piece::Line(line) = piece else { panic!("a strange line in {}", file.name) };
        if let Some(own) = Own::parse(&line.note) {
            let mac = own.unwrap().seal().mac().unwrap();
            keyring().verify_position(file.chain.as_bytes(), &at, &mac).unwrap();
        }
        at = at.after(&Note::stored(line.note.clone()));
        assert_eq!(at, line.claimed);
        lines.push(line);
    }
    lines
}

fn owns(lines: &[Line]) -> Vec<Own> {
    lines.iter().filter_map(|line| Own::parse(&line.note)).map(Result::unwrap).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn wait_until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_note_is_in_the_file_when_it_is_answered() {
    let place = Place::new();
    let (journal, _anchors) = place.open(SLOW);
    let [file] = &place.files()[..] else { panic!("one file") };
    for number in 2..50 {
        journal.write(&note("a read")).unwrap();
        let lines = read(file);
        assert_eq!(lines.last().unwrap().claimed.number, number);
        assert_eq!(lines.last().unwrap().note, note("a read").as_str());
    }
    assert_eq!((mode(&place.path()), mode(&file.path)), (0o700, 0o600));
}

#[test]
fn a_second_later_it_is_synced_sealed_and_anchored_and_then_there_is_silence() {
    let place = Place::new();
    let (journal, mut anchors) = place.open(QUICK);
    let file = &place.files()[0];
    journal.write(&note("a read")).unwrap();
    wait_until("a seal", || matches!(owns(&read(file))[..], [Own::Opened { .. }, Own::Sealed { .. }]));
    let opened = anchors.blocking_recv().unwrap();
    assert_eq!((opened.stage, opened.n, &opened.file), (Stage::Opened, 1, &file.name));
    let mut reached = anchors.blocking_recv().unwrap();
    while reached.n < 3 {
        reached = anchors.blocking_recv().unwrap();
    }
    let last = read(file).pop().unwrap();
    assert_eq!((reached.stage, reached.position()), (Stage::Reached, Some(last.claimed)));
    std::thread::sleep(QUICK.sync * 5);
    assert_eq!(read(file).len(), 3, "an idle journal seals nothing");
    assert!(anchors.try_recv().is_err());
}

#[test]
fn stopping_seals_closes_and_refuses() {
    let place = Place::new();
    let (journal, mut anchors) = place.open(SLOW);
    journal.write(&note("a read")).unwrap();
    journal.stop();
    let file = &place.files()[0];
    let lines = read(file);
    assert!(matches!(owns(&lines)[..], [Own::Opened { .. }, Own::Closed { .. }]));
    assert_eq!(mode(&file.path), 0o400);
    assert!(matches!(journal.write(&note("too late")), Err(Error::Unavailable { .. })));
    let stages: Vec<_> =
        std::iter::from_fn(|| anchors.try_recv().ok()).map(|anchor| (anchor.stage, anchor.n)).collect();
    assert_eq!(stages, [(Stage::Opened, 1), (Stage::Closed, 3)]);
    drop(journal);
    assert_eq!(read(file), lines);
}

#[test]
fn the_next_start_names_what_a_crash_left_and_leaves_it_as_it_is() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    for torn in [&b""[..], b"{\"n\":4,\"hash\":\"00", &[0; 5000]] {
        let crashed = place.crashed(&["first", "second"], torn);
        let before = fs::read(&crashed.path).unwrap();
        let (journal, _anchors) = place.open(SLOW);
        let next = place.files().into_iter().find(|file| file.chain != crashed.chain).unwrap();
        let [Own::Opened { after, .. }] = &owns(&read(&next))[..] else { panic!("an opening") };
        let [end] = &after[..] else { panic!("one that is over: {after:?}") };
        assert_eq!((&end.chain, end.n, end.torn), (&crashed.chain, 3, torn.len() as u64));
        assert_eq!((fs::read(&crashed.path).unwrap(), mode(&crashed.path)), (before, 0o400));
        // Once is enough.
        let (again, _anchors) = place.open(SLOW);
        let newest = place.files().into_iter().find(|file| ![&crashed, &next].contains(&file)).unwrap();
        assert!(matches!(&owns(&read(&newest))[..], [Own::Opened { after, .. }] if after.is_empty()));
        drop((journal, again));
        fs::remove_dir_all(place.path()).unwrap();
        fs::create_dir(place.path()).unwrap();
    }
}

#[test]
fn two_at_a_time_have_a_file_each_and_neither_calls_the_other_over() {
    let place = Place::new();
    let (one, _anchors) = place.open(SLOW);
    let (two, _anchors) = place.open(SLOW);
    for journal in [&one, &two, &one] {
        journal.write(&note("a read")).unwrap();
    }
    let mut counts: Vec<usize> = place.files().iter().map(|file| read(file).len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 3]);
    for file in place.files() {
        assert!(Reading::open(&file.path).unwrap().is_live());
        assert!(matches!(&owns(&read(&file))[0], Own::Opened { after, .. } if after.is_empty()));
    }
}

#[test]
fn a_long_file_is_followed_by_another_without_losing_a_note() {
    let place = Place::new();
    let (journal, mut anchors) = place.open(Pace { page: 4_000, anchor: Duration::from_hours(1), ..QUICK });
    let begun = Instant::now();
    let mut written = 0;
    while place.files().len() < 4 {
        journal.write(&note(&written.to_string())).unwrap();
        written += 1;
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_micros(200));
    }
    journal.stop();
    let mut files: Vec<(JournalFile, Vec<Line>)> =
        place.files().into_iter().map(|file| (file.clone(), read(&file))).collect();
    let all: Vec<&Line> = files.iter().flat_map(|(_, lines)| lines).collect();
    for number in 0..written {
        let wanted = note(&number.to_string());
        assert_eq!(all.iter().filter(|line| line.note == wanted.as_str()).count(), 1, "note {number}");
    }
    // Each but the first names the one before by its very end, and each is closed.
    let mut stages = Vec::new();
    while let Ok(anchor) = anchors.try_recv() {
        stages.push(anchor.stage);
    }
    assert_eq!(stages, [Stage::Opened, Stage::Closed].repeat(files.len()));
    let first =
        files.iter().position(|(_, lines)| matches!(&owns(lines)[0], Own::Opened { after, .. } if after.is_empty()));
    let mut last = files.swap_remove(first.expect("a first file"));
    while !files.is_empty() {
        let end = End::new(&last.0.chain, &last.1.last().unwrap().claimed, 0);
        let next = files
            .iter()
            .position(|(_, lines)| matches!(&owns(lines)[0], Own::Opened { after, .. } if *after == [end.clone()]));
        last = files.swap_remove(next.expect("one that goes on"));
        assert!(matches!(owns(&last.1).last(), Some(Own::Closed { .. })));
    }
}

#[test]
fn a_failed_sync_raises_the_alarm_and_nothing_more_is_noted() {
    let place = Place::new();
    let mut ground = ground(&place.path(), QUICK);
    let alarm = ground.alarm.clone();
    // The device takes what is written and cannot be synced.
    ground.folder = place.folder.path().to_owned();
    let (anchors, _noted) = unbounded_channel();
    let desk = Arc::new(Desk::open(ground, anchors).unwrap());
    desk.exchange_file(OpenOptions::new().write(true).open("/dev/null").unwrap());
    desk.write(&note("before")).unwrap();
    let keeper = desk.clone();
    thread::spawn(move || keeper.keep()).join().unwrap();
    assert!(alarm.is_raised());
    assert!(matches!(desk.write(&note("after")), Err(Error::Unavailable { .. })));
}

#[test]
fn a_line_that_does_not_fit_and_cannot_be_cut_off_is_trouble() {
    let place = Place::new();
    let mut page = Page::draft(place.folder.path(), SystemClock.now(), &"a".repeat(32)).unwrap();
    page.exchange_file(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let before = page.position;
    assert!(matches!(page.append(&note("x")), Err(Trouble::Broken(_))));
    assert_eq!(page.position, before);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    File::create(place.path()).unwrap();
    let error = FileJournal::open(ground(&place.path(), SLOW)).err().expect("refused");
    assert!(error.detail().unwrap().contains("audit"), "{error:?}");
}

/// Sets the limit on the size of files for this process, as a full disk would.
#[test]
fn a_full_disk_refuses_notes_leaves_no_part_of_them_and_heals() {
    const CHILD: &str = "JOURNAL_TEST_WITH_LIMIT";
    if std::env::var_os(CHILD).is_none() {
        let name = "adapters::journal::tests::a_full_disk_refuses_notes_leaves_no_part_of_them_and_heals";
        let status = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg(name)
            .env(CHILD, "1")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = |bytes: Option<u64>| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
    };
    let place = Place::new();
    let (journal, _anchors) = place.open(Pace { stall: Duration::from_millis(50), ..QUICK });
    let file = &place.files()[0];
    let mut refusals = 0;
    for space in (2_000..8_000).step_by(97) {
        limit(Some(space));
        for _ in 0..40 {
            match journal.write(&note("a read while there is space")) {
                Ok(()) => {}
                Err(Error::Unavailable { .. }) => refusals += 1,
                Err(error) => panic!("{error:?}"),
            }
            let size = fs::metadata(&file.path).unwrap().len();
            assert!(size <= space);
        }
        if space % 10 == 0 {
            std::thread::sleep(QUICK.sync * 4);
        }
        read(file);
    }
    assert!(refusals > 100, "the limit was not met: {refusals}");
    limit(None);
    journal.write(&note("there is space again")).unwrap();
    journal.stop();
    let lines = read(file);
    assert!(matches!(owns(&lines).last(), Some(Own::Closed { .. })));
    assert!(lines.iter().any(|line| line.note == note("there is space again").as_str()));
}

#[test]
#[ignore = "a measurement: run it in a release build"]
fn how_long_a_note_takes() {
    let place = Place::new();
    let (journal, _anchors) = place.open(Pace::default());
    let note = Note::stored(format!(r#"{{"who":"{}"}}"#, "x".repeat(280)));
    for threads in [1, 2] {
        const COUNT: u32 = 200_000;
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..COUNT / threads).for_each(|_| journal.write(&note).unwrap()));
            }
        });
        let each = begun.elapsed() / COUNT;
        println!("{threads} threads: {each:?} a note");
        assert!(each < Duration::from_micros(20));
    }
}
