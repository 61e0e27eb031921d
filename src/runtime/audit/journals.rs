//! The journal files against themselves, against one another and against what the chain of writes was
//! told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::walk::{Findings, Walk};
use crate::adapters::journal::{Anchor, End, JournalFile, Line, Own, Piece, Reading, Stage, chain_start, list};
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::domain::Error;

/// What there is, for the summary.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub files: u64,
    pub records: u64,
    /// Behind the last seal of their file: as good as the folder is guarded.
    pub unsealed: u64,
    /// Said, and no fault: what crashes leave.
    pub remarks: Vec<String>,
}

/// One file as it was walked.
struct Walked {
    file: JournalFile,
    end: Position,
    torn: u64,
    /// Lines at the end, before the torn part, that are not ours.
    strange: bool,
    live: bool,
    writable: bool,
    closed: bool,
    /// The last seal that is right, by its number.
    sealed: u64,
    retired: Option<u64>,
    after: Vec<End>,
}

/// Files of the first `elsewhere` anchors need not be here.
pub fn check(
    folder: &Path,
    anchors: &[Anchor],
    elsewhere: usize,
    keyring: &Keyring,
    findings: &mut Findings,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Count> {
    let mut expected = Expected::of(anchors);
    let mut count = Count::default();
    let mut walked = Vec::new();
    for file in list(folder)? {
        let of_file = expected.files.remove(&file.name).unwrap_or_default();
        let one = walk(file, of_file, keyring, findings, &mut |records| progress(count.records + records))?;
        count.files += 1;
        count.records += one.end.number;
        count.unsealed += one.end.number - one.sealed.min(one.end.number);
        walked.push(one);
    }
    let kept_elsewhere: BTreeSet<&str> = anchors[..elsewhere].iter().map(|anchor| anchor.file.as_str()).collect();
    for (name, of_file) in expected.files {
        if kept_elsewhere.contains(name.as_str()) {
            count.remarks.push(format!("journal {name} is from before the store was restored, and not here"));
            continue;
        }
        findings.add(format!("journal {name} is gone, with at least {} records", of_file.last()));
    }
    check_ends(&walked, findings, &mut count.remarks);
    Ok(count)
}

/// What anchors say, by file.
#[derive(Default)]
struct Expected {
    files: BTreeMap<String, OfFile>,
}

#[derive(Default)]
struct OfFile {
    positions: BTreeMap<u64, [u8; 32]>,
    closed: Option<u64>,
}

impl OfFile {
    /// The number of the last record that there must be.
    fn last(&self) -> u64 {
        self.positions.last_key_value().map_or(0, |(number, _)| *number)
    }
}

impl Expected {
    fn of(anchors: &[Anchor]) -> Self {
        let mut expected = Self::default();
        for anchor in anchors {
            let file = expected.files.entry(anchor.file.clone()).or_default();
            if let Some(position) = anchor.position() {
                file.positions.insert(position.number, position.hash);
            }
            if anchor.stage == Stage::Closed {
                file.closed = Some(anchor.n);
            }
        }
        expected
    }
}

fn walk(
    file: JournalFile,
    expected: OfFile,
    keyring: &Keyring,
    findings: &mut Findings,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Walked> {
    let mut reading = Reading::open(&file.path)?;
    let mut path = Along::new(file, &reading, expected)?;
    while let Some(piece) = reading.next_piece()? {
        match piece {
            Piece::Strange => path.walked.strange = true,
            Piece::Line(line) => {
                let number = line.claimed.number;
                path.step(line, keyring);
                if number % 65_536 == 0 {
                    progress(number);
                }
            }
        }
    }
    Ok(path.end(reading.torn(), findings))
}

/// On the way through a file.
struct Along {
    walk: Walk,
    walked: Walked,
    /// What anchors say of what is still ahead.
    expected: OfFile,
    anchored_to: u64,
    odd: Vec<String>,
}

impl Along {
    fn new(file: JournalFile, reading: &Reading, expected: OfFile) -> io::Result<Self> {
        let walk = Walk::from(chain_start(&file.chain));
        let walked = Walked {
            end: walk.position(),
            torn: 0,
            strange: false,
            live: reading.is_live(),
            writable: std::fs::metadata(&file.path)?.mode() & 0o200 != 0,
            closed: false,
            sealed: 0,
            retired: None,
            after: Vec::new(),
            file,
        };
        Ok(Self { walk, walked, anchored_to: expected.last(), expected, odd: Vec::new() })
    }

    fn step(&mut self, line: Line, keyring: &Keyring) {
        let number = line.claimed.number;
        if std::mem::take(&mut self.walked.strange) {
            self.odd.push(format!("what stands before record {number} is no line of a journal"));
        }
        let above = self.walk.position();
        let note = Note::stored(line.note);
        let stepped = self.walk.step(line.claimed, &note);
        let in_order = stepped.is_ok();
        self.odd.extend(stepped.err());
        if self.walked.closed {
            self.odd.push(format!("record {number} stands behind the end"));
        }
        if let Some(own) = Own::parse(note.as_str()).filter(|_| in_order) {
            match own {
                Ok(own) => self.walked.take(&own, &above, keyring, &mut self.odd),
                Err(error) => self.odd.push(format!("record {number} is no record of a journal: {error}")),
            }
        } else if above.number == 0 && in_order {
            self.odd.push("it does not begin with its opening".into());
        }
        if self.expected.positions.remove(&number).is_some_and(|hash| hash != line.claimed.hash) && in_order {
            self.odd.push(format!("record {number} is another than the chain of writes was told of"));
        }
    }

    /// What only the end shows.
    fn end(self, torn: u64, findings: &mut Findings) -> Walked {
        let Self { walk, walked, expected, anchored_to, mut odd } = self;
        let walked = Walked { end: walk.position(), torn, ..walked };
        let last = walked.end.number;
        if !expected.positions.is_empty() {
            odd.push(format!("it is cut: it ends with record {last} and went on to {} or beyond", expected.last()));
        }
        if let Some(closed) = expected.closed.filter(|closed| *closed < last && !walked.closed) {
            odd.push(format!("it goes on behind its end, record {closed}"));
        }
        if let Some(number) = walked.retired.filter(|number| *number > anchored_to) {
            odd.push(format!("the seal in record {number} is under a key that is not there"));
        }
        for said in odd {
            findings.add(format!("journal {}: {said}", walked.file.name));
        }
        walked
    }
}

impl Walked {
    fn take(&mut self, own: &Own, above: &Position, keyring: &Keyring, odd: &mut Vec<String>) {
        let number = above.number + 1;
        let mac = own.seal().mac().ok_or_else(|| Error::internal("no MAC"));
        match mac.and_then(|mac| keyring.verify_position(self.file.chain.as_bytes(), above, &mac)) {
            Ok(()) => self.sealed = number,
            // What it says can only be believed where an anchor says the same.
            Err(Error::KeyReplaced) => (self.retired, self.sealed) = (Some(number), number),
            Err(_) => odd.push(format!("the seal in record {number} is wrong: what stands above was not written here")),
        }
        match own {
            Own::Opened { chain, after, .. } => {
                if number != 1 || *chain != self.file.chain {
                    odd.push(format!("record {number} is the opening of another journal"));
                }
                self.after.clone_from(after);
            }
            Own::Sealed { .. } if number == 1 => odd.push("it does not begin with its opening".into()),
            Own::Sealed { .. } => {}
            Own::Closed { .. } => self.closed = true,
        }
    }
}

/// Each file that is over ends as it said itself, or as the next start found it.
fn check_ends(walked: &[Walked], findings: &mut Findings, remarks: &mut Vec<String>) {
    let named: BTreeMap<&str, &End> =
        walked.iter().flat_map(|one| &one.after).map(|end| (end.chain.as_str(), end)).collect();
    let mut chains = BTreeSet::new();
    for one in walked {
        let name = &one.file.name;
        if !chains.insert(one.file.chain.as_str()) {
            findings.add(format!("journal {name} is there under two names"));
        }
        let end = named.get(one.file.chain.as_str());
        if let Some(end) = end {
            if end.position() != Some(one.end) || end.torn != one.torn {
                findings.add(format!(
                    "journal {name}: it ends with record {} and {} bytes of another; the next start found record {} and {}",
                    one.end.number, one.torn, end.n, end.torn
                ));
            }
        } else if one.closed {
            if one.torn > 0 {
                findings.add(format!("journal {name}: {} bytes stand behind its end", one.torn));
            }
        } else if one.strange {
            findings.add(format!("journal {name}: what stands behind record {} is no line", one.end.number));
        } else if !one.live && !one.writable {
            findings.add(format!("journal {name}: it was not closed, and no later one tells where it ended"));
        } else if !one.live {
            let torn = if one.torn > 0 { format!(" and {} bytes of another", one.torn) } else { String::new() };
            remarks.push(format!("journal {name} was not closed: it ends with record {}{torn}", one.end.number));
        }
    }
    for (chain, end) in named {
        if !chains.contains(chain) {
            findings.add(format!("the journal of chain {chain} is gone, with {} records", end.n));
        }
    }
}
