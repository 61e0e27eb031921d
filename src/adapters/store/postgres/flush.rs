//! Writes back what a batch has changed, column by column: a handful of statements whatever the number of writes.

use sqlx::postgres::PgConnection;
use sqlx::query;
use sqlx::types::Uuid;

use super::draft::{Body, Card, Copy, Draft};
use super::row;
use crate::app::ledger::Ledger;
use crate::app::ports::Sealed;
use crate::domain::Result;
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::{Head, Stamp};

const REMOVE: &str = "DELETE FROM strongroom.records WHERE id = ANY ($1)";

const FREE: &str = "
    WITH freed AS (DELETE FROM strongroom.aliases WHERE record = ANY ($1))
    DELETE FROM strongroom.links WHERE from_id = ANY ($2)";

/// Uniqueness of names and the reference to the record are judged behind the whole statement.
const WRITE: &str = "
    WITH heads AS (
        INSERT INTO strongroom.records
            (id, class, tenant, name, name_key, origin, retain_for, released_at, purge_at, revision, epoch, mac)
        SELECT * FROM unnest($1::uuid[], $2::int2[], $3::bytea[], $4::bytea[], $5::bytea[], $6::text[], $7::int8[],
                             $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::bytea[])
        ON CONFLICT (id) DO UPDATE SET
            tenant = excluded.tenant, name = excluded.name, name_key = excluded.name_key, origin = excluded.origin,
            retain_for = excluded.retain_for, released_at = excluded.released_at, purge_at = excluded.purge_at,
            revision = excluded.revision, epoch = excluded.epoch, mac = excluded.mac
    ), bodies AS (
        INSERT INTO strongroom.revisions (record, number, version_id, at, actor, epoch, sealed)
        SELECT * FROM unnest($13::uuid[], $14::int8[], $15::uuid[], $16::int8[], $17::bytea[], $18::int8[],
                             $19::bytea[])
    ), notes AS (
        INSERT INTO strongroom.audit (number, hash, note, batch)
        SELECT n.*, $23::uuid FROM unnest($20::int8[], $21::bytea[], $22::text[]) AS n
    )
    UPDATE strongroom.ledger
       SET number = $24, hash = $25, count = $26, sum = $27, epoch = $28, fence = $29, mac = $30";

const RELATE: &str = "
    WITH named AS (
        INSERT INTO strongroom.aliases (class, kind, value, record)
        SELECT DISTINCT * FROM unnest($1::int2[], $2::int2[], $3::bytea[], $4::uuid[])
    )
    INSERT INTO strongroom.links (from_id, to_id) SELECT DISTINCT * FROM unnest($5::uuid[], $6::uuid[])";

const RESEAL: &str = "
    UPDATE strongroom.revisions v SET epoch = s.epoch, sealed = s.sealed
      FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::bytea[]) AS s (record, number, epoch, sealed)
     WHERE v.record = s.record AND v.number = s.number";

const ADD_KEY: &str = "
    INSERT INTO strongroom.data_keys (epoch, root, wrapped) VALUES ($1, $2, $3)
    ON CONFLICT (epoch, root) DO UPDATE SET wrapped = excluded.wrapped";
const REMOVE_KEY: &str = "DELETE FROM strongroom.data_keys WHERE epoch = $1 AND root = $2";

/// What is to be written, as columns.
#[derive(Default)]
pub(super) struct Columns {
    removed: Vec<Uuid>,
    freed_aliases: Vec<Uuid>,
    freed_links: Vec<Uuid>,
    heads: Heads,
    bodies: Bodies,
    resealed: Resealed,
    aliases: Aliases,
    links: (Vec<Uuid>, Vec<Uuid>),
    notes: (Vec<i64>, Vec<Vec<u8>>, Vec<String>),
    new_keys: Vec<(i64, String, Vec<u8>)>,
    gone_keys: Vec<(i64, String)>,
}

#[derive(Default)]
struct Heads {
    ids: Vec<Uuid>,
    classes: Vec<i16>,
    tenants: Vec<Vec<u8>>,
    names: Vec<Vec<u8>>,
    name_keys: Vec<Vec<u8>>,
    origins: Vec<String>,
    retain_for: Vec<i64>,
    released_at: Vec<Option<i64>>,
    purge_at: Vec<Option<i64>>,
    revisions: Vec<i64>,
    epochs: Vec<i64>,
    macs: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Bodies {
    records: Vec<Uuid>,
    numbers: Vec<i64>,
    version_ids: Vec<Uuid>,
    at: Vec<i64>,
    actors: Vec<Vec<u8>>,
    epochs: Vec<i64>,
    sealed: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Resealed {
    records: Vec<Uuid>,
    numbers: Vec<i64>,
    epochs: Vec<i64>,
    sealed: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Aliases {
    classes: Vec<i16>,
    kinds: Vec<i16>,
    values: Vec<Vec<u8>>,
    records: Vec<Uuid>,
}

impl Columns {
    pub(super) fn of(draft: &Draft) -> Result<Self> {
        let mut columns =
            Self { removed: draft.removed.iter().map(|(id, ())| row::uuid(*id)).collect(), ..Self::default() };
        for (id, card) in draft.cards.iter() {
            if let Some((card, head)) = card.as_ref().and_then(|card| Some((card, card.head.as_ref()?))) {
                columns.add_head(*id, card, head)?;
            }
        }
        for ((id, number), body) in draft.bodies.iter() {
            match body {
                Body::New(stamp, sealed) => columns.bodies.add(*id, stamp, sealed)?,
                Body::Resealed(sealed) => columns.resealed.add(*id, *number, sealed)?,
                Body::Stored { .. } | Body::Gone => {}
            }
        }
        for (position, note) in &draft.notes {
            columns.notes.0.push(row::counted(position.number)?);
            columns.notes.1.push(position.hash.to_vec());
            columns.notes.2.push(note.as_str().to_owned());
        }
        for ((epoch, root), copy) in draft.keys.iter() {
            match copy {
                Copy::New(wrapped) => columns.new_keys.push(((*epoch).into(), root.clone(), wrapped.clone())),
                Copy::Gone => columns.gone_keys.push(((*epoch).into(), root.clone())),
                Copy::Stored => {}
            }
        }
        Ok(columns)
    }

    fn add_head(&mut self, id: RecordId, card: &Card, head: &Head) -> Result<()> {
        self.heads.add(card, head)?;
        if card.is_stored && card.rewrites_aliases {
            self.freed_aliases.push(row::uuid(id));
        }
        if card.is_stored && card.links.is_some() {
            self.freed_links.push(row::uuid(id));
        }
        if card.rewrites_aliases {
            for alias in &card.aliases {
                self.aliases.classes.push(row::class_number(head.class));
                self.aliases.kinds.push(row::alias_number(alias.kind));
                self.aliases.values.push(alias.value.as_bytes().to_vec());
                self.aliases.records.push(row::uuid(id));
            }
        }
        if let Some(links) = &card.links {
            self.links.0.extend(links.iter().map(|_| row::uuid(id)));
            self.links.1.extend(links.iter().copied().map(row::uuid));
        }
        Ok(())
    }

    pub(super) async fn write(self, connection: &mut PgConnection, ledger: &Ledger, batch: Uuid) -> sqlx::Result<()> {
        if !self.removed.is_empty() {
            query(REMOVE).bind(&self.removed).execute(&mut *connection).await?;
        }
        if !self.freed_aliases.is_empty() || !self.freed_links.is_empty() {
            query(FREE).bind(&self.freed_aliases).bind(&self.freed_links).execute(&mut *connection).await?;
        }
        let (h, b, n) = (self.heads, self.bodies, self.notes);
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let heads = query(WRITE).bind(h.ids).bind(h.classes).bind(h.tenants).bind(h.names).bind(h.name_keys);
        let heads = heads.bind(h.origins).bind(h.retain_for).bind(h.released_at).bind(h.purge_at);
        let heads = heads.bind(h.revisions).bind(h.epochs).bind(h.macs);
        let bodies = heads.bind(b.records).bind(b.numbers).bind(b.version_ids).bind(b.at).bind(b.actors);
        let bodies = bodies.bind(b.epochs).bind(b.sealed);
        let notes = bodies.bind(n.0).bind(n.1).bind(n.2).bind(batch);
        let position = notes.bind(number(ledger.position.number)).bind(ledger.position.hash.to_vec());
        let all = position.bind(number(ledger.count)).bind(ledger.sum.to_vec()).bind(i64::from(ledger.epoch));
        all.bind(number(ledger.fence.0)).bind(ledger.mac.to_vec()).execute(&mut *connection).await?;
        if !self.aliases.records.is_empty() || !self.links.0.is_empty() {
            let named = query(RELATE).bind(self.aliases.classes).bind(self.aliases.kinds).bind(self.aliases.values);
            let linked = named.bind(self.aliases.records).bind(self.links.0).bind(self.links.1);
            linked.execute(&mut *connection).await?;
        }
        if !self.resealed.records.is_empty() {
            let r = self.resealed;
            let resealed = query(RESEAL).bind(r.records).bind(r.numbers).bind(r.epochs).bind(r.sealed);
            resealed.execute(&mut *connection).await?;
        }
        for (epoch, root) in self.gone_keys {
            query(REMOVE_KEY).bind(epoch).bind(root).execute(&mut *connection).await?;
        }
        for (epoch, root, wrapped) in self.new_keys {
            query(ADD_KEY).bind(epoch).bind(root).bind(wrapped).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

impl Heads {
    fn add(&mut self, card: &Card, head: &Head) -> Result<()> {
        self.ids.push(row::uuid(head.id));
        self.classes.push(row::class_number(head.class));
        self.tenants.push(head.tenant.as_str().as_bytes().to_vec());
        self.names.push(head.name.as_bytes().to_vec());
        self.name_keys.push(card.name_key.as_bytes().to_vec());
        self.origins.push(row::origin_text(&head.origin)?);
        self.retain_for.push(row::micros(head.retain_for)?);
        self.released_at.push(head.released.map(|release| release.at.as_microsecond()));
        self.purge_at.push(head.released.map(|release| release.purge_at.as_microsecond()));
        self.revisions.push(row::counted(card.held.revision.0)?);
        self.epochs.push(card.held.mac.epoch.into());
        self.macs.push(card.held.mac.bytes.to_vec());
        Ok(())
    }
}

impl Bodies {
    fn add(&mut self, id: RecordId, stamp: &Stamp, sealed: &Sealed) -> Result<()> {
        self.records.push(row::uuid(id));
        self.numbers.push(row::counted(stamp.number.0)?);
        self.version_ids.push(Uuid::from_bytes(*stamp.version_id.bytes()));
        self.at.push(stamp.at.as_microsecond());
        self.actors.push(stamp.by.as_bytes().to_vec());
        self.epochs.push(sealed.epoch.into());
        self.sealed.push(sealed.bytes.clone());
        Ok(())
    }
}

impl Resealed {
    fn add(&mut self, id: RecordId, number: Revision, sealed: &Sealed) -> Result<()> {
        self.records.push(row::uuid(id));
        self.numbers.push(row::counted(number.0)?);
        self.epochs.push(sealed.epoch.into());
        self.sealed.push(sealed.bytes.clone());
        Ok(())
    }
}
