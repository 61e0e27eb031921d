//! Lists by how names begin and what is in them. A part of three letters and more is looked up in the index of trigrams,
//! so that it costs what it finds; a few names are quicker to look through, and so is what is nearly everywhere.

use std::cell::Cell;

use rusqlite::{Connection, params};

use super::reader::{Readers, at_most, select_readable};
use super::row::{self, select_current};
use super::trigrams;
use crate::adapters::store::Range;
use crate::adapters::store::search::{CLASS, COMMON, FEW};
use crate::app::ports::{Names, Row};
use crate::domain::Result;
use crate::domain::record::Class;

pub(super) const LIST: &str = select_current!(
    "r.class = ?1 AND r.name_key > ?3 AND r.name_key < ?4 AND r.released_at IS NULL ORDER BY r.name_key LIMIT ?2"
);
pub(super) const SCAN: &str = select_current!(
    "r.class = ?1 AND r.name_key > ?3 AND r.name_key < ?4 AND instr(r.name_key, ?5) > 0 AND r.released_at IS NULL
        ORDER BY r.name_key LIMIT ?2"
);
/// How many there are, and no more than `FEW` of them.
pub(super) const COUNT: &str = "
    SELECT count(*) FROM (SELECT 1 FROM records WHERE class = ?1 AND name_key > ?2 AND name_key < ?3 LIMIT ?4)";
// What is sealed is read for the page alone, not for all that are sorted.
pub(super) const AMONG: &str = select_current!(
    "r.rowid IN (SELECT rowid FROM records
        WHERE rowid IN (SELECT value FROM json_each(?6)) AND +class = ?1 AND +name_key > ?3 AND +name_key < ?4
            AND instr(name_key, ?5) > 0 AND released_at IS NULL ORDER BY name_key LIMIT ?2)
        ORDER BY r.name_key"
);

/// What is looked for, as statements are given it.
struct Wanted {
    class: i16,
    limit: i64,
    from: String,
    to: String,
    part: String,
}

impl Readers {
    pub(super) fn list(&self, class: Class, names: Names<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let Range { from, to, part } = Range::of(names, after);
        // No character comes after the last one that there is.
        let to = to.map_or_else(|| char::MAX.to_string(), |to| format!("{to}{}", char::MAX));
        let wanted = Wanted { class: row::class_number(class), limit: at_most(limit), from, to, part };
        let words = trigrams::of(&wanted.part).filter(|_| class == CLASS && !self.index().is_damaged());
        if let Some(words) = words
            && let Some(found) = self.search(&wanted, &words)?
        {
            return Ok(found);
        }
        self.on_connection(|connection| wanted.scan(connection))
    }

    /// By the index; `None` where looking through the names is quicker, or the index cannot be read.
    fn search(&self, wanted: &Wanted, words: &str) -> Result<Option<Vec<Row>>> {
        let (damage, renewals) = (Cell::new(None), self.index().renewals());
        let found = self.on_connection(|connection| {
            // What the index says and what the records are must be of one moment.
            let _moment = connection.unchecked_transaction()?;
            if wanted.are_few(connection)? {
                return Ok(None);
            }
            let named = trigrams::candidates(connection, words, &wanted.part, at_most(COMMON + 1));
            let named = named.inspect_err(|error| damage.set(Some(error.to_string())))?;
            if named.behind >= trigrams::STEP {
                self.index().want();
            }
            let is_common = named.behind > trigrams::TOO_FAR || named.rows.len() > COMMON;
            if is_common { Ok(None) } else { wanted.among(connection, &named.rows).map(Some) }
        });
        match damage.take() {
            Some(detail) => {
                self.index().report(renewals, &detail);
                Ok(None)
            }
            None => found,
        }
    }
}

impl Wanted {
    fn are_few(&self, connection: &Connection) -> Result<bool> {
        let params = params![self.class, self.from, self.to, at_most(FEW + 1)];
        let count: i64 = connection.prepare_cached(COUNT)?.query_row(params, |columns| columns.get(0))?;
        Ok(count <= at_most(FEW))
    }

    fn scan(&self, connection: &Connection) -> Result<Vec<Row>> {
        let Self { class, limit, from, to, part } = self;
        match part.is_empty() {
            true => select_readable(connection, LIST, params![class, limit, from, to]),
            false => select_readable(connection, SCAN, params![class, limit, from, to, part]),
        }
    }

    fn among(&self, connection: &Connection, rows: &[i64]) -> Result<Vec<Row>> {
        let Self { class, limit, from, to, part } = self;
        let rows = serde_json::Value::from(rows).to_string();
        select_readable(connection, AMONG, params![class, limit, from, to, part, rows])
    }
}
