//! Copies the log into the file beside the writer, so that no write waits for the syncs that this takes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::file;
use crate::app::alarm::Alarm;
use crate::domain::Result;

/// The log is copied when it has grown to this. A larger one makes starting slower.
const LOG: u64 = 16 << 20;
/// Writers that never pause keep the log from starting over; from here on they wait for it once.
const LIMIT: u64 = 128 << 20;

pub(super) struct Checkpoints {
    log: PathBuf,
    wish: Option<SyncSender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(path: PathBuf, alarm: Alarm) -> Result<Self> {
        let log = file::with_suffix(&path, "-wal");
        let (wish, wishes) = sync_channel(1);
        let builder = thread::Builder::new().name("store-checkpoint".into());
        let thread = builder.spawn(move || serve(&path, &wishes, &alarm)).map_err(file::unavailable)?;
        Ok(Self { log, wish: Some(wish), thread: Some(thread) })
    }

    /// After each commit: one look at the size of the log.
    pub(super) fn consider(&self) {
        let size = std::fs::metadata(&self.log).map_or(0, |found| found.len());
        let Some(wish) = self.wish.as_ref().filter(|_| size >= LOG) else { return };
        match size >= LIMIT {
            // The wish that is under way may have begun too early to empty the log: the second one waits for it.
            true => drop(wish.send(true).and_then(|()| wish.send(true))),
            false => drop(wish.try_send(false)),
        }
    }

    pub(super) fn stop(&mut self) {
        self.wish = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(path: &Path, wishes: &Receiver<bool>, alarm: &Alarm) {
    let mut connection: Option<Connection> = None;
    while let Ok(whole) = wishes.recv() {
        let copied = connection.take().map_or_else(|| file::writer(path), Ok).and_then(|open| {
            let mode = if whole { "TRUNCATE" } else { "PASSIVE" };
            let checkpoint = format!("PRAGMA wal_checkpoint({mode})");
            let done = open.query_row(&checkpoint, [], |_| Ok(()));
            done.inspect_err(|error| file::raise_if_unsynced(error, alarm))?;
            connection = Some(open);
            Ok(())
        });
        if let Err(error) = copied {
            tracing::warn!(detail = error.detail(), "the log was not copied into the store; it is tried again");
        }
    }
}
