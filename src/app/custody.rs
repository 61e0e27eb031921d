//! How long the data keys may be used without word from the key service that wraps them. Whoever disables the root
//! key cuts off running servers too, and an outage of the key service does not, for a time.
//!
//! Knows when to ask and what the answers mean; who asks and what is locked is others' business.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::domain::Error;

/// How errors name it.
pub const KEY_SERVICE: &str = "the key service";
/// What is not available while the keys are locked; callers are told this much.
const SEALED: &str = "what is sealed, because the key service has not answered within --kms-outage-limit,";

/// The most that passes between two check-ins.
const OFTEN: SignedDuration = SignedDuration::from_hours(1);
/// Between a missed check-in and the next one, at first and at most.
const SOON: SignedDuration = SignedDuration::from_secs(1);
const LATER: SignedDuration = SignedDuration::from_mins(1);

/// The shortest limit: with it there is a check-in a second.
pub const LEAST_LIMIT: SignedDuration = SignedDuration::from_secs(4);

/// What everybody is told who needs a key then.
pub fn locked() -> Error {
    Error::Unavailable { part: SEALED, detail: "the data keys are locked until a check-in succeeds".into() }
}

/// What a check-in changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// The first miss since the last success.
    Missed,
    /// The last success is too long ago: nothing is sealed or opened from here on.
    Locked,
    Restored,
}

/// The keys are usable from the moment that this is made, which follows a successful unwrap.
pub struct Custody {
    /// None where there is nobody to ask, as with a key file.
    limit: Option<SignedDuration>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// The last success.
    confirmed: Timestamp,
    /// The last miss and how many there were since the last success.
    missed: Option<(Timestamp, u32)>,
    /// Said to be locked already.
    locked: bool,
}

impl Custody {
    pub fn new(limit: Option<SignedDuration>, now: Timestamp) -> Self {
        Self { limit, state: Mutex::new(State { confirmed: now, missed: None, locked: false }) }
    }

    /// For keys that nobody else keeps.
    pub fn unlimited() -> Self {
        Self::new(None, Timestamp::UNIX_EPOCH)
    }

    /// Whether the last success is too long ago for anything to be sealed or opened.
    pub fn is_locked(&self, now: Timestamp) -> bool {
        self.limit.is_some_and(|limit| now.duration_since(self.state().confirmed) > limit)
    }

    /// Whether to ask the key service now. To be looked at every few seconds, so that a clock that was set or a
    /// machine that slept is noticed.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let Some(limit) = self.limit else { return false };
        let state = self.state();
        let (since, pause) = match state.missed {
            None => (state.confirmed, interval(limit)),
            Some((at, times)) => (at, after_misses(times, limit)),
        };
        // A clock that was set back would put the next check-in off for as long.
        let passed = now.duration_since(since);
        passed >= pause || passed.is_negative()
    }

    /// How often to look whether a check-in is due.
    pub fn look(&self) -> SignedDuration {
        self.limit.map_or(OFTEN, |limit| interval(limit).min(SignedDuration::from_secs(10)))
    }

    pub fn confirm(&self, now: Timestamp) -> News {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let restored = state.missed.is_some() || state.locked;
        *state = State { confirmed: now, missed: None, locked: false };
        if restored { News::Restored } else { News::Nothing }
    }

    pub fn miss(&self, now: Timestamp) -> News {
        let locks = self.is_locked(now);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let times = state.missed.map_or(0, |(_, times)| times);
        state.missed = Some((now, times.saturating_add(1)));
        let news = match (locks && !state.locked, times) {
            (true, _) => News::Locked,
            (false, 0) => News::Missed,
            _ => News::Nothing,
        };
        state.locked |= locks;
        news
    }

    /// The last success.
    pub fn confirmed(&self) -> Timestamp {
        self.state().confirmed
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Four tries fit into the shortest outage that locks.
fn interval(limit: SignedDuration) -> SignedDuration {
    OFTEN.min(limit / 4)
}

/// Twice as long after each miss: an outage of a day is asked about once a minute.
fn after_misses(times: u32, limit: SignedDuration) -> SignedDuration {
    let doubled = SOON * 2i32.pow(times.saturating_sub(1).min(10));
    doubled.min(LATER).min(interval(limit)).max(SOON)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);
    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    fn start() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn an_outage_is_survived_up_to_the_limit_and_not_longer() {
        let custody = Custody::new(Some(DAY), start());
        assert!(!custody.is_locked(start() + DAY));
        assert!(custody.is_locked(start() + DAY + SECOND));
        custody.confirm(start() + DAY + SECOND * 2);
        assert!(!custody.is_locked(start() + DAY * 2));
    }

    #[test]
    fn a_day_passes_with_one_check_in_an_hour() {
        let custody = Custody::new(Some(DAY), start());
        let mut asked = 0;
        for second in 0..=24 * 3600 {
            let now = start() + SECOND * second;
            if custody.is_due(now) {
                asked += 1;
                assert_eq!(custody.confirm(now), News::Nothing);
            }
        }
        assert_eq!(asked, 24);
    }

    /// A whole day without an answer: how often it is asked, and what is said when.
    #[test]
    fn a_missed_day_is_asked_about_ever_more_rarely_and_ends_locked() {
        let custody = Custody::new(Some(DAY), start());
        let (mut asked, mut said) = (0, Vec::new());
        let mut last = start();
        for second in 0..=25 * 3600 {
            let now = start() + SECOND * second;
            if !custody.is_due(now) {
                continue;
            }
            assert!(asked == 0 || now.duration_since(last) >= SECOND);
            (asked, last) = (asked + 1, now);
            match custody.miss(now) {
                News::Nothing => {}
                news => said.push((news, now.duration_since(start()).as_secs() / 60)),
            }
        }
        assert_eq!(said, [(News::Missed, 60), (News::Locked, 24 * 60)]);
        assert!((24 * 60..24 * 60 + 20).contains(&asked), "{asked}");
        assert!(custody.is_locked(last));
        assert_eq!(custody.confirm(last), News::Restored);
        assert!(!custody.is_locked(last));
        assert!(!custody.is_due(last + SECOND));
    }

    #[test]
    fn a_short_limit_has_more_check_ins_but_never_more_than_one_a_second() {
        for (limit, pause) in [(LEAST_LIMIT, 1), (SignedDuration::from_mins(4), 60), (DAY * 30, 3600)] {
            let custody = Custody::new(Some(limit), start());
            let pause = SECOND * pause;
            assert!(!custody.is_due(start() + pause - SignedDuration::from_millis(1)));
            assert!(custody.is_due(start() + pause));
            assert!(custody.look() <= pause);
            for _ in 0..40 {
                custody.miss(start());
            }
            assert!(!custody.is_due(start() + SignedDuration::from_millis(999)));
            assert!(custody.is_due(start() + pause.min(LATER)));
        }
    }

    #[test]
    fn a_clock_that_is_set_makes_a_check_in_due() {
        let custody = Custody::new(Some(DAY), start());
        assert!(custody.is_due(start() - SECOND), "back");
        assert!(custody.is_due(start() + DAY * 365), "forward");
        custody.confirm(start() - DAY);
        assert!(!custody.is_locked(start()));
    }

    #[test]
    fn callers_are_told_why_and_to_come_again() {
        assert!(locked().retryable());
        assert!(locked().to_string().contains("--kms-outage-limit"));
    }

    #[test]
    fn a_key_file_never_locks_anything() {
        let custody = Custody::unlimited();
        assert!(!custody.is_locked(start() + DAY * 10_000));
        assert!(!custody.is_due(start() + DAY * 10_000));
    }
}
