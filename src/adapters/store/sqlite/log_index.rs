//! Tells at the price of one system call whether anybody has committed anything since: by the header of the index that
//! SQLite keeps of its log, which every commit of every process rewrites (https://sqlite.org/walformat.html, 2.1).
//!
//! With any descriptor of a file that it closes, a process gives back all the locks that it has on it, SQLite's too
//! (https://sqlite.org/howtocorrupt.html, 2.2). Another process would take the index for nobody's and begin it anew below our
//! feet, which ends us with SIGBUS, or write beside our writer. So a process opens it once, and closes it only while it has
//! no connection.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, RwLockWriteGuard, Weak};

/// The header is there twice, so that one that is being written is noticed.
const HEADER: usize = 48;
/// Set once the header means something.
const IS_INITIALISED: usize = 12;

/// Of each store that this process has open, however often.
static KNOWN: LazyLock<Mutex<HashMap<PathBuf, Weak<LogIndex>>>> = LazyLock::new(Mutex::default);

/// Equal to another: nothing was committed in between.
pub(super) type State = [u8; HEADER];

pub(super) struct LogIndex {
    path: PathBuf,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Of this process.
    connections: usize,
    file: Option<File>,
}

/// A connection is open, or is about to be.
pub(super) struct Connected(Arc<LogIndex>);

impl LogIndex {
    pub(super) fn of(store: &Path) -> Arc<Self> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = known.get(store).and_then(Weak::upgrade) {
            return index;
        }
        known.retain(|_, index| index.strong_count() > 0);
        let mut path = store.as_os_str().to_owned();
        path.push("-shm");
        let index = Arc::new(Self { path: path.into(), inner: RwLock::default() });
        known.insert(store.to_owned(), Arc::downgrade(&index));
        index
    }

    /// `None`: not known now, so ask the store itself.
    pub(super) fn state(&self) -> Option<State> {
        if let Some(file) = &self.inner.read().unwrap_or_else(PoisonError::into_inner).file {
            return read(file);
        }
        let mut inner = self.inner();
        if inner.connections > 0 && inner.file.is_none() {
            inner.file = File::open(&self.path).ok();
        }
        inner.file.as_ref().and_then(read)
    }

    fn inner(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected {
    pub(super) fn to(store: &Path) -> Self {
        let index = LogIndex::of(store);
        index.inner().connections += 1;
        Self(index)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.connections -= 1;
        if inner.connections == 0 {
            // Whoever connects next waits until it is closed, and may find another file.
            inner.file = None;
        }
    }
}

fn read(file: &File) -> Option<State> {
    let mut copies = [0; 2 * HEADER];
    file.read_exact_at(&mut copies, 0).ok()?;
    let (first, second) = copies.split_at(HEADER);
    let is_whole = first == second && first[IS_INITIALISED] == 1;
    if is_whole { first.try_into().ok() } else { None }
}
