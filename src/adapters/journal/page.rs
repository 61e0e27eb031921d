//! The file that is being written: each note is one line and one `write`, whole or cut off again.
//! Must not know when it is synced or sealed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::folder::{self, WRITABLE};
use super::line::render;
use super::own::{End, Own};
use crate::adapters::journal::chain_start;
use crate::app::audit::{Note, Position};

/// Most lines fit, so the buffer never grows in ordinary use.
const LINE: usize = 1024;

pub(super) struct Page {
    file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) chain: String,
    pub(super) position: Position,
    pub(super) length: u64,
    buffer: Vec<u8>,
}

/// Why a line is not there.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing of it is there either, and the next may fit.
    Refused(io::Error),
    /// A part of it could not be cut off: the file must not be written again.
    Broken(io::Error),
}

impl Page {
    /// A file under a name that is not listed, until its first line is in it: nobody takes it for one
    /// that a crash left behind.
    pub(super) fn draft(folder: &Path, at: Timestamp, chain: &str) -> io::Result<Self> {
        let path = folder.join(format!(".{}", folder::name(at, chain)));
        let file = OpenOptions::new().append(true).create_new(true).mode(WRITABLE).open(&path)?;
        let page = Self {
            file: Arc::new(file),
            path,
            chain: chain.to_owned(),
            position: chain_start(chain),
            length: 0,
            buffer: Vec::with_capacity(LINE),
        };
        page.file.lock()?;
        Ok(page)
    }

    /// Writes the first line and gives the file its name.
    pub(super) fn begin(&mut self, opened: &Own) -> Result<(), Trouble> {
        self.append_own(opened)?;
        let name = self.path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix('.'));
        let path = self.path.with_file_name(name.unwrap_or_default());
        fs::rename(&self.path, &path).map_err(Trouble::Refused)?;
        self.path = path;
        Ok(())
    }

    /// Of a draft that did not become a page.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(&self.path); // what stays is not listed
    }

    pub(super) fn append(&mut self, note: &Note) -> Result<(), Trouble> {
        let next = self.position.after(note);
        self.buffer.clear();
        render(&mut self.buffer, &next, note.as_str());
        match write_once(&self.file, &self.buffer) {
            Ok(()) => {
                self.length += self.buffer.len() as u64;
                self.position = next;
                Ok(())
            }
            Err(error) => Err(self.cut(self.length, error)),
        }
    }

    pub(super) fn append_own(&mut self, own: &Own) -> Result<(), Trouble> {
        let note = own.note().map_err(|error| Trouble::Refused(error.into()))?;
        self.append(&note)
    }

    /// Takes back what was written since.
    pub(super) fn return_to(&mut self, length: u64, position: Position) -> Result<(), Trouble> {
        self.file.set_len(length).map_err(Trouble::Broken)?;
        (self.length, self.position) = (length, position);
        Ok(())
    }

    fn cut(&self, length: u64, why: io::Error) -> Trouble {
        match self.file.set_len(length) {
            Ok(()) => Trouble::Refused(why),
            Err(error) => Trouble::Broken(error),
        }
    }

    pub(super) fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    #[cfg(test)]
    pub(super) fn exchange_file(&mut self, file: File) {
        self.file = Arc::new(file);
    }

    pub(super) fn end(&self) -> End {
        End::new(&self.chain, &self.position, 0)
    }
}

/// One `write` takes all of a short line, or the disk is full.
fn write_once(mut file: &File, line: &[u8]) -> io::Result<()> {
    loop {
        match file.write(line) {
            Ok(written) if written == line.len() => return Ok(()),
            Ok(_) => return Err(ErrorKind::StorageFull.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
