//! The Kubernetes edge. It translates between the API server and `app`, and never names a REST dialect or an adapter.

pub mod conditions;
pub mod controller;
/// The four custom resources.
pub mod crd;
pub mod failure;
mod installed;
pub mod label;
pub mod leader;
pub mod projection;
mod restart;
pub mod rights;
mod shown;
pub mod translate;
/// What the API server asks before it accepts a pod or a custom resource.
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::elsewhere::Elsewhere;
use crate::domain::{Error, Result};
use crate::k8s::controller::triggers::{Triggers, Wakes};
use crate::k8s::controller::{Census, Desk, changes};
use crate::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Managed, Service};
use crate::k8s::installed::wait_for_crds;
use crate::k8s::leader::Term;
use crate::k8s::projection::apply::Applier;
use crate::k8s::projection::held::Projections;
use crate::k8s::projection::watch::Watch;
use crate::k8s::restart::Restarter;
use crate::k8s::shown::{Shelves, Shown};

const PURGE_EVERY: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub struct Options {
    /// How long the record of a deleted resource is kept where the resource does not say.
    pub retain_for: SignedDuration,
}

/// The controllers of all kinds, and what is known of the cluster while they run and while they do not.
#[derive(Clone, Default)]
pub struct Operator {
    shown: Shown,
}

impl Operator {
    /// What is known of the cluster, for the webhook to answer from.
    pub fn known(&self) -> watch::Receiver<webhook::Known> {
        self.shown.known()
    }

    /// Knows the cluster without working on it, until the controllers run or shutdown. `ready` is called when it does.
    pub fn follow(&self, client: &Client, ready: impl FnOnce() + Send + 'static, shutdown: &CancellationToken) {
        self.shown.follow(client.clone(), ready, shutdown);
    }

    /// Runs the controllers of all kinds until the end of the term. `ready` is called when they have begun to work: the
    /// CRDs are there and every existing projection is known.
    pub async fn run(
        self,
        client: Client,
        app: Arc<App>,
        options: Options,
        ready: impl FnOnce() + Send,
        term: impl Into<Term>,
    ) -> Result<()> {
        let term = term.into();
        let (client, shutdown) = (term.client(client), term.end.clone());
        if !wait_for_crds(&client, &shutdown).await {
            return Ok(());
        }
        let mut triggers = Triggers::default();
        let lanes = Lanes::open(&mut triggers);
        let triggers = Arc::new(triggers);
        let projections = Arc::new(Projections::default());

        let mut tasks = JoinSet::new();
        // Before anything is written: what is there already is kept, not written again.
        if !know_projections(&mut tasks, &client, &projections, &triggers, &shutdown).await {
            return Ok(());
        }
        let elsewhere = look_elsewhere(&app, &term).await;
        let reporter = Reporter { controller: label::STRONGROOM.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        let restarter = Restarter::new(client.clone(), projections.clone(), recorder.clone());
        let desk = Arc::new(Desk {
            app: app.clone(),
            client: client.clone(),
            applier: Applier::new(app.clone(), client, projections),
            census: Arc::new(Census::default()),
            triggers,
            recorder,
            retain_for: options.retain_for,
            term,
        });
        let shelves = Shelves::default();
        tasks.spawn(show(self.shown, shelves.known(), shutdown.clone()));
        tasks.spawn(changes::follow(desk.clone(), elsewhere));
        lanes.run(&mut tasks, &desk, shelves);
        tasks.spawn(restarter.run(shutdown.clone()));
        tasks.spawn(purge(app, shutdown.clone()));
        ready();
        until_end(tasks, &shutdown).await
    }
}

/// What wakes each kind's controller.
struct Lanes {
    credentials: Wakes,
    services: Wakes,
    authorities: Wakes,
    clients: Wakes,
}

impl Lanes {
    fn open(triggers: &mut Triggers) -> Self {
        Self {
            credentials: triggers.lane(Credential::KIND),
            services: triggers.lane(Service::KIND),
            authorities: triggers.lane(CertificateAuthority::KIND),
            clients: triggers.lane(ClientCredential::KIND),
        }
    }

    fn run(self, tasks: &mut JoinSet<()>, desk: &Arc<Desk>, shelves: Shelves) {
        tasks.spawn(controller::run(desk.clone(), self.authorities, shelves.authorities));
        tasks.spawn(controller::run(desk.clone(), self.credentials, shelves.credentials));
        tasks.spawn(controller::run(desk.clone(), self.services, shelves.services));
        tasks.spawn(controller::run(desk.clone(), self.clients, shelves.clients));
    }
}

/// What others write, where there are others. Looked at before any record is: nothing is written in between that nobody
/// hears of.
async fn look_elsewhere(app: &App, term: &Term) -> Option<Elsewhere> {
    let mut elsewhere = term.has_others().then(|| app.elsewhere())?;
    let _ = elsewhere.look().await;
    Some(elsewhere)
}

async fn show(shown: Shown, known: webhook::Known, shutdown: CancellationToken) {
    tokio::select! {
        () = shown.lead(known) => shutdown.cancelled().await,
        () = shutdown.cancelled() => {}
    }
}

/// None of them ends by itself: the first that does takes the others with it.
async fn until_end(mut tasks: JoinSet<()>, shutdown: &CancellationToken) -> Result<()> {
    let ended = tasks.join_next().await;
    let asked = shutdown.is_cancelled();
    shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    match ended {
        Some(Err(error)) => Err(Error::internal(error)),
        _ if asked => Ok(()),
        _ => Err(Error::internal("a controller ended by itself")),
    }
}

/// Starts the watches of projections; true when both have their first complete list.
async fn know_projections(
    tasks: &mut JoinSet<()>,
    client: &Client,
    projections: &Arc<Projections>,
    triggers: &Arc<Triggers>,
    shutdown: &CancellationToken,
) -> bool {
    let watch = || Watch {
        client: client.clone(),
        projections: projections.clone(),
        triggers: triggers.clone(),
        shutdown: shutdown.clone(),
    };
    let (secrets, secrets_known) = oneshot::channel();
    let (config_maps, config_maps_known) = oneshot::channel();
    tasks.spawn(watch().secrets(secrets));
    tasks.spawn(watch().config_maps(config_maps));
    secrets_known.await.is_ok() && config_maps_known.await.is_ok()
}

/// Forgets the records of deleted resources when their time is over.
async fn purge(app: Arc<App>, shutdown: CancellationToken) {
    let mut hours = tokio::time::interval(PURGE_EVERY);
    loop {
        tokio::select! {
            _ = hours.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match app.purge().await {
            Ok(0) => {}
            Ok(records) => tracing::info!(records, "forgot records of deleted resources"),
            Err(error) => {
                tracing::warn!(%error, detail = error.detail(), "could not forget records of deleted resources")
            }
        }
    }
}
