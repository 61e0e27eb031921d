//! Copies the log into the file beside the writer, so that no write waits for the syncs that this takes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::file;
use crate::app::alarm::Alarm;
use crate::domain::Result;

/// The log is copied when it has grown by this many pages of 4 KiB: 4 MiB. A longer one makes starting slower, which
/// reads and syncs all of it.
const LOG: u32 = 1000;
/// Writers that never pause keep the log from starting over; from here on they wait for it once.
const LIMIT: u32 = 4_000;

thread_local! {
    /// Pages in the log after the last commit of this thread. Its file does not say: one that starts over keeps its length.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Learns how long the log is from each commit on this connection, which must be this thread's.
pub(super) fn watch(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(u32::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

pub(super) struct Checkpoints {
    /// How long the log was when it was last to be copied.
    asked: u32,
    wish: Option<SyncSender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(path: PathBuf, alarm: Alarm) -> Result<Self> {
        let (wish, wishes) = sync_channel(1);
        let builder = thread::Builder::new().name("store-checkpoint".into());
        let thread = builder.spawn(move || serve(&path, &wishes, &alarm)).map_err(file::unavailable)?;
        Ok(Self { asked: 0, wish: Some(wish), thread: Some(thread) })
    }

    /// After each commit of this thread.
    pub(super) fn consider(&mut self) {
        let pages = PAGES.get();
        if pages < self.asked {
            self.asked = 0; // it has started over
        }
        let Some(wish) = self.wish.as_ref().filter(|_| pages >= self.asked + LOG) else { return };
        self.asked = pages;
        match pages >= LIMIT {
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
    let mut connection: Option<file::Opened> = None;
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
