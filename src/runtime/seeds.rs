//! Permissions that the settings want there to be.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;

const PAUSE: Duration = Duration::from_secs(10);

/// Before anybody is answered, if it can be done at once. A store that is away, or is only read for the moment, does not
/// keep the server from starting: callers who have their permissions already need none of these.
pub async fn add(app: &Arc<App>, shutdown: &CancellationToken) {
    if is_done(app).await {
        return;
    }
    let (app, shutdown) = (app.clone(), shutdown.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            if is_done(&app).await {
                return;
            }
        }
    });
}

async fn is_done(app: &App) -> bool {
    match app.permissions.seed().await {
        Ok(0) => true,
        Ok(permissions) => {
            tracing::info!(permissions, "permissions of the settings were added");
            true
        }
        Err(error) => {
            tracing::warn!(%error, detail = error.detail(), "permissions of the settings were not added; trying again");
            false
        }
    }
}
