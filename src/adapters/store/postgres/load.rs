//! Reads what a batch of writes will be judged by, under the ledger's lock: one statement for the records, one more
//! for the few writes that concern data keys.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::query;
use sqlx::types::Uuid;

use super::draft::Draft;
use super::row;
use crate::adapters::store::{Held, column, name_key};
use crate::app::ports::{Alias, Append, Change, Mac, Write};
use crate::domain::name::Revision;
use crate::domain::{Error, Result};

const RECORD: i32 = 1;
const NAME: i32 = 2;
const ALIAS: i32 = 3;
const BODY: i32 = 4;

/// Records by id; holders of names; aliases of the records and holders of aliases; revisions. The first column says
/// which, the others mean what suits it.
const RECORDS: &str = "
    SELECT 1::int4, r.id, r.class, r.revision, r.epoch, r.mac, r.name_key
      FROM strongroom.records r WHERE r.id = ANY ($1)
    UNION ALL
    SELECT 2, r.id, r.class, 0, 0, ''::bytea, r.name_key
      FROM unnest($2::int2[], $3::bytea[]) AS w (class, name_key) JOIN strongroom.records r USING (class, name_key)
    UNION ALL
    SELECT 3, a.record, a.class, a.kind, 0, ''::bytea, a.value
      FROM strongroom.aliases a WHERE a.record = ANY ($1)
    UNION ALL
    SELECT 3, a.record, a.class, a.kind, 0, ''::bytea, a.value
      FROM unnest($4::int2[], $5::int2[], $6::bytea[]) AS w (class, kind, value)
      JOIN strongroom.aliases a USING (class, kind, value)
     WHERE a.record <> ALL ($1)
    UNION ALL
    SELECT 4, v.record, 0::int2, v.number, v.epoch, ''::bytea, ''::bytea
      FROM unnest($7::uuid[], $8::int8[]) AS w (record, number) JOIN strongroom.revisions v USING (record, number)";

const KEYS: &str = "SELECT epoch, root FROM strongroom.data_keys";

const USED: &str = "
    SELECT e.epoch FROM unnest($1::int8[]) AS e (epoch)
     WHERE EXISTS (SELECT FROM strongroom.revisions v WHERE v.epoch = e.epoch)
        OR EXISTS (SELECT FROM strongroom.records r WHERE r.epoch = e.epoch)";

/// What the changes name.
#[derive(Default)]
struct Wanted {
    ids: Vec<Uuid>,
    name_classes: Vec<i16>,
    name_keys: Vec<Vec<u8>>,
    alias_classes: Vec<i16>,
    alias_kinds: Vec<i16>,
    alias_values: Vec<Vec<u8>>,
    body_ids: Vec<Uuid>,
    body_numbers: Vec<i64>,
    keys: bool,
    retired: Vec<i64>,
}

/// The outer error is the database's, the inner one says that what is stored cannot be.
pub(super) async fn load<'w>(
    connection: &mut PgConnection,
    writes: impl Iterator<Item = &'w Write>,
) -> sqlx::Result<Result<Draft>> {
    let mut wanted = Wanted::default();
    for (change, _) in writes.flat_map(|write| &write.changes) {
        wanted.add(change);
    }
    let mut draft = Draft::default();
    for columns in wanted.records(connection).await? {
        if let Err(error) = take(&mut draft, &columns) {
            return Ok(Err(error));
        }
    }
    if wanted.keys {
        for columns in query(KEYS).fetch_all(&mut *connection).await? {
            match row::number(&columns, 0).and_then(|epoch| Ok((epoch, row::get(&columns, 1)?))) {
                Ok((epoch, root)) => draft.load_key(epoch, root),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    if !wanted.retired.is_empty() {
        for columns in query(USED).bind(&wanted.retired).fetch_all(connection).await? {
            match row::number(&columns, 0) {
                Ok(epoch) => draft.load_use(epoch),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    Ok(Ok(draft))
}

impl Wanted {
    fn add(&mut self, change: &Change) {
        match change {
            Change::Append(append) => self.add_append(append),
            Change::Rehead { head, .. } => self.ids.push(row::uuid(head.id)),
            Change::Forget { id, .. } => self.ids.push(row::uuid(*id)),
            Change::Reseal { id, number, .. } => {
                self.body_ids.push(row::uuid(*id));
                self.body_numbers.push(i64::try_from(number.0).unwrap_or(-1)); // no such revision
            }
            Change::RetireKey { epoch } => {
                self.keys = true;
                self.retired.push((*epoch).into());
            }
            Change::AddKey(_) | Change::RetireRoot { .. } => self.keys = true,
            Change::Raise(_) | Change::Remark => {}
        }
    }

    fn add_append(&mut self, append: &Append) {
        let head = &append.row.head;
        let class = row::class_number(head.class);
        self.ids.push(row::uuid(head.id));
        self.name_classes.push(class);
        self.name_keys.push(name_key(&head.name).into_bytes());
        for alias in &append.aliases {
            self.alias_classes.push(class);
            self.alias_kinds.push(row::alias_number(alias.kind));
            self.alias_values.push(alias.value.as_bytes().to_vec());
        }
    }

    async fn records(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<PgRow>> {
        if self.ids.is_empty() && self.body_ids.is_empty() {
            return Ok(Vec::new());
        }
        let names = query(RECORDS).bind(&self.ids).bind(&self.name_classes).bind(&self.name_keys);
        let aliases = names.bind(&self.alias_classes).bind(&self.alias_kinds).bind(&self.alias_values);
        aliases.bind(&self.body_ids).bind(&self.body_numbers).fetch_all(connection).await
    }
}

/// Records come before their aliases: that is the order of the statement.
fn take(draft: &mut Draft, columns: &PgRow) -> Result<()> {
    let id = row::id(columns, 1)?;
    let strange = |what: &str| Error::Damaged { what: format!("record {id}"), detail: format!("unknown {what}") };
    let class = || column::class(row::get(columns, 2)?).ok_or_else(|| strange("class"));
    let text = || String::from_utf8(row::get(columns, 6)?).map_err(|_| strange("text"));
    match row::get(columns, 0)? {
        RECORD => {
            let mac = Mac { epoch: row::number(columns, 4)?, bytes: row::bytes(columns, 5)? };
            let held = Held { class: class()?, revision: Revision(row::number(columns, 3)?), mac };
            draft.load_record(id, held, text()?);
        }
        NAME => draft.load_name(class()?, text()?, id),
        ALIAS => {
            let kind = i16::try_from(row::number::<i64>(columns, 3)?).ok().and_then(row::alias_kind);
            let alias = Alias { kind: kind.ok_or_else(|| strange("kind of alias"))?, value: text()? };
            draft.load_alias(class()?, alias, id);
        }
        BODY => draft.load_body(id, Revision(row::number(columns, 3)?), row::number(columns, 4)?),
        _ => return Err(strange("row")),
    }
    Ok(())
}
