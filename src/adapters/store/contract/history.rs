//! Random histories, on which all stores must agree in every answer.

use super::*;

/// One step of a random history over few enough records, names and aliases that they collide.
#[derive(Clone, Debug)]
pub(in crate::adapters::store) enum Step {
    Append { class: Class, record: u8, name: &'static str, ahead: i8, aliases: Vec<Alias>, links: Vec<u8> },
    Release { records: Vec<u8>, second: i64 },
    Purge { second: i64 },
}

pub(in crate::adapters::store) fn steps() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(vec![Class::Credential, Class::Service]);
    let name = prop::sample::select(vec!["/a", "/A", "/b", "/B", "/c"]);
    let kind = prop::sample::select(AliasKind::ALL.to_vec());
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
pub(in crate::adapters::store) async fn everything(store: &dyn Adapter) -> Vec<Vec<Row>> {
    let ids: Vec<_> = (0..8).map(id).collect();
    let mut keys = vec![Key::Ids(&ids), Key::Names(&["/a"]), Key::Names(&["/B"]), Key::Names(&["/c"])];
    for kind in AliasKind::ALL {
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
            answers.push(store.list(class, Names::ALL, after, 2).await.unwrap());
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
