//! The connection to the API server.

use anyhow::Context;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};

use crate::config::Settings;

/// The kubeconfig's context, or the ServiceAccount inside a cluster.
pub async fn config(settings: &Settings) -> anyhow::Result<Config> {
    let mut config = match &settings.kube_context {
        Some(context) => {
            let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options).await.with_context(|| format!("--kube-context {context}"))?
        }
        None => Config::infer().await.context("no kubeconfig and no ServiceAccount; set KUBECONFIG")?,
    };
    let agent = format!("strongroom/{}", env!("CARGO_PKG_VERSION"));
    config.headers.push((hyper::header::USER_AGENT, agent.parse().context("user agent")?));
    Ok(config)
}

pub async fn client(settings: &Settings) -> anyhow::Result<Client> {
    Client::try_from(config(settings).await?).context("connecting to the API server")
}
