//! What every store must do, run on each of them. The doc comments of the ports are the text to it.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{MemoryStore, SqliteStore};
use crate::app::alarm::Alarm;
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::keyring::tests::keyring_of;
use crate::app::ledger::{Ledger, toggle};
use crate::app::ports::{
    Alias, AliasKind, Append, Change, Fence, Key, KeyTable, Mac, Row, Sealed, Store, WrappedKey, Write,
};
use crate::domain::name::{RecordId, Revision, StoreId, Tenant, VersionId};
use crate::domain::record::{Class, Head, Origin, Owner, Release, Stamp};
use crate::domain::{Conflict, Error, Result};

pub(super) trait Adapter: Store + KeyTable {}
impl<T: Store + KeyTable> Adapter for T {}

/// The same for every store, so that their answers can be compared.
pub(super) fn keyring() -> Arc<Keyring> {
    Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1]))
}

pub(super) fn note() -> Option<Note> {
    Some(Note::stored("{}".into()))
}

/// What the application does with a store, as far as these tests need it.
#[async_trait]
pub(super) trait Acts {
    async fn carry_out(&self, keyring: Arc<Keyring>, change: Change) -> Result<()>;
    async fn begin(&self);
    async fn append(&self, append: Append) -> Result<()>;
    async fn release(&self, ids: &[RecordId], release: Release) -> Result<()>;
    async fn purge(&self, now: Timestamp) -> Result<u64>;
    async fn ledger(&self) -> Ledger;
}

#[async_trait]
impl<T: Store + KeyTable + ?Sized> Acts for T {
    async fn carry_out(&self, keyring: Arc<Keyring>, change: Change) -> Result<()> {
        self.write(Write { changes: vec![(change, note())], keyring, fence: None }).await
    }

    async fn begin(&self) {
        self.carry_out(keyring(), Change::AddKey(wrapped(1, "root", 1))).await.unwrap();
    }

    async fn append(&self, mut append: Append) -> Result<()> {
        append.row.mac = marked(&append.row);
        self.carry_out(keyring(), Change::Append(Box::new(append))).await
    }

    async fn release(&self, ids: &[RecordId], release: Release) -> Result<()> {
        for class in Class::ALL {
            for row in self.find(class, Key::Ids(ids)).await? {
                let head = Head { released: Some(release), ..row.head.clone() };
                let mac = keyring().mark(&head, &row.stamp)?;
                if row.head.released.is_none() {
                    self.carry_out(keyring(), Change::Rehead { head: Box::new(head), was: row.mac, mac }).await?;
                }
            }
        }
        Ok(())
    }

    async fn purge(&self, now: Timestamp) -> Result<u64> {
        let due = self.due(now, 100).await?;
        for row in &due {
            let (id, name) = (row.head.id, row.head.name.clone());
            self.carry_out(keyring(), Change::Forget { id, name, was: row.mac }).await?;
        }
        Ok(due.len() as u64)
    }

    async fn ledger(&self) -> Ledger {
        self.snapshot().await.unwrap().ledger().await.unwrap().unwrap()
    }
}

pub(super) fn wrapped(epoch: u32, root: &str, byte: u8) -> WrappedKey {
    WrappedKey { epoch, root: root.into(), wrapped: vec![byte; 40] }
}

pub(super) fn sealed(bytes: impl Into<Vec<u8>>) -> Sealed {
    Sealed { epoch: 1, bytes: bytes.into() }
}

fn marked(row: &Row) -> Mac {
    keyring().mark(&Head { released: None, ..row.head.clone() }, &row.stamp).unwrap()
}

macro_rules! contract {
    ($($rule:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                super::$rule(std::sync::Arc::new(super::MemoryStore::default())).await;
            })*
        }
        mod in_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("strongroom.db");
                let store = super::SqliteStore::open(&path, super::Alarm::default()).unwrap();
                super::$rule(std::sync::Arc::new(store)).await;
            })*
        }
    };
}

contract![
    what_was_written_is_read_back_whole,
    names_are_unique_in_their_class_ignoring_ascii_case,
    only_the_expected_revision_is_replaced,
    a_renamed_record_leaves_its_name_to_others,
    an_alias_belongs_to_one_record_of_the_class,
    appending_replaces_aliases_and_links,
    a_refused_append_changes_nothing,
    mistakes_of_ours_are_not_stored,
    a_released_record_keeps_its_name_and_frees_its_aliases,
    the_first_release_counts,
    appending_ends_a_release,
    purging_forgets_what_is_due,
    lists_are_ordered_and_paged_by_lower_cased_name,
    many_records_are_found_at_once,
    of_concurrent_appends_exactly_the_acknowledged_are_there,
    of_two_first_starts_one_wins,
    the_ledger_counts_marks_and_chains_what_is_written,
    a_write_is_whole_or_absent,
    what_is_sealed_under_a_replaced_key_is_refused,
    a_key_is_retired_when_nothing_needs_it,
    a_root_is_retired_when_another_opens_the_same_keys,
    only_the_holder_of_the_fence_writes,
    a_changed_ledger_is_not_continued,
    a_snapshot_stays_as_it_was,
];

pub(super) fn id(number: u8) -> RecordId {
    RecordId::from_random([number; 16])
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_800_000_000 + second, 123_456_000).unwrap()
}

/// The next revision of a record after `expected`; 0 makes the record.
pub(super) fn revision(class: Class, number: u8, name: &str, expected: u64) -> Append {
    let head = Head {
        id: id(number),
        class,
        tenant: Tenant::namespace("shop"),
        name: name.into(),
        origin: Origin::Rest,
        retain_for: SignedDuration::from_hours(720),
        released: None,
    };
    let stamp = Stamp {
        number: Revision(expected + 1),
        version_id: VersionId::from_random([expected as u8; 16]),
        at: at(expected as i64),
        by: "client/shop/app".into(),
    };
    let sealed = sealed(format!("{name} {expected}"));
    let mut row = Row { head, stamp, sealed, mac: Mac { epoch: 1, bytes: [0; 32] } };
    row.mac = marked(&row);
    Append { row, expected: (expected > 0).then_some(Revision(expected)), aliases: vec![], links: vec![] }
}

pub(super) fn first(number: u8, name: &str) -> Append {
    revision(Class::Credential, number, name, 0)
}

fn titled(append: Append, title: &str) -> Append {
    Append { aliases: vec![Alias { kind: AliasKind::Title, value: title.into() }], ..append }
}

fn linked(append: Append, links: &[u8]) -> Append {
    Append { links: links.iter().map(|number| id(*number)).collect(), ..append }
}

fn release(second: i64) -> Release {
    Release { at: at(second), purge_at: at(second + 100) }
}

/// Numbers and ids are what identifies rows in these tests.
async fn found(store: &dyn Adapter, key: Key<'_>) -> Vec<(RecordId, u64)> {
    let rows = store.find(Class::Credential, key).await.unwrap();
    let mut found: Vec<_> = rows.iter().map(|row| (row.head.id, row.stamp.number.0)).collect();
    found.sort_unstable();
    found
}

async fn titled_so(store: &dyn Adapter, title: &str) -> Vec<(RecordId, u64)> {
    found(store, Key::Alias(AliasKind::Title, title)).await
}

async fn names(store: &dyn Adapter, after: Option<&str>, limit: usize) -> Vec<String> {
    let rows = store.list(Class::Credential, after, limit).await.unwrap();
    rows.into_iter().map(|row| row.head.name).collect()
}

fn exists(result: Result<()>) -> (String, RecordId) {
    match result {
        Err(Error::Conflict(Conflict::Exists { what, id })) => (what, id),
        other => panic!("{other:?}"),
    }
}

fn assert_stale(result: Result<()>) {
    assert!(matches!(result, Err(Error::Conflict(Conflict::Stale { .. }))), "{result:?}");
}

async fn what_was_written_is_read_back_whole(store: Arc<dyn Adapter>) {
    store.begin().await;
    let owner = Owner { kind: "Service".into(), namespace: "shop".into(), name: "Ünï".into() };
    for (number, origin) in [Origin::Rest, Origin::Own, Origin::Resource(owner)].into_iter().enumerate() {
        for class in Class::ALL {
            let number = 10 * (class as u8 + 1) + number as u8;
            let mut append = revision(class, number, &format!("/Ünï'\"\0{number}"), 0);
            append.row.head.origin = origin.clone();
            append.row.head.tenant = if number.is_multiple_of(2) { Tenant::outside() } else { Tenant::namespace("a") };
            append.row.head.retain_for = SignedDuration::from_micros(i64::from(number) - 11);
            append.row.stamp.at = Timestamp::from_microsecond(-i64::from(number)).unwrap();
            append.row.sealed.bytes = (0..=255).cycle().take(usize::from(number) * 300).collect();
            append.row.mac = marked(&append.row);
            store.append(append.clone()).await.unwrap();
            let rows = store.find(class, Key::Ids(&[id(number)])).await.unwrap();
            assert_eq!(rows, [append.row]);
        }
    }
}

async fn names_are_unique_in_their_class_ignoring_ascii_case(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/Shop/ÄDb")).await.unwrap();
    let (what, holder) = exists(store.append(first(2, "/shop/Ädb")).await);
    assert_eq!((what.as_str(), holder), ("credential /shop/Ädb", id(1)));
    store.append(first(3, "/shop/ädb")).await.unwrap(); // only ASCII is folded
    store.append(revision(Class::Service, 4, "/shop/Ädb", 0)).await.unwrap();
    assert_eq!(found(&*store, Key::Names(&["/SHOP/Ädb"])).await, [(id(1), 1)]);
    assert_eq!(found(&*store, Key::Names(&["/shop/%"])).await, []);
    let both = found(&*store, Key::Names(&["/shop/ädb", "/nobody's \"name\"", "/SHOP/Ädb", "/shop/Ädb"])).await;
    assert_eq!(both, [(id(1), 1), (id(3), 1)]);
    assert_eq!(found(&*store, Key::Names(&[])).await, []);
}

async fn only_the_expected_revision_is_replaced(store: Arc<dyn Adapter>) {
    store.begin().await;
    assert_stale(store.append(revision(Class::Credential, 1, "/a", 1)).await);
    store.append(first(1, "/a")).await.unwrap();
    assert_stale(store.append(first(1, "/a")).await);
    assert_stale(store.append(revision(Class::Credential, 1, "/a", 2)).await);
    store.append(revision(Class::Credential, 1, "/a", 1)).await.unwrap();
    assert_stale(store.append(revision(Class::Credential, 1, "/a", 1)).await);
    assert_eq!(found(&*store, Key::Ids(&[id(1)])).await, [(id(1), 2)]);
}

async fn a_renamed_record_leaves_its_name_to_others(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    store.append(first(2, "/b")).await.unwrap();
    let (_, holder) = exists(store.append(revision(Class::Credential, 1, "/B", 1)).await);
    assert_eq!(holder, id(2));
    store.append(revision(Class::Credential, 1, "/A", 1)).await.unwrap();
    store.append(revision(Class::Credential, 1, "/c", 2)).await.unwrap();
    store.append(first(3, "/a")).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/a", "/b", "/c"]);
}

async fn an_alias_belongs_to_one_record_of_the_class(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(titled(first(1, "/a"), "Database")).await.unwrap();
    let (what, holder) = exists(store.append(titled(first(2, "/b"), "Database")).await);
    assert_eq!((what.as_str(), holder), ("a credential with this title", id(1)));
    store.append(titled(first(2, "/b"), "database")).await.unwrap(); // byte for byte
    store.append(titled(revision(Class::Service, 3, "/s", 0), "Database")).await.unwrap();
    let print = Alias { kind: AliasKind::Fingerprint, value: "Database".into() };
    let twice = vec![print.clone(), print];
    store.append(Append { aliases: twice, ..first(4, "/d") }).await.unwrap();
    assert_eq!(titled_so(&*store, "Database").await, [(id(1), 1)]);
    assert_eq!(found(&*store, Key::Alias(AliasKind::Fingerprint, "Database")).await, [(id(4), 1)]);
}

async fn appending_replaces_aliases_and_links(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(linked(titled(first(1, "/a"), "one"), &[7, 8, 8])).await.unwrap();
    store.append(linked(first(2, "/b"), &[8])).await.unwrap();
    assert_eq!(found(&*store, Key::LinksTo(id(8))).await, [(id(1), 1), (id(2), 1)]);
    store.append(linked(titled(revision(Class::Credential, 1, "/a", 1), "two"), &[7, 9])).await.unwrap();
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(1), 2)]);
    assert_eq!(found(&*store, Key::LinksTo(id(8))).await, [(id(2), 1)]);
    assert_eq!(found(&*store, Key::LinksTo(id(9))).await, [(id(1), 2)]);
    assert!(store.find(Class::Service, Key::LinksTo(id(9))).await.unwrap().is_empty());
    assert_eq!((titled_so(&*store, "one").await, titled_so(&*store, "two").await), (vec![], vec![(id(1), 2)]));
    store.append(titled(first(3, "/c"), "one")).await.unwrap();
}

async fn a_refused_append_changes_nothing(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(linked(titled(first(1, "/a"), "one"), &[7])).await.unwrap();
    store.append(titled(first(2, "/b"), "two")).await.unwrap();
    let before = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
    exists(store.append(linked(titled(revision(Class::Credential, 1, "/c", 1), "two"), &[8])).await);
    exists(store.append(titled(first(3, "/d"), "one")).await);
    assert_eq!(store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap(), before);
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(1), 1)]);
    assert_eq!(names(&*store, None, 9).await, ["/a", "/b"]);
}

async fn mistakes_of_ours_are_not_stored(store: Arc<dyn Adapter>) {
    store.begin().await;
    let gap = Append { expected: None, ..revision(Class::Credential, 1, "/a", 1) };
    assert!(matches!(store.append(gap).await, Err(Error::Internal { .. })));
    store.append(first(1, "/a")).await.unwrap();
    let other_class = revision(Class::Service, 1, "/a", 1);
    assert!(matches!(store.append(other_class).await, Err(Error::Internal { .. })));
    assert_eq!(found(&*store, Key::Ids(&[id(1)])).await, [(id(1), 1)]);
}

async fn a_released_record_keeps_its_name_and_frees_its_aliases(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(linked(titled(first(1, "/a"), "one"), &[7])).await.unwrap();
    store.append(first(2, "/b")).await.unwrap();
    store.release(&[id(1), id(99)], release(0)).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/b"]);
    assert_eq!(titled_so(&*store, "one").await, []);
    let rows = store.find(Class::Credential, Key::Names(&["/A"])).await.unwrap();
    assert_eq!(rows[0].head.released, Some(release(0)));
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(1), 1)]);
    let (_, holder) = exists(store.append(first(3, "/a")).await);
    assert_eq!(holder, id(1));
    store.append(titled(first(3, "/c"), "one")).await.unwrap();
}

async fn the_first_release_counts(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    store.release(&[id(1)], release(0)).await.unwrap();
    store.release(&[id(1)], release(50)).await.unwrap();
    let rows = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
    assert_eq!(rows[0].head.released, Some(release(0)));
}

async fn appending_ends_a_release(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(titled(first(1, "/a"), "one")).await.unwrap();
    store.append(titled(first(2, "/b"), "two")).await.unwrap();
    store.release(&[id(1), id(2)], release(0)).await.unwrap();
    let mut again = titled(revision(Class::Credential, 1, "/a", 1), "one");
    again.row.head.released = Some(release(0)); // as it was read
    store.append(again).await.unwrap();
    store.append(titled(first(3, "/c"), "two")).await.unwrap();
    exists(store.append(titled(revision(Class::Credential, 2, "/b", 1), "two")).await);
    assert_eq!(names(&*store, None, 9).await, ["/a", "/c"]);
    assert_eq!(titled_so(&*store, "one").await, [(id(1), 2)]);
    assert_eq!(store.purge(at(1000)).await.unwrap(), 1);
    let rows = store.find(Class::Credential, Key::Ids(&[id(1), id(2)])).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.head.released).collect::<Vec<_>>(), [None]);
}

async fn purging_forgets_what_is_due(store: Arc<dyn Adapter>) {
    store.begin().await;
    for number in 1..=4 {
        store.append(linked(first(number, &format!("/{number}")), &[7])).await.unwrap();
    }
    store.append(revision(Class::Credential, 1, "/1", 1)).await.unwrap();
    store.release(&[id(1), id(2)], release(0)).await.unwrap();
    store.release(&[id(3)], release(1)).await.unwrap();
    assert_eq!(store.purge(at(99)).await.unwrap(), 0);
    assert_eq!(store.purge(at(100)).await.unwrap(), 2);
    assert_eq!(found(&*store, Key::Ids(&[id(1), id(2), id(3), id(4)])).await, [(id(3), 1), (id(4), 1)]);
    assert_eq!(found(&*store, Key::LinksTo(id(7))).await, [(id(3), 1), (id(4), 1)]);
    assert_stale(store.append(revision(Class::Credential, 1, "/1", 2)).await);
    store.append(first(9, "/1")).await.unwrap();
    store.append(first(2, "/2")).await.unwrap();
}

async fn lists_are_ordered_and_paged_by_lower_cased_name(store: Arc<dyn Adapter>) {
    store.begin().await;
    let ordered = ["/a", "/a-b", "/a/b", "/A0", "/b", "/Ba", "/z", "/Ä", "/ä"];
    for (number, name) in ordered.iter().enumerate().rev() {
        store.append(first(number as u8, name)).await.unwrap();
    }
    store.append(revision(Class::Service, 50, "/aa", 0)).await.unwrap();
    assert_eq!(names(&*store, None, 99).await, ordered);
    assert_eq!(names(&*store, None, usize::MAX).await, ordered);
    assert_eq!(names(&*store, None, 0).await, [""; 0]);
    let (mut paged, mut after) = (vec![], None);
    loop {
        let page = names(&*store, after.as_deref(), 2).await;
        after = page.last().cloned();
        paged.extend(page);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, ordered);
    assert_eq!(names(&*store, Some("/AA"), 2).await, ["/b", "/Ba"]); // need not exist, any case
}

async fn many_records_are_found_at_once(store: Arc<dyn Adapter>) {
    store.begin().await;
    let all: Vec<RecordId> = (0..=255).map(id).collect();
    let appends = (0..200).map(|number| store.append(first(number, &format!("/{number}"))));
    for result in futures::future::join_all(appends).await {
        result.unwrap();
    }
    let mut expected: Vec<_> = (0..200).map(|number| (id(number), 1)).collect();
    expected.sort_unstable();
    assert_eq!(found(&*store, Key::Ids(&all)).await, expected);
    assert_eq!(found(&*store, Key::Ids(&[id(5), id(5), id(255)])).await, [(id(5), 1)]);
    assert_eq!(found(&*store, Key::Ids(&[])).await, []);
    assert!(store.find(Class::Client, Key::Ids(&all)).await.unwrap().is_empty());
}

/// Reads, appends what says who wrote it, and tries again until it is acknowledged.
pub(super) async fn append_until_acknowledged(store: Arc<dyn Adapter>, writer: u8) -> (u64, Vec<u8>) {
    loop {
        let current = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
        let mut append = revision(Class::Credential, 1, "/a", current[0].stamp.number.0);
        append.row.sealed.bytes = vec![writer];
        match store.append(append.clone()).await {
            Ok(()) => return (append.row.stamp.number.0, append.row.sealed.bytes),
            Err(Error::Conflict(Conflict::Stale { .. })) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn of_concurrent_appends_exactly_the_acknowledged_are_there(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let writers = (0..64).map(|writer| tokio::spawn(append_until_acknowledged(store.clone(), writer)));
    let mut acknowledged = futures::future::try_join_all(writers).await.unwrap();
    acknowledged.sort_unstable();
    assert!(acknowledged.iter().map(|(number, _)| *number).eq(2..=65), "{acknowledged:?}");
    let current = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap();
    assert_eq!((current[0].stamp.number.0, current[0].sealed.bytes.clone()), acknowledged[63]);
}

async fn of_two_first_starts_one_wins(store: Arc<dyn Adapter>) {
    assert_eq!(store.store_id().await.unwrap(), store.store_id().await.unwrap());
    assert_eq!(store.data_keys().await.unwrap(), []);
    assert!(store.append(first(1, "/a")).await.is_err(), "without a key nothing is written");
    let add = |byte| store.carry_out(keyring(), Change::AddKey(wrapped(1, "root", byte)));
    let (left, right) = tokio::join!(add(1), add(2));
    let winner = if left.is_ok() { 1 } else { 2 };
    let (what, _) = exists(if winner == 1 { right } else { left });
    assert_eq!(what, "the data key of epoch 1");
    assert_eq!(store.data_keys().await.unwrap(), [wrapped(1, "root", winner)]);
}

async fn the_ledger_counts_marks_and_chains_what_is_written(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    store.append(first(2, "/b")).await.unwrap();
    store.append(revision(Class::Credential, 1, "/a", 1)).await.unwrap();
    store.release(&[id(2)], release(0)).await.unwrap();
    assert_stale(store.append(first(1, "/a")).await);
    let ledger = store.ledger().await;
    let mut sum = [0; 32];
    let mut snapshot = store.snapshot().await.unwrap();
    let heads = snapshot.heads(None, 10).await.unwrap();
    heads.iter().for_each(|head| toggle(&mut sum, &head.mac));
    assert_eq!((ledger.count, ledger.sum, ledger.position.number), (2, sum, 5));
    assert!(keyring().verify_ledger(&ledger).is_ok());
    let audit = snapshot.audit(0, 10).await.unwrap();
    let mut position = Position::start(store.store_id().await.unwrap().bytes());
    for (found, note) in &audit {
        position = position.after(note);
        assert_eq!(*found, position);
    }
    assert_eq!(position, ledger.position);
    assert_eq!(snapshot.audit(3, 1).await.unwrap(), audit[3..4]);
    assert_eq!(store.purge(at(1000)).await.unwrap(), 1);
    assert_eq!(store.ledger().await.count, 1);
}

async fn a_write_is_whole_or_absent(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let before = store.ledger().await;
    let append = |append: Append| (Change::Append(Box::new(append)), note());
    let changes = vec![append(first(2, "/b")), append(revision(Class::Credential, 1, "/a", 1)), append(first(3, "/A"))];
    exists(store.write(Write { changes: changes.clone(), keyring: keyring(), fence: None }).await);
    assert_eq!(store.ledger().await, before);
    assert_eq!(names(&*store, None, 9).await, ["/a"]);
    store.write(Write { changes: changes[..2].to_vec(), keyring: keyring(), fence: None }).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/a", "/b"]);
    assert_eq!(store.ledger().await.position.number, before.position.number + 2);
}

async fn what_is_sealed_under_a_replaced_key_is_refused(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let both = Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1, 2]));
    assert!(store.carry_out(both.clone(), Change::AddKey(wrapped(3, "root", 3))).await.is_err());
    store.carry_out(both.clone(), Change::AddKey(wrapped(2, "root", 2))).await.unwrap();
    let replaced = |result: Result<()>| assert!(matches!(result, Err(Error::KeyReplaced)), "{result:?}");
    replaced(store.append(first(2, "/b")).await); // a process that has not heard of it
    replaced(store.carry_out(both.clone(), Change::Append(Box::new(first(2, "/b")))).await);
    let row = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap().remove(0);
    let (head, was) = (Box::new(row.head.clone()), row.mac);
    replaced(store.carry_out(both.clone(), Change::Rehead { head: head.clone(), was, mac: was }).await);
    let mac = both.mark_under(2, &row.head, &row.stamp).unwrap();
    store.carry_out(both.clone(), Change::Rehead { head: head.clone(), was, mac }).await.unwrap();
    assert_stale(store.carry_out(both.clone(), Change::Rehead { head, was, mac }).await);
    let resealed = Sealed { epoch: 2, bytes: vec![2] };
    let reseal = Change::Reseal { id: id(1), number: Revision(1), was: 1, sealed: resealed.clone() };
    store.carry_out(both.clone(), reseal.clone()).await.unwrap();
    assert_stale(store.carry_out(both, reseal).await);
    let row = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap().remove(0);
    assert_eq!((row.sealed, row.mac), (resealed, mac));
}

async fn a_key_is_retired_when_nothing_needs_it(store: Arc<dyn Adapter>) {
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let both = Arc::new(keyring_of(StoreId::from_bytes([1; 16]), &[1, 2]));
    assert_stale(store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await);
    store.carry_out(both.clone(), Change::AddKey(wrapped(2, "root", 2))).await.unwrap();
    assert_stale(store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await);
    let sealed = Sealed { epoch: 2, bytes: vec![2] };
    let reseal = Change::Reseal { id: id(1), number: Revision(1), was: 1, sealed };
    store.carry_out(both.clone(), reseal).await.unwrap();
    assert_stale(store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await); // its head is marked under it
    let row = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap().remove(0);
    let mac = both.mark_under(2, &row.head, &row.stamp).unwrap();
    let rehead = Change::Rehead { head: Box::new(row.head), was: row.mac, mac };
    store.carry_out(both.clone(), rehead).await.unwrap();
    store.carry_out(both.clone(), Change::RetireKey { epoch: 1 }).await.unwrap();
    assert_stale(store.carry_out(both, Change::RetireKey { epoch: 2 }).await);
    assert_eq!(store.data_keys().await.unwrap(), [wrapped(2, "root", 2)]);
}

async fn a_root_is_retired_when_another_opens_the_same_keys(store: Arc<dyn Adapter>) {
    store.begin().await;
    let retire = |root: &str| store.carry_out(keyring(), Change::RetireRoot { root: root.into() });
    assert_stale(retire("root").await);
    store.carry_out(keyring(), Change::AddKey(wrapped(1, "new", 9))).await.unwrap();
    assert_eq!(store.ledger().await.epoch, 1);
    retire("root").await.unwrap();
    assert_eq!(store.data_keys().await.unwrap(), [wrapped(1, "new", 9)]);
    assert_stale(retire("new").await);
}

async fn only_the_holder_of_the_fence_writes(store: Arc<dyn Adapter>) {
    store.begin().await;
    let append = |number: u8, fence: Option<u64>| {
        let change = Change::Append(Box::new(first(number, &format!("/{number}"))));
        store.write(Write { changes: vec![(change, note())], keyring: keyring(), fence: fence.map(Fence) })
    };
    let fenced = |result: Result<()>| assert!(matches!(result, Err(Error::Fenced)), "{result:?}");
    store.carry_out(keyring(), Change::Raise(Fence(3))).await.unwrap();
    append(1, Some(3)).await.unwrap();
    append(2, None).await.unwrap();
    store.carry_out(keyring(), Change::Raise(Fence(4))).await.unwrap();
    fenced(append(3, Some(3)).await);
    fenced(store.carry_out(keyring(), Change::Raise(Fence(4))).await);
    append(4, Some(4)).await.unwrap();
    assert_eq!(names(&*store, None, 9).await, ["/1", "/2", "/4"]);
}

async fn a_changed_ledger_is_not_continued(store: Arc<dyn Adapter>) {
    store.begin().await;
    let stranger = Arc::new(keyring_of(StoreId::from_bytes([2; 16]), &[1]));
    let change = Change::Append(Box::new(first(1, "/a")));
    let refused = store.carry_out(stranger, change).await;
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
}

async fn a_snapshot_stays_as_it_was(store: Arc<dyn Adapter>) {
    store.begin().await;
    for number in 1..=5 {
        store.append(linked(titled(first(number, &format!("/{number}")), &format!("t{number}")), &[7])).await.unwrap();
    }
    store.append(titled(revision(Class::Credential, 3, "/3", 1), "t3")).await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let ledger = snapshot.ledger().await.unwrap();
    store.append(first(6, "/6")).await.unwrap();
    store.release(&[id(1)], release(0)).await.unwrap();
    assert_eq!(snapshot.ledger().await.unwrap(), ledger);
    let (mut heads, mut after) = (Vec::new(), None);
    loop {
        let page = snapshot.heads(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.head.id);
        heads.extend(page);
    }
    let mut expected: Vec<RecordId> = (1..=5).map(id).collect();
    expected.sort_unstable();
    assert_eq!(heads.iter().map(|head| head.head.id).collect::<Vec<_>>(), expected);
    assert!(heads.iter().all(|head| head.head.released.is_none() && head.aliases.len() == 1));
    let links: usize = heads.iter().map(|head| head.links.len()).sum();
    assert_eq!(links, 4, "the second revision of one of five replaced its link by none");
    let (mut revisions, mut after) = (Vec::new(), None);
    loop {
        let page = snapshot.revisions(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.id, last.stamp.number));
        revisions.extend(page.into_iter().map(|row| (row.id, row.stamp.number.0, row.sealed.bytes)));
    }
    let mut expected: Vec<_> = (1..=5).map(|number| (id(number), 1, format!("/{number} 0").into_bytes())).collect();
    expected.push((id(3), 2, b"/3 1".to_vec()));
    expected.sort_unstable();
    assert_eq!(revisions, expected);
}

/// One step of a random history over few enough records, names and aliases that they collide.
#[derive(Clone, Debug)]
enum Step {
    Append { class: Class, record: u8, name: &'static str, ahead: i8, aliases: Vec<Alias>, links: Vec<u8> },
    Release { records: Vec<u8>, second: i64 },
    Purge { second: i64 },
}

fn steps() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(vec![Class::Credential, Class::Service]);
    let name = prop::sample::select(vec!["/a", "/A", "/b", "/B", "/c"]);
    let kind = prop::sample::select(vec![AliasKind::Title, AliasKind::Fingerprint]);
    let value = prop::sample::select(vec!["x", "X", "y"]);
    let alias = (kind, value).prop_map(|(kind, value)| Alias { kind, value: value.into() });
    let ahead = prop_oneof![8 => Just(0i8), 1 => Just(1), 1 => Just(-1)];
    let aliases = prop::collection::vec(alias, 0..3);
    let links = prop::collection::vec(0u8..6, 0..4);
    prop_oneof![
        12 => (class, 0u8..6, name, ahead, aliases, links).prop_map(|(class, record, name, ahead, aliases, links)|
            Step::Append { class, record, name, ahead, aliases, links }),
        3 => (prop::collection::vec(0u8..8, 0..3), 0i64..300)
            .prop_map(|(records, second)| Step::Release { records, second }),
        2 => (0i64..400).prop_map(|second| Step::Purge { second }),
    ]
}

/// What the store answers; errors have no equality, so their text stands for them.
async fn take(store: &dyn Adapter, step: &Step) -> String {
    match step.clone() {
        Step::Append { class, record, name, ahead, aliases, links } => {
            let current = store.find(class, Key::Ids(&[id(record)])).await.unwrap();
            let number = current.first().map_or(0, |row| row.stamp.number.0);
            let append = revision(class, record, name, number.saturating_add_signed(ahead.into()));
            format!("{:?}", store.append(linked(Append { aliases, ..append }, &links)).await)
        }
        Step::Release { records, second } => {
            let ids: Vec<_> = records.into_iter().map(id).collect();
            format!("{:?}", store.release(&ids, release(second)).await)
        }
        Step::Purge { second } => format!("{:?}", store.purge(at(second)).await),
    }
}

/// Everything that can be asked, in one comparable answer.
async fn everything(store: &dyn Adapter) -> Vec<Vec<Row>> {
    let ids: Vec<_> = (0..8).map(id).collect();
    let mut keys = vec![Key::Ids(&ids), Key::Names(&["/a"]), Key::Names(&["/B"]), Key::Names(&["/c"])];
    for kind in [AliasKind::Title, AliasKind::Fingerprint] {
        keys.extend(["x", "X", "y"].map(|value| Key::Alias(kind, value)));
    }
    keys.extend(ids.iter().map(|id| Key::LinksTo(*id)));
    let mut answers = Vec::new();
    for class in Class::ALL {
        for key in &keys {
            let mut rows = store.find(class, *key).await.unwrap();
            rows.sort_unstable_by_key(|row| row.head.id);
            answers.push(rows);
        }
        for after in [None, Some("/A"), Some("/b")] {
            answers.push(store.list(class, after, 2).await.unwrap());
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_any_history_alike(history in prop::collection::vec(steps(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let memory = MemoryStore::default();
            let sqlite = SqliteStore::open(&folder.path().join("strongroom.db"), Alarm::default()).unwrap();
            memory.begin().await;
            sqlite.begin().await;
            for step in &history {
                prop_assert_eq!(take(&memory, step).await, take(&sqlite, step).await, "{:?}", step);
                prop_assert_eq!(everything(&memory).await, everything(&sqlite).await, "after {:?}", step);
            }
            let ledgers = [memory.ledger().await, sqlite.ledger().await];
            let [memory, sqlite] = ledgers.map(|ledger| (ledger.count, ledger.sum, ledger.position.number));
            prop_assert_eq!(memory, sqlite);
            Ok(())
        })?;
    }
}
