//! Somebody who may write files, against `audit verify`: journals of real processes, every way to change
//! them, and exactly what is not seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use super::journals::{Count, check};
use super::walk::Findings;
use crate::adapters::journal::{Anchor, FileJournal, Ground, Line, Own, Pace, Piece, Reading, chain_start, list};
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::alarm::Alarm;
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::keyring::tests::{keyring, keyring_of};
use crate::domain::name::StoreId;

fn open(folder: &Path, keyring: Keyring, pace: Pace) -> (FileJournal, UnboundedReceiver<Anchor>) {
    let ground = Ground {
        folder: folder.to_owned(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        alarm: Alarm::default(),
        keyring: Arc::new(keyring),
        pace,
    };
    FileJournal::open(ground).unwrap()
}

fn pace() -> Pace {
    Pace { sync: Duration::from_millis(10), anchor: Duration::ZERO, ..Pace::default() }
}

fn drained(anchors: &mut UnboundedReceiver<Anchor>) -> Vec<Anchor> {
    std::iter::from_fn(|| anchors.try_recv().ok()).collect()
}

fn write(journal: &FileJournal, from: u32, count: u32) {
    for number in from..from + count {
        journal.write(&Note::stored(format!(r#"{{"who":"ops","read":{number}}}"#))).unwrap();
    }
}

fn lines(path: &Path) -> Vec<Line> {
    let mut reading = Reading::open(path).unwrap();
    let mut all = Vec::new();
    while let Some(Piece::Line(line)) = reading.next_piece().unwrap() {
        all.push(line);
    }
    all
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// What is on the disk when a process has died: the folder as it was, without the process.
struct Town {
    folder: TempDir,
    anchors: Vec<Anchor>,
    /// The file that nobody has closed or named: its unanchored lines are the ones that can be cut off.
    last: PathBuf,
    last_anchored: u64,
    last_sealed: u64,
}

impl Town {
    /// Three processes: one ends well, two are killed with unsealed lines, of which the first tears one.
    fn build() -> Self {
        let [first, second, third] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let mut anchors = Vec::new();

        let (journal, mut told) = open(first.path(), keyring(), pace());
        for round in 0..3 {
            write(&journal, round * 10, 4);
            until_anchored(first.path(), &mut told, &mut anchors);
        }
        journal.stop();
        anchors.extend(drained(&mut told));

        let (journal, mut told) = open(first.path(), keyring(), pace());
        write(&journal, 100, 5);
        until_anchored(first.path(), &mut told, &mut anchors);
        copy(first.path(), second.path());
        drop(journal);
        go_on(&newest(second.path()), 3, b"{\"n\":17,\"ha");

        let (journal, mut told) = open(second.path(), keyring(), pace());
        write(&journal, 300, 5);
        until_anchored(second.path(), &mut told, &mut anchors);
        copy(second.path(), third.path());
        drop(journal);
        let last = newest(third.path());
        let last_sealed = lines(&last).last().unwrap().claimed.number;
        go_on(&last, 3, b"");
        Self { folder: third, anchors, last, last_anchored: last_sealed, last_sealed }
    }

    fn verify(&self, folder: &Path) -> (Findings, Count) {
        let mut findings = Findings::default();
        let count = check(folder, &self.anchors, 0, &keyring(), &mut findings, &mut |_| {}).unwrap();
        (findings, count)
    }

    fn files(&self) -> Vec<PathBuf> {
        list(self.folder.path()).unwrap().into_iter().map(|file| file.path).collect()
    }

    /// Does it to a copy, and says what `verify` finds.
    fn after(&self, change: impl FnOnce(&Path)) -> Vec<String> {
        let changed = tempfile::tempdir().unwrap();
        copy(self.folder.path(), changed.path());
        change(changed.path());
        self.verify(changed.path()).0.said
    }
}

/// Waits until everything in the newest file is sealed, and anchored too.
fn until_anchored(folder: &Path, told: &mut UnboundedReceiver<Anchor>, anchors: &mut Vec<Anchor>) {
    let begun = Instant::now();
    loop {
        anchors.extend(drained(told));
        let last = lines(&newest(folder)).pop().unwrap();
        let sealed = matches!(Own::parse(&last.note), Some(Ok(Own::Sealed { .. })));
        if sealed && anchors.last().is_some_and(|anchor| anchor.position() == Some(last.claimed)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "not sealed in time");
        std::thread::sleep(pace().sync);
    }
}

/// More lines, as the process would have written them, and a torn one.
fn go_on(path: &Path, count: u64, torn: &[u8]) {
    let mut position = lines(path).last().unwrap().claimed;
    let mut text = fs::read(path).unwrap();
    for number in 0..count {
        let note = Note::stored(format!(r#"{{"who":"ops","read":"{number} of the last"}}"#));
        position = position.after(&note);
        text.extend(rendered(&position, &note).bytes());
    }
    text.extend_from_slice(torn);
    fs::write(path, text).unwrap();
}

fn rendered(position: &Position, note: &Note) -> String {
    let hash = hex::encode(position.hash);
    format!("{{\"n\":{},\"hash\":\"{hash}\",\"note\":{}}}\n", position.number, note.as_str())
}

/// The one that is not over yet.
fn newest(folder: &Path) -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let open = list(folder).unwrap().into_iter().filter(|file| fs::metadata(&file.path).unwrap().mode() & 0o200 != 0);
    let mut open: Vec<_> = open.collect();
    assert_eq!(open.len(), 1);
    open.remove(0).path
}

fn town() -> &'static Town {
    static TOWN: std::sync::OnceLock<Town> = std::sync::OnceLock::new();
    TOWN.get_or_init(Town::build)
}

fn force(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).unwrap().permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn text_lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn what_crashes_leave_is_remarked_and_no_fault() {
    let (findings, count) = town().verify(town().folder.path());
    assert_eq!((findings.said, count.files), (Vec::<String>::new(), 3));
    assert_eq!(count.remarks.len(), 1, "{:?}", count.remarks);
    assert!(count.records > 30 && count.unsealed == 6, "{count:?}");
}

#[test]
fn a_file_that_is_gone_renamed_or_doubled_is_missed() {
    for file in town().files() {
        let name = file.file_name().unwrap();
        let gone = town().after(|folder| fs::remove_file(folder.join(name)).unwrap());
        assert!(gone.iter().any(|said| said.contains("is gone") && said.contains(name.to_str().unwrap())), "{gone:?}");
        let other = format!("20200101T000000Z-{}", name.to_str().unwrap().split_once('-').unwrap().1);
        let renamed = town().after(|folder| fs::rename(folder.join(name), folder.join(&other)).unwrap());
        assert!(renamed.iter().any(|said| said.contains("is gone")), "{renamed:?}");
        let doubled = town().after(|folder| assert!(fs::copy(folder.join(name), folder.join(&other)).is_ok()));
        assert!(doubled.iter().any(|said| said.contains("two names")), "{doubled:?}");
        let foreign = format!("20200101T000000Z-{}.jsonl", "d".repeat(32));
        let passed_off = town().after(|folder| assert!(fs::copy(folder.join(name), folder.join(&foreign)).is_ok()));
        assert!(!passed_off.is_empty(), "{passed_off:?}");
    }
}

#[test]
fn journals_from_before_a_restore_may_be_elsewhere() {
    let (empty, anchors) = (tempfile::tempdir().unwrap(), &town().anchors);
    for (elsewhere, gone) in [(anchors.len(), 0), (1, 2)] {
        let mut findings = Findings::default();
        let count = check(empty.path(), anchors, elsewhere, &keyring(), &mut findings, &mut |_| {}).unwrap();
        assert_eq!((findings.count, count.remarks.len()), (gone, 3 - gone as usize), "{:?}", findings.said);
    }
}

#[test]
fn a_journal_that_somebody_without_the_key_makes_up_is_seen() {
    let made_up = town().after(|folder| {
        let (journal, _told) = open(&folder.join("made up"), keyring_of(StoreId::from_bytes([9; 16]), &[1]), pace());
        write(&journal, 0, 3);
        journal.stop();
        let file = list(&folder.join("made up")).unwrap().remove(0);
        fs::rename(&file.path, folder.join(&file.name)).unwrap();
    });
    assert!(made_up.iter().any(|said| said.contains("seal")), "{made_up:?}");
}

#[test]
fn seals_under_a_retired_key_are_believed_as_far_as_they_are_anchored() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, mut told) = open(folder.path(), keyring_of(StoreId::from_bytes([1; 16]), &[3]), pace());
    write(&journal, 0, 3);
    std::thread::sleep(pace().sync * 3);
    journal.stop();
    let anchors = drained(&mut told);
    for (anchors, expected) in [(&anchors[..], 0), (&anchors[..1], 1)] {
        let mut findings = Findings::default();
        check(folder.path(), anchors, 0, &keyring(), &mut findings, &mut |_| {}).unwrap();
        assert_eq!(findings.count, expected, "{:?}", findings.said);
    }
}

#[test]
fn a_live_journal_is_verified_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, mut told) = open(folder.path(), keyring(), Pace { page: 20_000, ..pace() });
    let journal = Arc::new(journal);
    let writer = journal.clone();
    let begun = Instant::now();
    let thread = std::thread::spawn(move || {
        let mut number = 0;
        while begun.elapsed() < Duration::from_millis(400) {
            write(&writer, number, 5);
            number += 5;
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    let mut anchors = Vec::new();
    let mut rounds = 0;
    while !thread.is_finished() {
        anchors.extend(drained(&mut told));
        let mut findings = Findings::default();
        check(folder.path(), &anchors, 0, &keyring(), &mut findings, &mut |_| {}).unwrap();
        assert_eq!(findings.said, Vec::<String>::new());
        rounds += 1;
    }
    thread.join().unwrap();
    assert!(rounds > 3 && list(folder.path()).unwrap().len() > 1, "{rounds}");
}

/// Changes one line and makes all hashes behind it fit again: what can be done without the key.
fn rewrite(path: &Path, chain: &str, at: usize) {
    let mut position = chain_start(chain);
    let mut text = Vec::new();
    for (index, line) in lines(path).into_iter().enumerate() {
        let note = if index == at { r#"{"who":"nobody"}"#.to_owned() } else { line.note };
        let note = Note::stored(note);
        position = position.after(&note);
        text.extend(rendered(&position, &note).bytes());
    }
    force(path, &text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_one_line_that_is_removed_changed_moved_or_doubled_is_found(
        file in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(), byte: u8, how in 0..4
    ) {
        let files = town().files();
        let file = &files[file.index(files.len())];
        let name = file.file_name().unwrap();
        let before = fs::read(file).unwrap();
        let mut all = text_lines(&before);
        let (from, to) = (from.index(all.len()), to.index(all.len()));
        match how {
            0 => drop(all.remove(from)),
            1 => { let at = byte as usize % all[from].len(); all[from][at] ^= 1 + byte % 255; }
            2 => { let line = all.remove(from); all.insert(to, line); }
            _ => { let line = all[from].clone(); all.insert(to, line); }
        }
        let after = all.concat();
        let found = town().after(|folder| force(&folder.join(name), &after));
        // The last line of a process that was killed, if it was not anchored yet, can be taken away or torn.
        let cut = *file == town().last && from + 1 == text_lines(&before).len() && how < 2;
        // What is torn is no line: of it only the size is kept.
        let torn = how == 1 && !all[from].ends_with(b"\n") && after.len() == before.len();
        prop_assert!(!found.is_empty() || after == before || cut || torn, "{:?}", (name, how, from, to, byte));
    }

    #[test]
    fn a_file_that_is_cut_is_seen_but_for_the_unanchored_end_of_a_process_that_was_killed(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()
    ) {
        let files = town().files();
        let file = &files[file.index(files.len())];
        let bytes = fs::read(file).unwrap();
        let kept = &bytes[..at.index(bytes.len())];
        let name = file.file_name().unwrap();
        let found = town().after(|folder| force(&folder.join(name), kept));
        let whole = kept.iter().filter(|byte| **byte == b'\n').count() as u64;
        let unseen = *file == town().last && whole >= town().last_anchored;
        prop_assert_eq!(found.is_empty(), unseen, "{:?}", (name, whole, found));
    }

    #[test]
    fn a_file_that_is_rewritten_with_fitting_hashes_is_seen_but_for_its_unsealed_end(
        file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()
    ) {
        let files = list(town().folder.path()).unwrap();
        let file = &files[file.index(files.len())];
        let at = at.index(lines(&file.path).len());
        let found = town().after(|folder| rewrite(&folder.join(&file.name), &file.chain, at));
        let unseen = file.path == town().last && at as u64 >= town().last_sealed;
        prop_assert_eq!(found.is_empty(), unseen, "{:?}", (&file.name, at, found));
    }
}
