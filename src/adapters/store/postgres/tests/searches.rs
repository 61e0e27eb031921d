//! The index of what is in names: when it is made, and that searches use it.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::adapters::store::PostgresStore;
use crate::adapters::store::contract::{Acts, first};
use crate::adapters::store::postgres::server;
use crate::app::ports::{Names, Store};
use crate::domain::name::{RecordId, VersionId};
use crate::domain::record::Class;
use crate::domain::secret::SecretText;

const IS_VALID: &str =
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('strongroom.records_by_trigram')";
const USES: &str =
    "SELECT pg_stat_clear_snapshot(), idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'records_by_trigram'";

async fn fresh() -> (SecretText, String, PostgresStore) {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.unwrap();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let url = SecretText::new(url);
    let store = PostgresStore::open(&url).await.unwrap();
    store.begin().await;
    (url, name, store)
}

async fn write(store: &PostgresStore, numbers: std::ops::Range<usize>) {
    let append = |number: usize| {
        let mut append = first(0, &format!("/team-{}/database-{number:06}", number % 7));
        let id = (number as u128).to_be_bytes();
        (append.row.head.id, append.row.stamp.version_id) = (RecordId::from_bytes(id), VersionId::from_bytes(id));
        append
    };
    try_join_all(numbers.map(|number| store.append(append(number)))).await.unwrap();
}

async fn search(store: &PostgresStore, part: &str) -> usize {
    store.list(Class::Credential, Names { prefix: "", part }, None, 5000).await.unwrap().len()
}

async fn eventually(name: &str, statement: &str, is_so: impl Fn(&str) -> bool) {
    let start = Instant::now();
    while !is_so(&server::shared().sql(name, statement)) {
        assert!(start.elapsed() < Duration::from_secs(20), "{statement}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_search_among_many_names_has_the_index_made_and_the_next_ones_use_it() {
    let (_, name, store) = fresh().await;
    write(&store, 0..200).await;
    assert_eq!(search(&store, "E-00017").await, 10);
    write(&store, 200..700).await;
    assert_eq!(server::shared().sql(&name, IS_VALID), "", "made for a few names, or before anybody searched");
    assert_eq!(search(&store, "E-00017").await, 10);
    eventually(&name, IS_VALID, |is_valid| is_valid == "t").await;
    assert_eq!(search(&store, "E-00017").await, 10);
    write(&store, 700..800).await;
    assert_eq!(search(&store, "000799").await, 1);
    eventually(&name, USES, |uses| uses.ends_with("|2")).await;
    // What the planner would do without being told otherwise does not matter.
    let plan = "SET enable_seqscan = off; SET enable_indexscan = off; SET enable_indexonlyscan = off;
        EXPLAIN SELECT id FROM strongroom.records WHERE class = 1 AND strongroom.trigrams(name_key) @> '{1,2}' LIMIT 9";
    assert!(server::shared().sql(&name, plan).contains("Bitmap Index Scan on records_by_trigram"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_broken_off_is_made_anew() {
    let (_, name, store) = fresh().await;
    write(&store, 0..400).await;
    let server = server::shared();
    server.sql(&name, "CREATE INDEX records_by_trigram ON strongroom.records USING gin (strongroom.trigrams(name_key)) WHERE class = 1");
    server.sql(
        &name,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'strongroom.records_by_trigram'::regclass",
    );
    assert_eq!(search(&store, "000399").await, 1);
    eventually(&name, IS_VALID, |is_valid| is_valid == "t").await;
    assert_eq!(search(&store, "000399").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_an_older_schema_are_found() {
    let (url, name, store) = fresh().await;
    write(&store, 0..400).await;
    store.close().await;
    let undo = "DROP FUNCTION strongroom.named_with; DROP FUNCTION strongroom.trigrams;
        UPDATE strongroom.meta SET value = '2' WHERE key = 'schema'";
    server::shared().sql(&name, undo);
    let store = PostgresStore::open(&url).await.unwrap();
    assert_eq!(search(&store, "000399").await, 1);
    eventually(&name, IS_VALID, |is_valid| is_valid == "t").await;
    assert_eq!(search(&store, "000399").await, 1);
}
