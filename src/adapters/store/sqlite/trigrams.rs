//! The index of what is in names: FTS5 over the trigrams of credentials' names. Owns its tables; when it is written is for
//! `indexing` to say. Nothing is answered from it alone: it names rows, which are then held against what is looked for.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Params, Result, params};

use crate::adapters::store::column::class_number;
use crate::adapters::store::search::{CLASS, enough};

/// What is indexed at once. With a part of merging it takes a few milliseconds.
pub(super) const STEP: i64 = 256;
/// Pages of the index that a step may merge; less, and searches find it in too many pieces.
const MERGED: i64 = 16;

const UPTO: &str = "
    SELECT upto FROM indexed JOIN pragma_schema_version found ON found.schema_version = indexed.schema";
const BEGIN: &str = "
    INSERT OR REPLACE INTO indexed (one, upto, schema) SELECT 1, 0, schema_version FROM pragma_schema_version";
const CLEAR: &str = "INSERT INTO trigrams (trigrams) VALUES ('delete-all')";
const MERGE: &str = "INSERT INTO trigrams (trigrams, rank) VALUES ('merge', ?1)";
pub(super) const OUTDATED: &str = "SELECT number FROM outdated ORDER BY number LIMIT ?1";
pub(super) const LAST: &str =
    "SELECT max(number) FROM (SELECT rowid AS number FROM records WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)";
const ADD: &str = "
    INSERT INTO trigrams (rowid, name) SELECT rowid, name_key FROM records WHERE rowid > ?1 AND rowid <= ?2 AND +class = ?3";
pub(super) const MATCHING: &str = "SELECT rowid FROM trigrams WHERE trigrams MATCH ?1 LIMIT ?2";
pub(super) const BEHIND: &str = "SELECT rowid FROM records WHERE rowid > ?1 AND instr(name_key, ?2) > 0 LIMIT ?3";

/// As FTS5's tokenizer cuts a name up, which leaves out zeros and has one character for what no text should contain.
pub(super) fn each(name: &str) -> impl Iterator<Item = String> {
    let letter = |letter| if matches!(letter, '\u{fffe}' | '\u{ffff}') { char::REPLACEMENT_CHARACTER } else { letter };
    let letters: Vec<char> = name.chars().filter(|letter| *letter != '\0').map(letter).collect();
    let ends = 3..=letters.len();
    ends.map(move |end| letters[end - 3..end].iter().collect())
}

/// The words of FTS5 for names that have all trigrams of this part; `None`: it has none.
pub(super) fn of(part: &str) -> Option<String> {
    let all: BTreeSet<String> = each(part).collect();
    let quoted = |trigram: String| format!("\"{}\"", trigram.replace('"', "\"\""));
    let words: Vec<String> = enough(all).map(quoted).collect();
    (!words.is_empty()).then(|| words.join(" AND "))
}

/// Up to which row it goes, if it counts.
pub(super) fn upto(connection: &Connection) -> Result<Option<i64>> {
    connection.prepare_cached(UPTO)?.query_row([], |columns| columns.get(0)).optional()
}

/// Rows that may have the part in their names, and all that have it; no more than `most` of each sort.
pub(super) fn candidates(connection: &Connection, words: &str, part: &str, most: i64) -> Result<Candidates> {
    let Some(upto) = upto(connection)? else { return Ok(Candidates { rows: Vec::new(), behind: i64::MAX }) };
    let end: Option<i64> =
        connection.prepare_cached("SELECT max(rowid) FROM records")?.query_row([], |it| it.get(0))?;
    let outdated = numbers(connection, OUTDATED, params![most])?;
    let behind = end.map_or(0, |end| end.saturating_sub(upto).max(0)).saturating_add(outdated.len() as i64);
    if behind > TOO_FAR {
        return Ok(Candidates { rows: Vec::new(), behind });
    }
    let mut rows = numbers(connection, MATCHING, params![words, most])?;
    rows.extend(numbers(connection, BEHIND, params![upto, part, most])?);
    rows.extend(outdated);
    Ok(Candidates { rows, behind })
}

/// So many rows behind it are looked through by a search that uses it.
pub(super) const TOO_FAR: i64 = 32_768;

pub(super) struct Candidates {
    pub(super) rows: Vec<i64>,
    /// Rows that are not in it as they are.
    pub(super) behind: i64,
}

fn numbers(connection: &Connection, sql: &str, params: impl Params) -> Result<Vec<i64>> {
    connection.prepare_cached(sql)?.query_map(params, |columns| columns.get(0))?.collect()
}

/// Empties it and begins at the first row. In a transaction of the caller's, as is [`step`].
pub(super) fn begin(connection: &Connection) -> Result<()> {
    connection.execute(CLEAR, [])?;
    connection.execute("DELETE FROM outdated", [])?;
    connection.execute(BEGIN, [])?;
    Ok(())
}

/// The next rows; whether there may be more.
pub(super) fn step(connection: &Connection) -> Result<bool> {
    let Some(upto) = upto(connection)? else {
        begin(connection)?;
        return Ok(true);
    };
    let outdated = numbers(connection, OUTDATED, [STEP])?;
    let more = if outdated.is_empty() { add_behind(connection, upto)? } else { renew(connection, &outdated)? };
    connection.prepare_cached(MERGE)?.execute([MERGED])?;
    Ok(more)
}

fn add_behind(connection: &Connection, upto: i64) -> Result<bool> {
    let last: Option<i64> = connection.prepare_cached(LAST)?.query_row([upto, STEP], |columns| columns.get(0))?;
    let Some(last) = last else { return Ok(false) };
    connection.prepare_cached(ADD)?.execute(params![upto, last, class_number(CLASS)])?;
    connection.prepare_cached("UPDATE indexed SET upto = ?1")?.execute([last])?;
    Ok(true)
}

fn renew(connection: &Connection, rows: &[i64]) -> Result<bool> {
    for row in rows {
        connection.prepare_cached("DELETE FROM trigrams WHERE rowid = ?1")?.execute([row])?;
        connection.prepare_cached(ADD)?.execute(params![row - 1, row, class_number(CLASS)])?;
        connection.prepare_cached("DELETE FROM outdated WHERE number = ?1")?.execute([row])?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_part_becomes_its_trigrams() {
        assert_eq!(of("ab"), None);
        assert_eq!(of("a\0b"), None);
        assert_eq!(of("abc").unwrap(), "\"abc\"");
        assert_eq!(of("abab").unwrap(), "\"aba\" AND \"bab\"");
        assert_eq!(of("aaaa").unwrap(), "\"aaa\"");
        assert_eq!(of("a\"é").unwrap(), "\"a\"\"é\"");
        let long: String = ('a'..='z').chain('0'..='9').collect();
        assert_eq!(of(&long.repeat(20)).unwrap().matches(" AND ").count(), 11);
    }
}
