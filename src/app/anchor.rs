//! The anchor: the newest signed ledger, kept a second time outside of the store. A store that was put back as a whole
//! is right in itself; only what is not in it can tell that it was newer once.
//!
//! Owns what an anchor is and what it proves. Where one is kept is behind a port, and who asks is `witness`.

use jiff::Timestamp;
use serde::Deserialize;

use crate::app::audit::{Note, Position};
use crate::app::ledger::Ledger;
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub store: StoreId,
    pub ledger: Ledger,
    /// When it was taken.
    pub at: Timestamp,
    /// How many rollbacks of this store somebody has accepted here. An anchor of after that stands above all before,
    /// although its number is lower.
    pub accepted: u32,
}

impl Anchor {
    /// By this the newer one is told.
    pub fn order(&self) -> (u32, u64) {
        (self.accepted, self.ledger.position.number)
    }
}

/// What is found where anchors are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    Nothing,
    /// There is something, and none of it is an anchor; why.
    Unreadable(String),
    /// The newest first. Whole, which does not say that this store has signed them.
    Anchors(Vec<Anchor>),
}

/// Where anchors are kept. Several processes may keep theirs in the same place.
pub trait AnchorPlace: Send + Sync {
    fn read(&self) -> Result<Kept>;

    /// Replaces the older of what is there, unless something there is as new. No moment of it leaves nothing to be read.
    /// It survives any end of this process; a loss of power may bring back any anchor from since the last `lasting`
    /// one, which replaces everything and survives that too.
    fn put(&self, anchor: &Anchor, lasting: bool) -> Result<()>;

    /// For people.
    fn name(&self) -> String;
}

/// The last that is known of a store from outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    Nothing,
    /// It was there, and when.
    At(Position, Timestamp),
    /// It is not known any more; why.
    Unreadable(String),
}

/// Why a store is not what it was before and something more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// It ends before what it had.
    Shorter { seen: u64, at: Timestamp, end: u64 },
    /// It has as much or more, and not the same.
    Another { seen: u64, at: Timestamp, end: u64 },
    /// Nobody can say.
    Unknown(String),
}

/// What callers are told whose writes are refused.
const OLDER: &str = "writing to the store, which is older than its anchor (see `strongroom accept-rollback`),";
const UNKNOWN: &str = "writing to the store, whose anchor cannot be read (see `strongroom accept-rollback`),";

impl Rollback {
    pub fn refusal(&self) -> Error {
        let part = if matches!(self, Self::Unknown(_)) { UNKNOWN } else { OLDER };
        Error::Unavailable { part, detail: self.to_string() }
    }
}

impl std::fmt::Display for Rollback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shorter { seen, at, end } => {
                write!(f, "it ends with record {end} of writes, and had record {seen} at {at}: {} missing", seen - end)
            }
            Self::Another { seen, at, end } => {
                write!(f, "its record {seen} of writes is not the one that it had at {at}; it ends with record {end}")
            }
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

/// Holds the store's ledger against what was known. `hash_at` looks up the hash of the record of writes with a number,
/// and is only asked where others have written since.
pub fn judge(
    last: &Last,
    ledger: Option<&Ledger>,
    hash_at: impl FnOnce(u64) -> Result<Option<[u8; 32]>>,
) -> Result<Option<Rollback>> {
    let (seen, at) = match last {
        Last::Nothing => return Ok(None),
        Last::Unreadable(why) => return Ok(Some(Rollback::Unknown(why.clone()))),
        Last::At(position, at) => (position, *at),
    };
    let end = ledger.map_or(0, |ledger| ledger.position.number);
    let there = match ledger {
        Some(ledger) if end == seen.number => Some(ledger.position.hash),
        Some(_) if end > seen.number => hash_at(seen.number)?,
        _ => return Ok(Some(Rollback::Shorter { seen: seen.number, at, end })),
    };
    // Before the first record there is none to look up.
    let is_same = there == Some(seen.hash) || seen.number == 0;
    Ok((!is_same).then_some(Rollback::Another { seen: seen.number, at, end }))
}

/// When what a note says has happened.
pub fn time_of(note: &Note) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Timed {
        at: Timestamp,
    }
    serde_json::from_str(note.as_str()).ok().map(|timed: Timed| timed.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ports::Fence;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn ledger(number: u64, hash: u8) -> Ledger {
        let position = Position { number, hash: [hash; 32] };
        Ledger { position, count: 0, sum: [0; 32], epoch: 1, fence: Fence(0), mac: [0; 32] }
    }

    fn seen(number: u64, hash: u8) -> Last {
        Last::At(ledger(number, hash).position, AT)
    }

    fn judged(last: &Last, ledger: Option<&Ledger>, hash_at: Option<u8>) -> Option<Rollback> {
        judge(last, ledger, |_| Ok(hash_at.map(|byte| [byte; 32]))).unwrap()
    }

    #[test]
    fn a_store_that_goes_on_from_what_it_was_is_sound() {
        for (last, ledger, hash_at) in [
            (Last::Nothing, None, None),
            (Last::Nothing, Some(ledger(3, 1)), None),
            (seen(3, 1), Some(ledger(3, 1)), None),
            (seen(3, 1), Some(ledger(5, 2)), Some(1)),
            (seen(0, 1), Some(ledger(5, 2)), None),
        ] {
            assert_eq!(judged(&last, ledger.as_ref(), hash_at), None, "{last:?} {ledger:?}");
        }
    }

    #[test]
    fn a_store_that_lost_records_or_has_others_is_not() {
        let shorter = |end| Some(Rollback::Shorter { seen: 3, at: AT, end });
        let another = |end| Some(Rollback::Another { seen: 3, at: AT, end });
        for (ledger, hash_at, found) in [
            (None, None, shorter(0)),
            (Some(ledger(2, 1)), None, shorter(2)),
            (Some(ledger(3, 2)), None, another(3)),
            (Some(ledger(5, 1)), Some(2), another(5)),
            (Some(ledger(5, 1)), None, another(5)),
        ] {
            assert_eq!(judged(&seen(3, 1), ledger.as_ref(), hash_at), found, "{ledger:?}");
        }
        assert_eq!(judged(&Last::Unreadable("x".into()), None, None), Some(Rollback::Unknown("x".into())));
    }

    #[test]
    fn the_record_is_only_looked_up_where_others_have_written() {
        for end in 1..=3 {
            let found = judge(&seen(3, 1), Some(&ledger(end, 1)), |_| Err(Error::internal("was asked")));
            assert!(found.is_ok(), "{end}");
        }
        assert!(judge(&seen(3, 1), Some(&ledger(4, 1)), |_| Err(Error::internal("was asked"))).is_err());
    }

    #[test]
    fn refusals_say_what_to_do_and_that_trying_again_may_help() {
        for rollback in [Rollback::Shorter { seen: 9, at: AT, end: 7 }, Rollback::Unknown("torn".into())] {
            let error = rollback.refusal();
            assert!(error.retryable() && error.to_string().contains("strongroom accept-rollback"), "{error}");
        }
    }
}
