//! One issuer: its name and keys as they were found last, how they are kept fresh, and what is done while it is away.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, Semaphore};

use super::fetch::{KeysFrom, Place};
use super::keys::Keys;
use super::token::Token;
use crate::app::ports::Clock;
use crate::domain::oidc::Terms;
use crate::domain::{Error, Result};

/// Between two questions. Anybody can show a token with a key that there is not: that must not become a flood, and a new
/// key need not wait longer than this.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// When nobody asks, so that a key that the issuer has withdrawn does not count for longer.
const FRESH: Duration = Duration::from_secs(300);
const RETRY: Duration = Duration::from_secs(15);
/// How long known keys count while the issuer cannot be asked.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// Requests that wait for one answer of the issuer; the others are told to come again.
const WAITING: usize = 32;

/// What the settings say of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    pub place: Place,
    /// The claim `iss` of its tokens; `None`: what its document says.
    pub name: Option<String>,
    pub terms: Terms,
}

/// What was found last.
#[derive(Clone)]
pub(super) struct Known {
    pub name: String,
    pub keys: Arc<Keys>,
    at: Timestamp,
}

#[derive(Default)]
struct Attempts {
    last: Option<Timestamp>,
    is_failing: bool,
}

pub(super) struct Issuer {
    pub believed: Believed,
    clock: Arc<dyn Clock>,
    known: RwLock<Option<Known>>,
    attempts: Mutex<Attempts>,
    waiting: Arc<Semaphore>,
}

impl Issuer {
    pub fn new(believed: Believed, clock: Arc<dyn Clock>) -> Self {
        let (known, attempts) = (RwLock::default(), Mutex::default());
        Self { believed, clock, known, attempts, waiting: Arc::new(Semaphore::new(WAITING)) }
    }

    /// Whether tokens of this name are this issuer's. While its own name is not known, those below its address are.
    pub fn is(&self, name: &str) -> bool {
        match self.name() {
            Some(known) => known == name,
            None => {
                let rest = name.strip_prefix(self.believed.place.url.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    fn name(&self) -> Option<String> {
        self.believed.name.clone().or_else(|| Some(self.read().as_ref()?.name.clone()))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be believed now.
    pub fn current(&self) -> Option<Known> {
        let known = self.read().clone()?;
        let age = known.at.duration_until(self.clock.now());
        (age < KEPT).then_some(known)
    }

    /// Whether these keys still count.
    pub fn has(&self, keys: &Arc<Keys>) -> bool {
        let is_young = |known: &Known| known.at.duration_until(self.clock.now()) < KEPT;
        self.read().as_ref().is_some_and(|known| Arc::ptr_eq(&known.keys, keys) && is_young(known))
    }

    /// The keys among which this token's may be: asks the issuer if it is of none of the known ones. Without any keys, for
    /// too long or from the start, nothing can be said of a token.
    pub async fn keys_for(self: &Arc<Self>, token: &Token<'_>) -> Result<Known> {
        if let Some(known) = self.current().filter(|known| known.keys.know(token)) {
            return Ok(known);
        }
        let overloaded = |_| Error::Overloaded { retry_after: Duration::from_secs(1) };
        let turn = self.waiting.clone().try_acquire_owned().map_err(overloaded)?;
        // Apart from the request: one that is given up must not give up the answer that others wait for.
        let issuer = self.clone();
        let renewing = tokio::spawn(async move {
            issuer.renew().await;
            drop(turn);
        });
        renewing.await.map_err(Error::internal)?;
        self.current().ok_or_else(|| Error::Unavailable {
            part: "the issuer of this token",
            detail: format!("the keys of {} are not known", self.believed.place.url),
        })
    }

    /// Asks, unless that was done a moment ago; who waits for the answer of another question takes that one. True when
    /// what is known is fresh.
    pub async fn renew(&self) -> bool {
        let mut attempts = self.attempts.lock().await;
        let now = self.clock.now();
        if attempts.last.is_some_and(|last| last <= now && last.duration_until(now) < PAUSE) {
            return !attempts.is_failing;
        }
        let found = self.ask().await;
        let now = self.clock.now();
        attempts.last = Some(now);
        let url = &self.believed.place.url;
        match found {
            Ok((name, keys)) => {
                if std::mem::take(&mut attempts.is_failing) {
                    tracing::info!(issuer = %url, "an issuer of tokens answers again");
                }
                self.replace(name, keys, now);
            }
            Err(why) => {
                if !std::mem::replace(&mut attempts.is_failing, true) {
                    tracing::warn!(issuer = %url, %why, "an issuer of tokens cannot be asked; its known keys count for a day");
                }
            }
        }
        !attempts.is_failing
    }

    async fn ask(&self) -> Result<(String, Keys), String> {
        let place = &self.believed.place;
        let found = place.ask().await?;
        let name = match (&self.believed.name, found.name) {
            (Some(wanted), Some(said)) if *wanted != said => {
                return Err(format!("its document says that it is {said:?}, and the settings say {wanted:?}"));
            }
            (Some(wanted), _) => wanted.clone(),
            (None, Some(said)) => said,
            (None, None) => place.url.clone(),
        };
        Ok((name, found.keys))
    }

    /// Tokens that were verified under the same keys stay verified.
    fn replace(&self, name: String, keys: Keys, at: Timestamp) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let keys = match known.take() {
            Some(before) if before.name == name && *before.keys == keys => before.keys,
            before => {
                let issuer = &self.believed.place.url;
                tracing::info!(%issuer, name, is_first = before.is_none(), "keys of an issuer of tokens were read");
                Arc::new(keys)
            }
        };
        *known = Some(Known { name, keys, at });
    }

    /// Until nobody needs it any more.
    pub async fn keep_fresh(issuer: std::sync::Weak<Self>) {
        loop {
            let Some(known) = issuer.upgrade() else { return };
            let is_fresh = known.renew().await;
            drop(known);
            tokio::time::sleep(if is_fresh { FRESH } else { RETRY }).await;
        }
    }

    /// Whether what can be known without the issuer can be used.
    pub fn check(&self) -> Result<(), String> {
        let place = &self.believed.place;
        match &place.keys {
            KeysFrom::File(path) => super::fetch::of_file(path).map(|_| ()),
            KeysFrom::Discovery | KeysFrom::Set(_) => place.client().map(|_| ()),
        }
    }
}
