//! Every record and every revision: signed, sealed, dense, counted in the ledger and noted once when it
//! was written. Bodies are opened to see that they open, and what is in them is let go of at once.

use std::collections::HashMap;

use super::walk::Findings;
use super::writes::Latest;
use crate::app::keyring::Keyring;
use crate::app::ledger::{Ledger, toggle};
use crate::app::ports::{HeadRow, RevisionRow, Snapshot};
use crate::domain::name::{RecordId, Revision};
use crate::domain::{Error, Result};

const PAGE: usize = 500;

/// How much there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub records: u64,
    pub revisions: u64,
}

pub async fn check(
    snapshot: &mut dyn Snapshot,
    ledger: &Ledger,
    keyring: &Keyring,
    mut noted: HashMap<RecordId, Latest>,
    findings: &mut Findings,
    progress: &mut dyn FnMut(u64),
) -> Result<Count> {
    let mut count = Count::default();
    let mut sum = [0; 32];
    let mut revisions = Revisions::default();
    let mut after = None;
    loop {
        let heads = snapshot.heads(after, PAGE).await?;
        let Some(last) = heads.last() else { break };
        after = Some(last.head.id);
        for head in &heads {
            count.records += 1;
            toggle(&mut sum, &head.mac);
            let name = format!("{} {}", head.head.class.singular(), head.head.name);
            if let Err(error) = keyring.verify_mark(&head.head, &head.stamp, &head.mac) {
                findings.add(format!("{name}: {}", said(&error)));
            }
            check_noted(&name, head, noted.remove(&head.head.id), findings);
            count.revisions += revisions.check(snapshot, keyring, &name, head, findings).await?;
        }
        progress(count.records);
    }
    count.revisions += revisions.check_rest(snapshot, findings).await?;
    for (id, latest) in noted {
        findings.add(format!("record {id} is gone: audit record {} wrote revision {}", latest.noted, latest.revision));
    }
    if count.records != ledger.count {
        findings.add(format!("there are {} records, and the ledger counts {}", count.records, ledger.count));
    } else if sum != ledger.sum {
        findings
            .add("the records are not those that the ledger is signed for: an older state of one was put back".into());
    }
    Ok(count)
}

fn check_noted(name: &str, head: &HeadRow, latest: Option<Latest>, findings: &mut Findings) {
    let number = head.stamp.number;
    match latest {
        Some(latest) if latest.revision == number => {}
        Some(latest) => findings.add(format!(
            "{name} is at revision {number}, and audit record {} wrote revision {}",
            latest.noted, latest.revision
        )),
        None => findings.add(format!("{name} is there, and no audit record says that it was written")),
    }
}

/// Revisions come in the same order as heads, so both are read once.
#[derive(Default)]
struct Revisions {
    page: std::vec::IntoIter<RevisionRow>,
    read: Option<(RecordId, Revision)>,
    ahead: Option<RevisionRow>,
}

impl Revisions {
    async fn next(&mut self, snapshot: &mut dyn Snapshot) -> Result<Option<RevisionRow>> {
        if let Some(row) = self.ahead.take() {
            return Ok(Some(row));
        }
        if self.page.len() == 0 {
            self.page = snapshot.revisions(self.read, PAGE).await?.into_iter();
        }
        let row = self.page.next();
        self.read = row.as_ref().map_or(self.read, |row| Some((row.id, row.stamp.number)));
        Ok(row)
    }

    /// Those of one head, and those before it that belong to none.
    async fn check(
        &mut self,
        snapshot: &mut dyn Snapshot,
        keyring: &Keyring,
        name: &str,
        head: &HeadRow,
        findings: &mut Findings,
    ) -> Result<u64> {
        let (mut seen, mut next) = (0, Revision::FIRST);
        while let Some(row) = self.next(snapshot).await? {
            if row.id > head.head.id {
                self.ahead = Some(row);
                break;
            }
            seen += 1;
            if row.id < head.head.id {
                findings.add(format!("revision {} of {} belongs to no record", row.stamp.number, row.id));
                continue;
            }
            if row.stamp.number != next {
                findings.add(format!("{name}: there is revision {} where {next} is next", row.stamp.number));
            }
            next = row.stamp.number.next();
            if let Err(error) = keyring.open_revision(&head.head, &row.stamp, &row.sealed) {
                findings.add(format!("{name}: {}", said(&error)));
            }
        }
        if next != head.stamp.number.next() {
            findings.add(format!("{name} is at revision {} and has none from {next} on", head.stamp.number));
        }
        Ok(seen)
    }

    async fn check_rest(&mut self, snapshot: &mut dyn Snapshot, findings: &mut Findings) -> Result<u64> {
        let mut seen = 0;
        while let Some(row) = self.next(snapshot).await? {
            seen += 1;
            findings.add(format!("revision {} of {} belongs to no record", row.stamp.number, row.id));
        }
        Ok(seen)
    }
}

fn said(error: &Error) -> String {
    match error {
        Error::KeyReplaced => "it names a data key that is not there".into(),
        error => error.detail().map_or_else(|| error.to_string(), str::to_owned),
    }
}
