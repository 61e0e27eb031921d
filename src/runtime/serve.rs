//! `strongroom run` and `strongroom serve`: what starts in which order, and how it ends.
//!
//! Start: store, REST, admin, then the operator. End, on SIGTERM or Ctrl-C: not ready, no new work,
//! requests under way end, the store last.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::config::{DRAIN, Settings};
use crate::runtime::{foundation, rest, threads};
use crate::server::health::{self, Readiness};
use crate::server::metrics::HttpMetrics;
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
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone())?;
    let readiness = Readiness::default();
    let serving = readiness.part("rest");
    let mut registry = Registry::with_prefix("strongroom");

    let app = Arc::new(foundation::open(&settings, None).await?);
    let tls = rest::tls(&settings, &app, &shutdown).await?;
    let routes = api::routes(app.clone(), HttpMetrics::register(&mut registry));

    let mut tasks = JoinSet::new();
    let listener = bind("--listen", settings.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(address = %format!("{scheme}://{}", settings.listen), "REST");
    tasks.spawn(serve(listener, tls, routes, Limits::default(), shutdown.clone()));
    serving.set(true);
    let _ = mode;
    let admin = bind("--admin-listen", settings.admin_listen).await?;
    let routes = health::routes(readiness.clone(), Arc::new(registry));
    // Answers to the very end: who watches readiness must see that it is gone.
    let last = CancellationToken::new();
    let admin = tokio::spawn(serve(admin, None, routes, Limits::default(), last.clone()));

    shutdown.cancelled().await;
    tracing::info!("stopping");
    serving.set(false);
    if tokio::time::timeout(DRAIN * 2, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("not everything ended in time");
        tasks.shutdown().await;
    }
    last.cancel();
    let _ = admin.await;
    Ok(())
}

pub(super) async fn bind(flag: &str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag} {address}"))
}

fn stop_on_signal(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
