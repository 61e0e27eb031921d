//! What every part of a running process is given, and what it gives back.

use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::anchor::Rollback;
use crate::config::Settings;
use crate::server::health::Readiness;

/// Everything that runs until the end.
pub type Tasks = JoinSet<anyhow::Result<()>>;

/// What every part is given.
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    pub app: &'a Arc<App>,
    pub readiness: &'a Readiness,
    pub shutdown: &'a CancellationToken,
    /// What is wrong with the store, if it is older than its anchor.
    pub rollback: watch::Receiver<Option<Rollback>>,
}

pub(super) async fn bind(flag: &str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag} {address}"))
}
