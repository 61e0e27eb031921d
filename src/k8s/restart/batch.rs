//! When a restart is due: changes that come shortly after one another are one. Knows moments only.

use std::time::Duration;

use tokio::time::Instant;

use crate::k8s::restart::plan::Shown;

/// Without a further change for this long, all are thought to be there.
const QUIET: Duration = Duration::from_secs(10);
/// Changes without an end do not put a restart off without one.
const LONGEST: Duration = Duration::from_secs(60);

/// What waits to be written for one workload.
#[derive(Debug)]
pub struct Batch {
    since: Instant,
    last: Instant,
    shown: Shown,
    /// The API server refused it: not before this.
    not_before: Option<Instant>,
}

impl Batch {
    pub fn begun(shown: &Shown, now: Instant) -> Self {
        Self { since: now, last: now, shown: shown.clone(), not_before: None }
    }

    pub fn grew(&mut self, shown: &Shown, now: Instant) {
        if self.shown != *shown {
            self.shown = shown.clone();
            self.last = now;
        }
    }

    pub fn due_at(&self) -> Instant {
        let due = (self.last + QUIET).min(self.since + LONGEST);
        self.not_before.map_or(due, |not_before| due.max(not_before))
    }

    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.due_at()
    }

    pub fn refuse(&mut self, until: Instant) {
        self.not_before = Some(until);
    }

    pub fn is_refused(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|not_before| now < not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(word: &str) -> Shown {
        Shown::from([("Secret/db".to_owned(), word.to_owned())])
    }

    #[test]
    fn a_batch_is_due_when_it_has_been_quiet() {
        let start = Instant::now();
        let mut batch = Batch::begun(&shown("a"), start);
        batch.grew(&shown("b"), start + QUIET / 2);
        batch.grew(&shown("b"), start + QUIET);
        assert!(!batch.is_due(start + QUIET), "the second change began the wait anew");
        assert!(batch.is_due(start + QUIET + QUIET / 2));
    }

    #[test]
    fn changes_without_an_end_are_due_all_the_same() {
        let start = Instant::now();
        let mut batch = Batch::begun(&shown("0"), start);
        for second in 1..=LONGEST.as_secs() {
            batch.grew(&shown(&second.to_string()), start + Duration::from_secs(second));
        }
        assert!(!batch.is_due(start + LONGEST - Duration::from_secs(1)));
        assert!(batch.is_due(start + LONGEST));
    }

    #[test]
    fn what_was_refused_waits() {
        let start = Instant::now();
        let mut batch = Batch::begun(&shown("a"), start);
        batch.refuse(start + LONGEST * 2);
        assert!(batch.is_refused(start + LONGEST));
        assert_eq!(batch.due_at(), start + LONGEST * 2);
        assert!(!batch.is_refused(start + LONGEST * 2));
    }
}
