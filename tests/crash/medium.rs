//! A disk as a loss of power leaves it, rebuilt from what was recorded. The model is described in `crash`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Dice;
use super::disk::Event;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Gone,
    Kept,
    /// Parts of it, by dice.
    Mixed,
}

#[derive(Default)]
struct Content {
    is_folder: bool,
    synced: Vec<u8>,
    since: Vec<Change>,
    /// Once a sync has failed: what is read, which is more than what later syncs write.
    seen: Option<Vec<u8>>,
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// A change of names, certain once `folder` was synced.
struct Naming {
    folder: String,
    removed: Option<String>,
    put: Option<(String, usize)>,
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        if let Some(name) = &self.removed {
            names.remove(name);
        }
        if let Some((name, content)) = &self.put {
            names.insert(name.clone(), *content);
        }
    }
}

#[derive(Default)]
pub struct Medium {
    contents: Vec<Content>,
    by_inode: HashMap<u64, usize>,
    /// As the running process sees them, and as they are certain.
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    namings: Vec<Naming>,
}

fn folder_of(name: &str) -> String {
    name.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default()
}

impl Medium {
    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Written { inode, at, bytes } => self.change(*inode, Change::Write { at: *at, bytes: bytes.clone() }),
            Event::Resized { inode, size } => self.change(*inode, Change::Resize(*size)),
            Event::Made { inode, name } => self.make(*inode, name, false),
            Event::Folder { inode, name } => self.make(*inode, name, true),
            Event::Linked { inode, name } => self.name(None, Some((name.clone(), self.by_inode[inode]))),
            Event::Renamed { from, to } => {
                let content = self.names[from];
                assert!(!self.contents[content].is_folder, "renaming folders is not in the model");
                self.name(Some(from.clone()), Some((to.clone(), content)));
            }
            Event::Removed { name } => self.name(Some(name.clone()), None),
            Event::Synced { inode } => self.sync(*inode),
            Event::SyncFailed { inode } => self.fail(*inode),
            Event::Answered(_) => {}
        }
    }

    fn change(&mut self, inode: u64, change: Change) {
        let content = *self.by_inode.get(&inode).expect("a file whose making was recorded");
        self.contents[content].change(change);
    }

    /// An inode may have been another file's before.
    fn make(&mut self, inode: u64, name: &str, is_folder: bool) {
        let content = self.contents.len();
        self.contents.push(Content { is_folder, ..Content::default() });
        self.by_inode.insert(inode, content);
        if name.is_empty() {
            // The data folder itself: its name stands in a folder that is not watched.
            self.names.insert(String::new(), content);
            self.synced_names.insert(String::new(), content);
        } else {
            self.name(None, Some((name.to_owned(), content)));
        }
    }

    fn name(&mut self, removed: Option<String>, put: Option<(String, usize)>) {
        let folder = folder_of(put.as_ref().map(|(name, _)| name).or(removed.as_ref()).expect("a name"));
        let naming = Naming { folder, removed, put };
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }

    fn sync(&mut self, inode: u64) {
        let Some(content) = self.by_inode.get(&inode).copied() else { return };
        if self.contents[content].is_folder {
            let folder = self.names.iter().find(|(_, known)| **known == content).map(|(name, _)| name.clone());
            let (certain, open) = std::mem::take(&mut self.namings)
                .into_iter()
                .partition(|naming| Some(&naming.folder) == folder.as_ref());
            self.namings = open;
            let certain: Vec<Naming> = certain;
            certain.iter().for_each(|naming| naming.apply(&mut self.synced_names));
            return;
        }
        let content = &mut self.contents[content];
        for change in std::mem::take(&mut content.since) {
            apply(&mut content.synced, &change);
        }
    }

    fn fail(&mut self, inode: u64) {
        if let Some(content) = self.by_inode.get(&inode) {
            self.contents[*content].forget();
        }
    }

    /// Writes the folder as it is after a loss of power. Names without their folder are lost with it.
    pub fn rebuild(&self, at: &Path, fate: Fate, dice: &mut Dice) {
        for (name, content) in &self.names_after(fate, dice) {
            let path = if name.is_empty() { at.to_owned() } else { at.join(name) };
            let content = &self.contents[*content];
            if !path.parent().is_some_and(Path::is_dir) {
                continue;
            }
            if content.is_folder {
                fs::create_dir(&path).expect("a folder");
                continue;
            }
            let bytes = content.after(fate, dice);
            // The mode that Strongroom gives to its files: the key file is refused with a wider one.
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a file");
            std::io::Write::write_all(&mut file, &bytes).expect("written");
        }
    }

    fn names_after(&self, fate: Fate, dice: &mut Dice) -> BTreeMap<String, usize> {
        let mut names = self.synced_names.clone();
        for naming in &self.namings {
            if fate == Fate::Kept || (fate == Fate::Mixed && dice.below(2) == 0) {
                naming.apply(&mut names);
            }
        }
        names
    }

    /// Where this differs from a real folder; `-shm` is memory.
    pub fn differences(&self, real: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, content) in self.names.iter().filter(|(_, content)| !self.contents[**content].is_folder) {
            let mine = self.contents[*content].after(Fate::Kept, &mut Dice(0));
            match fs::read(real.join(name)) {
                Ok(bytes) if bytes == mine => {}
                Ok(bytes) => wrong.push(format!("{name}: {} bytes recorded, {} there", mine.len(), bytes.len())),
                Err(error) => wrong.push(format!("{name}: {error}")),
            }
        }
        let mut folders = vec![real.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                let name = path.strip_prefix(real).expect("below it").display().to_string();
                if path.is_dir() {
                    folders.push(path);
                } else if !name.ends_with("-shm") && !self.names.contains_key(&name) {
                    wrong.push(format!("{name}: not recorded"));
                }
            }
        }
        wrong
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes: new } => {
            let end = at + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(new);
        }
        Change::Resize(size) => bytes.resize(*size, 0),
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        let Some(seen) = &mut self.seen else { return self.since.push(change) };
        apply(seen, &change);
        self.since.push(match change {
            // The kernel writes whole pages, as they are read.
            Change::Write { at, bytes } => {
                let (from, to) = (at / PAGE * PAGE, (at + bytes.len()).div_ceil(PAGE) * PAGE);
                Change::Write { at: from, bytes: seen[from..to.min(seen.len())].to_vec() }
            }
            resize => resize,
        });
    }

    /// A failed sync: what was to be written is marked as written, and is not.
    fn forget(&mut self) {
        self.seen = Some(self.after(Fate::Kept, &mut Dice(0)));
        self.since.clear();
    }

    fn after(&self, fate: Fate, dice: &mut Dice) -> Vec<u8> {
        match fate {
            Fate::Gone => self.synced.clone(),
            Fate::Kept if self.seen.is_some() => self.seen.clone().unwrap_or_default(),
            Fate::Kept => {
                let mut bytes = self.synced.clone();
                self.since.iter().for_each(|change| apply(&mut bytes, change));
                bytes
            }
            Fate::Mixed => self.mixed(dice),
        }
    }

    /// Each page is as it was after some of the writes to it, each sector of a torn one too.
    fn mixed(&self, dice: &mut Dice) -> Vec<u8> {
        let mut sizes = vec![self.synced.len()];
        let mut pages: BTreeMap<usize, Vec<&Change>> = BTreeMap::new();
        for change in &self.since {
            let size = sizes[sizes.len() - 1];
            let (next, from, to) = match change {
                Change::Write { at, bytes } => (size.max(at + bytes.len()), *at, at + bytes.len()),
                Change::Resize(new) => (*new, *new, size),
            };
            sizes.push(next);
            for page in from / PAGE..to.div_ceil(PAGE) {
                pages.entry(page).or_default().push(change);
            }
        }
        let most = sizes.iter().copied().max().unwrap_or_default();
        let mut bytes = self.synced.clone();
        bytes.resize(most, 0);
        for (page, changes) in pages {
            let is_torn = dice.below(8) == 0;
            let mut reached = dice.below(changes.len() + 1);
            for sector in (page * PAGE..(page + 1) * PAGE).step_by(SECTOR) {
                if is_torn {
                    reached = dice.below(changes.len() + 1);
                }
                changes[..reached].iter().for_each(|change| overlay(&mut bytes, sector, change));
            }
        }
        bytes.truncate(sizes[dice.below(sizes.len())]);
        bytes
    }
}

/// The part of a change that falls into one sector.
fn overlay(bytes: &mut [u8], sector: usize, change: &Change) {
    let end = (sector + SECTOR).min(bytes.len());
    match change {
        Change::Write { at, bytes: new } => {
            let (from, to) = (sector.max(*at), end.min(at + new.len()));
            if from < to {
                bytes[from..to].copy_from_slice(&new[from - at..to - at]);
            }
        }
        Change::Resize(size) => {
            let from = sector.max(*size);
            if from < end {
                bytes[from..end].fill(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(at: usize, bytes: &[u8]) -> Event {
        Event::Written { inode: 2, at, bytes: bytes.to_vec() }
    }

    fn made() -> Medium {
        let mut medium = Medium::default();
        medium.happen(&Event::Folder { inode: 1, name: String::new() });
        medium.happen(&Event::Made { inode: 2, name: "file".into() });
        medium
    }

    fn rebuilt(medium: &Medium, fate: Fate, seed: u64) -> Option<Vec<u8>> {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("data");
        medium.rebuild(&data, fate, &mut Dice(seed));
        fs::read(data.join("file")).ok()
    }

    #[test]
    fn what_was_not_synced_can_be_lost_and_what_was_cannot() {
        let mut medium = made();
        medium.happen(&written(0, b"one"));
        medium.happen(&Event::Synced { inode: 2 });
        assert_eq!(rebuilt(&medium, Fate::Gone, 0), None, "its name was not synced");
        assert_eq!(rebuilt(&medium, Fate::Kept, 0).as_deref(), Some(&b"one"[..]));
        medium.happen(&Event::Synced { inode: 1 });
        medium.happen(&written(0, b"two"));
        assert_eq!(rebuilt(&medium, Fate::Gone, 0).as_deref(), Some(&b"one"[..]));
        assert_eq!(rebuilt(&medium, Fate::Kept, 0).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn what_a_failed_sync_forgot_is_written_by_no_later_one() {
        let mut medium = made();
        medium.happen(&Event::Synced { inode: 1 });
        medium.happen(&written(0, &[1; 2 * PAGE]));
        medium.happen(&Event::SyncFailed { inode: 2 });
        medium.happen(&Event::Synced { inode: 2 });
        assert_eq!(rebuilt(&medium, Fate::Gone, 0).as_deref(), Some(&b""[..]));
        medium.happen(&written(PAGE, &[2]));
        medium.happen(&Event::Synced { inode: 2 });
        let [lost, page] = [vec![0; PAGE], [vec![2], vec![1; PAGE - 1]].concat()];
        assert_eq!(rebuilt(&medium, Fate::Gone, 0), Some([lost, page].concat()), "the page that was written again");
    }

    #[test]
    fn pages_are_lost_one_by_one_and_torn() {
        let mut medium = made();
        medium.happen(&written(0, &[1; 4 * PAGE]));
        medium.happen(&Event::Synced { inode: 2 });
        medium.happen(&Event::Synced { inode: 1 });
        medium.happen(&written(0, &[2; 4 * PAGE]));
        let seen: Vec<Vec<u8>> = (0..200).filter_map(|seed| rebuilt(&medium, Fate::Mixed, seed)).collect();
        let is_whole = |page: &[u8]| page.iter().all(|byte| *byte == page[0]);
        assert!(seen.iter().all(|file| file.chunks(SECTOR).all(is_whole)), "no sector is torn");
        assert!(seen.iter().any(|file| file[0] != file[PAGE]), "some pages are there and others are not");
        assert!(seen.iter().any(|file| !file.chunks(PAGE).all(is_whole)), "some pages are torn");
    }

    #[test]
    fn a_rename_happens_or_does_not() {
        let mut medium = made();
        medium.happen(&written(0, b"old"));
        medium.happen(&Event::Synced { inode: 2 });
        medium.happen(&Event::Made { inode: 3, name: "new".into() });
        medium.happen(&Event::Written { inode: 3, at: 0, bytes: b"new".to_vec() });
        medium.happen(&Event::Synced { inode: 3 });
        medium.happen(&Event::Synced { inode: 1 });
        medium.happen(&Event::Renamed { from: "new".into(), to: "file".into() });
        let seen: Vec<Vec<u8>> = (0..50).map(|seed| rebuilt(&medium, Fate::Mixed, seed).expect("a file")).collect();
        assert!(seen.iter().any(|file| file == b"old") && seen.iter().any(|file| file == b"new"));
    }
}
