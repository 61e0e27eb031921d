//! An empty database that becomes the copy of another store, in one transaction on a session of its own.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use sqlx::types::Uuid;
use sqlx::{Executor, query, raw_sql};

use super::{PostgresStore, fault, row, schema};
use crate::adapters::store::{Contents, name_key};
use crate::app::ledger::Ledger;
use crate::app::ports::{Beginning, HeadRow, Item, Items, RevisionRow, Vacant};
use crate::domain::{Error, Result};

/// Holds what every write holds, from the first look to the commit: of a server that starts meanwhile the
/// first key comes too late. Whoever reads the file may take a while between two items.
const BEGIN: &str = "
    BEGIN;
    SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL statement_timeout = '60s';
    SELECT 1 FROM strongroom.ledger FOR UPDATE";
const CONTENTS: &str = "SELECT (SELECT count(*) FROM strongroom.data_keys),
    (SELECT count(*) FROM strongroom.records), (SELECT count(*) FROM strongroom.audit)";
const KEY: &str = "INSERT INTO strongroom.data_keys (epoch, root, wrapped) VALUES ($1, $2, $3)";
const HEAD: &str = "
    INSERT INTO strongroom.records
        (id, class, tenant, name, name_key, origin, retain_for, released_at, purge_at, revision, epoch, mac)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const REVISION: &str = "
    INSERT INTO strongroom.revisions (record, number, version_id, at, actor, epoch, sealed)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const ALIAS: &str = "INSERT INTO strongroom.aliases (class, kind, value, record) VALUES ($1, $2, $3, $4)";
const LINK: &str = "INSERT INTO strongroom.links (from_id, to_id) VALUES ($1, $2)";
/// No process has written this batch, so none asks for it.
const NOTE: &str = "INSERT INTO strongroom.audit (number, hash, note, batch) VALUES ($1, $2, $3, $4)";
const LEDGER: &str = "UPDATE strongroom.ledger
    SET number = $1, hash = $2, count = $3, sum = $4, epoch = $5, fence = $6, mac = $7";

#[async_trait]
impl Vacant for PostgresStore {
    async fn require_vacant(&self) -> Result<()> {
        let mut session = self.dialer.dial().await?;
        require_vacant(&mut session.connection).await
    }

    async fn fill(self, beginning: Beginning, items: Items) -> Result<Self> {
        let dialer = self.dialer.clone();
        self.close().await;
        let mut session = dialer.dial().await?;
        let connection = &mut session.connection;
        connection.fetch_all(raw_sql(BEGIN)).await.map_err(refused)?;
        require_vacant(connection).await?;
        schema::adopt(connection, beginning.store).await.map_err(refused)?;
        for item in items {
            put(connection, item?).await?;
        }
        put_ledger(connection, &beginning.ledger).await?;
        connection.execute("COMMIT").await.map_err(refused)?;
        Self::start(dialer).await
    }
}

fn refused(fault: sqlx::Error) -> Error {
    fault::refused(&fault)
}

async fn require_vacant(connection: &mut PgConnection) -> Result<()> {
    let columns = query(CONTENTS).fetch_one(connection).await.map_err(refused)?;
    let [data_keys, records, notes] = [row::number(&columns, 0)?, row::number(&columns, 1)?, row::number(&columns, 2)?];
    Contents { data_keys, records, notes }.require_none()
}

async fn put(connection: &mut PgConnection, item: Item) -> Result<()> {
    match item {
        Item::Key(key) => {
            let insert = query(KEY).bind(i64::from(key.epoch)).bind(key.root).bind(key.wrapped);
            insert.execute(connection).await.map(drop).map_err(refused)
        }
        Item::Head(row) => put_head(connection, *row).await,
        Item::Revision(row) => put_revision(connection, *row).await,
        Item::Note(position, note) => {
            let insert = query(NOTE).bind(row::counted(position.number)?).bind(position.hash.to_vec());
            let insert = insert.bind(note.as_str()).bind(Uuid::nil());
            insert.execute(connection).await.map(drop).map_err(refused)
        }
    }
}

async fn put_head(connection: &mut PgConnection, row: HeadRow) -> Result<()> {
    let HeadRow { head, stamp, mac, aliases, links } = row;
    let (id, class) = (row::uuid(head.id), row::class_number(head.class));
    let insert = query(HEAD)
        .bind(id)
        .bind(class)
        .bind(head.tenant.as_str().as_bytes())
        .bind(head.name.as_bytes())
        .bind(name_key(&head.name).into_bytes())
        .bind(row::origin_text(&head.origin)?)
        .bind(row::micros(head.retain_for)?)
        .bind(head.released.map(|release| release.at.as_microsecond()))
        .bind(head.released.map(|release| release.purge_at.as_microsecond()))
        .bind(row::counted(stamp.number.0)?)
        .bind(i64::from(mac.epoch))
        .bind(mac.bytes.to_vec());
    insert.execute(&mut *connection).await.map_err(refused)?;
    for alias in aliases {
        let kind = row::alias_number(alias.kind);
        let insert = query(ALIAS).bind(class).bind(kind).bind(alias.value.into_bytes()).bind(id);
        insert.execute(&mut *connection).await.map_err(refused)?;
    }
    for link in links {
        query(LINK).bind(id).bind(row::uuid(link)).execute(&mut *connection).await.map_err(refused)?;
    }
    Ok(())
}

async fn put_revision(connection: &mut PgConnection, row: RevisionRow) -> Result<()> {
    let RevisionRow { id, stamp, sealed } = row;
    let insert = query(REVISION)
        .bind(row::uuid(id))
        .bind(row::counted(stamp.number.0)?)
        .bind(Uuid::from_bytes(*stamp.version_id.bytes()))
        .bind(stamp.at.as_microsecond())
        .bind(stamp.by.into_bytes())
        .bind(i64::from(sealed.epoch))
        .bind(sealed.bytes);
    insert.execute(connection).await.map(drop).map_err(refused)
}

async fn put_ledger(connection: &mut PgConnection, ledger: &Ledger) -> Result<()> {
    let update = query(LEDGER)
        .bind(row::counted(ledger.position.number)?)
        .bind(ledger.position.hash.to_vec())
        .bind(row::counted(ledger.count)?)
        .bind(ledger.sum.to_vec())
        .bind(i64::from(ledger.epoch))
        .bind(row::counted(ledger.fence.0)?)
        .bind(ledger.mac.to_vec());
    update.execute(connection).await.map(drop).map_err(refused)
}
