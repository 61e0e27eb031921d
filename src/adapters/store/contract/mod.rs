//! What every store must do, run on each of them. The doc comments of the ports are the text to it.

pub(super) mod history;
mod ledger;
mod vacant;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::postgres::server;
use super::{MemoryStore, PostgresStore, SqliteStore};
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
use crate::domain::secret::SecretText;
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

use ledger::*;

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

pub(super) fn marked(row: &Row) -> Mac {
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
        mod in_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                super::$rule(std::sync::Arc::new(super::in_a_new_database().await)).await;
            })*
        }
    };
}

/// On the real server that the tests of that adapter start.
pub(super) async fn in_a_new_database() -> PostgresStore {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.unwrap();
    PostgresStore::open(&SecretText::new(url)).await.unwrap()
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
    the_position_moves_with_every_note_and_with_nothing_else,
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

pub(super) fn linked(append: Append, links: &[u8]) -> Append {
    Append { links: links.iter().map(|number| id(*number)).collect(), ..append }
}

pub(super) fn release(second: i64) -> Release {
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
