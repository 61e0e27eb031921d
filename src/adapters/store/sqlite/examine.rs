//! Whether the file is as SQLite left it: each page, and each index against its table. Knows nothing of what stands there.

use super::{SqliteStore, file};
use crate::domain::Result;

/// Enough to see that there is damage and where.
const EXAMINE: &str = "PRAGMA integrity_check(20)";

impl SqliteStore {
    /// What is wrong; nothing where all is well. Reads the whole file, beside whoever writes to it.
    pub fn examine(&self) -> Result<Vec<String>> {
        let connection = file::reader(self.readers.path())?;
        let mut statement = connection.prepare(EXAMINE)?;
        let said = statement.query_map([], |columns| columns.get(0))?;
        let lines: Vec<String> = said.collect::<rusqlite::Result<_>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}
