//! Lists by how names begin and what is in them. A part of three bytes and more is looked up in an index of trigrams, so
//! that it costs what it finds; a few names are quicker to look through, and so is what is nearly everywhere.

use std::collections::BTreeSet;

use sqlx::{Row as _, query};

use super::fault;
use super::pool::Pool;
use super::reader::{at_most, select};
use super::row::{self, select_current};
use super::trigrams::Index;
use crate::adapters::store::Range;
use crate::adapters::store::search::{CLASS, COMMON, FEW, enough};
use crate::app::ports::{Names, Row};
use crate::domain::Result;
use crate::domain::record::Class;

const LIST: &str = select_current!(
    "r.class = $1 AND r.name_key > $3 AND r.name_key < $4 AND r.released_at IS NULL ORDER BY r.name_key LIMIT $2"
);
const SCAN: &str = select_current!(
    "r.class = $1 AND r.name_key > $3 AND r.name_key < $4 AND position($5::bytea IN r.name_key) > 0
       AND r.released_at IS NULL ORDER BY r.name_key LIMIT $2"
);
/// How many there are, and no more than one too many; and whether there is an index.
const COUNT: &str = "
    SELECT (SELECT count(*) FROM (SELECT FROM strongroom.records r
             WHERE r.class = $1 AND r.name_key > $2 AND r.name_key < $3 LIMIT $4) AS few),
           coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('strongroom.records_by_trigram')), false)";
const CANDIDATES: &str = "SELECT * FROM strongroom.named_with($1, $2)";
const AMONG: &str = select_current!(
    "r.class = $1 AND r.id = ANY ($6) AND r.name_key > $3 AND r.name_key < $4
       AND position($5::bytea IN r.name_key) > 0 AND r.released_at IS NULL ORDER BY r.name_key LIMIT $2"
);

/// What is looked for, as statements are given it.
struct Wanted {
    class: i16,
    limit: i64,
    from: Vec<u8>,
    to: Vec<u8>,
    part: Vec<u8>,
}

pub(super) async fn list(
    pool: &Pool,
    index: &Index,
    class: Class,
    names: Names<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Row>> {
    let Range { from, to, part } = Range::of(names, after);
    // No name has such a byte.
    let to = to.unwrap_or_default().bytes().chain([0xff]).collect();
    let (from, part) = (from.into_bytes(), part.into_bytes());
    let wanted = Wanted { class: row::class_number(class), limit: at_most(limit), from, to, part };
    let trigrams = trigrams(&wanted.part);
    if class == CLASS && !trigrams.is_empty() && wanted.is_indexed(pool, index).await? {
        let rows = pool.read(|| query(CANDIDATES).bind(&trigrams).bind(at_most(COMMON + 1))).await?;
        if rows.len() <= COMMON {
            let ids = rows.iter().map(|columns| columns.try_get(0)).collect::<sqlx::Result<Vec<sqlx::types::Uuid>>>();
            return wanted.among(pool, &ids.map_err(|fault| fault::refused(&fault))?).await;
        }
    }
    wanted.scan(pool).await
}

/// As strongroom.trigrams says.
fn trigrams(part: &[u8]) -> Vec<i32> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number * 256 + i32::from(*byte));
    let all: BTreeSet<i32> = part.windows(3).map(number).collect();
    enough(all).collect()
}

impl Wanted {
    /// Whether there are many names to look through, and the index to look them up in.
    async fn is_indexed(&self, pool: &Pool, index: &Index) -> Result<bool> {
        let count = || query(COUNT).bind(self.class).bind(&self.from).bind(&self.to).bind(at_most(FEW + 1));
        let rows = pool.read(count).await?;
        let Some(columns) = rows.first() else { return Ok(false) };
        let (count, is_there): (i64, bool) = (row::get(columns, 0)?, row::get(columns, 1)?);
        let are_many = count > at_most(FEW);
        if are_many && !is_there {
            index.want();
        }
        Ok(are_many && is_there)
    }

    async fn scan(&self, pool: &Pool) -> Result<Vec<Row>> {
        let Self { class, limit, from, to, part } = self;
        match part.is_empty() {
            true => select(pool, || query(LIST).bind(class).bind(limit).bind(from).bind(to)).await,
            false => select(pool, || query(SCAN).bind(class).bind(limit).bind(from).bind(to).bind(part)).await,
        }
    }

    async fn among(&self, pool: &Pool, ids: &[sqlx::types::Uuid]) -> Result<Vec<Row>> {
        let Self { class, limit, from, to, part } = self;
        select(pool, || query(AMONG).bind(class).bind(limit).bind(from).bind(to).bind(part).bind(ids)).await
    }
}

#[cfg(test)]
mod tests {
    use super::trigrams;

    #[test]
    fn a_part_becomes_its_trigrams() {
        assert!(trigrams(b"ab").is_empty());
        assert_eq!(trigrams(b"abab"), [0x61_62_61, 0x62_61_62]);
        assert_eq!(trigrams("aé".as_bytes()), [0x61_c3_a9]);
        let long: Vec<u8> = (0..=255).collect();
        assert_eq!(trigrams(&long).len(), 16);
    }
}
