//! Who remembers how far a store had come, and refuses to write into one that has come less far: from the anchor at the
//! start, and from each commit of this process after that.
//!
//! Adapters ask in every transaction and tell of every commit. Nothing is latched: a store that is right again is
//! written to again, and what somebody accepts in another process is learned from the anchor.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use crate::app::anchor::{Anchor, AnchorPlace, Kept, Last, Rollback, judge};
use crate::app::keyring::Keyring;
use crate::app::ledger::Ledger;
use crate::app::ports::{Clock, Store};
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

pub struct Witness {
    place: Box<dyn AnchorPlace>,
    store: StoreId,
    /// It holds the store, which holds this: whoever drops the store last must find nobody else.
    keyring: Weak<Keyring>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    rollback: watch::Sender<Option<Rollback>>,
    /// The last anchor could not be kept, and that was said.
    failing: AtomicBool,
}

struct Known {
    last: Last,
    accepted: u32,
    /// The next anchor replaces everything: something was accepted, or what is there is not all ours.
    lasting: bool,
}

/// A store whose writes are witnessed.
pub trait Witnessed {
    /// From the next transaction on, and once in its life.
    fn witnessed_by(&self, witness: Arc<Witness>);
}

impl Witness {
    /// Knows what the anchor says. `Error::Awaiting` if that is another store's.
    pub fn begin(place: Box<dyn AnchorPlace>, keyring: &Arc<Keyring>, clock: Arc<dyn Clock>) -> Result<Self> {
        let kept = place.read()?;
        require_own(&kept, keyring.store(), &place.name())?;
        let (accepted, lasting) = match &kept {
            Kept::Anchors(anchors) => (
                anchors.iter().map(|anchor| anchor.accepted).max().unwrap_or(0),
                anchors.iter().any(|anchor| is_forged(anchor, keyring)),
            ),
            Kept::Nothing | Kept::Unreadable(_) => (0, false),
        };
        let last = match genuine(kept, keyring) {
            Ok(Some(anchor)) => Last::At(anchor.ledger.position, anchor.at),
            Ok(None) => Last::Nothing,
            Err(why) => Last::Unreadable(format!("{}: {why}", place.name())),
        };
        let known = Mutex::new(Known { last, accepted, lasting });
        let (store, keyring) = (keyring.store(), Arc::downgrade(keyring));
        let (rollback, failing) = (watch::Sender::new(None), AtomicBool::default());
        Ok(Self { place, store, keyring, clock, known, rollback, failing })
    }

    /// Where the anchor is, for people.
    pub fn place(&self) -> String {
        self.place.name()
    }

    pub fn last(&self) -> Last {
        self.known().last.clone()
    }

    /// Number of the record of writes that the store must have.
    pub fn seen(&self) -> u64 {
        match &self.known().last {
            Last::At(position, _) => position.number,
            Last::Nothing | Last::Unreadable(_) => 0,
        }
    }

    /// What is wrong with the store, as far as was looked, and each change of that.
    pub fn rollback(&self) -> watch::Receiver<Option<Rollback>> {
        self.rollback.subscribe()
    }

    pub fn is_sound(&self) -> bool {
        self.rollback.borrow().is_none()
    }

    /// In each transaction, before anything is written: an error unless the store is what it was, or its continuation.
    pub fn check(&self, ledger: Option<&Ledger>, hash_at: impl Fn(u64) -> Result<Option<[u8; 32]>>) -> Result<()> {
        let mut known = self.known();
        let mut found = judge(&known.last, ledger, &hash_at)?;
        if found.is_some() && self.learn(&mut known)? {
            found = judge(&known.last, ledger, &hash_at)?;
        }
        drop(known);
        self.show(found.as_ref());
        found.map_or(Ok(()), |rollback| Err(rollback.refusal()))
    }

    /// Looks at the store as it is now, without writing anything.
    pub async fn look(&self, store: &dyn Store) -> Result<Option<Rollback>> {
        // Before the store is read: what is committed from here on may be missing from what is read.
        let last = {
            let mut known = self.known();
            if !self.is_sound() {
                self.learn(&mut known)?;
            }
            known.last.clone()
        };
        let found = compare(&last, store).await?;
        let known = self.known();
        if known.last == last {
            self.show(found.as_ref());
        }
        drop(known);
        Ok(self.rollback.borrow().clone())
    }

    /// After each commit, before it is acknowledged. An anchor that cannot be kept does not undo the commit: it is said
    /// once, and made good by the next that can.
    pub fn committed(&self, ledger: &Ledger) {
        let mut known = self.known();
        if matches!(&known.last, Last::At(position, _) if *position == ledger.position) && !known.lasting {
            return; // resealing adds no record
        }
        let kept = self.keep(&mut known, ledger);
        drop(known);
        let place = self.place();
        match (kept, self.failing.load(Ordering::Relaxed)) {
            (Err(error), false) => {
                tracing::error!(%error, detail = error.detail(), place, "the anchor is not kept: a rollback to before now would not be noticed");
                self.failing.store(true, Ordering::Relaxed);
            }
            (Ok(()), true) => {
                tracing::info!(place, "the anchor is kept again");
                self.failing.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// The first anchor of all. Where it cannot be made it would never be.
    pub fn make(&self, ledger: &Ledger) -> Result<()> {
        self.keep(&mut self.known(), ledger)
    }

    fn keep(&self, known: &mut Known, ledger: &Ledger) -> Result<()> {
        let at = self.clock.now();
        known.last = Last::At(ledger.position, at);
        let anchor = Anchor { store: self.store, ledger: ledger.clone(), at, accepted: known.accepted };
        self.place.put(&anchor, known.lasting)?;
        known.lasting = false;
        Ok(())
    }

    /// Takes the store as it is for what it should be. The next commit, which says so, makes it last.
    pub fn accept(&self, ledger: &Ledger) {
        let mut known = self.known();
        known.last = Last::At(ledger.position, self.clock.now());
        known.accepted = known.accepted.saturating_add(1);
        known.lasting = true;
        drop(known);
        self.show(None);
    }

    /// Makes the anchor of a store that was just put here, whatever was known of one in its place.
    pub fn begin_anew(&self, ledger: &Ledger) -> Result<()> {
        self.accept(ledger);
        self.make(ledger)
    }

    /// What another process has accepted since. True: something is known that was not.
    fn learn(&self, known: &mut Known) -> Result<bool> {
        let Some(keyring) = self.keyring.upgrade() else { return Ok(false) };
        let Some(anchor) =
            genuine(self.place.read()?, &keyring).ok().flatten().filter(|anchor| anchor.accepted > known.accepted)
        else {
            return Ok(false);
        };
        known.last = Last::At(anchor.ledger.position, anchor.at);
        known.accepted = anchor.accepted;
        Ok(true)
    }

    fn show(&self, found: Option<&Rollback>) {
        self.rollback.send_if_modified(|shown| {
            let is_news = shown.as_ref() != found;
            if is_news {
                *shown = found.cloned();
            }
            is_news
        });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn compare(last: &Last, store: &dyn Store) -> Result<Option<Rollback>> {
    let mut moment = store.snapshot().await?;
    let ledger = moment.ledger().await?;
    let number = match last {
        Last::At(position, _) if ledger.as_ref().is_some_and(|it| it.position.number > position.number) => {
            position.number
        }
        _ => return judge(last, ledger.as_ref(), |_| Ok(None)),
    };
    let found = match moment.audit(number.saturating_sub(1), 1).await {
        Ok(found) => found,
        // Damaged there: reads go on, and nobody can say what else is missing.
        Err(error) => {
            let detail = error.detail().unwrap_or_default();
            return Ok(Some(Rollback::Unknown(format!("record {number} of writes cannot be read: {error} {detail}"))));
        }
    };
    let hash = found.first().filter(|(position, _)| position.number == number).map(|(position, _)| position.hash);
    judge(last, ledger.as_ref(), |_| Ok(hash))
}

/// What another store has left must be neither believed nor overwritten.
pub fn require_own(kept: &Kept, store: StoreId, place: &str) -> Result<()> {
    let Kept::Anchors(anchors) = kept else { return Ok(()) };
    match anchors.iter().find(|anchor| anchor.store != store) {
        None => Ok(()),
        Some(other) => Err(Error::Awaiting {
            reason: "ForeignAnchor",
            message: format!(
                "the anchor {place} is of store {}, and this is store {store}: put that store back, give this one an \
                 --anchor-file of its own, or remove the file if that store is given up",
                other.store
            ),
        }),
    }
}

/// The newest that this store has signed; why there is none. One under a key that is not there counts: a store that was
/// put back to before a rekey does not have the key, and one that has retired it shows in its records what it was.
fn genuine(kept: Kept, keyring: &Keyring) -> Result<Option<Anchor>, String> {
    let anchors = match kept {
        Kept::Nothing => return Ok(None),
        Kept::Unreadable(why) => return Err(why),
        Kept::Anchors(anchors) => anchors,
    };
    let newest = anchors.into_iter().find(|anchor| !is_forged(anchor, keyring));
    newest.map_or_else(|| Err("what is there was not signed by this store".to_owned()), |anchor| Ok(Some(anchor)))
}

fn is_forged(anchor: &Anchor, keyring: &Keyring) -> bool {
    matches!(keyring.verify_ledger(&anchor.ledger), Err(Error::Damaged { .. }))
}

/// Somebody has accepted a rollback between two looks; the next look knows.
pub fn moved() -> Error {
    Error::Unavailable { part: "the store's anchor", detail: "it has just been moved".into() }
}
