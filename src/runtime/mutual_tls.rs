//! Mutual TLS as the settings say: whose certificates the REST listener believes and asks for, kept as the file and the
//! store say.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::elsewhere::Elsewhere;
use crate::config::credhub::MutualTls;
use crate::domain::record::Class;
use crate::server::{Authorities, Tls};

const LOOK: Duration = Duration::from_secs(10);

/// Before the listener answers, and from then on as things change.
pub async fn start(
    given: &MutualTls,
    tls: &Arc<Tls>,
    app: &Arc<App>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    // Looked at before it is read: what is written between the two is read at the next look.
    let seen = modified(&given.ca_file);
    tls.believe(read(given)?)?;
    let mut watch =
        Watch { given: given.clone(), tls: tls.clone(), app: app.clone(), seen, elsewhere: app.elsewhere() };
    watch.welcome().await;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            watch.read_again();
            watch.welcome().await;
        }
    });
    Ok(())
}

fn read(given: &MutualTls) -> anyhow::Result<Authorities> {
    let named = || format!("credhub.auth.mutualTls.caFile {}", given.ca_file.display());
    let bundle = std::fs::read_to_string(&given.ca_file).with_context(named)?;
    Authorities::new(&bundle, given.subjects.clone()).with_context(named)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

struct Watch {
    given: MutualTls,
    tls: Arc<Tls>,
    app: Arc<App>,
    seen: Option<SystemTime>,
    elsewhere: Elsewhere,
}

impl Watch {
    fn read_again(&mut self) {
        let now = modified(&self.given.ca_file);
        if now == self.seen {
            return;
        }
        match read(&self.given).and_then(|authorities| Ok(self.tls.believe(authorities)?)) {
            Ok(()) => {
                self.seen = now;
                tracing::info!("the authorities of callers' certificates were read again");
            }
            // Half of it may have been written; the next look tries again.
            Err(error) => {
                tracing::warn!(%error, "authorities of callers' certificates cannot be read; keeping the old ones")
            }
        }
    }

    /// Callers with certificates of Strongroom's must hear that they may show them.
    async fn welcome(&mut self) {
        let told = async {
            let changed = self.elsewhere.look().await?;
            if changed.is_some_and(|changed| changed.iter().all(|record| record.class != Class::Client)) {
                return Ok(());
            }
            self.tls.welcome(&self.app.clients.above().await?)
        };
        if let Err(error) = told.await {
            let detail = error.detail().unwrap_or_default();
            tracing::warn!(%error, %detail, "callers with certificates of Strongroom may not hear that they may show them");
        }
    }
}
