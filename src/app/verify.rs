//! Reads the whole store through and says whether it is what was written here: every head as it was
//! marked, every revision opening, nothing added, removed or rolled back. Changes nothing.

use crate::app::body::{self, Body};
use crate::app::keyring::Keyring;
use crate::app::ledger::toggle;
use crate::app::ports::{Alias, HeadRow, RevisionRow, Snapshot};
use crate::domain::blind::BlindCredential;
use crate::domain::client::Client;
use crate::domain::credential::Credential;
use crate::domain::name::{RecordId, Revision};
use crate::domain::permission::Permission;
use crate::domain::record::Class;
use crate::domain::service::Service;
use crate::domain::{Error, Result};

const PAGE: usize = 200;
/// More than this is no longer read by anybody.
const FINDINGS: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub records: u64,
    pub revisions: u64,
    /// What is wrong, for people; at most 100 of them.
    pub findings: Vec<String>,
}

impl Verified {
    fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        }
    }
}

/// Tells `progress` how many of how many records have been read. `Err` where the store cannot be read or
/// the keys of the moment are not those of the snapshot; what is damaged is a finding.
pub async fn verify(
    snapshot: &mut dyn Snapshot,
    keyring: &Keyring,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Verified> {
    let mut verified = Verified::default();
    let Some(ledger) = snapshot.ledger().await? else { return Ok(verified) };
    if let Err(error) = found(keyring.verify_ledger(&ledger))? {
        verified.find(error);
    }
    let mut sum = [0; 32];
    let mut revisions = Revisions::default();
    let mut after: Option<RecordId> = None;
    loop {
        let heads = snapshot.heads(after, PAGE).await?;
        let Some(last) = heads.last() else { break };
        after = Some(last.head.id);
        for head in &heads {
            verified.records += 1;
            toggle(&mut sum, &head.mac);
            let own = revisions.of(head.head.id, snapshot, &mut verified).await?;
            verified.revisions += own.len() as u64;
            if let Err(finding) = found(check(head, &own, keyring))? {
                verified.find(finding);
            }
        }
        progress(verified.records, ledger.count);
    }
    revisions.rest(snapshot, &mut verified).await?;
    if verified.records != ledger.count {
        verified.find(format!("the ledger counts {} records, and there are {}", ledger.count, verified.records));
    }
    if sum != ledger.sum {
        verified.find(
            "a record was removed, added or put back to an older state behind our back: the sum of all heads is not \
             the ledger's"
                .into(),
        );
    }
    Ok(verified)
}

/// What is damaged is found; anything else ends the reading.
fn found(checked: Result<()>) -> Result<Result<(), String>> {
    match checked {
        Err(error @ Error::Damaged { .. }) => Ok(Err(format!("{error}: {}", error.detail().unwrap_or_default()))),
        Err(error) => Err(error),
        Ok(()) => Ok(Ok(())),
    }
}

fn check(row: &HeadRow, revisions: &[RevisionRow], keyring: &Keyring) -> Result<()> {
    let HeadRow { head, stamp, mac, .. } = row;
    let damaged = |detail: String| Error::Damaged { what: format!("{} {}", head.class.singular(), head.name), detail };
    keyring.verify_mark(head, stamp, mac)?;
    let dense = revisions.iter().map(|revision| revision.stamp.number.0).eq(1..=stamp.number.0);
    if !dense {
        let there: Vec<String> = revisions.iter().map(|revision| revision.stamp.number.to_string()).collect();
        return Err(damaged(format!("revision {} is current, and there are {}", stamp.number, there.join(", "))));
    }
    for revision in revisions {
        let plain = keyring.open_revision(head, &revision.stamp, &revision.sealed)?;
        let (aliases, links) = indexed(head.class, head.id, &plain)?;
        let is_current = revision.stamp.number == stamp.number;
        if is_current && !(same(&row.aliases, &expected_aliases(row, aliases)) && same(&row.links, &links)) {
            return Err(damaged("the index by which it is found is not what it says of itself".into()));
        }
    }
    Ok(())
}

/// A released record is found by its name only.
fn expected_aliases(row: &HeadRow, aliases: Vec<Alias>) -> Vec<Alias> {
    if row.head.released.is_some() { Vec::new() } else { aliases }
}

/// The same things, however often and in whatever order.
fn same<T: PartialEq>(left: &[T], right: &[T]) -> bool {
    left.iter().all(|one| right.contains(one)) && right.iter().all(|one| left.contains(one))
}

pub(super) fn indexed(class: Class, id: RecordId, plain: &[u8]) -> Result<(Vec<Alias>, Vec<RecordId>)> {
    fn of<B: Body>(id: RecordId, plain: &[u8]) -> Result<(Vec<Alias>, Vec<RecordId>)> {
        let body: B = body::decode(plain)?;
        Ok((body.aliases(id), body.links()))
    }
    match class {
        Class::Credential => of::<Credential>(id, plain),
        Class::Service => of::<Service>(id, plain),
        Class::Client => of::<Client>(id, plain),
        Class::BlindCredential => of::<BlindCredential>(id, plain),
        Class::Permission => of::<Permission>(id, plain),
    }
}

/// The revisions of a snapshot, taken record by record in the order of ids.
#[derive(Default)]
struct Revisions {
    ahead: std::collections::VecDeque<RevisionRow>,
    after: Option<(RecordId, Revision)>,
    ended: bool,
}

impl Revisions {
    /// Those of this record. Those of earlier ids belong to nothing.
    async fn of(
        &mut self,
        id: RecordId,
        snapshot: &mut dyn Snapshot,
        verified: &mut Verified,
    ) -> Result<Vec<RevisionRow>> {
        let mut own = Vec::new();
        while let Some(next) = self.peek(snapshot).await?.filter(|next| *next <= id) {
            let row = self.ahead.pop_front();
            match next == id {
                true => own.extend(row),
                false => verified.find(format!("a revision of record {next}, which is not there")),
            }
        }
        Ok(own)
    }

    async fn rest(&mut self, snapshot: &mut dyn Snapshot, verified: &mut Verified) -> Result<()> {
        while let Some(next) = self.peek(snapshot).await? {
            self.ahead.pop_front();
            verified.find(format!("a revision of record {next}, which is not there"));
        }
        Ok(())
    }

    async fn peek(&mut self, snapshot: &mut dyn Snapshot) -> Result<Option<RecordId>> {
        if self.ahead.is_empty() && !self.ended {
            self.ahead.extend(snapshot.revisions(self.after, PAGE).await?);
            self.ended = self.ahead.is_empty();
            self.after = self.ahead.back().map(|row| (row.id, row.stamp.number)).or(self.after);
        }
        Ok(self.ahead.front().map(|row| row.id))
    }
}
