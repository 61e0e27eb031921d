//! From new revisions in the store to the resources that are made of them: a value written over REST
//! reaches its Secret, and the Services that contain it, at once.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::app::elsewhere::Elsewhere;
use crate::app::records::Changed;
use crate::domain::name::Path;
use crate::domain::permission::Scope;
use crate::domain::record::Class;
use crate::k8s::controller::Desk;

/// How long a value that was written over REST to another process may wait for us to see it.
const LOOK: Duration = Duration::from_secs(1);

/// Until the end of the term. `elsewhere`: what others write, where there are others.
pub async fn follow(desk: Arc<Desk>, elsewhere: Option<Elsewhere>) {
    tokio::select! {
        () = here(&desk) => {}
        () = there(&desk, elsewhere) => {}
        () = desk.term.end.cancelled() => {}
    }
}

async fn here(desk: &Desk) {
    let mut changes = desk.app.changes();
    loop {
        match changes.recv().await {
            Ok(changed) => wake(desk, &changed),
            Err(RecvError::Lagged(_)) => desk.triggers.wake_all(),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn there(desk: &Desk, elsewhere: Option<Elsewhere>) {
    let Some(mut elsewhere) = elsewhere else { return pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        match elsewhere.look().await {
            Ok(Some(changes)) => changes.iter().for_each(|changed| wake(desk, changed)),
            Ok(None) => desk.triggers.wake_all(),
            Err(error) => tracing::debug!(%error, detail = error.detail(), "what others wrote is not known yet"),
        }
    }
}

/// Whoever writes a record knows what it wrote: only those that are made of it have to look.
fn wake(desk: &Desk, changed: &Changed) {
    let census = &desk.census;
    let concerned = match changed.class {
        Class::Credential => Path::parse(&changed.name).map(|path| {
            let own = path.as_resource().map(|(namespace, name)| census.needing(namespace, name));
            own.into_iter().flatten().chain(census.needing_abroad(&path)).collect()
        }),
        // Named by what it is about: whoever waits for a right may have it now.
        Class::Permission => {
            Ok(Scope::parse(&changed.name).map_or_else(|_| Vec::new(), |it| census.needing_within(&it)))
        }
        Class::Service | Class::Client | Class::BlindCredential => return,
    };
    for owner in concerned.into_iter().flatten() {
        desk.triggers.wake(&owner);
    }
}
