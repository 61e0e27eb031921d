//! How SQLite goes about each statement: what it would have to read, and that it compiles it once.

use rusqlite::{Connection, StatementStatus};

use super::fresh;
use crate::adapters::store::sqlite::file;
use crate::adapters::store::sqlite::reader::{DUE, LOOK_UPS};
use crate::adapters::store::sqlite::search::{AMONG, COUNT, LIST, SCAN};
use crate::adapters::store::sqlite::trigrams::{BEHIND, LAST, MATCHING, OUTDATED};

const LISTS: [&str; 4] = [LIST, SCAN, COUNT, DUE];
/// Of what is in names. What SQLite finds in the index of trigrams it sorts by name.
const SEARCHES: [&str; 4] = [AMONG, MATCHING, BEHIND, LAST];

/// How SQLite goes about a statement. What it does with the array of ids that it is given does not count.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let (mut rows, mut plan) = (statement.raw_query(), Vec::new());
    while let Some(row) = rows.next().unwrap() {
        plan.push(row.get::<_, String>(3).unwrap());
    }
    plan.join("; ").replace("SCAN json_each", "")
}

#[test]
fn no_statement_walks_more_than_it_answers() {
    let (_folder, path, _store) = fresh();
    let connection = file::writer(&path).unwrap();
    for sql in LOOK_UPS.into_iter().chain(LISTS) {
        let plan = plan(&connection, sql).replace("SCAN (subquery", "");
        assert!(plan.contains("SEARCH") && !plan.contains("SCAN") && !plan.contains("TEMP"), "{sql}: {plan}");
        let whole_class = plan.contains("(class=?)");
        assert!(!whole_class || LISTS.contains(&sql), "{sql}: {plan}");
    }
    for sql in SEARCHES {
        let plan = plan(&connection, sql).replace("SCAN trigrams VIRTUAL TABLE INDEX 0:M1", "SEARCH by trigrams");
        assert!(plan.contains("SEARCH") && !plan.contains("class=?"), "{sql}: {plan}");
        assert!(!plan.replace("SCAN (subquery", "").contains("SCAN"), "{sql}: {plan}");
    }
}

#[test]
fn no_statement_is_compiled_again_for_another_value() {
    let (_folder, path, _store) = fresh();
    let connection = file::writer(&path).unwrap();
    for sql in LOOK_UPS.into_iter().chain(LISTS).chain(SEARCHES).chain([OUTDATED]) {
        let mut statement = connection.prepare_cached(sql).unwrap();
        for value in 1..4 {
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, value).unwrap();
            }
            let mut rows = statement.raw_query();
            while rows.next().is_ok_and(|row| row.is_some()) {}
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
    }
}
