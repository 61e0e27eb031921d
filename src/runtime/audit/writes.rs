//! The chain of writes: whole up to the signed ledger, and what it says of every record.

use std::collections::HashMap;

use serde::Deserialize;

use super::walk::{Findings, Walk};
use crate::adapters::journal::Anchor;
use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::ledger::Ledger;
use crate::app::ports::Snapshot;
use crate::domain::name::{RecordId, Revision};
use crate::domain::{Error, Result};

const PAGE: usize = 2000;
/// The action of the note that a restore leaves.
const RESTORE: &str = "restore";

/// What the chain told.
#[derive(Default)]
pub struct Told {
    pub records: u64,
    pub latest: HashMap<RecordId, Latest>,
    pub anchors: Vec<Anchor>,
    /// How many of them stem from before the store was restored from a backup: their journals may be where
    /// the backup was made.
    pub elsewhere: usize,
}

/// The last revision of a record that a write is noted of, and the number of that note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    pub revision: Revision,
    pub noted: u64,
}

/// As much of a note as says what happened to a record.
#[derive(Deserialize)]
struct Said {
    action: String,
    id: Option<String>,
    revision: Option<Revision>,
}

pub async fn check(
    snapshot: &mut dyn Snapshot,
    ledger: &Ledger,
    keyring: &Keyring,
    findings: &mut Findings,
    progress: &mut dyn FnMut(u64),
) -> Result<Told> {
    let mut walk = Walk::from(Position::start(keyring.store().bytes()));
    let mut told = Told::default();
    let mut after = 0;
    loop {
        let page = snapshot.audit(after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = last.number;
        for (claimed, note) in &page {
            told.records += 1;
            match walk.step(*claimed, note) {
                Ok(()) => told.take(claimed.number, note, findings),
                Err(said) => findings.add(format!("writes: {said}")),
            }
        }
        progress(told.records);
    }
    check_end(&walk.position(), ledger, findings);
    Ok(told)
}

fn check_end(end: &Position, ledger: &Ledger, findings: &mut Findings) {
    let signed = ledger.position;
    if *end == signed {
        return;
    }
    findings.add(match end.number.cmp(&signed.number) {
        std::cmp::Ordering::Less => {
            format!("writes: records {} to {} are missing at the end", end.number + 1, signed.number)
        }
        std::cmp::Ordering::Equal => "writes: the last record is another than the ledger is signed for".to_owned(),
        std::cmp::Ordering::Greater => format!("writes: somebody added what stands behind record {}", signed.number),
    });
}

impl Told {
    fn take(&mut self, number: u64, note: &Note, findings: &mut Findings) {
        if let Some(anchor) = Anchor::of(note) {
            self.anchors.push(anchor);
            return;
        }
        if let Err(error) = self.take_said(number, note) {
            findings.add(format!("writes: record {number}: {error}"));
        }
    }

    /// Revisions of a record follow one another without a gap, until it is forgotten.
    fn take_said(&mut self, number: u64, note: &Note) -> Result<()> {
        let said: Said =
            serde_json::from_str(note.as_str()).map_err(|error| Error::invalid("note", error.to_string()))?;
        if said.action == RESTORE {
            self.elsewhere = self.anchors.len();
        }
        let (Some(id), Some(revision)) = (said.id, said.revision) else { return Ok(()) };
        let id = RecordId::parse_hex(&id).ok_or_else(|| Error::invalid("id", "is none"))?;
        let known = self.latest.get(&id).map(|latest| latest.revision);
        let expected = match said.action.as_str() {
            "create" => known.is_none().then_some(Revision::FIRST),
            "update" => known.map(Revision::next),
            _ => known,
        };
        if expected != Some(revision) {
            let wrong = format!("{} to revision {revision} of {id} does not follow what was noted before", said.action);
            return Err(Error::invalid("it says that", wrong));
        }
        match said.action.as_str() {
            "forget" => drop(self.latest.remove(&id)),
            "create" | "update" => drop(self.latest.insert(id, Latest { revision, noted: number })),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(history: &[(&str, u8, u64)]) -> (Told, Findings) {
        let (mut told, mut findings) = (Told::default(), Findings::default());
        for (number, (action, id, revision)) in (1..).zip(history) {
            let id = RecordId::from_bytes([*id; 16]).hex();
            let note = format!(r#"{{"who":"ops","action":"{action}","id":"{id}","revision":{revision}}}"#);
            told.take(number, &Note::stored(note), &mut findings);
        }
        (told, findings)
    }

    #[test]
    fn each_revision_is_noted_once_and_in_order_until_the_record_is_forgotten() {
        let (told, findings) =
            told(&[("create", 1, 1), ("create", 2, 1), ("update", 1, 2), ("release", 2, 1), ("forget", 2, 1)]);
        assert_eq!(findings.said, Vec::<String>::new());
        let left: Vec<_> = told.latest.into_iter().collect();
        assert_eq!(left, [(RecordId::from_bytes([1; 16]), Latest { revision: Revision(2), noted: 3 })]);
    }

    #[test]
    fn what_does_not_follow_is_named_by_its_record() {
        for history in [
            &[("create", 1, 2)][..],
            &[("update", 1, 1)],
            &[("create", 1, 1), ("create", 1, 1)],
            &[("create", 1, 1), ("update", 1, 3)],
            &[("create", 1, 1), ("release", 1, 2)],
            &[("create", 1, 1), ("forget", 1, 1), ("update", 1, 2)],
        ] {
            let (_, findings) = told(history);
            assert_eq!(findings.count, 1, "{history:?}");
            assert!(findings.said[0].starts_with(&format!("writes: record {}:", history.len())), "{:?}", findings.said);
        }
    }

    #[test]
    fn the_end_of_the_chain_is_the_one_that_is_signed() {
        let at = |number, byte| Position { number, hash: [byte; 32] };
        let ledger = |position| Ledger {
            position,
            count: 0,
            sum: [0; 32],
            epoch: 1,
            fence: crate::app::ports::Fence(0),
            mac: [0; 32],
        };
        for (end, said) in
            [(at(5, 1), None), (at(3, 1), Some("4 to 5")), (at(5, 2), Some("another")), (at(6, 1), Some("added"))]
        {
            let mut findings = Findings::default();
            check_end(&end, &ledger(at(5, 1)), &mut findings);
            assert_eq!(findings.count, u64::from(said.is_some()));
            assert!(said.is_none_or(|said| findings.said[0].contains(said)), "{:?}", findings.said);
        }
    }
}
