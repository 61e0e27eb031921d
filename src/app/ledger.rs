//! What the store says of itself as a whole: one row that every transaction verifies, changes and signs.
//!
//! A record's own seal cannot show that an older state of it was put back, or that it was removed. The
//! ledger can: it holds the sum of the marks of all heads, how many there are, and the end of the audit
//! chain, under a key that is not in the store. Who writes into the store behind our back leaves it wrong.

use crate::app::audit::{Note, Position};
use crate::app::keyring::Keyring;
use crate::app::ports::{Fence, Mac};
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The end of the chain of write notes.
    pub position: Position,
    /// How many records there are, released ones included.
    pub count: u64,
    /// XOR of the marks of all heads.
    pub sum: [u8; 32],
    /// The data key that everything new is sealed under.
    pub epoch: u32,
    pub fence: Fence,
    /// Over all of the above, under `epoch`.
    pub mac: [u8; 32],
}

impl Ledger {
    fn first(store: StoreId) -> Self {
        Self {
            position: Position::start(store.bytes()),
            count: 0,
            sum: [0; 32],
            epoch: 1,
            fence: Fence(0),
            mac: [0; 32],
        }
    }

    /// What is signed.
    pub(super) fn parts(&self) -> [Vec<u8>; 6] {
        [
            self.position.number.to_be_bytes().to_vec(),
            self.position.hash.to_vec(),
            self.count.to_be_bytes().to_vec(),
            self.sum.to_vec(),
            self.epoch.to_be_bytes().to_vec(),
            self.fence.0.to_be_bytes().to_vec(),
        ]
    }
}

/// Adds a mark to a sum of marks, or takes it away.
pub fn toggle(sum: &mut [u8; 32], mac: &Mac) {
    for (byte, other) in sum.iter_mut().zip(mac.bytes) {
        *byte ^= other;
    }
}

/// The ledger while a transaction writes: adapters tell it what they do. Cloned before each write of a
/// batch, so that a refused one leaves no trace.
#[derive(Clone)]
pub struct Books {
    ledger: Option<Ledger>,
    store: StoreId,
}

impl Books {
    /// Refuses a ledger that was not signed by this store: continuing it would hide what was done to it.
    /// `Error::KeyReplaced` when it was signed with a key that this process has not met yet.
    pub fn open(store: StoreId, ledger: Option<Ledger>, keyring: &Keyring) -> Result<Self> {
        if let Some(ledger) = &ledger {
            keyring.verify_ledger(ledger)?;
        }
        Ok(Self { ledger, store })
    }

    fn get(&self) -> Result<&Ledger> {
        self.ledger.as_ref().ok_or_else(|| Error::internal("the store has no key yet"))
    }

    fn get_mut(&mut self) -> Result<&mut Ledger> {
        self.ledger.as_mut().ok_or_else(|| Error::internal("the store has no key yet"))
    }

    pub fn require_fence(&self, fence: Option<Fence>) -> Result<()> {
        match fence {
            Some(fence) if self.get()?.fence != fence => Err(Error::Fenced),
            _ => Ok(()),
        }
    }

    pub fn raise(&mut self, fence: Fence) -> Result<()> {
        let ledger = self.get_mut()?;
        if fence <= ledger.fence {
            return Err(Error::Fenced);
        }
        ledger.fence = fence;
        Ok(())
    }

    /// What is sealed under an old key must not come in after that key may have been retired.
    pub fn require_current(&self, epoch: u32) -> Result<()> {
        if self.get()?.epoch == epoch { Ok(()) } else { Err(Error::KeyReplaced) }
    }

    /// The epoch that was added is the first, the next or a known one; anything else is our mistake.
    pub fn add_epoch(&mut self, epoch: u32) -> Result<()> {
        match &mut self.ledger {
            None if epoch == 1 => self.ledger = Some(Ledger::first(self.store)),
            Some(ledger) if epoch == ledger.epoch + 1 => ledger.epoch = epoch,
            Some(ledger) if epoch <= ledger.epoch => {}
            _ => return Err(Error::internal(format!("epoch {epoch} is not next"))),
        }
        Ok(())
    }

    pub fn epoch(&self) -> Result<u32> {
        Ok(self.get()?.epoch)
    }

    /// A head came, was replaced, or went.
    pub fn replace(&mut self, old: Option<&Mac>, new: Option<&Mac>) -> Result<()> {
        let ledger = self.get_mut()?;
        for mac in old.into_iter().chain(new) {
            toggle(&mut ledger.sum, mac);
        }
        ledger.count = match (old, new) {
            (None, Some(_)) => ledger.count + 1,
            (Some(_), None) => ledger.count.saturating_sub(1),
            _ => ledger.count,
        };
        Ok(())
    }

    /// The place that the next note gets.
    pub fn enter(&mut self, note: &Note) -> Result<Position> {
        let ledger = self.get_mut()?;
        ledger.position = ledger.position.after(note);
        Ok(ledger.position)
    }

    /// The signed ledger, to be written in the same transaction.
    pub fn close(self, keyring: &Keyring) -> Result<Option<Ledger>> {
        self.ledger.map(|ledger| keyring.sign_ledger(ledger)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::keyring::tests::keyring;

    fn mac(byte: u8) -> Mac {
        Mac { epoch: 1, bytes: [byte; 32] }
    }

    fn started(keyring: &Keyring) -> Books {
        let mut books = Books::open(keyring.store(), None, keyring).unwrap();
        books.add_epoch(1).unwrap();
        books
    }

    #[test]
    fn a_signed_ledger_is_continued_and_a_changed_one_is_not() {
        let keyring = keyring();
        let mut books = started(&keyring);
        books.replace(None, Some(&mac(7))).unwrap();
        books.enter(&Note::stored("x".into())).unwrap();
        let ledger = books.close(&keyring).unwrap().unwrap();
        assert_eq!((ledger.count, ledger.position.number), (1, 1));
        assert!(Books::open(keyring.store(), Some(ledger.clone()), &keyring).is_ok());
        let changes: [fn(&mut Ledger); 5] = [
            |ledger| ledger.count = 0,
            |ledger| ledger.sum[0] ^= 1,
            |ledger| ledger.position.number -= 1,
            |ledger| ledger.position.hash[31] ^= 1,
            |ledger| ledger.fence = Fence(9),
        ];
        for change in changes {
            let mut changed = ledger.clone();
            change(&mut changed);
            assert!(matches!(Books::open(keyring.store(), Some(changed), &keyring), Err(Error::Damaged { .. })));
        }
    }

    #[test]
    fn what_comes_and_goes_leaves_the_sum_as_it_was() {
        let keyring = keyring();
        let mut books = started(&keyring);
        let before = books.clone().close(&keyring).unwrap();
        books.replace(None, Some(&mac(1))).unwrap();
        books.replace(Some(&mac(1)), Some(&mac(2))).unwrap();
        books.replace(Some(&mac(2)), None).unwrap();
        assert_eq!(books.close(&keyring).unwrap(), before);
    }

    #[test]
    fn fences_only_grow_and_old_ones_are_refused() {
        let keyring = keyring();
        let mut books = started(&keyring);
        books.raise(Fence(3)).unwrap();
        assert!(books.require_fence(None).is_ok() && books.require_fence(Some(Fence(3))).is_ok());
        for other in [2, 4] {
            assert!(matches!(books.require_fence(Some(Fence(other))), Err(Error::Fenced)));
        }
        assert!(matches!(books.raise(Fence(3)), Err(Error::Fenced)));
    }

    #[test]
    fn epochs_come_one_after_the_other() {
        let keyring = keyring();
        let mut books = started(&keyring);
        assert!(books.require_current(1).is_ok());
        books.add_epoch(2).unwrap();
        assert!(matches!(books.require_current(1), Err(Error::KeyReplaced)));
        books.add_epoch(1).unwrap(); // the same key for another root
        assert_eq!(books.epoch().unwrap(), 2);
        assert!(books.add_epoch(4).is_err());
    }
}
