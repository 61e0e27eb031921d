//! Whether the file is as SQLite left it: each page, each index against its table, and the index of what is in names against
//! those. Knows nothing of what stands there.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::{Connection, params};

use super::{SqliteStore, file, trigrams};
use crate::adapters::store::column::class_number;
use crate::adapters::store::search::CLASS;
use crate::domain::Result;

/// Enough to see that there is damage and where.
const EXAMINE: &str = "PRAGMA integrity_check(20)";
/// Every trigram of every name that is in the index, read from it alone.
const PLACES: &str = "CREATE VIRTUAL TABLE temp.places USING fts5vocab (main, trigrams, instance)";
const INDEXED: &str = "SELECT doc, term FROM temp.places WHERE doc NOT IN (SELECT number FROM outdated)";
const NAMED: &str = "
    SELECT rowid, name_key FROM records
     WHERE rowid <= ?1 AND class = ?2 AND rowid NOT IN (SELECT number FROM outdated)";

impl SqliteStore {
    /// What is wrong; nothing where all is well. Reads the whole file, beside whoever writes to it.
    pub fn examine(&self) -> Result<Vec<String>> {
        let connection = file::reader(self.readers.path())?;
        let mut lines: Vec<String> = {
            let mut statement = connection.prepare(EXAMINE)?;
            let said = statement.query_map([], |columns| columns.get(0))?;
            said.collect::<rusqlite::Result<_>>()?
        };
        lines.retain(|line| line != "ok");
        match is_index_whole(&connection) {
            Ok(true) => {}
            Ok(false) => lines.push("the index of what is in names is not what the names are".into()),
            Err(error) => lines.push(format!("the index of what is in names cannot be read: {error}")),
        }
        Ok(lines)
    }
}

/// FTS5 knows what it has indexed and not what it should have: so each trigram of each name is counted once here and once
/// there, whatever the order.
fn is_index_whole(connection: &Connection) -> rusqlite::Result<bool> {
    let _moment = connection.unchecked_transaction()?;
    let Some(upto) = trigrams::upto(connection)? else { return Ok(true) };
    connection.execute_batch(PLACES)?;
    let (mut indexed, mut named) = (0_u64, 0_u64);
    let mut statement = connection.prepare(INDEXED)?;
    let mut rows = statement.query([])?;
    while let Some(columns) = rows.next()? {
        indexed = indexed.wrapping_add(place(columns.get(0)?, columns.get_ref(1)?.as_bytes()?));
    }
    let mut statement = connection.prepare(NAMED)?;
    let mut rows = statement.query(params![upto, class_number(CLASS)])?;
    while let Some(columns) = rows.next()? {
        let (row, name): (i64, String) = (columns.get(0)?, columns.get(1)?);
        let all: BTreeSet<String> = trigrams::each(&name).collect();
        named = all.iter().map(|one| place(row, one.as_bytes())).fold(named, u64::wrapping_add);
    }
    Ok(indexed == named)
}

fn place(row: i64, trigram: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (row, trigram).hash(&mut hasher);
    hasher.finish()
}
