//! Brings a database to the schema that this program knows, step by step, and refuses one from the future. Everything
//! stands in the schema `strongroom` of its own, and is always named with it: nobody's search path leads elsewhere.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};

use super::fault;
use super::session::Session;
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

/// Step n leads from version n to n + 1. Released steps are never edited.
const STEPS: [&str; 3] = [include_str!("schema_1.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

const KNOWN: usize = STEPS.len();
const VERSION: &str = "schema";
const STORE_ID: &str = "store_id";

/// Held while migrating: of replicas that start at the same time, one does it and the others find nothing to do. The
/// number is "strongro" in ASCII.
const ALONE: &str = "
    SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = '60s';
    SELECT pg_advisory_xact_lock(8319400234579358319)";

const EXISTS: &str = "SELECT to_regnamespace('strongroom') IS NOT NULL, to_regclass('strongroom.meta') IS NOT NULL";
const READ: &str = "SELECT value FROM strongroom.meta WHERE key = $1";
const WRITE: &str = "
    INSERT INTO strongroom.meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

pub(super) async fn migrate(session: &mut Session) -> Result<()> {
    let newer = migrate_or_find_newer(&mut session.connection).await.map_err(|fault| fault::refused(&fault))?;
    newer.map_or(Ok(()), |found| Err(from_the_future(&found)))
}

async fn migrate_or_find_newer(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let mut transaction = connection.begin().await?;
    transaction.execute(sqlx::raw_sql(ALONE)).await?;
    let version = version(&mut transaction).await?;
    let pending = version.parse().ok().and_then(|done: usize| STEPS.get(done..));
    let Some(pending) = pending else { return Ok(Some(version)) };
    if pending.is_empty() {
        return Ok(None);
    }
    for step in pending {
        transaction.execute(sqlx::raw_sql(*step)).await?;
    }
    if version == "0" {
        sqlx::query(WRITE).bind(STORE_ID).bind(new_store_id().bytes().as_slice()).execute(&mut *transaction).await?;
    }
    sqlx::query(WRITE).bind(VERSION).bind(KNOWN.to_string().as_bytes()).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(None)
}

/// Made with the schema and not when first asked for: it must be there before the first row is sealed under it.
#[expect(clippy::disallowed_methods, reason = "adapters are where randomness comes from")]
fn new_store_id() -> StoreId {
    StoreId::from_random(*uuid::Uuid::new_v4().as_bytes())
}

/// Somebody with more rights may have made the schema for us, empty.
async fn version(connection: &mut PgConnection) -> sqlx::Result<String> {
    let found = sqlx::query(EXISTS).persistent(false).fetch_one(&mut *connection).await?;
    if !found.try_get::<bool, _>(0)? {
        connection.execute("CREATE SCHEMA strongroom").await?;
    }
    if !found.try_get::<bool, _>(1)? {
        return Ok("0".into());
    }
    let version: Vec<u8> = sqlx::query(READ).bind(VERSION).fetch_one(connection).await?.try_get(0)?;
    Ok(String::from_utf8_lossy(&version).into_owned())
}

/// For a store that becomes the copy of another.
pub(super) async fn adopt(connection: &mut PgConnection, id: StoreId) -> sqlx::Result<()> {
    sqlx::query(WRITE).bind(STORE_ID).bind(id.bytes().as_slice()).execute(connection).await.map(drop)
}

pub(super) async fn exists(connection: &mut PgConnection) -> Result<bool> {
    let found = sqlx::query(EXISTS).persistent(false).fetch_one(connection).await;
    found.and_then(|columns| columns.try_get(1)).map_err(|fault| fault::refused(&fault))
}

pub(super) async fn store_id(connection: &mut PgConnection) -> Result<StoreId> {
    let row = sqlx::query(READ).bind(STORE_ID).fetch_one(connection).await.map_err(|fault| fault::refused(&fault))?;
    let id: Vec<u8> = row.try_get(0).map_err(|fault| fault::refused(&fault))?;
    let damaged = |_| Error::Damaged { what: "the store's id".into(), detail: "it has not 16 bytes".into() };
    Ok(StoreId::from_bytes(id.try_into().map_err(damaged)?))
}

/// Writing into a schema that we do not know could lose what the newer program relies on.
fn from_the_future(found: &str) -> Error {
    let message = format!(
        "the database has schema version {found} and this Strongroom knows version {KNOWN}: \
         it was written by a newer Strongroom, start that one"
    );
    Error::Awaiting { reason: "NewerSchema", message }
}
