//! The folder of the journal files: their names, who may read them, and which of them are still written.
//!
//! A file is written by the process that holds its lock and by nobody else. The owner's right to write
//! is taken from a file that is over, so that a start need not read those again.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::anchor::{Anchor, Stage};
use super::line::parse_hex;
use super::own::End;
use super::read::Reading;

const EXTENSION: &str = ".jsonl";
const TIME: &str = "%Y%m%dT%H%M%SZ";
pub(super) const WRITABLE: u32 = 0o600;
pub(super) const OVER: u32 = 0o400;

/// A journal file by its name, `<UTC time>-<chain in hexadecimal digits>.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalFile {
    pub name: String,
    pub chain: String,
    pub path: PathBuf,
}

pub(super) fn name(at: Timestamp, chain: &str) -> String {
    format!("{}-{chain}{EXTENSION}", at.strftime(TIME))
}

/// The chain in the name of a journal; `None` in all other names.
pub(super) fn chain_of(name: &str) -> Option<String> {
    let (_, chain) = name.strip_suffix(EXTENSION)?.split_once('-')?;
    parse_hex::<16>(chain).map(|_| chain.to_owned())
}

pub(super) fn create(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        folder.parent().map_or(Ok(()), sync)?;
    }
    Ok(())
}

/// A name that was not synced with its folder can vanish with the power.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// All journal files, oldest first; none where there is no folder. Whatever else lies there is left out.
pub fn list(folder: &Path) -> io::Result<Vec<JournalFile>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Some(chain) = chain_of(&name) {
            files.push(JournalFile { chain, path: entry.path(), name });
        }
    }
    files.sort();
    Ok(files)
}

/// Ends of the files that nobody writes and that were not closed: what a crash left behind.
pub(super) fn left_behind(folder: &Path) -> io::Result<Vec<(JournalFile, End)>> {
    let mut found = Vec::new();
    for file in list(folder)? {
        if fs::metadata(&file.path)?.mode() & 0o200 == 0 {
            continue;
        }
        let reading = Reading::open(&file.path)?;
        if !reading.is_live() {
            let end = reading.end(&file.chain)?;
            found.push((file, end));
        }
    }
    Ok(found)
}

/// The same, on the disk now and to be noted in the chain of writes.
pub fn ends_left_behind(folder: &Path, at: Timestamp) -> io::Result<Vec<Anchor>> {
    let mut anchors = Vec::new();
    for (file, end) in left_behind(folder)? {
        File::open(&file.path)?.sync_all()?;
        anchors.extend(end.position().map(|position| Anchor::new(at, Stage::Reached, file.name, &position)));
    }
    Ok(anchors)
}

/// Not rewritten, whatever is in it: its end stands in the journal that names it.
pub(super) fn mark_over(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(OVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_journal_files_are_listed_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(list(&folder.path().join("none")).unwrap(), []);
        let chain = |digit: char| digit.to_string().repeat(32);
        let early = name(Timestamp::UNIX_EPOCH, &chain('b'));
        let late = name(Timestamp::from_second(86_400).unwrap(), &chain('a'));
        assert_eq!(early, format!("19700101T000000Z-{}.jsonl", chain('b')));
        for name in [&late, &early, ".draft", "notes.jsonl", "19700101T000000Z-zz.jsonl"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let listed = list(folder.path()).unwrap();
        assert_eq!(listed.iter().map(|file| &file.name).collect::<Vec<_>>(), [&early, &late]);
        assert_eq!(listed[0].chain, chain('b'));
    }
}
