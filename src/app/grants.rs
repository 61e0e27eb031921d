//! What the role of a service's name may do with the key of callers' tokens. Asks the right to the service; what a grant is
//! made of is the port's.

use std::sync::Arc;

use crate::app::audit::{Audit, Read};
use crate::app::ports::{GrantKeeper, Grants as Granted};
use crate::app::services::Services;
use crate::domain::actor::Actor;
use crate::domain::permission::Action;
use crate::domain::record::Entry;
use crate::domain::service::Service;
use crate::domain::{Error, Result};

pub struct Grants {
    pub(super) services: Services,
    pub(super) audit: Audit,
    /// Where there are grants at all.
    pub(super) keeper: Option<Arc<dyn GrantKeeper>>,
    /// Whether they are given here, and not only looked at.
    pub(super) manages: bool,
}

impl Grants {
    pub async fn view(&self, actor: &Actor, id: &str) -> Result<Granted> {
        let entry = self.require(actor, Action::Metadata, id).await?;
        let found = self.find(id).await?;
        self.record(actor, Action::Metadata, &entry).await?;
        Ok(found)
    }

    /// Without management it changes nothing, and says how it is.
    pub async fn ensure(&self, actor: &Actor, id: &str) -> Result<Granted> {
        let entry = self.require(actor, Action::Update, id).await?;
        let found = match &self.keeper {
            Some(keeper) if self.manages => keeper.ensure(id).await?.ok_or_else(no_role)?,
            _ => self.find(id).await?,
        };
        self.record(actor, Action::Update, &entry).await?;
        Ok(found)
    }

    /// For a service that was just made: it stands, whatever becomes of its grants.
    pub async fn give_to_new(&self, id: &str) {
        let Some(keeper) = self.keeper.as_ref().filter(|_| self.manages) else { return };
        match keeper.ensure(id).await {
            Ok(Some(_)) => {}
            Ok(None) => tracing::info!(service = id, "no role has the service's name, so it got no grants"),
            Err(error) => {
                let detail = error.detail().unwrap_or_default();
                tracing::warn!(%error, %detail, service = id, "a new service got no grants; PUT /v1/grants tries again");
            }
        }
    }

    async fn find(&self, id: &str) -> Result<Granted> {
        match &self.keeper {
            Some(keeper) => Ok(keeper.find(id).await?.unwrap_or_default()),
            None => Ok(Granted::default()),
        }
    }

    /// An id that is no service's is wrong input here, not something that is not there: Confidant's clients know it so.
    async fn require(&self, actor: &Actor, action: Action, id: &str) -> Result<Entry<Service>> {
        let found = self.services.require(actor, action, id).await?;
        found.ok_or_else(|| Error::invalid("id", "is no service's"))
    }

    async fn record(&self, actor: &Actor, action: Action, entry: &Entry<Service>) -> Result<()> {
        self.audit.read(actor, action, Read { head: &entry.head, stamp: &entry.stamp, with: Vec::new() }).await
    }
}

fn no_role() -> Error {
    Error::invalid("id", "is no role's: make one of the service's name, and its grants again")
}
