//! Tells at the price of one system call whether anybody has committed anything since: by the header of the index that
//! SQLite keeps of its log, which every commit of every process rewrites (https://sqlite.org/walformat.html, 2.1).

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The header is there twice, so that one that is being written is noticed.
const HEADER: usize = 48;
/// Set once the header means something.
const IS_INITIALISED: usize = 12;

/// Equal to another: nothing was committed in between.
pub(super) type State = [u8; HEADER];

/// The file is never closed, not even by a thread that opened it second: with any descriptor of a file, a process gives
/// back all the locks that it has on it (https://sqlite.org/howtocorrupt.html, 2.2). Another process would take SQLite's
/// index for nobody's and begin it anew below our feet, which ends us with SIGBUS, or write beside our writer.
pub(super) struct LogIndex {
    path: PathBuf,
    file: OnceLock<ManuallyDrop<File>>,
}

impl LogIndex {
    pub(super) fn of(store: &Path) -> Self {
        let mut path = store.as_os_str().to_owned();
        path.push("-shm");
        Self { path: path.into(), file: OnceLock::new() }
    }

    /// `None`: not known now, so ask the store itself. The file is SQLite's for as long as a connection is open, which
    /// the writer's always is.
    pub(super) fn state(&self) -> Option<State> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let opened = ManuallyDrop::new(File::open(&self.path).ok()?);
                self.file.get_or_init(|| opened)
            }
        };
        let mut copies = [0; 2 * HEADER];
        file.read_exact_at(&mut copies, 0).ok()?;
        let (first, second) = copies.split_at(HEADER);
        let is_whole = first == second && first[IS_INITIALISED] == 1;
        if is_whole { first.try_into().ok() } else { None }
    }
}
