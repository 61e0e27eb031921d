//! Which store: the PostgreSQL database of `--database`, or the file in the data folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use crate::adapters::store::{PostgresStore, SqliteStore};
use crate::app::alarm::Alarm;
use crate::app::ports::{Beginning, Items, JournalTable, KeyTable, Store, Vacant};
use crate::app::witness::Witnessed;
use crate::config::Settings;
use crate::domain::Error;
use crate::runtime::told;

/// What a store is to the use cases and to the keyring.
pub trait Database: Store + KeyTable + Witnessed {
    /// Where its journals are kept, if not in a folder.
    fn journals(self: Arc<Self>) -> Option<Arc<dyn JournalTable>>;

    /// What is wrong with the file behind it, if that is ours to look at.
    fn examine(&self) -> Option<Result<Vec<String>, Error>>;
}

impl Database for SqliteStore {
    fn journals(self: Arc<Self>) -> Option<Arc<dyn JournalTable>> {
        None
    }

    fn examine(&self) -> Option<Result<Vec<String>, Error>> {
        Some(Self::examine(self))
    }
}

impl Database for PostgresStore {
    fn journals(self: Arc<Self>) -> Option<Arc<dyn JournalTable>> {
        Some(self)
    }

    fn examine(&self) -> Option<Result<Vec<String>, Error>> {
        None
    }
}

pub async fn open(settings: &Settings, alarm: &Alarm) -> anyhow::Result<Arc<dyn Database>> {
    let opening = || format!("opening the store {}", name(settings));
    Ok(match &settings.database {
        Some(url) => {
            make_data_dir(settings)?;
            Arc::new(PostgresStore::open(url).await.map_err(told).with_context(opening)?)
        }
        None => Arc::new(SqliteStore::open(&file(settings), alarm.clone()).map_err(told).with_context(opening)?),
    })
}

/// Refuses a store that has been used.
pub async fn require_vacant(settings: &Settings) -> anyhow::Result<()> {
    let vacant = match &settings.database {
        Some(url) => PostgresStore::open(url).await.map_err(told)?.require_vacant().await,
        None => SqliteStore::open(&file(settings), Alarm::default()).map_err(told)?.require_vacant().await,
    };
    vacant.map_err(told).with_context(|| name(settings))
}

/// Makes a store the copy of another.
pub async fn fill(settings: &Settings, beginning: Beginning, items: Items) -> anyhow::Result<Arc<dyn Database>> {
    Ok(match &settings.database {
        Some(url) => {
            make_data_dir(settings)?;
            let store = PostgresStore::open(url).await.map_err(told)?;
            Arc::new(store.fill(beginning, items).await.map_err(told)?)
        }
        None => {
            let store = SqliteStore::open(&file(settings), Alarm::default()).map_err(told)?;
            Arc::new(store.fill(beginning, items).await.map_err(told)?)
        }
    })
}

/// Whether there is one already. Makes nothing.
pub async fn exists(settings: &Settings) -> anyhow::Result<bool> {
    match &settings.database {
        Some(url) => PostgresStore::exists(url).await.map_err(told).with_context(|| name(settings)),
        None => Ok(file(settings).exists()),
    }
}

/// Looks at every page of the file. `Err` says what is wrong and what to do; `None`: PostgreSQL has tools of its own.
pub async fn examine(settings: &Settings) -> Option<Result<String, String>> {
    let store = open(settings, &Alarm::default()).await.ok()?;
    let found = store.examine()?.unwrap_or_else(|error| vec![error.detail().unwrap_or("unreadable").to_owned()]);
    let Some(first) = found.first() else { return Some(Ok("every page and every index is sound".into())) };
    Some(Err(format!(
        "the file is damaged: {first}, and {} more; records may be missing under their names. Stop the server, back up, \
         and restore into an empty folder with the same root key: that makes every index anew and proves every value. If \
         the backup is refused, restore the last good one",
        found.len() - 1
    )))
}

/// As it may be shown: without a password.
pub fn name(settings: &Settings) -> String {
    let hosts =
        |url| PostgresStore::hosts_of(url).map_or_else(|_| "of --database".into(), |hosts| format!("on {hosts}"));
    settings.database.as_ref().map_or_else(|| file(settings).display().to_string(), hosts)
}

/// The embedded store makes it together with its file.
fn make_data_dir(settings: &Settings) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&settings.data_dir);
    made.with_context(|| format!("making {}", settings.data_dir.display()))
}

fn file(settings: &Settings) -> PathBuf {
    settings.data_dir.join("strongroom.db")
}
