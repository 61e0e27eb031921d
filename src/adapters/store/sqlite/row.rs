//! How values of the domain stand in columns. What is written here is a promise to every later version.

use std::fmt::Display;

use jiff::{SignedDuration, Timestamp};

pub(super) use crate::adapters::store::column::{alias_kind, alias_number, class_number, counted, micros, origin_text};
use crate::adapters::store::column::{class, damaged};
use crate::app::ports::{Mac, Row, Sealed};
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision, Tenant, VersionId};
use crate::domain::record::{Head, Release, Stamp};

/// Current revisions in the order of columns that [`read`] expects, and then the condition.
macro_rules! select_current {
    ($condition:literal) => {
        concat!(
            "SELECT r.id, r.class, r.tenant, r.name, r.origin, r.retain_for, r.released_at, r.purge_at, r.epoch, r.mac, ",
            "v.number, v.version_id, v.at, v.actor, v.epoch, v.sealed ",
            "FROM records r JOIN revisions v ON v.record = r.id AND v.number = r.revision ",
            "WHERE ",
            $condition
        )
    };
}
pub(super) use select_current;

pub(super) fn read(columns: &rusqlite::Row<'_>) -> Result<Row> {
    let (head, mac) = head(columns)?;
    let (stamp, sealed) = revision(head.id, columns, 10)?;
    Ok(Row { head, stamp, sealed, mac })
}

fn head(columns: &rusqlite::Row<'_>) -> Result<(Head, Mac)> {
    let id = RecordId::from_bytes(columns.get(0)?);
    let damaged = |why: &dyn Display| damaged(id, why);
    let origin: String = columns.get(4)?;
    let head = Head {
        id,
        class: class(columns.get(1)?).ok_or_else(|| damaged(&"unknown class"))?,
        tenant: Tenant::namespace(&columns.get::<_, String>(2)?),
        name: columns.get(3)?,
        origin: serde_json::from_str(&origin).map_err(|error| damaged(&error))?,
        retain_for: SignedDuration::from_micros(columns.get(5)?),
        released: release(columns)?,
    };
    Ok((head, Mac { epoch: columns.get(8)?, bytes: columns.get(9)? }))
}

/// The stamp and the sealed body, whose columns begin at `first`.
pub(super) fn revision(id: RecordId, columns: &rusqlite::Row<'_>, first: usize) -> Result<(Stamp, Sealed)> {
    let number: i64 = columns.get(first)?;
    let stamp = Stamp {
        number: Revision(number.try_into().map_err(|error| damaged(id, &error))?),
        version_id: VersionId::from_bytes(columns.get(first + 1)?),
        at: time(columns.get(first + 2)?)?,
        by: columns.get(first + 3)?,
    };
    Ok((stamp, Sealed { epoch: columns.get(first + 4)?, bytes: columns.get(first + 5)? }))
}

fn release(columns: &rusqlite::Row<'_>) -> Result<Option<Release>> {
    let (Some(at), Some(purge_at)) = (columns.get(6)?, columns.get(7)?) else { return Ok(None) };
    Ok(Some(Release { at: time(at)?, purge_at: time(purge_at)? }))
}

fn time(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(super::file::unavailable)
}
