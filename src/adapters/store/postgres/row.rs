//! How values of the domain stand in columns. What is written here is a promise to every later version.

use std::fmt::Display;

use jiff::{SignedDuration, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{Postgres, Row as _};

use super::fault;
pub(super) use crate::adapters::store::column::{alias_kind, alias_number, class_number, counted, micros, origin_text};
use crate::adapters::store::column::{class, damaged};
use crate::app::audit::Position;
use crate::app::ledger::Ledger;
use crate::app::ports::{Fence, Mac, RevisionRow, Row, Sealed};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, Tenant, VersionId};
use crate::domain::record::{Head, Release, Stamp};

/// Columns of a head in the order that [`head`] expects, of the table `r`.
macro_rules! head_columns {
    () => {
        "r.id, r.class, r.tenant, r.name, r.origin, r.retain_for, r.released_at, r.purge_at, r.epoch, r.mac"
    };
}
pub(super) use head_columns;

/// Current revisions in the order of columns that [`read`] expects, and then the condition.
macro_rules! select_current {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            crate::adapters::store::postgres::row::head_columns!(),
            ", v.number, v.version_id, v.at, v.actor, v.epoch, v.sealed ",
            "FROM strongroom.records r ",
            "JOIN strongroom.revisions v ON v.record = r.id AND v.number = r.revision WHERE ",
            $condition
        )
    };
}
pub(super) use select_current;

const REVISION: usize = 10;

pub(super) fn read(columns: &PgRow) -> Result<Row> {
    let (head, mac) = head(columns)?;
    let stamp = stamp(head.id, columns, REVISION)?;
    Ok(Row { sealed: sealed(columns, REVISION + 4)?, head, stamp, mac })
}

pub(super) fn head(columns: &PgRow) -> Result<(Head, Mac)> {
    let id = id(columns, 0)?;
    let origin: String = get(columns, 4)?;
    let head = Head {
        id,
        class: class(get(columns, 1)?).ok_or_else(|| damaged(id, &"unknown class"))?,
        tenant: Tenant::namespace(&text(id, columns, 2)?),
        name: text(id, columns, 3)?,
        origin: serde_json::from_str(&origin).map_err(|error| damaged(id, &error))?,
        retain_for: SignedDuration::from_micros(get(columns, 5)?),
        released: release(columns)?,
    };
    Ok((head, Mac { epoch: number(columns, 8)?, bytes: bytes(columns, 9)? }))
}

/// Record, number, version id, time, actor, epoch and what is sealed.
pub(super) fn revision(columns: &PgRow) -> Result<RevisionRow> {
    let id = id(columns, 0)?;
    Ok(RevisionRow { id, stamp: stamp(id, columns, 1)?, sealed: sealed(columns, 5)? })
}

/// Number, version id, time and actor of a revision, beginning at the column `first`.
pub(super) fn stamp(id: RecordId, columns: &PgRow, first: usize) -> Result<Stamp> {
    Ok(Stamp {
        number: Revision(number(columns, first)?),
        version_id: VersionId::from_bytes(*get::<Uuid>(columns, first + 1)?.as_bytes()),
        at: time(get(columns, first + 2)?)?,
        by: text(id, columns, first + 3)?,
    })
}

pub(super) fn sealed(columns: &PgRow, first: usize) -> Result<Sealed> {
    Ok(Sealed { epoch: number(columns, first)?, bytes: get(columns, first + 1)? })
}

/// Columns in the order of the table. All empty before the first key.
pub(super) fn ledger(columns: &PgRow) -> Result<Option<Ledger>> {
    if get::<Option<i64>>(columns, 0)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Ledger {
        position: position(columns, 0)?,
        count: number(columns, 2)?,
        sum: bytes(columns, 3)?,
        epoch: number(columns, 4)?,
        fence: Fence(number(columns, 5)?),
        mac: bytes(columns, 6)?,
    }))
}

pub(super) fn position(columns: &PgRow, first: usize) -> Result<Position> {
    Ok(Position { number: number(columns, first)?, hash: bytes(columns, first + 1)? })
}

fn release(columns: &PgRow) -> Result<Option<Release>> {
    let (Some(at), Some(purge_at)) = (get(columns, 6)?, get(columns, 7)?) else { return Ok(None) };
    Ok(Some(Release { at: time(at)?, purge_at: time(purge_at)? }))
}

pub(super) fn get<'r, T>(columns: &'r PgRow, at: usize) -> Result<T>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    columns.try_get(at).map_err(|fault| fault::refused(&fault))
}

pub(super) fn id(columns: &PgRow, at: usize) -> Result<RecordId> {
    Ok(RecordId::from_bytes(*get::<Uuid>(columns, at)?.as_bytes()))
}

pub(super) fn number<T: TryFrom<i64, Error: Display>>(columns: &PgRow, at: usize) -> Result<T> {
    get::<i64>(columns, at)?.try_into().map_err(fault::unavailable)
}

pub(super) fn bytes<const N: usize>(columns: &PgRow, at: usize) -> Result<[u8; N]> {
    let wrong = |_| fault::unavailable("a column has another length than was written");
    get::<Vec<u8>>(columns, at)?.try_into().map_err(wrong)
}

fn text(id: RecordId, columns: &PgRow, at: usize) -> Result<String> {
    String::from_utf8(get(columns, at)?).map_err(|error| damaged(id, &error))
}

fn time(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(fault::unavailable)
}

pub(super) fn uuid(id: RecordId) -> Uuid {
    Uuid::from_bytes(*id.bytes())
}
