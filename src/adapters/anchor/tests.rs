//! The file as processes and crashes leave it.

use std::sync::Arc;
use std::thread;

use jiff::Timestamp;

use super::*;
use crate::app::anchor::Last;
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::keyring::tests::keyring_of;
use crate::app::ledger::{Books, Ledger};
use crate::app::ports::{Clock, Fence};
use crate::app::witness::Witness;
use crate::domain::name::StoreId;

fn anchor(accepted: u32, number: u64) -> Anchor {
    let position = Position { number, hash: [1; 32] };
    let ledger = Ledger { position, count: 0, sum: [0; 32], epoch: 1, fence: Fence(0), mac: [0; 32] };
    Anchor { store: StoreId::from_bytes([1; 16]), ledger, at: Timestamp::UNIX_EPOCH, accepted }
}

fn orders(place: &FileAnchor) -> Vec<(u32, u64)> {
    match place.read().unwrap() {
        Kept::Anchors(anchors) => anchors.iter().map(Anchor::order).collect(),
        other => panic!("{other:?}"),
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.anchor");
    (folder, path)
}

#[test]
fn the_older_of_two_copies_is_replaced_and_nothing_goes_back() {
    let (_folder, path) = folder();
    let place = FileAnchor::at(&path);
    assert_eq!(place.read().unwrap(), Kept::Nothing);
    for (put, kept) in [
        ((0, 1), [(0, 1), (0, 1)]),
        ((0, 2), [(0, 2), (0, 1)]),
        ((0, 5), [(0, 5), (0, 2)]),
        ((0, 4), [(0, 5), (0, 2)]),
        ((0, 5), [(0, 5), (0, 2)]),
        ((1, 3), [(1, 3), (0, 5)]),
        ((0, 9), [(1, 3), (0, 5)]),
    ] {
        place.put(&anchor(put.0, put.1), false).unwrap();
        assert_eq!(orders(&FileAnchor::at(&path)), kept, "{put:?}");
    }
    place.put(&anchor(0, 7), true).unwrap();
    assert_eq!(orders(&place), [(0, 7), (0, 7)], "what is to last replaces everything");
}

#[test]
fn one_whole_copy_is_enough_and_none_is_told_from_no_file() {
    let (_folder, path) = folder();
    let place = FileAnchor::at(&path);
    place.put(&anchor(0, 1), false).unwrap();
    place.put(&anchor(0, 2), false).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"torn", PLACES[0] + 300).unwrap();
    assert_eq!(orders(&place).len(), 1);
    place.put(&anchor(0, 3), false).unwrap();
    assert_eq!(orders(&place)[0], (0, 3), "the torn one is replaced first");
    file.write_all_at(b"torn", PLACES[0]).unwrap();
    file.write_all_at(b"torn", PLACES[1]).unwrap();
    assert!(matches!(place.read().unwrap(), Kept::Unreadable(_)));
    file.set_len(0).unwrap();
    assert!(matches!(FileAnchor::at(&path).read().unwrap(), Kept::Unreadable(_)));
}

#[test]
fn whoever_writes_beside_others_leaves_the_newest() {
    let (_folder, path) = folder();
    let numbers = Arc::new(std::sync::atomic::AtomicU64::new(1));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (place, numbers) = (FileAnchor::at(&path), numbers.clone());
            thread::spawn(move || {
                for _ in 0..200 {
                    let number = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    place.put(&anchor(0, number), false).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(orders(&FileAnchor::at(&path))[0], (0, 800));
    let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no draft is left: {left:?}");
}

#[test]
fn a_process_that_holds_the_file_for_ever_stops_nobody() {
    let (_folder, path) = folder();
    let place = FileAnchor::at(&path);
    place.put(&anchor(0, 1), false).unwrap();
    let holder = File::open(&path).unwrap();
    holder.lock().unwrap();
    let begun = Instant::now();
    assert!(place.put(&anchor(0, 2), false).is_err());
    assert!(begun.elapsed() < 3 * BUSY);
    drop(holder);
    place.put(&anchor(0, 3), false).unwrap();
}

/// What a store of these epochs signs after so many records.
fn signed(keyring: &Keyring, epochs: u32, records: u64) -> Ledger {
    let mut books = Books::open(keyring.store(), None, keyring).unwrap();
    (1..=epochs).for_each(|epoch| books.add_epoch(epoch).unwrap());
    (0..records).for_each(|_| _ = books.enter(&Note::stored("x".into())).unwrap());
    books.close(keyring).unwrap().unwrap()
}

fn witness(path: &Path, keyring: &Arc<Keyring>) -> Witness {
    Witness::begin(Box::new(FileAnchor::at(path)), keyring, Arc::new(At)).unwrap()
}

struct At;

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn unasked(_: u64) -> crate::domain::Result<Option<[u8; 32]>> {
    Ok(None)
}

#[test]
fn what_was_committed_is_missed_by_the_next_process() {
    let (_folder, path) = folder();
    let keyring = Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1]));
    let first = witness(&path, &keyring);
    assert_eq!((first.seen(), first.is_sound()), (0, true));
    (1..=5).for_each(|records| first.committed(&signed(&keyring, 1, records)));
    let next = witness(&path, &keyring);
    assert_eq!(next.seen(), 5);
    let (four, five, six) = (signed(&keyring, 1, 4), signed(&keyring, 1, 5), signed(&keyring, 1, 6));
    assert!(next.check(None, unasked).is_err());
    assert!(next.check(Some(&four), unasked).is_err() && !next.is_sound());
    assert!(next.check(Some(&five), unasked).is_ok() && next.is_sound(), "right again");
    assert!(next.check(Some(&six), unasked).is_err(), "record 5 is another");
    assert!(next.check(Some(&six), |number| Ok((number == 5).then_some(five.position.hash))).is_ok());
}

#[test]
fn what_one_process_accepts_the_others_learn() {
    let (_folder, path) = folder();
    let keyring = Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1]));
    let server = witness(&path, &keyring);
    server.committed(&signed(&keyring, 1, 9));
    let (three, four) = (signed(&keyring, 1, 3), signed(&keyring, 1, 4));
    assert!(server.check(Some(&three), unasked).is_err());
    let command = witness(&path, &keyring);
    assert!(command.check(Some(&three), unasked).is_err());
    command.accept(&three);
    assert!(command.check(Some(&three), unasked).is_ok());
    assert!(server.check(Some(&three), unasked).is_err(), "until it is committed");
    command.committed(&four);
    assert!(server.check(Some(&four), unasked).is_ok() && server.is_sound());
    assert_eq!(orders(&FileAnchor::at(&path)), [(1, 4), (1, 4)]);
    server.committed(&signed(&keyring, 1, 5));
    assert_eq!(witness(&path, &keyring).seen(), 5);
}

/// A store from before a rekey has not got the key that the anchor is signed with.
#[test]
fn an_anchor_under_a_key_that_is_not_there_counts_and_a_forged_one_does_not() {
    let (_folder, path) = folder();
    let store = StoreId::from_bytes([1; 16]);
    let both = Arc::new(keyring_of(store, &[1, 2]));
    witness(&path, &both).committed(&signed(&both, 2, 9));
    let old = Arc::new(keyring_of(store, &[1]));
    assert!(witness(&path, &old).check(Some(&signed(&old, 1, 3)), unasked).is_err());

    let forged = Anchor { ledger: Ledger { count: 7, ..signed(&both, 2, 2) }, ..anchor(8, 2) };
    FileAnchor::at(&path).put(&forged, false).unwrap();
    let found = witness(&path, &both);
    assert_eq!(found.seen(), 9, "the other copy");
    found.committed(&signed(&both, 2, 10));
    assert_eq!(witness(&path, &both).seen(), 10, "it does not stand in the way");
    FileAnchor::at(&path).put(&forged, true).unwrap();
    assert!(matches!(witness(&path, &both).last(), Last::Unreadable(_)));

    let other = Arc::new(keyring_of(StoreId::from_bytes([2; 16]), &[1]));
    let error = Witness::begin(Box::new(FileAnchor::at(&path)), &other, Arc::new(At)).err().unwrap();
    assert!(error.to_string().contains("strongroom.anchor"), "{error}");
}
