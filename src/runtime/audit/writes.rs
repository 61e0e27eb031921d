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

/// What the chain told.
#[derive(Default)]
pub struct Told {
    pub records: u64,
    pub latest: HashMap<RecordId, Latest>,
    pub anchors: Vec<Anchor>,
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
