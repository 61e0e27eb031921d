//! Versions of the schema.

use futures::future::join_all;

use crate::adapters::store::PostgresStore;
use crate::adapters::store::postgres::server;
use crate::app::ports::KeyTable;
use crate::domain::Error;
use crate::domain::secret::SecretText;

async fn database() -> (String, String) {
    let url = tokio::task::spawn_blocking(|| server::shared().database()).await.unwrap();
    let name = url.rsplit('/').next().unwrap().to_owned();
    (url, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_replicas_that_start_at_the_same_time_one_makes_the_schema() {
    let (url, _) = database().await;
    let url = SecretText::new(url);
    let stores = join_all((0..8).map(|_| PostgresStore::open(&url))).await;
    let mut ids = Vec::new();
    for store in stores {
        ids.push(store.unwrap().store_id().await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_from_the_future_is_refused_and_stays_as_it_is() {
    let (url, name) = database().await;
    let url = SecretText::new(url);
    PostgresStore::open(&url).await.unwrap().close().await;
    let server = server::shared();
    server.sql(&name, "UPDATE strongroom.meta SET value = '99' WHERE key = 'schema'");
    let error = PostgresStore::open(&url).await.err().unwrap();
    assert!(
        matches!(&error, Error::Awaiting { reason: "NewerSchema", message } if message.contains("99")),
        "{error:?}"
    );
    assert_eq!(server.sql(&name, "SELECT convert_from(value, 'UTF8') FROM strongroom.meta WHERE key = 'schema'"), "99");
}

/// A user with no more rights than it needs, in a schema that was made for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_somebody_else_made_is_filled() {
    let (url, name) = database().await;
    let server = server::shared();
    let user = format!("{name}_user");
    server.sql(&name, &format!("CREATE ROLE {user} LOGIN"));
    let least = SecretText::new(url.replace("tests@", &format!("{user}@")));
    assert!(PostgresStore::open(&least).await.is_err(), "it may not make the schema itself");
    server.sql(&name, &format!("CREATE SCHEMA strongroom AUTHORIZATION {user}"));
    PostgresStore::open(&least).await.unwrap();
}
