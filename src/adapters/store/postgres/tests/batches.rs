//! Many writes in one transaction are answered and done as they would be one after the other.

use futures::future::join_all;
use jiff::SignedDuration;
use proptest::prelude::*;

use crate::adapters::store::MemoryStore;
use crate::adapters::store::contract::history::{Step, everything, steps};
use crate::adapters::store::contract::{
    Acts, at, first, id, in_a_new_database, keyring, linked, marked, note, release, revision,
};
use crate::app::ports::{Append, Change, Key, Store, Write};
use crate::domain::record::{Class, Head};

fn write(change: Change) -> Write {
    Write { changes: vec![(change, note())], keyring: keyring(), fence: None }
}

fn append(mut append: Append) -> Write {
    append.row.mac = marked(&append.row);
    write(Change::Append(Box::new(append)))
}

/// What the step does to a store that holds what this one does.
async fn writes(store: &MemoryStore, step: &Step) -> Vec<Write> {
    match step.clone() {
        Step::Append { class, record, name, ahead, aliases, links } => {
            let current = store.find(class, Key::Ids(&[id(record)])).await.unwrap();
            let number = current.first().map_or(0, |row| row.stamp.number.0).saturating_add_signed(ahead.into());
            vec![append(linked(Append { aliases, ..revision(class, record, name, number) }, &links))]
        }
        Step::Release { records, second } => {
            let ids: Vec<_> = records.into_iter().map(id).collect();
            let mut writes = Vec::new();
            for class in Class::ALL {
                for row in store.find(class, Key::Ids(&ids)).await.unwrap() {
                    let head = Head { released: Some(release(second)), ..row.head };
                    let mac = keyring().mark(&head, &row.stamp).unwrap();
                    writes.push(write(Change::Rehead { head: Box::new(head), was: row.mac, mac }));
                }
            }
            writes
        }
        Step::Purge { second } => {
            let due = store.due(at(second), 100).await.unwrap();
            let forget = |id, name, was| write(Change::Forget { id, name, was });
            due.into_iter().map(|row| forget(row.head.id, row.head.name, row.mac)).collect()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_is_answered_and_done_like_its_writes_one_by_one(
        history in prop::collection::vec(prop::collection::vec(steps(), 1..30), 1..4)
    ) {
        // One thread: everything is in the queue before the writer runs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (memory, postgres) = (MemoryStore::default(), in_a_new_database().await);
            memory.begin().await;
            postgres.begin().await;
            for group in &history {
                let (mut batch, mut expected) = (Vec::new(), Vec::new());
                for step in group {
                    for write in writes(&memory, step).await {
                        batch.push(write.clone());
                        expected.push(format!("{:?}", memory.write(write).await));
                    }
                }
                let batched = batch.len();
                let before = postgres.commits();
                let answers = join_all(batch.into_iter().map(|write| postgres.write(write))).await;
                let answers: Vec<String> = answers.iter().map(|answer| format!("{answer:?}")).collect();
                prop_assert_eq!(&answers, &expected, "{:?}", group);
                prop_assert!(postgres.commits() - before <= batched.div_ceil(64) as u64, "{} writes", batched);
                prop_assert_eq!(everything(&memory).await, everything(&postgres).await, "after {:?}", group);
            }
            let ledgers = [memory.ledger().await, postgres.ledger().await];
            let [memory, postgres] = ledgers.map(|ledger| (ledger.count, ledger.sum, ledger.position.number));
            prop_assert_eq!(memory, postgres);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn one_write_that_cannot_be_stored_does_not_spoil_the_others() {
    let store = in_a_new_database().await;
    store.begin().await;
    let mut endless = first(2, "/b");
    endless.row.head.retain_for = SignedDuration::MAX;
    let batch = [append(first(1, "/a")), append(endless), append(first(3, "/c"))];
    let answers = join_all(batch.map(|write| store.write(write))).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{answers:?}");
    assert_eq!(store.find(Class::Credential, Key::Ids(&[1, 2, 3].map(id))).await.unwrap().len(), 2);
    assert_eq!(store.ledger().await.count, 2);
}
