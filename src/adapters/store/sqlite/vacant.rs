//! An empty file that becomes the copy of another store, in one transaction on a connection of its own.

use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior, params};

use super::write::{WRITE_REVISION, execute, write_ledger};
use super::{SqliteStore, file, row, schema};
use crate::adapters::store::{Contents, name_key};
use crate::app::ports::{Beginning, HeadRow, Item, Items, RevisionRow, Vacant};
use crate::domain::Result;

const CONTENTS: &str = "SELECT
    (SELECT count(*) FROM data_keys), (SELECT count(*) FROM records), (SELECT count(*) FROM audit)";
const HEAD: &str = "
    INSERT INTO records (id, class, tenant, name, name_key, origin, retain_for, released_at, purge_at, revision, epoch, mac)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const ALIAS: &str = "INSERT INTO aliases (record, class, kind, value) VALUES (?1, ?2, ?3, ?4)";
const LINK: &str = "INSERT INTO links (from_id, to_id) VALUES (?1, ?2)";
const KEY: &str = "INSERT INTO data_keys (epoch, root, wrapped) VALUES (?1, ?2, ?3)";
const NOTE: &str = "INSERT INTO audit (number, hash, note) VALUES (?1, ?2, ?3)";

#[async_trait]
impl Vacant for SqliteStore {
    async fn require_vacant(&self) -> Result<()> {
        let connection = file::reader(self.readers.path())?;
        require_vacant(&connection)
    }

    /// The lock is held from the first look to the commit: a server that starts on the file meanwhile waits
    /// for it, and gives up rather than making a first key.
    async fn fill(self, beginning: Beginning, items: Items) -> Result<Self> {
        let (path, alarm) = (self.readers.path().to_owned(), self.alarm.clone());
        self.close()?;
        let mut connection = file::writer(&path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        require_vacant(&transaction)?;
        schema::adopt(&transaction, beginning.store)?;
        for item in items {
            put(&transaction, item?)?;
        }
        write_ledger(&transaction, &beginning.ledger)?;
        transaction.commit().inspect_err(|error| file::raise_if_unsynced(error, &alarm))?;
        drop(connection);
        Self::open(&path, alarm)
    }
}

fn require_vacant(connection: &Connection) -> Result<()> {
    let contents = connection.query_row(CONTENTS, [], |row| {
        Ok(Contents { data_keys: row.get(0)?, records: row.get(1)?, notes: row.get(2)? })
    });
    contents?.require_none()
}

fn put(connection: &Connection, item: Item) -> Result<()> {
    match item {
        Item::Key(key) => execute(connection, KEY, params![key.epoch, key.root, key.wrapped]).map(drop),
        Item::Head(row) => put_head(connection, &row),
        Item::Revision(row) => put_revision(connection, &row),
        Item::Note(position, note) => {
            execute(connection, NOTE, params![position.number, position.hash, note.as_str()]).map(drop)
        }
    }
}

fn put_head(connection: &Connection, row: &HeadRow) -> Result<()> {
    let HeadRow { head, stamp, mac, aliases, links } = row;
    let (id, class) = (head.id.bytes(), row::class_number(head.class));
    let [at, purge_at] = [head.released.map(|it| it.at), head.released.map(|it| it.purge_at)]
        .map(|time| time.map(|time| time.as_microsecond()));
    let (origin, key) = (row::origin_text(&head.origin)?, name_key(&head.name));
    let (retain_for, number) = (row::micros(head.retain_for)?, row::counted(stamp.number.0)?);
    let tenant = head.tenant.as_str();
    let columns =
        params![id, class, tenant, head.name, key, origin, retain_for, at, purge_at, number, mac.epoch, mac.bytes];
    execute(connection, HEAD, columns)?;
    for alias in aliases {
        execute(connection, ALIAS, params![id, class, row::alias_number(alias.kind), alias.value])?;
    }
    for link in links {
        execute(connection, LINK, [id, link.bytes()])?;
    }
    Ok(())
}

fn put_revision(connection: &Connection, row: &RevisionRow) -> Result<()> {
    let RevisionRow { id, stamp, sealed } = row;
    let (number, at) = (row::counted(stamp.number.0)?, stamp.at.as_microsecond());
    let columns = params![id.bytes(), number, stamp.version_id.bytes(), at, stamp.by, sealed.epoch, sealed.bytes];
    execute(connection, WRITE_REVISION, columns).map(drop)
}
