use std::sync::atomic::AtomicU64;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::app::audit::Note;
use crate::app::body::{self, Body};
use crate::app::keyring::Keyring;
use crate::app::keyring::tests::keyring;
use crate::app::ledger::Books;
use crate::app::ports::{Mac, WrappedKey};
use crate::domain::credential::Memo;
use crate::domain::credential::generate::tests::Counter;
use crate::domain::credential::{About, Credential, Kind, Material};
use crate::domain::name::{Tenant, VersionId};
use crate::domain::record::{Head, Origin, Release, Stamp};
use crate::domain::secret::SecretText;
use crate::domain::service::Service;

fn stamp(number: u64) -> Stamp {
    let at = Timestamp::from_second(number as i64).unwrap();
    Stamp { number: Revision(number), version_id: VersionId::from_random([number as u8; 16]), at, by: "ops".into() }
}

fn id(number: u8) -> RecordId {
    RecordId::from_random([number; 16])
}

fn credential(title: &str) -> Credential {
    Credential {
        title: title.into(),
        kind: Kind::Pairs,
        about: About::default(),
        generated: None,
        rotated_at: Timestamp::UNIX_EPOCH,
        not_after: None,
        authority: None,
        lineage: None,
        memo: Memo::default(),
        material: Material::texts([("a", SecretText::from("plain as day"))]),
    }
}

/// A head and its revisions, the last of which is current.
fn record<B: Body>(keyring: &Keyring, number: u8, bodies: &[B], released: Option<Release>) -> Vec<Item> {
    let head = Head {
        id: id(number),
        class: B::CLASS,
        tenant: Tenant::outside(),
        name: format!("/r/{number}"),
        origin: Origin::Rest,
        retain_for: SignedDuration::from_hours(1),
        released,
    };
    let revisions = bodies.iter().zip(1..).map(|(body, number)| {
        let stamp = stamp(number);
        let plain = body::encode(body).unwrap();
        let sealed = keyring.seal(&head, &stamp, &plain, &Counter(AtomicU64::new(number))).unwrap();
        Item::Revision(Box::new(RevisionRow { id: head.id, stamp, sealed }))
    });
    let revisions: Vec<Item> = revisions.collect();
    let (current, stamp) = (bodies.last().unwrap(), stamp(bodies.len() as u64));
    let mac = keyring.mark(&head, &stamp).unwrap();
    let aliases = if released.is_some() { Vec::new() } else { current.aliases(head.id) };
    let row = HeadRow { head, stamp, mac, aliases, links: current.links() };
    [Item::Head(Box::new(row))].into_iter().chain(revisions).collect()
}

/// A store with two credentials, one of them with a history, a released one and a service that links to them.
fn store(keyring: &Keyring) -> (Beginning, Vec<Item>) {
    let release = Release { at: Timestamp::UNIX_EPOCH, purge_at: Timestamp::from_second(9).unwrap() };
    let service = Service {
        enabled: true,
        account: None,
        credentials: vec![id(2), id(1)],
        blind_credentials: vec![],
        clients: Vec::new(),
    };
    let mut items = vec![Item::Key(WrappedKey { epoch: 1, root: "root".into(), wrapped: vec![7; 60] })];
    items.extend(record(keyring, 1, &[credential("one"), credential("eins")], None));
    items.extend(record(keyring, 2, &[credential("two")], None));
    items.extend(record(keyring, 3, &[credential("three")], Some(release)));
    items.extend(record(keyring, 4, &[service], None));
    (Beginning { store: keyring.store(), ledger: seal(keyring, &mut items) }, items)
}

/// Adds notes, and the ledger that all of this is right for.
fn seal(keyring: &Keyring, items: &mut Vec<Item>) -> crate::app::ledger::Ledger {
    let mut books = Books::open(keyring.store(), None, keyring).unwrap();
    books.add_epoch(1).unwrap();
    for item in items.iter() {
        if let Item::Head(row) = item {
            books.replace(None, Some(&row.mac)).unwrap();
        }
    }
    for text in ["{\"a\":1}", "{\"b\":2}"] {
        let note = Note::stored(text.into());
        items.push(Item::Note(books.enter(&note).unwrap(), note));
    }
    books.close(keyring).unwrap().unwrap()
}

fn written(beginning: &Beginning, items: &[Item]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), beginning, Timestamp::UNIX_EPOCH).unwrap();
    items.iter().for_each(|item| writer.put(item).unwrap());
    writer.finish().unwrap().1
}

fn read(bytes: &[u8]) -> Result<(Beginning, Vec<Item>, Totals)> {
    let (mut reader, beginning, _) = Reader::begin(bytes)?;
    let items = reader.by_ref().collect::<Result<Vec<_>>>()?;
    Ok((beginning, items, reader.totals().expect("the end was reached")))
}

fn prove(beginning: &Beginning, items: &[Item]) -> Result<()> {
    let mut proof = Proof::begin(beginning, keyring().into())?;
    items.iter().try_for_each(|item| proof.add(item))?;
    proof.close()
}

#[test]
fn what_was_written_is_read_back_and_proven() {
    let (beginning, items) = store(&keyring());
    let bytes = written(&beginning, &items);
    let (again, mut read, totals) = read(&bytes).unwrap();
    assert_eq!(again, beginning);
    prove(&again, &read).unwrap();
    assert_eq!((totals.keys, totals.records, totals.revisions, totals.notes), (1, 4, 5, 2));
    // Links come back in one order, whatever the store's.
    let Item::Head(service) = &mut read[8] else { panic!("{:?}", read[8]) };
    assert_eq!(service.links, [id(1), id(2)]);
    service.links.reverse();
    assert_eq!(read, items);
    assert!(!bytes.windows(12).any(|part| part == b"plain as day"));
}

#[test]
fn the_digest_is_that_of_the_records_and_of_nothing_else() {
    let (beginning, mut items) = store(&keyring());
    let digest = |items: &[Item]| read(&written(&beginning, items)).unwrap().2.digest;
    let before = digest(&items);
    if let Item::Head(row) = &mut items[8] {
        row.links.reverse();
        row.links.push(id(1));
    }
    items.pop();
    assert_eq!(digest(&items), before);
    if let Item::Head(row) = &mut items[8] {
        row.links.push(id(9));
    }
    assert_ne!(digest(&items), before);
}

#[test]
fn another_file_or_one_from_the_future_is_refused_in_words() {
    let refusal = |bytes: &[u8]| match read(bytes) {
        Err(Error::Damaged { detail, .. }) => detail,
        other => panic!("{other:?}"),
    };
    let (beginning, items) = store(&keyring());
    let mut bytes = written(&beginning, &items);
    assert!(refusal(b"PK\x03\x04 something else altogether").contains("no backup"));
    assert!(refusal(b"").contains("no backup"));
    assert!(refusal(&bytes[..bytes.len() - 1]).contains("cut off"));
    assert!(refusal(&[&bytes[..], b"x"].concat()).contains("behind its end"));
    bytes[21] = 2;
    assert!(refusal(&bytes).contains("format 2"));
}

/// Each of these has digests that fit: somebody made it, or the store was damaged before it was copied.
#[test]
fn what_does_not_add_up_is_refused() {
    type Change = fn(&mut Beginning, &mut Vec<Item>);
    let changes: [(&str, Change); 17] = [
        ("a missing key", |_, items| drop(items.remove(0))),
        ("a later key", |_, items| {
            items.insert(0, Item::Key(WrappedKey { epoch: 2, root: "r".into(), wrapped: vec![] }))
        }),
        ("a missing record", |_, items| drop(items.drain(4..6))),
        ("a missing first revision", |_, items| drop(items.remove(2))),
        ("a missing last revision", |_, items| drop(items.remove(3))),
        ("exchanged revisions", |_, items| items.swap(2, 3)),
        ("exchanged records", |_, items| items[4..8].rotate_left(2)),
        ("a doubled record", |_, items| {
            let twice = items[4..6].to_vec();
            drop(items.splice(6..6, twice))
        }),
        ("a missing note", |_, items| drop(items.pop())),
        ("a changed note", |_, items| {
            if let Item::Note(_, note) = items.last_mut().unwrap() {
                *note = Note::stored("x".into())
            }
        }),
        ("another name", |_, items| {
            if let Item::Head(row) = &mut items[4] {
                row.head.name = "/other".into()
            }
        }),
        ("an ended release", |_, items| {
            if let Item::Head(row) = &mut items[6] {
                row.head.released = None
            }
        }),
        ("another alias", |_, items| {
            if let Item::Head(row) = &mut items[4] {
                row.aliases[0].value = "x".into()
            }
        }),
        ("a missing link", |_, items| {
            if let Item::Head(row) = &mut items[8] {
                row.links.truncate(1)
            }
        }),
        ("another body", |_, items| {
            if let Item::Revision(row) = &mut items[5] {
                row.sealed.bytes[99] ^= 1
            }
        }),
        ("another ledger", |beginning, _| beginning.ledger.fence.0 += 1),
        ("another store", |beginning, _| beginning.store = StoreId::from_bytes([9; 16])),
    ];
    for (name, change) in changes {
        let (mut beginning, mut items) = store(&keyring());
        change(&mut beginning, &mut items);
        let (beginning, items, _) = read(&written(&beginning, &items)).unwrap();
        assert!(prove(&beginning, &items).is_err(), "{name} was accepted");
    }
}

fn any_item() -> impl Strategy<Value = Item> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..80);
    let key = (any::<u32>(), ".{0,20}", bytes());
    let key = key.prop_map(|(epoch, root, wrapped)| Item::Key(WrappedKey { epoch, root, wrapped }));
    let note = (any::<u64>(), any::<[u8; 32]>(), ".{0,60}")
        .prop_map(|(number, hash, text)| Item::Note(crate::app::audit::Position { number, hash }, Note::stored(text)));
    let revision = (any::<u8>(), any::<u32>(), any::<u32>(), bytes()).prop_map(|(record, number, epoch, bytes)| {
        let sealed = crate::app::ports::Sealed { epoch, bytes };
        Item::Revision(Box::new(RevisionRow { id: id(record), stamp: stamp(number.into()), sealed }))
    });
    let head = (any::<u8>(), ".{0,20}", any::<bool>(), proptest::collection::vec(any::<u8>(), 0..4), ".{0,9}");
    let head = head.prop_map(|(record, name, released, mut links, value)| {
        links.sort_unstable();
        links.dedup();
        let release = Release { at: Timestamp::UNIX_EPOCH, purge_at: Timestamp::from_second(9).unwrap() };
        let head = Head {
            id: id(record),
            class: crate::domain::record::Class::ALL[usize::from(record) % 5],
            tenant: Tenant::namespace("t"),
            name,
            origin: if released { Origin::Own } else { Origin::Rest },
            retain_for: SignedDuration::from_micros(i64::from(record) - 100),
            released: released.then_some(release),
        };
        let kind = crate::app::ports::AliasKind::Fingerprint;
        let aliases = vec![crate::app::ports::Alias { kind, value }];
        let mut links: Vec<RecordId> = links.into_iter().map(id).collect();
        links.sort_unstable();
        links.dedup();
        let mac = Mac { epoch: 3, bytes: [record; 32] };
        Item::Head(Box::new(HeadRow { head, stamp: stamp(3), mac, aliases, links }))
    });
    prop_oneof![key, note, revision, head]
}

proptest! {
    #[test]
    fn any_items_come_back_as_they_were(items in proptest::collection::vec(any_item(), 0..20)) {
        let (beginning, _) = store(&keyring());
        let (again, read, totals) = read(&written(&beginning, &items)).unwrap();
        prop_assert_eq!(again, beginning);
        prop_assert_eq!(totals.items(), items.len() as u64);
        prop_assert_eq!(read, items);
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (beginning, items) = store(&keyring());
        let mut bytes = written(&beginning, &items);
        let at = at.index(bytes.len());
        prop_assert!(read(&bytes[..at]).is_err());
        bytes[at] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
        let (beginning, _) = store(&keyring());
        let begun = Writer::begin(Vec::new(), &beginning, Timestamp::UNIX_EPOCH).unwrap().finish().unwrap().1;
        let begun = &begun[..begun.len() - 101];
        prop_assert!(read(&[begun, &bytes].concat()).is_err());
    }
}
