//! How long a request may take. Whoever answers in words of its own keeps to it; the listener cuts whoever does not.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::server::Limits;

/// What the listener waits longer than whoever answers.
const MARGIN: Duration = Duration::from_secs(1);

/// Beside each request, from when it came. What is known to be long and has a bound of its own takes its time, so that it is
/// not begun anew again and again: whoever asks for it is known by then, and its body has been read.
#[derive(Clone, Debug)]
pub struct Patience {
    usual: Instant,
    long: Instant,
    is_long: Arc<AtomicBool>,
}

impl Patience {
    pub(super) fn begin(limits: &Limits) -> Self {
        let usual = Instant::now() + limits.request;
        Self { usual, long: usual + limits.long_request, is_long: Arc::default() }
    }

    /// With the same grants.
    pub(super) fn with_margin(&self) -> Self {
        Self { usual: self.usual + MARGIN, long: self.long + MARGIN, is_long: self.is_long.clone() }
    }

    pub fn grant(&self) {
        self.is_long.store(true, Ordering::Relaxed);
    }

    /// What comes of it; nothing when its time is over.
    pub async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut done = timeout_at(self.usual, &mut work).await;
        if done.is_err() && self.is_long.load(Ordering::Relaxed) {
            done = timeout_at(self.long, work).await;
        }
        done.ok()
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::begin(&Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const USUAL: Duration = Duration::from_secs(30);
    const LONG: Duration = Duration::from_secs(60);

    fn begin() -> Patience {
        Patience::begin(&Limits { request: USUAL, long_request: LONG, ..Limits::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_granted_more_time_has_more_than_the_usual() {
        let begun = Instant::now();
        assert_eq!(begin().bound(pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), USUAL.as_secs());

        let (patience, begun) = (begin(), Instant::now());
        let work = async {
            patience.grant();
            sleep(USUAL + LONG / 2).await;
        };
        assert_eq!(patience.bound(work).await, Some(()));
        assert_eq!(patience.bound(pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), (USUAL + LONG).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn the_listener_waits_longer_than_whoever_answers_and_knows_what_was_granted() {
        let (patience, begun) = (begin(), Instant::now());
        let late = patience.with_margin().bound(async { patience.bound(pending::<()>()).await.is_none() }).await;
        assert_eq!(late, Some(true));
        patience.grant();
        assert_eq!(patience.with_margin().bound(pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), (USUAL + LONG + MARGIN).as_secs());
    }
}
