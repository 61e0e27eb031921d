//! From new revisions in the store to the resources that are made of them: a value written over REST
//! reaches its Secret, and the Services that contain it, at once.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::app::records::Changed;
use crate::domain::name::Path;
use crate::domain::record::Class;
use crate::k8s::controller::Desk;

/// Until shutdown.
pub async fn follow(desk: Arc<Desk>, shutdown: CancellationToken) {
    let mut changes = desk.app.changes();
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = shutdown.cancelled() => return,
        };
        match change {
            Ok(changed) => wake(&desk, &changed),
            Err(RecvError::Lagged(_)) => desk.triggers.wake_all(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Whoever writes a record knows what it wrote: only those that are made of it have to look.
fn wake(desk: &Desk, changed: &Changed) {
    if changed.class != Class::Credential {
        return;
    }
    let Ok(path) = Path::parse(&changed.name) else { return };
    if let Some((namespace, name)) = path.as_resource() {
        for owner in desk.census.needing(namespace, name) {
            desk.triggers.wake(&owner);
        }
    }
}
