//! What every subcommand that touches records stands on: store, key, use cases.

use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::adapters::journal::{self, Anchor, FileJournal, LogJournal, Pace, TableGround, TableJournal};
use crate::adapters::pki::Workshop;
use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::alarm::Alarm;
use crate::app::keyring::Keyring;
use crate::app::kmsauth::Kmsauth;
use crate::app::ports::{Clock, Identify, Issuers, Journal, Review, RoleBook};
use crate::app::witness::Witness;
use crate::app::{App, Parts, Rolls};
use crate::config::Settings;
use crate::domain::rules::Rules;
use crate::runtime::anchor::{self, Upkeep};
use crate::runtime::database::{self, Database};
use crate::runtime::dialects;
use crate::runtime::journal::{Journaling, Kept};
use crate::runtime::root_key::{self, Patience};
use crate::runtime::told;
use crate::runtime::{kmsauth, oidc, rolls};

/// Kubernetes as far as the use cases need it.
#[derive(Clone)]
pub struct Cluster {
    pub identify: Arc<dyn Identify>,
    pub review: Arc<dyn Review>,
    pub accounts: Arc<dyn RoleBook>,
}

/// What only those who answer callers ask others for.
#[derive(Default)]
struct Outside {
    issuers: Option<Arc<dyn Issuers>>,
    kmsauth: Option<Kmsauth>,
    rolls: Rolls,
}

/// What everything stands on that touches the store.
pub struct Ground {
    pub store: Arc<dyn Database>,
    pub keyring: Arc<Keyring>,
    pub witness: Arc<Witness>,
    pub clock: Arc<SystemClock>,
    pub entropy: Arc<SystemEntropy>,
    rules: Rules,
}

impl Ground {
    /// Opens the store and the key, making both on first start. An existing store without its key is
    /// refused: a new key would open nothing in it. One that is older than its anchor is opened, and only for
    /// reading.
    pub async fn open(settings: &Settings, alarm: &Alarm, patience: &Patience) -> anyhow::Result<Self> {
        Self::open_with(settings, alarm, patience, Upkeep::Keep).await
    }

    async fn open_with(
        settings: &Settings,
        alarm: &Alarm,
        patience: &Patience,
        upkeep: Upkeep,
    ) -> anyhow::Result<Self> {
        let found = anchor::find(settings)?;
        let store = database::open(settings, alarm).await?;
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
        let is_new = store.data_keys().await?.is_empty();
        found.require_fit(settings, store.store_id().await?, !is_new)?;
        let service = root_key::open(settings, is_new, entropy.clone(), patience).await?;
        let open = || Keyring::open(store.as_ref(), store.clone(), service.clone(), entropy.as_ref(), clock.now());
        let keyring = patience.wait(open).await.context("opening the data keys")?;
        if upkeep == Upkeep::Keep {
            anchor::tell_if_new(&found, settings, !is_new);
        }
        let witness = anchor::begin(settings, &store, &keyring, upkeep).await?;
        Ok(Self { store, keyring, witness, clock, entropy, rules: dialects::rules(settings)? })
    }

    /// Makes nothing: for looking at what is there.
    pub async fn of_existing(settings: &Settings) -> anyhow::Result<Self> {
        let alarm = Alarm::default();
        if database::open(settings, &alarm).await?.data_keys().await?.is_empty() {
            bail!("the store has no data key: it was never used, or they were taken away");
        }
        Self::open_with(settings, &alarm, &Patience::None, Upkeep::Look).await
    }

    /// In a folder, or where all replicas keep theirs.
    async fn open_journal(
        &self,
        settings: &Settings,
        alarm: &Alarm,
    ) -> anyhow::Result<(Kept, UnboundedReceiver<Anchor>)> {
        let (clock, entropy, keyring) = (self.clock.clone(), self.entropy.clone(), self.keyring.clone());
        let pace = Pace::default();
        if let Some(table) = self.store.clone().journals() {
            let opened = TableJournal::open(TableGround { table, clock, entropy, keyring, pace }).await;
            let (journal, anchors) = opened.map_err(told).context("opening a journal in the database")?;
            return Ok((Kept::Table(Arc::new(journal)), anchors));
        }
        let (folder, alarm) = (settings.audit_dir.clone(), alarm.clone());
        let opened = FileJournal::open(journal::Ground { folder, clock, entropy, alarm, keyring, pace });
        let (journal, anchors) =
            opened.map_err(told).with_context(|| format!("opening a journal in {}", settings.audit_dir.display()))?;
        Ok((Kept::File(Arc::new(journal)), anchors))
    }

    pub fn app(&self, cluster: Option<Cluster>, journal: Arc<dyn Journal>) -> App {
        self.app_with(cluster, journal, Outside::default())
    }

    fn app_with(&self, cluster: Option<Cluster>, journal: Arc<dyn Journal>, outside: Outside) -> App {
        App::new(Parts {
            store: self.store.clone(),
            keyring: self.keyring.clone(),
            journal,
            keymaker: Arc::new(Workshop::new()),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            review: cluster.as_ref().map(|cluster| cluster.review.clone()),
            identify: cluster.map(|cluster| cluster.identify),
            issuers: outside.issuers,
            kmsauth: outside.kmsauth,
            rolls: outside.rolls,
            rules: self.rules.clone(),
        })
    }

    fn outside(&self, settings: &Settings, cluster: Option<&Cluster>) -> anyhow::Result<Outside> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let open = |given| kmsauth::open(given, self.entropy.clone(), clock.clone());
        let kmsauth = settings.confidant.kmsauth.as_ref().map(open).transpose().context("confidant.kmsauth")?;
        let accounts = cluster.map(|cluster| cluster.accounts.clone());
        let issuers = oidc::open(&settings.credhub.auth.issuers, &clock)?;
        Ok(Outside { issuers, kmsauth, rolls: rolls::open(&settings.confidant, accounts, &clock)? })
    }

    /// For those who answer callers: every read and denial is noted in a journal from here on.
    pub async fn serving(
        &self,
        settings: &Settings,
        cluster: Option<Cluster>,
        alarm: &Alarm,
    ) -> anyhow::Result<(Arc<App>, Journaling)> {
        let (journal, anchors) = self.open_journal(settings, alarm).await?;
        let outside = self.outside(settings, cluster.as_ref())?;
        let app = Arc::new(self.app_with(cluster, journal.journal(), outside));
        Ok((app.clone(), Journaling::start(app, journal, anchors, self.witness.is_sound()).await?))
    }
}

/// For subcommands that answer nobody.
pub async fn open(settings: &Settings, cluster: Option<Cluster>, alarm: &Alarm) -> anyhow::Result<App> {
    Ok(Ground::open(settings, alarm, &Patience::None).await?.app(cluster, Arc::new(LogJournal)))
}
