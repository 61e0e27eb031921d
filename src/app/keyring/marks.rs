//! What is signed with the data keys: heads of records, the ledger, and how far a chain of notes has come.

use aws_lc_rs::hmac;

use super::Keyring;
use crate::app::audit::Position;
use crate::app::ledger::Ledger;
use crate::app::ports::Mac;
use crate::domain::record::{Head, Stamp};
use crate::domain::{Error, Result};

impl Keyring {
    /// Signs the head of a record at this revision with the current key.
    pub fn mark(&self, head: &Head, stamp: &Stamp) -> Result<Mac> {
        self.mark_under(self.current(), head, stamp)
    }

    /// Whether a head is as it was marked.
    pub fn verify_mark(&self, head: &Head, stamp: &Stamp, mac: &Mac) -> Result<()> {
        let signed = self.signed(mac.epoch, b"head", &head_parts(head, stamp))?;
        require(&signed, &mac.bytes, || Error::Damaged {
            what: format!("{} {}", head.class.singular(), head.name),
            detail: "its head is not what was written here".into(),
        })
    }

    pub fn mark_under(&self, epoch: u32, head: &Head, stamp: &Stamp) -> Result<Mac> {
        Ok(Mac { epoch, bytes: self.signed(epoch, b"head", &head_parts(head, stamp))? })
    }

    pub(in crate::app) fn sign_ledger(&self, ledger: Ledger) -> Result<Ledger> {
        let mac = self.signed(ledger.epoch, b"ledger", &ledger.parts())?;
        Ok(Ledger { mac, ..ledger })
    }

    pub fn verify_ledger(&self, ledger: &Ledger) -> Result<()> {
        let signed = self.signed(ledger.epoch, b"ledger", &ledger.parts())?;
        require(&signed, &ledger.mac, || Error::Damaged {
            what: "the ledger of the store".into(),
            detail: "it was changed outside Strongroom; `strongroom audit verify` says more".into(),
        })
    }

    /// Seals how far a chain of notes outside the store has come.
    pub fn sign_position(&self, chain: &[u8], position: &Position) -> Result<Mac> {
        let epoch = self.current();
        Ok(Mac { epoch, bytes: self.signed(epoch, b"position", &position_parts(chain, position))? })
    }

    /// `Error::KeyReplaced` where the key that sealed it was retired since.
    pub fn verify_position(&self, chain: &[u8], position: &Position, mac: &Mac) -> Result<()> {
        let signed = self.signed(mac.epoch, b"position", &position_parts(chain, position))?;
        require(&signed, &mac.bytes, || Error::Damaged {
            what: "the audit journal".into(),
            detail: "a seal is not what was written here".into(),
        })
    }

    /// Signs that this caller was sent something at this second, for whoever has to know it again.
    pub fn sign_caller(&self, caller: &str, second: i64) -> Result<Mac> {
        let epoch = self.current();
        Ok(Mac { epoch, bytes: self.signed(epoch, b"caller", &caller_parts(caller, second))? })
    }

    /// `Error::KeyReplaced` where the key that signed it was retired since.
    pub fn verify_caller(&self, caller: &str, second: i64, mac: &Mac) -> Result<()> {
        let signed = self.signed(mac.epoch, b"caller", &caller_parts(caller, second))?;
        require(&signed, &mac.bytes, || Error::Unauthenticated)
    }

    fn signed(&self, epoch: u32, what: &[u8], parts: &[impl AsRef<[u8]>]) -> Result<[u8; 32]> {
        let ring = self.ring();
        let key = ring.keys.get(&epoch).ok_or(Error::KeyReplaced)?;
        let mut context = hmac::Context::with_key(&key.marks);
        let fixed: [&[u8]; 3] = [what, self.store.bytes(), &epoch.to_be_bytes()];
        for part in fixed.into_iter().chain(parts.iter().map(AsRef::as_ref)) {
            context.update(&(part.len() as u32).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().map_err(Error::internal)
    }
}

/// Everything of a head: what a body is bound to, and besides that what changes without a new revision.
fn head_parts(head: &Head, stamp: &Stamp) -> [Vec<u8>; 9] {
    let release = head.released.map(|release| {
        let times = [release.at, release.purge_at].map(|time| time.as_microsecond().to_be_bytes());
        times.concat()
    });
    [
        head.class.singular().into(),
        head.id.bytes().to_vec(),
        head.tenant.as_str().into(),
        head.name.as_bytes().to_vec(),
        head.origin.to_string().into_bytes(),
        head.retain_for.as_micros().to_be_bytes().to_vec(),
        release.unwrap_or_default(),
        stamp.number.0.to_be_bytes().to_vec(),
        stamp.version_id.bytes().to_vec(),
    ]
}

fn position_parts(chain: &[u8], position: &Position) -> [Vec<u8>; 3] {
    [chain.to_vec(), position.number.to_be_bytes().to_vec(), position.hash.to_vec()]
}

fn caller_parts(caller: &str, second: i64) -> [Vec<u8>; 2] {
    [caller.into(), second.to_be_bytes().to_vec()]
}

/// The tags are no secrets, but a forger must not find them byte by byte.
fn require(signed: &[u8; 32], given: &[u8; 32], otherwise: impl FnOnce() -> Error) -> Result<()> {
    use subtle::ConstantTimeEq;
    if bool::from(signed.ct_eq(given)) { Ok(()) } else { Err(otherwise()) }
}
