//! Whether a connection does anything. hyper limits the headers of HTTP/1.1 only: a caller that finishes
//! its handshake and says no more, or reads its answer forever, would hold its slot for good.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub struct Activity {
    /// For the first request.
    patience: Duration,
    /// For the next ones.
    idle: Duration,
    state: Mutex<State>,
}

struct State {
    running: usize,
    served: bool,
    since: Instant,
}

/// A request that is being answered.
pub struct Busy(Arc<Activity>);

impl Activity {
    pub fn new(patience: Duration, idle: Duration) -> Self {
        Self { patience, idle, state: Mutex::new(State { running: 0, served: false, since: Instant::now() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(self: Arc<Self>) -> Busy {
        let mut state = self.state();
        state.running += 1;
        state.served = true;
        drop(state);
        Busy(self)
    }

    /// Begins to count anew.
    pub fn touch(&self) {
        self.state().since = Instant::now();
    }

    /// Returns when nothing has happened for too long.
    pub async fn idle(&self) {
        loop {
            let (running, deadline) = {
                let state = self.state();
                let since = if state.running > 0 { Instant::now() } else { state.since };
                (state.running, since + if state.served { self.idle } else { self.patience })
            };
            if running == 0 && deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_millis(60);

    async fn ends_within(activity: &Activity, time: Duration) -> bool {
        tokio::time::timeout(time, activity.idle()).await.is_ok()
    }

    #[tokio::test]
    async fn a_silent_connection_gets_less_time_than_one_that_was_served() {
        let activity = Arc::new(Activity::new(SHORT, LONG * 10));
        assert!(ends_within(&activity, LONG).await);
        drop(activity.clone().begin());
        assert!(!ends_within(&activity, LONG).await);
    }

    #[tokio::test]
    async fn a_running_request_is_never_idle() {
        let activity = Arc::new(Activity::new(SHORT, SHORT));
        let busy = activity.clone().begin();
        assert!(!ends_within(&activity, LONG).await);
        drop(busy);
        assert!(ends_within(&activity, LONG * 5).await);
    }
}
