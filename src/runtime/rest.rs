//! The REST listener: its certificate, from files or of Strongroom's own making, kept fresh.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::app::App;
use crate::app::own::Lifetimes;
use crate::config::{CertificateFiles, RestTls, Settings};
use crate::domain::authority::AlternativeName;
use crate::domain::secret::SecretText;
use crate::runtime::dialects::dialects;
use crate::runtime::surroundings::{Surroundings, Tasks, bind};
use crate::runtime::{mutual_tls, rolls, seeds};
use crate::server::metrics::HttpMetrics;
use crate::server::{ClientCertificates, Limits, Tls, serve};

const NAME: &str = "rest";
/// Also catches a clock that was set forward.
const LOOK: Duration = Duration::from_secs(10);

pub async fn start(around: &Surroundings<'_>, registry: &mut Registry, tasks: &mut Tasks) -> anyhow::Result<()> {
    let Surroundings { settings, app, shutdown, .. } = around;
    let tls = tls(settings, app, shutdown).await?;
    if let (Some(given), Some(tls)) = (&settings.credhub.auth.mutual_tls, &tls) {
        mutual_tls::start(given, tls, app, shutdown).await?;
    }
    let routes = api::routes(dialects(settings), (*app).clone(), HttpMetrics::register(registry));
    seeds::add(app, shutdown).await;
    let listener = bind("--listen", settings.listen).await?;
    // Ends by itself where there is nothing to ask.
    tokio::spawn(rolls::keep_fresh((*app).clone(), (*shutdown).clone()));
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(address = %format!("{scheme}://{}", settings.listen), "REST");
    let served = serve(listener, tls, routes, Limits::default(), (*shutdown).clone());
    tasks.spawn(async move {
        served.await;
        Ok(())
    });
    Ok(())
}

/// What the listener shows at first, and the task that replaces it in time.
async fn tls(settings: &Settings, app: &Arc<App>, shutdown: &CancellationToken) -> anyhow::Result<Option<Arc<Tls>>> {
    match &settings.rest_tls {
        RestTls::Plain => Ok(None),
        RestTls::Files(files) => from_files(files.clone(), shutdown.clone()).map(Some),
        RestTls::Own(names) => own(settings, names.clone(), app.clone(), shutdown.clone()).await.map(Some),
    }
}

fn from_files(files: CertificateFiles, shutdown: CancellationToken) -> anyhow::Result<Arc<Tls>> {
    let (chain, key) = read(&files)?;
    let tls = Arc::new(Tls::new(&chain, &key, ClientCertificates::Accepted)?);
    let replaced = tls.clone();
    tokio::spawn(async move {
        let mut seen = modified(&files);
        while pause(&shutdown).await {
            let now = modified(&files);
            if now == seen {
                continue;
            }
            // Half of a pair may have been written: what does not fit is tried again at the next look.
            match read(&files).and_then(|(chain, key)| Ok(replaced.replace(&chain, &key)?)) {
                Ok(()) => {
                    seen = now;
                    tracing::info!("REST certificate was read again");
                }
                Err(error) => tracing::warn!(%error, "REST certificate files cannot be used; keeping the old one"),
            }
        }
    });
    Ok(tls)
}

fn read(files: &CertificateFiles) -> anyhow::Result<(String, SecretText)> {
    let text =
        |flag: &str, path: &PathBuf| fs::read_to_string(path).with_context(|| format!("{flag} {}", path.display()));
    Ok((text("--tls-cert", &files.chain)?, SecretText::new(text("--tls-key", &files.key)?)))
}

fn modified(files: &CertificateFiles) -> [Option<SystemTime>; 2] {
    [&files.chain, &files.key].map(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
}

async fn own(
    settings: &Settings,
    names: Vec<AlternativeName>,
    app: Arc<App>,
    shutdown: CancellationToken,
) -> anyhow::Result<Arc<Tls>> {
    let root = settings.data_dir.join("ca.crt");
    let (mut certificate, roots) = renew(&app, &names).await?;
    publish(&root, &roots)?;
    let tls = Arc::new(Tls::new(&certificate.chain, &certificate.private_key, ClientCertificates::Accepted)?);
    let replaced = tls.clone();
    tokio::spawn(async move {
        while pause(&shutdown).await {
            if app.now() < certificate.renew_at {
                continue;
            }
            let renewed = async {
                let (next, roots) = renew(&app, &names).await?;
                publish(&root, &roots)?;
                replaced.replace(&next.chain, &next.private_key)?;
                anyhow::Ok(next)
            };
            match renewed.await {
                Ok(next) => certificate = next,
                Err(error) => tracing::warn!(%error, "REST certificate was not renewed; trying again"),
            }
        }
    });
    Ok(tls)
}

async fn renew(app: &App, names: &[AlternativeName]) -> anyhow::Result<(crate::app::own::OwnCertificate, String)> {
    let roots = app.own.roots(NAME, Lifetimes::default()).await?;
    Ok((app.own.leaf(NAME, names, Lifetimes::default()).await?, roots))
}

/// Old or new, never half, not even when the power fails: callers read this file at any time.
fn publish(path: &Path, roots: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|known| known == roots) {
        return Ok(());
    }
    let next = path.with_extension("new");
    let replace = || {
        let mut file = File::create(&next)?;
        file.write_all(roots.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    replace().with_context(|| path.display().to_string())
}

/// False when it is time to stop.
async fn pause(shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(LOOK) => true,
    }
}
