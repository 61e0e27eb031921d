//! The index of what is in names: when it is written, what a search costs with it, and what becomes of a damaged one.

use std::time::Instant;

use rusqlite::{StatementStatus, params};

use super::*;
use crate::adapters::store::contract::searches::{Dice, Model};
use crate::adapters::store::sqlite::search::{AMONG, COUNT, LIST, SCAN};
use crate::adapters::store::sqlite::trigrams::{BEHIND, MATCHING, OUTDATED};

fn numbered(number: usize) -> Append {
    let mut append = first(0, &format!("/team-{}/database-{number:06}", number % 7));
    append.row.head.id = RecordId::from_bytes((number as u128).to_be_bytes());
    append
}

async fn write(store: &SqliteStore, numbers: std::ops::Range<usize>) {
    for chunk in numbers.collect::<Vec<_>>().chunks(500) {
        let writes = chunk.iter().map(|number| store.append(numbered(*number)));
        futures::future::try_join_all(writes).await.unwrap();
    }
}

async fn search(store: &SqliteStore, part: &str) -> Vec<String> {
    let rows = store.list(Class::Credential, Names { prefix: "", part }, None, 5000).await.unwrap();
    rows.into_iter().map(|row| row.head.name).collect()
}

/// Rows that the index does not have as they are; `None` where there is no index.
fn behind(path: &Path) -> Option<i64> {
    const SQL: &str = "SELECT (SELECT count(*) FROM records WHERE rowid > upto) + (SELECT count(*) FROM outdated)
        FROM indexed, pragma_schema_version found WHERE found.schema_version = indexed.schema";
    let connection = Connection::open(path).unwrap();
    connection.query_row(SQL, [], |columns| columns.get(0)).ok()
}

fn until_indexed(path: &Path, left: i64) {
    let start = Instant::now();
    while behind(path).is_none_or(|behind| behind > left) {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?} behind", behind(path));
        thread::sleep(Duration::from_millis(5));
    }
}

/// A store with so many names, and nothing behind its index.
async fn indexed(names: usize) -> (TempDir, PathBuf, SqliteStore) {
    let (folder, path, store) = fresh();
    write(&store, 0..names).await;
    search(&store, "nowhere").await;
    until_indexed(&path, 0);
    (folder, path, store)
}

/// Instructions that SQLite has carried out for statements on the readers' connection since it was last asked.
fn steps(store: &SqliteStore, sqls: &[&str]) -> i32 {
    let count = |connection: &Connection| {
        let of = |sql: &&str| Ok(connection.prepare_cached(sql)?.reset_status(StatementStatus::VmStep));
        sqls.iter().map(of).sum::<rusqlite::Result<i32>>().map_err(Error::from)
    };
    store.readers.on_connection(count).unwrap()
}

const WITH_INDEX: [&str; 5] = [COUNT, AMONG, MATCHING, BEHIND, OUTDATED];

#[tokio::test]
async fn a_search_among_many_names_looks_at_those_that_it_finds() {
    let (_folder, path, store) = fresh();
    write(&store, 0..1000).await;
    assert_eq!(behind(&path), None, "indexed before anybody searched");
    assert_eq!(search(&store, "E-00017").await.len(), 10);
    assert!(steps(&store, &[SCAN]) > 1000);
    let mut costs = Vec::new();
    for end in [1000, 4000] {
        write(&store, (end / 4).max(1000)..end).await;
        search(&store, "nowhere").await;
        until_indexed(&path, 0);
        steps(&store, &WITH_INDEX);
        steps(&store, &[SCAN]);
        assert_eq!(search(&store, "E-00017").await.len(), 10);
        costs.push(steps(&store, &WITH_INDEX));
        assert_eq!(steps(&store, &[SCAN]), 0);
    }
    assert!(costs[0] > 0 && costs[1] <= costs[0], "{costs:?}");
    // Before the others wait, and behind those that are in it.
    write(&store, 4000..4100).await;
    assert_eq!(search(&store, "004099").await, ["/team-4/database-004099"]);
    assert_eq!(search(&store, "nowhere").await, [""; 0]);
    assert_eq!(behind(&path), Some(100), "a few are not worth a sync");
    assert_eq!(search(&store, "-6/database-0017").await.len(), 15);
    // In nearly all names: looking through them fills the page.
    steps(&store, &[SCAN]);
    write(&store, 4100..5000).await;
    assert_eq!(search(&store, "database").await.len(), 5000);
    assert!(steps(&store, &[SCAN]) > 0);
}

/// What a caller may see is asked for folder by folder: twenty names cost the same among any number.
#[tokio::test]
async fn a_folder_costs_what_is_in_it() {
    let (_folder, _path, store) = fresh();
    let few = Names { prefix: "/team-3/database-0000", part: "" };
    let mut costs = Vec::new();
    for numbers in [0..500, 500..3000] {
        write(&store, numbers).await;
        steps(&store, &[LIST]);
        assert_eq!(store.list(Class::Credential, few, None, 500).await.unwrap().len(), 14);
        costs.push(steps(&store, &[LIST]));
    }
    assert!(costs[0] > 0 && costs[1] == costs[0], "{costs:?}");
}

#[tokio::test]
async fn what_is_written_after_the_first_search_is_indexed_in_pauses() {
    let (_folder, path, store) = fresh();
    write(&store, 0..300).await;
    assert_eq!(search(&store, "000299").await.len(), 1);
    until_indexed(&path, 0);
    write(&store, 300..2000).await;
    until_indexed(&path, 255);
    drop(store);
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    write(&store, 2000..3000).await;
    until_indexed(&path, 255);
    assert_eq!(store.examine().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_renamed_row_and_a_number_that_another_record_had_are_found_as_they_are_now() {
    let (_folder, path, store) = fresh();
    let (mut model, mut dice) = (Model::default(), Dice::default());
    model.add(&store, &mut dice, 600).await;
    for round in 0..3 {
        model.judge(&store, &mut dice, 100).await;
        until_indexed(&path, 255);
        model.judge(&store, &mut dice, 100).await;
        model.change(&store, &mut dice).await;
        assert!(behind(&path).unwrap() >= 60 || round == 0);
        model.judge(&store, &mut dice, 100).await;
        assert_eq!(store.examine().unwrap(), [""; 0]);
        model.add(&store, &mut dice, 300).await;
    }
}

#[tokio::test]
async fn names_of_an_older_schema_are_indexed_when_somebody_searches() {
    let (_folder, path, store) = fresh();
    write(&store, 0..1000).await;
    store.close().unwrap();
    Connection::open(&path).unwrap().execute_batch(UNDO_3).unwrap();
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    assert_eq!(search(&store, "000999").await.len(), 1);
    until_indexed(&path, 0);
    assert_eq!(search(&store, "000999").await.len(), 1);
    assert_eq!(store.examine().unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_index_from_before_a_vacuum_is_made_anew() {
    let (_folder, path, store) = indexed(1000).await;
    store.close().unwrap();
    let other = Connection::open(&path).unwrap();
    // As VACUUM may do it.
    other.execute_batch("VACUUM; UPDATE records SET rowid = -rowid; UPDATE records SET rowid = rowid + 1001").unwrap();
    drop(other);
    assert_eq!(behind(&path), None);
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    assert_eq!(search(&store, "000999").await, ["/team-5/database-000999"]);
    until_indexed(&path, 0);
    assert_eq!(search(&store, "000999").await, ["/team-5/database-000999"]);
    assert_eq!(store.examine().unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_index_that_cannot_be_read_is_done_without_and_made_anew() {
    let (_folder, path, store) = indexed(1000).await;
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE trigrams_data SET block = x'ffffffffff' WHERE id > 1")
        .unwrap();
    assert!(!store.examine().unwrap().is_empty());
    let start = Instant::now();
    loop {
        assert_eq!(search(&store, "000999").await, ["/team-5/database-000999"]);
        if !store.readers.index().is_damaged() && behind(&path) == Some(0) && store.examine().unwrap().is_empty() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?} {:?}", behind(&path), store.examine());
    }
    steps(&store, &[SCAN]);
    assert_eq!(search(&store, "000999").await.len(), 1);
    assert_eq!(steps(&store, &[SCAN]), 0);
    // Writes do not know of it.
    Connection::open(&path).unwrap().execute_batch("UPDATE trigrams_data SET block = x'ffffffffff'").unwrap();
    write(&store, 1000..1010).await;
    store.release(&[numbered(5).row.head.id], Release { at: at(0), purge_at: at(1) }).await.unwrap();
    assert_eq!(store.purge(at(1)).await.unwrap(), 1);
    assert_eq!(search(&store, "-000005").await, [""; 0]);
    assert_eq!(search(&store, "-001005").await.len(), 1);
}

/// FTS5 has no sums of its own, so a changed byte of it can hide a name: no search fails by it or finds what is not there,
/// and whoever examines the store is told.
#[tokio::test]
async fn a_changed_byte_of_the_index_is_told_by_examining() {
    let (folder, path, store) = indexed(400).await;
    store.close().unwrap();
    let parts: Vec<String> = (0..20).map(|number| format!("{:03}", number * 17)).collect();
    let (mut dice, mut hidden) = (Dice::default(), 0);
    for _ in 0..24 {
        let copy = folder.path().join("copy.db");
        fs::copy(&path, &copy).unwrap();
        let other = Connection::open(&copy).unwrap();
        let (id, mut block): (i64, Vec<u8>) = other
            .query_row(
                "SELECT id, block FROM trigrams_data ORDER BY length(block) DESC, id LIMIT 1 OFFSET ?1",
                [dice.below(3)],
                |it| Ok((it.get(0)?, it.get(1)?)),
            )
            .unwrap();
        let at = dice.below(block.len());
        block[at] ^= 1 << dice.below(8);
        other.execute("UPDATE trigrams_data SET block = ?2 WHERE id = ?1", params![id, block]).unwrap();
        drop(other);
        let store = SqliteStore::open(&copy, Alarm::default()).unwrap();
        let told = !store.examine().unwrap().is_empty();
        let mut is_hidden = false;
        for part in &parts {
            let found = search(&store, part).await;
            let all: Vec<_> =
                (0..400).map(|number| numbered(number).row.head.name).filter(|it| it.contains(part)).collect();
            assert!(found.iter().all(|name| all.contains(name)), "{part}: {found:?}");
            is_hidden |= found.len() < all.len();
        }
        assert!(told || !is_hidden, "byte {at} of {id} hides names and nothing says so");
        hidden += usize::from(is_hidden);
        store.close().unwrap();
    }
    assert!(hidden < 24, "each of them");
}
