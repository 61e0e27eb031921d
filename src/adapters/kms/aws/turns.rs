//! How callers' tokens reach KMS: a bounded number at a time, and none for a second after KMS could not be reached. Whoever
//! floods us with tokens must not make us flood KMS, whose limit is the whole account's.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::failure::Failure;
use crate::domain::{Error, Result};

const CALLS: usize = 32;
/// How long a caller waits for a turn before it hears that it should come again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before the second try.
const BREATH: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_secs(1);

pub struct Turns {
    calls: Semaphore,
    /// When KMS failed for now, and how.
    failed: Mutex<Option<(Instant, String)>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { calls: Semaphore::new(CALLS), failed: Mutex::default() }
    }
}

impl Turns {
    /// Asks, and once more if it failed for now. Waiting longer is the caller's own affair, who is told to.
    pub async fn call<T, E, F, Asked>(&self, ask: F) -> Result<Result<T, Failure>>
    where
        F: Fn() -> Asked,
        Asked: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let overloaded = Error::Overloaded { retry_after: PAUSE };
        let Ok(Ok(_turn)) = tokio::time::timeout(PATIENCE, self.calls.acquire()).await else { return Err(overloaded) };
        if let Some(why) = self.recent_failure() {
            return Ok(Err(Failure::Later(why)));
        }
        let mut answer = ask().await.map_err(|error| Failure::of(&error));
        if matches!(answer, Err(Failure::Later(_))) {
            tokio::time::sleep(BREATH).await;
            answer = ask().await.map_err(|error| Failure::of(&error));
        }
        if let Err(Failure::Later(why)) = &answer {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why.clone()));
        }
        Ok(answer)
    }

    fn recent_failure(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE).map(|(_, why)| why.clone())
    }
}
