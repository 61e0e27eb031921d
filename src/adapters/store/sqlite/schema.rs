//! Brings a file to the schema that this program knows, step by step, and refuses one from the future.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

/// Step n leads from version n to n + 1. Released steps are never edited.
const STEPS: [&str; 3] = [include_str!("schema_1.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

const KNOWN: i64 = STEPS.len() as i64;
const VERSION: &str = "user_version";
const STORE_ID: &str = "store_id";

/// All steps in one transaction that holds the write lock: of two processes that start at the same time,
/// one migrates and the other finds nothing to do.
#[expect(clippy::disallowed_methods, reason = "adapters are where randomness comes from")]
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, VERSION, |row| row.get(0))?;
    let pending = usize::try_from(version).ok().and_then(|done| STEPS.get(done..)).ok_or_else(|| newer(version))?;
    if pending.is_empty() {
        return Ok(());
    }
    for step in pending {
        transaction.execute_batch(step)?;
    }
    // Made here and not when first asked for: it must be there before the first row is sealed under it.
    let id = StoreId::from_random(*uuid::Uuid::new_v4().as_bytes());
    transaction.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)", params![STORE_ID, id.bytes()])?;
    transaction.pragma_update(None, VERSION, KNOWN)?;
    Ok(transaction.commit()?)
}

/// For a store that becomes the copy of another.
pub(super) fn adopt(connection: &Connection, id: StoreId) -> Result<()> {
    connection.execute("UPDATE meta SET value = ?2 WHERE key = ?1", params![STORE_ID, id.bytes()])?;
    Ok(())
}

pub(super) fn store_id(connection: &Connection) -> Result<StoreId> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(StoreId::from_bytes(statement.query_row([STORE_ID], |row| row.get(0))?))
}

/// Writing into a schema that we do not know could lose what the newer program relies on.
fn newer(found: i64) -> Error {
    let message = format!(
        "the store has schema version {found} and this Strongroom knows version {KNOWN}: \
         it was written by a newer Strongroom, start that one"
    );
    Error::Awaiting { reason: "NewerSchema", message }
}
