//! The database file: its permissions, its connections and their settings, and what its errors become.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::log_index::Connected;
use crate::app::alarm::Alarm;
use crate::domain::{Error, Result};

/// How long a connection waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// More statements than either side has, so that none is ever compiled twice.
const STATEMENTS: usize = 64;

/// Each commit is synced (FULL). When the log is copied into the file is for `checkpoint` to say; one that starts over is
/// cut to 4 MiB, because each start writes all of it again.
const WRITER: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 4194304;";
const EVERY: &str = "PRAGMA mmap_size = 268435456; PRAGMA cache_size = -4096; PRAGMA trusted_schema = OFF;";

/// A connection, which is closed before it is counted as closed.
pub(super) struct Opened {
    connection: Connection,
    _connected: Connected,
}

impl Deref for Opened {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Opened {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Makes the file if it is not there, so that nobody else can ever have read it; SQLite gives its log the
/// same mode. The answer is absolute: SQLite would take a relative `file:…` for a URI.
pub(super) fn create(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|error| at(path, error))?;
    let folder = path.parent().ok_or_else(|| at(&path, "is not a file"))?;
    let new_folder = !folder.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| at(folder, error))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(_) => {
            sync_folder(folder)?;
            folder.parent().filter(|_| new_folder).map_or(Ok(()), sync_folder)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(at(&path, error)),
    }
    Ok(path)
}

/// A file whose folder was not synced can vanish with the power, and with it what was acknowledged.
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at(folder, error))
}

pub(super) fn writer(path: &Path) -> Result<Opened> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    use_log(&connection)?;
    connection.execute_batch(WRITER)?;
    Ok(connection)
}

pub(super) fn reader(path: &Path) -> Result<Opened> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// After a failed sync the kernel takes for written what is not on the disk: the log is read as it should be, no
/// later sync repairs it, and what is appended behind the gap would be lost with the power. Written again, it is
/// on the disk before anything is built upon it. The lock keeps other processes from appending meanwhile.
pub(super) fn write_log_again(path: &Path, connection: &Connection) -> Result<()> {
    let log = with_suffix(path, "-wal");
    if std::fs::metadata(&log).map_or(0, |found| found.len()) == 0 {
        return Ok(());
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let written = std::fs::read(&log).and_then(|bytes| {
        let file = OpenOptions::new().write(true).open(&log)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()
    });
    connection.execute_batch("ROLLBACK")?;
    written.map_err(|error| at(&log, error))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A connection is never used by two threads at once, so SQLite need not lock it. Plans do not depend on
/// the values bound (QPSG): otherwise the partial index makes SQLite compile a cached statement anew for
/// each value, which takes longer than the read.
fn open(path: &Path, access: OpenFlags) -> Result<Opened> {
    let connected = Connected::to(path);
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(EVERY)?;
    Ok(Opened { connection, _connected: connected })
}

/// Write-ahead logging lets reads go on beside a write. SQLite does not wait for the lock that the change
/// needs when two processes make it at the same time, so we do.
fn use_log(connection: &Connection) -> Result<()> {
    let start = Instant::now();
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(unavailable(format!("this file system only allows journal mode {mode}"))),
            Err(error) if is_busy(&error) && start.elapsed() < BUSY => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn at(path: &Path, why: impl std::fmt::Display) -> Error {
    unavailable(format!("{}: {why}", path.display()))
}

pub(super) fn unavailable(detail: impl ToString) -> Error {
    Error::Unavailable { part: "the store", detail: detail.to_string() }
}

/// A full disk is waited out; a sync that failed is the end of this process.
pub(super) fn raise_if_unsynced(error: &rusqlite::Error, alarm: &Alarm) {
    if let rusqlite::Error::SqliteFailure(ffi::Error { extended_code, .. }, _) = error
        && matches!(*extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    {
        alarm.raise("the store's disk failed to sync");
    }
}

/// SQLite's messages name tables and columns, never what is in them.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sqlite;
        match error {
            // A column that holds something else than we ever write there.
            Sqlite::FromSqlConversionFailure(..)
            | Sqlite::IntegralValueOutOfRange(..)
            | Sqlite::InvalidColumnType(..)
            | Sqlite::Utf8Error(..) => {
                Error::Damaged { what: "a record of the store".into(), detail: error.to_string() }
            }
            error => unavailable(error),
        }
    }
}
