//! `strongroom run` and `strongroom serve`: what starts in which order, and how it ends.
//!
//! Start: admin, store, REST, then the operator. End, on SIGTERM or Ctrl-C: not ready, no new work,
//! requests under way end, the store last.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::alarm::Alarm;
use crate::app::anchor::Rollback;
use crate::app::ports::Clock;
use crate::config::{DRAIN, Settings};
use crate::runtime::foundation::{Cluster, Ground};
use crate::runtime::journal::Journaling;
use crate::runtime::root_key::Patience;
use crate::runtime::surroundings::{Surroundings, Tasks, bind};
use crate::runtime::{anchor, operator, rest, root_key, threads};
use crate::server::health::{self, Metrics, Readiness};
use crate::server::{Limits, serve};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Operator, webhook and REST.
    Cluster,
    /// REST alone.
    Alone,
}

pub fn run(settings: Settings, mode: Mode) -> anyhow::Result<ExitCode> {
    threads()?.block_on(start(settings, mode))?;
    Ok(ExitCode::SUCCESS)
}

async fn start(settings: Settings, mode: Mode) -> anyhow::Result<()> {
    let (shutdown, alarm) = (CancellationToken::new(), Alarm::default());
    stop_on_signal(shutdown.clone())?;
    let readiness = Readiness::default();
    let serving = readiness.part("rest");
    let mut registry = Registry::with_prefix("strongroom");
    let metrics = Metrics::default();
    let admin = Admin::start(&settings, &readiness, &metrics).await?;

    let cluster = match mode {
        Mode::Cluster => Some(operator::connect(&settings).await?),
        Mode::Alone => None,
    };
    let ports = cluster.as_ref().map(|cluster| cluster.ports.clone());
    let opened = open(&settings, ports, &alarm, &readiness, &mut registry, &shutdown).await;
    if shutdown.is_cancelled() {
        return Ok(());
    }
    let (app, journaling, rollback) = opened?;
    let surroundings =
        Surroundings { settings: &settings, app: &app, readiness: &readiness, shutdown: &shutdown, rollback };
    let mut tasks = Tasks::new();
    rest::start(&surroundings, &mut registry, &mut tasks).await?;
    serving.set(true);
    if let Some(cluster) = cluster {
        operator::start(cluster, &surroundings, &mut registry, &mut tasks).await?;
    }
    // Nothing registers after this.
    let _ = metrics.set(registry);

    let ended = end_of(&mut tasks, &shutdown, &alarm).await;
    tracing::info!("stopping");
    serving.set(false);
    shutdown.cancel();
    drain(tasks).await;
    journaling.stop().await;
    admin.stop().await;
    ended
}

/// Health and metrics. From the very start, which may wait for a key service: alive and not ready is not the same as
/// dead. And to the very end: who watches readiness must see that it is gone.
struct Admin {
    task: JoinHandle<()>,
    end: CancellationToken,
}

impl Admin {
    async fn start(settings: &Settings, readiness: &Readiness, metrics: &Metrics) -> anyhow::Result<Self> {
        let listener = bind("--admin-listen", settings.admin_listen).await?;
        let routes = health::routes(readiness.clone(), metrics.clone());
        let end = CancellationToken::new();
        let task = tokio::spawn(serve(listener, None, routes, Limits::default(), end.clone()));
        Ok(Self { task, end })
    }

    async fn stop(self) {
        self.end.cancel();
        let _ = self.task.await;
    }
}

/// The use cases, as soon as the key service lets the data keys out. From then on it is asked now and then.
async fn open(
    settings: &Settings,
    ports: Option<Cluster>,
    alarm: &Alarm,
    readiness: &Readiness,
    registry: &mut Registry,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Arc<App>, Journaling, watch::Receiver<Option<Rollback>>)> {
    let opening = readiness.part("key service");
    let ground = Ground::open(settings, alarm, &Patience::Until(shutdown.clone())).await?;
    let metrics = root_key::Metrics::register(settings, registry);
    let custody = root_key::custody(settings, ground.clock.now());
    let (keyring, clock) = (ground.keyring.clone(), ground.clock.clone());
    tokio::spawn(root_key::Watch { keyring, custody, clock, metrics }.keep(shutdown.clone()));
    let (store, witness, readiness) = (ground.store.clone(), ground.witness.clone(), readiness.clone());
    let rollback = witness.rollback();
    let detected = anchor::Watch::register(registry);
    tokio::spawn(anchor::Watch { store, witness, readiness, detected }.keep(shutdown.clone()));
    let (app, journaling) = ground.serving(settings, ports, alarm).await?;
    opening.set(true);
    Ok((app, journaling, rollback))
}

async fn drain(mut tasks: Tasks) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN * 2, all).await.is_err() {
        tracing::warn!("not everything ended in time");
        tasks.shutdown().await;
    }
}

/// A signal, an alarm, or a task that should have gone on: without it the others would only seem to work.
async fn end_of(tasks: &mut Tasks, shutdown: &CancellationToken, alarm: &Alarm) -> anyhow::Result<()> {
    tokio::select! {
        why = alarm.raised() => bail!("{why}; what was acknowledged before is safe, start again"),
        () = shutdown.cancelled() => Ok(()),
        Some(ended) = tasks.join_next() => match ended {
            _ if shutdown.is_cancelled() => Ok(()),
            Ok(Ok(())) => bail!("a part of the server ended by itself"),
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(panic.into()),
        },
    }
}

fn stop_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    // A limit on the size of files is met like a full disk; by itself the signal would end the process.
    drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).context("SIGXFSZ")?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
