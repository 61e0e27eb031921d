//! The anchor in a small file beside the store, or better on another volume. Owns the file and when its parts are
//! written; what a part looks like is `slot`'s, and what an anchor proves is not known here.
//!
//! Two places, a page apart, are written in turn: whatever a crash does to the one that is being written, the other
//! is whole. Nothing is synced for a commit, which has synced the store just before: after a loss of power the file may
//! be older than the store, and is never newer.

mod slot;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::app::anchor::{Anchor, AnchorPlace, Kept};
use crate::domain::{Error, Result};
use slot::SLOT;

const PAGE: usize = 4096;
/// No disk tears two pages at once.
const PLACES: [u64; 2] = [0, PAGE as u64];
/// How long another process may hold the file. One that was stopped in the middle must not stop this one's writes.
const BUSY: Duration = Duration::from_secs(1);

/// So that no two drafts of this process have one name.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

pub struct FileAnchor {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl FileAnchor {
    /// Opens nothing yet.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), file: Mutex::default() }
    }

    fn unavailable(&self, error: impl std::fmt::Display) -> Error {
        Error::Unavailable { part: "the anchor", detail: format!("{}: {error}", self.path.display()) }
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> io::Result<Option<File>> {
        match OpenOptions::new().read(true).write(true).open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// The name appears with the whole anchor behind it, on the disk, or not at all. A link, unlike a rename, replaces
    /// nothing: of two processes that make it, one does, and both use it.
    fn make(&self, anchor: &Anchor) -> io::Result<()> {
        let folder = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = self.path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
        let draft = folder.join(format!(".{name}.{}.{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
        let _ = fs::remove_file(&draft); // of an earlier process with our number
        let made = write_draft(&draft, anchor).and_then(|()| fs::hard_link(&draft, &self.path));
        let removed = fs::remove_file(&draft);
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
        removed?;
        File::open(folder)?.sync_all()
    }
}

impl AnchorPlace for FileAnchor {
    fn read(&self) -> Result<Kept> {
        let mut file = self.file();
        if file.is_none() {
            *file = self.open().map_err(|error| self.unavailable(error))?;
        }
        let Some(file) = file.as_ref() else { return Ok(Kept::Nothing) };
        let found = read(file).map_err(|error| self.unavailable(error))?;
        let mut anchors: Vec<Anchor> = found.into_iter().flatten().collect();
        anchors.sort_unstable_by_key(|anchor| std::cmp::Reverse(anchor.order()));
        Ok(match anchors.is_empty() {
            true => Kept::Unreadable("neither of its two copies is whole".into()),
            false => Kept::Anchors(anchors),
        })
    }

    fn put(&self, anchor: &Anchor, lasting: bool) -> Result<()> {
        let mut file = self.file();
        if file.is_none() {
            *file = self.open().map_err(|error| self.unavailable(error))?;
        }
        if file.is_none() {
            self.make(anchor).map_err(|error| self.unavailable(error))?;
            *file = self.open().map_err(|error| self.unavailable(error))?;
        }
        let Some(file) = file.as_ref() else { return Err(self.unavailable("it was taken away")) };
        lock(file).map_err(|error| self.unavailable(error))?;
        let put = if lasting { put_everywhere(file, anchor) } else { put_newer(file, anchor) };
        let unlocked = file.unlock();
        put.and(unlocked).map_err(|error| self.unavailable(error))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

fn lock(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() > BUSY => return Err(ErrorKind::TimedOut.into()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_micros(100)),
        }
    }
}

fn read(file: &File) -> io::Result<[Option<Anchor>; 2]> {
    let mut found = [None, None];
    for (place, at) in found.iter_mut().zip(PLACES) {
        let mut slot = [0; SLOT];
        match file.read_exact_at(&mut slot, at) {
            Ok(()) => *place = slot::read(&slot),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Where another process was faster its anchor stays: it has seen this commit.
fn put_newer(file: &File, anchor: &Anchor) -> io::Result<()> {
    let found = read(file)?.map(|kept| kept.map(|kept| kept.order()));
    if found.iter().flatten().any(|kept| *kept >= anchor.order()) {
        return Ok(());
    }
    let older = if found[0] <= found[1] { PLACES[0] } else { PLACES[1] };
    file.write_all_at(&slot::write(anchor), older)
}

/// One after the other: a crash in between leaves one of them whole.
fn put_everywhere(file: &File, anchor: &Anchor) -> io::Result<()> {
    for place in PLACES {
        file.write_all_at(&slot::write(anchor), place)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Both places, each with its page filled up: later writes need no space.
fn write_draft(path: &Path, anchor: &Anchor) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut page = [b'\n'; PAGE];
    page[..SLOT].copy_from_slice(&slot::write(anchor));
    for place in PLACES {
        file.write_all_at(&page, place)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests;
