//! The part of `strongroom run` that needs a cluster: controllers and webhook.

use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::adapters::identity::{KubernetesIdentity, ServiceAccounts};
use crate::adapters::system::SystemClock;
use crate::app::App;
use crate::app::anchor::Rollback;
use crate::config::Settings;
use crate::domain::Result;
use crate::k8s::leader::{Election, Term};
use crate::k8s::webhook::certificate::{Callbacks, Keeper, Options, Readiness, current};
use crate::k8s::webhook::{self, Admissions};
use crate::k8s::{self, Operator};
use crate::runtime::foundation::Cluster;
use crate::runtime::surroundings::{Surroundings, Tasks, bind};
use crate::runtime::{kubernetes, leadership};
use crate::server::health::Part;
use crate::server::{ClientCertificates, Tls, serve};

pub struct Connection {
    client: Client,
    pub ports: Cluster,
}

pub async fn connect(settings: &Settings) -> anyhow::Result<Connection> {
    let client = kubernetes::client(settings).await?;
    let clock = Arc::new(SystemClock);
    let identity = Arc::new(KubernetesIdentity::new(client.clone(), &settings.token_audience, clock));
    let accounts = Arc::new(ServiceAccounts::new(client.clone()));
    Ok(Connection { client, ports: Cluster { identify: identity.clone(), review: identity, accounts } })
}

/// The webhook listens before the controllers are ready: what it answers from fills up meanwhile.
pub async fn start(
    connection: Connection,
    around: &Surroundings<'_>,
    registry: &mut Registry,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let Connection { client, .. } = connection;
    let operator = Operator::default();
    let admissions = Admissions::default();
    admissions.register(registry);
    let routes = webhook::routes(operator.known(), admissions);
    start_webhook(&client, around, routes, tasks).await?;

    let leading = Gauge::<i64>::default();
    registry.register("leader", "1 while this process runs the controllers, else 0", leading.clone());
    let crew = Crew {
        operator,
        client,
        app: around.app.clone(),
        options: k8s::Options { retain_for: around.settings.retain_for },
        ready: around.readiness.part("operator"),
        rollback: around.rollback.clone(),
    };
    let shutdown = around.shutdown.clone();
    match leadership::options(around.settings, around.app) {
        Some(options) => {
            let election = Election::new(&crew.client, options, crew.app.clone(), leading);
            tasks.spawn(async move {
                let idle = || crew.follow(&shutdown);
                election
                    .run(|term| crew.clone().lead(term), idle, shutdown.clone())
                    .await
                    .context("the controllers ended")
            });
        }
        None => {
            leading.set(1);
            tasks.spawn(async move { crew.lead(shutdown.into()).await.context("the controllers ended") });
        }
    }
    Ok(())
}

/// The controllers, again and again: each time this process leads, and what there is to know in between.
#[derive(Clone)]
struct Crew {
    operator: Operator,
    client: Client,
    app: Arc<App>,
    options: k8s::Options,
    /// Once ready it stays so, whoever leads: the webhook answers either way.
    ready: Part,
    rollback: watch::Receiver<Option<Rollback>>,
}

impl Crew {
    /// Works for the term, and not while the store is older than its anchor: what it holds would be written over newer
    /// values that are in Secrets.
    async fn lead(self, term: Term) -> Result<()> {
        let mut rollback = self.rollback.clone();
        loop {
            if rollback.borrow_and_update().is_some() {
                self.follow(&term.end);
            }
            tokio::select! {
                sound = rollback.wait_for(Option::is_none) => drop(sound),
                () = term.end.cancelled() => return Ok(()),
            }
            let part = term.part();
            let mut work = std::pin::pin!(self.work(part.clone()));
            tokio::select! {
                ended = &mut work => return ended,
                // Nobody can say any more: then there is no store either.
                _ = rollback.wait_for(Option::is_some) => part.end.cancel(),
            }
            work.await?;
        }
    }

    async fn work(&self, term: Term) -> Result<()> {
        let Self { operator, client, app, options, ready, .. } = self.clone();
        operator.run(client, app, options, move || ready.set(true), term).await
    }

    fn follow(&self, shutdown: &CancellationToken) {
        let ready = self.ready.clone();
        self.operator.follow(&self.client, move || ready.set(true), shutdown);
    }
}

async fn start_webhook(
    client: &Client,
    around: &Surroundings<'_>,
    routes: warp::filters::BoxedFilter<(warp::reply::Response,)>,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let Surroundings { settings, app, readiness, shutdown, .. } = around;
    let options = Options::new(settings.webhook_names.clone(), settings.webhook_config.clone());
    let first = current(app, &options).await.context("the webhook's certificate")?;
    let tls = Arc::new(Tls::new(&first.chain, &first.private_key, ClientCertificates::Ignored)?);
    let listener = bind("--webhook-listen", settings.webhook_listen).await?;
    let served = serve(listener, Some(tls.clone()), routes, webhook::limits(), (*shutdown).clone());
    tasks.spawn(async move {
        served.await;
        Ok(())
    });

    let trusted = readiness.part("webhook");
    let callbacks = Callbacks {
        install: Box::new(move |certificate| tls.replace(&certificate.chain, &certificate.private_key)),
        // Once ready it stays so: an unready pod would also be taken from REST, which works all the same.
        readiness: Box::new(move |now| {
            if *now == Readiness::Ready {
                trusted.set(true);
            }
        }),
    };
    let keeper = Keeper::new((*app).clone(), client, options, callbacks);
    let shutdown = (*shutdown).clone();
    tasks.spawn(async move {
        tokio::select! {
            never = keeper.keep() => match never {},
            () = shutdown.cancelled() => Ok(()),
        }
    });
    Ok(())
}
