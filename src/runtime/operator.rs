//! The part of `strongroom run` that needs a cluster: controllers and webhook.

use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use prometheus_client::registry::Registry;

use crate::adapters::identity::KubernetesIdentity;
use crate::adapters::system::SystemClock;
use crate::config::Settings;
use crate::k8s::webhook::certificate::{Callbacks, Keeper, Options, Readiness, current};
use crate::k8s::webhook::{self, Admissions};
use crate::k8s::{self, Operator};
use crate::runtime::foundation::Cluster;
use crate::runtime::kubernetes;
use crate::runtime::serve::{Surroundings, Tasks, bind};
use crate::server::{ClientCertificates, Tls, serve};

pub struct Connection {
    client: Client,
    pub ports: Cluster,
}

pub async fn connect(settings: &Settings) -> anyhow::Result<Connection> {
    let client = kubernetes::client(settings).await?;
    let clock = Arc::new(SystemClock);
    let identity = Arc::new(KubernetesIdentity::new(client.clone(), &settings.token_audience, clock));
    Ok(Connection { client, ports: Cluster { identify: identity.clone(), review: identity } })
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

    let ready = around.readiness.part("operator");
    let options = k8s::Options { retain_for: around.settings.retain_for };
    let (app, shutdown) = (around.app.clone(), around.shutdown.clone());
    tasks.spawn(async move {
        operator.run(client, app, options, move || ready.set(true), shutdown).await.context("the controllers ended")
    });
    Ok(())
}

async fn start_webhook(
    client: &Client,
    around: &Surroundings<'_>,
    routes: warp::filters::BoxedFilter<(warp::reply::Response,)>,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let Surroundings { settings, app, readiness, shutdown } = around;
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
