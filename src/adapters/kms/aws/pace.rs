//! How often KMS is asked: one call at a time, and after one that failed for now, none for a second. What the SDK
//! would do by itself, several tries a second from every replica, keeps a throttled account throttled.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use backon::{BackoffBuilder, ConstantBuilder};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::failure::Failure;

const SECOND: Duration = Duration::from_secs(1);
const TRIES: usize = 3;

/// For this long after a call that failed for now, calls that succeed are paced too.
const TROUBLED: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Pace(Mutex<Past>);

#[derive(Default)]
struct Past {
    /// When the last call began.
    called: Option<Instant>,
    /// When the last call ended that failed for now.
    failed: Option<Instant>,
}

impl Past {
    fn not_before(&self) -> Option<Instant> {
        self.failed.filter(|failed| failed.elapsed() < TROUBLED).and(self.called).map(|called| called + SECOND)
    }
}

impl Pace {
    /// Asks, and asks again a few times if it failed for now.
    pub async fn call<T, E, F, Asked>(&self, ask: F) -> Result<T, Failure>
    where
        F: Fn() -> Asked,
        Asked: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let mut past = self.0.lock().await;
        // With jitter: between one and two seconds.
        let mut pauses = ConstantBuilder::default().with_delay(SECOND).with_max_times(TRIES - 1).with_jitter().build();
        loop {
            if let Some(then) = past.not_before() {
                sleep_until(then).await;
            }
            past.called = Some(Instant::now());
            let failure = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => Failure::of(&error),
            };
            if !matches!(failure, Failure::Later(_)) {
                return Err(failure);
            }
            past.failed = Some(Instant::now());
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return Err(failure),
            }
        }
    }
}
