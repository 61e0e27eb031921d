//! The store's anchor: begun with the store, watched while it is served, and what is said of a store that is older.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::adapters::anchor::FileAnchor;
use crate::adapters::system::SystemClock;
use crate::app::anchor::{AnchorPlace, Kept, Last, Rollback, time_of};
use crate::app::keyring::Keyring;
use crate::app::ledger::Ledger;
use crate::app::ports::Store;
use crate::app::witness::{Witness, require_own};
use crate::config::Settings;
use crate::domain;
use crate::domain::name::StoreId;
use crate::runtime::database::Database;
use crate::runtime::told;
use crate::server::health::Readiness;

/// How soon a server notices that its store is right again, or was accepted.
const LOOK: Duration = Duration::from_secs(1);
/// Behind the word that callers are welcome.
const READ_ONLY: &str = "read-only: the store is older than its anchor, see `strongroom accept-rollback`";

/// What to do about an anchor that is not there or behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    Keep,
    /// Whoever only looks makes nothing.
    Look,
}

/// What was found before the store was asked for anything.
pub struct Found(Kept);

/// To be asked before the data keys are: an anchor that is there then is of a store that has some.
pub fn find(settings: &Settings) -> anyhow::Result<Found> {
    FileAnchor::at(&settings.anchor_file).read().map(Found).map_err(told)
}

impl Found {
    /// Before anything is written: the store must be the anchor's, and have been used.
    pub fn require_fit(&self, settings: &Settings, store: StoreId, has_keys: bool) -> anyhow::Result<()> {
        let place = settings.anchor_file.display();
        require_own(&self.0, store, &place.to_string())?;
        if has_keys || self.0 == Kept::Nothing {
            return Ok(());
        }
        bail!(
            "the store was never used, but there is an anchor of it, {place}: everything in it was taken away; put the \
             store back, or remove the file if it is given up"
        )
    }
}

/// From here on every write into the store is witnessed.
pub async fn begin(
    settings: &Settings,
    store: &Arc<dyn Database>,
    keyring: &Arc<Keyring>,
    upkeep: Upkeep,
) -> anyhow::Result<Arc<Witness>> {
    let place = Box::new(FileAnchor::at(&settings.anchor_file));
    let witness = Arc::new(Witness::begin(place, keyring, Arc::new(SystemClock)).map_err(told)?);
    store.witnessed_by(witness.clone());
    let found = witness.look(store.as_ref()).await.map_err(told)?;
    if found.is_none()
        && upkeep == Upkeep::Keep
        && let Some(ledger) = ledger(store.as_ref()).await?
    {
        // After a crash it may be behind: what was not noticed then is noticed from now on.
        keyring.verify_ledger(&ledger).or_else(unless_replaced).map_err(told)?;
        match witness.last() {
            Last::Nothing => witness.make(&ledger).map_err(told)?,
            Last::At(..) | Last::Unreadable(_) => witness.committed(&ledger),
        }
    }
    Ok(witness)
}

/// Says that an anchor had to be made for a store that was used before.
pub fn tell_if_new(found: &Found, settings: &Settings, had_keys: bool) {
    if had_keys && found.0 == Kept::Nothing {
        let file = settings.anchor_file.display();
        tracing::warn!(%file, "the store's anchor was not there and is made anew: an older copy put in the store's place before now is not noticed");
    }
}

fn unless_replaced(error: domain::Error) -> domain::Result<()> {
    // Another process is replacing the data key: the next commit keeps the anchor.
    if matches!(error, domain::Error::KeyReplaced) { Ok(()) } else { Err(error) }
}

async fn ledger(store: &dyn Database) -> anyhow::Result<Option<Ledger>> {
    store.snapshot().await.map_err(told)?.ledger().await.map_err(told)
}

/// For a store that was just put here on purpose.
pub async fn begin_anew(settings: &Settings, store: &Arc<dyn Database>, keyring: &Arc<Keyring>) -> anyhow::Result<()> {
    let place = Box::new(FileAnchor::at(&settings.anchor_file));
    let witness = Witness::begin(place, keyring, Arc::new(SystemClock)).map_err(told)?;
    let ledger = ledger(store.as_ref()).await?.context("the store has no ledger")?;
    witness.begin_anew(&ledger).map_err(told)
}

/// What is wrong, with both numbers and times.
pub async fn described(rollback: &Rollback, witness: &Witness, store: &dyn Database) -> String {
    let end = match end(store).await {
        Ok(Some((_, Some(at)))) => format!("; its last record is of {at}"),
        Ok(_) => String::new(),
        Err(error) => format!("; it cannot be read: {error:#}"),
    };
    match rollback {
        Rollback::Unknown(why) => format!("its anchor cannot be read: {why}{end}"),
        Rollback::Shorter { .. } | Rollback::Another { .. } => format!("{rollback}{end} (anchor {})", witness.place()),
    }
}

/// The last record of writes, and when it was made.
pub async fn end(store: &dyn Database) -> anyhow::Result<Option<(Ledger, Option<Timestamp>)>> {
    let mut moment = store.snapshot().await.map_err(told)?;
    let Some(ledger) = moment.ledger().await.map_err(told)? else { return Ok(None) };
    let last = moment.audit(ledger.position.number.saturating_sub(1), 1).await.map_err(told)?;
    let at = last.first().and_then(|(_, note)| time_of(note));
    Ok(Some((ledger, at)))
}

/// What a server says of its store and of its anchor, as long as it runs.
pub struct Watch {
    pub store: Arc<dyn Database>,
    pub witness: Arc<Witness>,
    pub readiness: Readiness,
    pub detected: Gauge,
}

impl Watch {
    pub fn register(registry: &mut Registry) -> Gauge {
        let detected = Gauge::default();
        let help = "1 while writes are refused because the store is older than its anchor, else 0";
        registry.register("rollback_detected", help, detected.clone());
        detected
    }

    pub async fn keep(self, shutdown: CancellationToken) {
        let mut rollback = self.witness.rollback();
        // The very first look was before the server's start.
        let mut said = None;
        loop {
            let now = rollback.borrow_and_update().clone();
            if now != said {
                self.say(now.as_ref(), said.is_some()).await;
                said = now;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = rollback.changed() => {}
                () = tokio::time::sleep(LOOK), if said.is_some() => self.look().await,
            }
        }
    }

    /// Once for what begins and once for its end; what is found meanwhile changes little.
    async fn say(&self, now: Option<&Rollback>, again: bool) {
        self.detected.set(now.is_some().into());
        self.readiness.remark(now.map(|_| READ_ONLY));
        match now {
            Some(rollback) if !again => {
                let found = described(rollback, &self.witness, self.store.as_ref()).await;
                tracing::error!(
                    "the store is not what it was, and is only read from now on: {found}; put the right store back, or see `strongroom accept-rollback`"
                );
            }
            Some(_) => {}
            None => tracing::info!("the store is right again: writes go on"),
        }
    }

    async fn look(&self) {
        if let Err(error) = self.witness.look(self.store.as_ref() as &dyn Store).await {
            tracing::debug!(%error, detail = error.detail(), "the store could not be looked at");
        }
    }
}

/// For `strongroom check`: where the anchor is and how far.
pub async fn standing(witness: &Witness, store: &dyn Database) -> Result<String, String> {
    let rollback = witness.rollback().borrow().clone();
    if let Some(rollback) = rollback {
        let found = described(&rollback, witness, store).await;
        return Err(format!("the store is not what it was: {found}; put it back, or see `strongroom accept-rollback`"));
    }
    Ok(match witness.last() {
        Last::At(position, at) => format!("{} saw record {} of writes at {at}", witness.place(), position.number),
        Last::Nothing | Last::Unreadable(_) => format!("{} will be made at the next start", witness.place()),
    })
}
