//! What every store must do when it is filled with what another one holds.

use super::*;
use crate::app::backup::{Totals, take};
use crate::app::ports::{Beginning, HeadRow, Item, Items, RevisionRow, Snapshot, Vacant};

/// Everything of one moment.
#[derive(Debug, PartialEq, Eq)]
struct Whole {
    beginning: Beginning,
    keys: Vec<WrappedKey>,
    heads: Vec<HeadRow>,
    revisions: Vec<RevisionRow>,
    audit: Vec<(Position, Note)>,
}

impl Whole {
    async fn of(store: &dyn Adapter) -> Self {
        let mut moment = store.snapshot().await.unwrap();
        let ledger = moment.ledger().await.unwrap().unwrap();
        let mut heads = moment.heads(None, 100).await.unwrap();
        for row in &mut heads {
            row.aliases.sort_by(|a, b| a.value.cmp(&b.value));
            row.links.sort_unstable();
        }
        Self {
            beginning: Beginning { store: store.store_id().await.unwrap(), ledger },
            keys: moment.keys().await.unwrap(),
            heads,
            revisions: moment.revisions(None, 100).await.unwrap(),
            audit: moment.audit(0, 100).await.unwrap(),
        }
    }

    fn items(&self) -> Vec<Result<Item>> {
        let revisions = |id: RecordId| self.revisions.iter().filter(move |row| row.id == id);
        let keys = self.keys.iter().map(|key| Item::Key(key.clone()));
        let records = self.heads.iter().flat_map(|row| {
            let revisions = revisions(row.head.id).map(|row| Item::Revision(Box::new(row.clone())));
            [Item::Head(Box::new(row.clone()))].into_iter().chain(revisions)
        });
        let notes = self.audit.iter().map(|(position, note)| Item::Note(*position, note.clone()));
        keys.chain(records).chain(notes).map(Ok).collect()
    }
}

fn stream(items: Vec<Result<Item>>) -> Items {
    Box::new(items.into_iter())
}

async fn totals(moment: &mut dyn Snapshot, store: StoreId) -> Totals {
    take(moment, store, at(0), std::io::sink(), &mut |_| {}).await.unwrap().0
}

/// Histories, a released record, aliases, links and a key of two roots.
async fn source() -> MemoryStore {
    let store = MemoryStore::default();
    store.begin().await;
    store.append(linked(titled(first(1, "/a"), "one"), &[8, 7])).await.unwrap();
    store.append(linked(titled(revision(Class::Credential, 1, "/A", 1), "eins"), &[9, 7])).await.unwrap();
    store.append(titled(first(2, "/b"), "two")).await.unwrap();
    store.append(revision(Class::Service, 3, "/a", 0)).await.unwrap();
    store.append(first(4, "/d")).await.unwrap();
    store.release(&[id(2)], release(0)).await.unwrap();
    store.carry_out(keyring(), Change::AddKey(wrapped(1, "another root", 9))).await.unwrap();
    store.carry_out(keyring(), Change::Raise(Fence(7))).await.unwrap();
    store.carry_out(keyring(), Change::Remark).await.unwrap();
    store
}

pub(super) async fn a_filled_store_is_what_the_other_was<S: Adapter + Vacant>(store: S) {
    let source = source().await;
    let whole = Whole::of(&source).await;
    store.require_vacant().await.unwrap();
    let store = store.fill(whole.beginning.clone(), stream(whole.items())).await.unwrap();
    assert_eq!(Whole::of(&store).await, whole);
    let id = source.store_id().await.unwrap();
    let (mut before, mut after) = (source.snapshot().await.unwrap(), store.snapshot().await.unwrap());
    assert_eq!(totals(after.as_mut(), id).await, totals(before.as_mut(), id).await);
}

pub(super) async fn a_filled_store_goes_on<S: Adapter + Vacant>(store: S) {
    let whole = Whole::of(&source().await).await;
    let store = store.fill(whole.beginning.clone(), stream(whole.items())).await.unwrap();
    assert_eq!(titled_so(&store, "eins").await, [(id(1), 2)]);
    assert_eq!((titled_so(&store, "one").await, titled_so(&store, "two").await), (vec![], vec![]));
    assert_eq!(found(&store, Key::LinksTo(id(9))).await, [(id(1), 2)]);
    assert_eq!(names(&store, None, 9).await, ["/A", "/d"]);
    exists(store.append(first(5, "/B")).await); // of the released record
    exists(store.append(titled(first(5, "/e"), "eins")).await);
    assert_stale(store.append(revision(Class::Credential, 1, "/A", 1)).await);
    store.append(revision(Class::Credential, 1, "/A", 2)).await.unwrap();
    store.append(first(5, "/e")).await.unwrap();
    assert_eq!(store.purge(at(1000)).await.unwrap(), 1);
    let ledger = store.ledger().await;
    assert_eq!((ledger.count, ledger.fence), (4, Fence(7)));
    assert_eq!(ledger.position.number, whole.beginning.ledger.position.number + 3);
}

pub(super) async fn only_a_vacant_store_is_filled<S: Adapter + Vacant>(store: S) {
    let whole = Whole::of(&source().await).await;
    store.begin().await;
    store.append(first(1, "/a")).await.unwrap();
    let said = |error: Error| {
        let Error::Awaiting { reason: "NotEmpty", message } = error else { panic!("{error:?}") };
        assert!(message.contains("1 data keys, 1 records and 2 audit records"), "{message}");
    };
    said(store.require_vacant().await.unwrap_err());
    said(store.fill(whole.beginning.clone(), stream(whole.items())).await.err().expect("refused"));
}

macro_rules! contract_of_vacant {
    ($($rule:ident),* $(,)?) => {
        mod vacant_in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                super::$rule(super::MemoryStore::default()).await;
            })*
        }
        mod vacant_in_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("strongroom.db");
                super::$rule(super::SqliteStore::open(&path, super::Alarm::default()).unwrap()).await;
            })*
        }
        mod vacant_in_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() {
                super::$rule(super::in_a_new_database().await).await;
            })*
        }
    };
}

contract_of_vacant![a_filled_store_is_what_the_other_was, a_filled_store_goes_on, only_a_vacant_store_is_filled];

/// Reopened, as after a crash: nothing of what came before the error is there, nor the other store's id.
#[tokio::test]
async fn an_error_among_the_items_leaves_a_file_as_empty_as_it_was() {
    let whole = Whole::of(&source().await).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.db");
    let open = || SqliteStore::open(&path, Alarm::default()).unwrap();
    let mut items = whole.items();
    items.push(Err(Error::internal("the file ends here")));
    let before = open().store_id().await.unwrap();
    assert!(open().fill(whole.beginning.clone(), stream(items)).await.is_err());
    let after = open();
    after.require_vacant().await.unwrap();
    assert_eq!(after.store_id().await.unwrap(), before);
    assert!(after.fill(whole.beginning.clone(), stream(whole.items())).await.is_ok());
}
