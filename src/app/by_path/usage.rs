//! How much is sealed under which data key. All of it is counted, so the answer is held for a while.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::app::by_path::ByPath;
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::record::Class;

/// How old an answer may be.
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// Versions by the key that opens them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub active: u64,
    /// Under a key that was replaced and still opens them.
    pub inactive: u64,
    pub unknown: u64,
}

#[derive(Default)]
pub struct Counted(Mutex<Option<(Timestamp, Usage)>>);

impl ByPath {
    pub async fn usage(&self, actor: &Actor) -> Result<Usage> {
        let now = self.records.now();
        let held = *self.counted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = match held.filter(|(at, _)| now.duration_since(*at) < FRESH) {
            Some((_, usage)) => usage,
            None => {
                let usage = self.count().await?;
                *self.counted.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, usage));
                usage
            }
        };
        self.records.audit.session(actor, "key usage").await?;
        Ok(usage)
    }

    async fn count(&self) -> Result<Usage> {
        let (current, known) = (self.records.keyring.current(), self.records.keyring.epochs());
        let mut usage = Usage::default();
        for (epoch, count) in self.records.store.sealed_under(Class::Credential).await? {
            let place = match epoch {
                epoch if epoch == current => &mut usage.active,
                epoch if known.contains(&epoch) => &mut usage.inactive,
                _ => &mut usage.unknown,
            };
            *place += count;
        }
        Ok(usage)
    }
}
