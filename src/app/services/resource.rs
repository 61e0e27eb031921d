//! Services of resources: brings the store to what a resource wants.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::app::ports::Key;
use crate::app::records::NewRecord;
use crate::app::services::{Members, Services, View};
use crate::domain::actor::Actor;
use crate::domain::client::resource_username;
use crate::domain::credential::Credential;
use crate::domain::name::{Path, Tenant};
use crate::domain::record::{Entry, Origin, Owner};
use crate::domain::service::{self, Service};
use crate::domain::{Error, Result};

impl Services {
    /// Brings the service of a resource to what the resource wants: these credentials of its own
    /// namespace, open to these clients of its own namespace. Unchanged: reads only.
    pub async fn converge(&self, owner: &Owner, wish: Wish, retain_for: SignedDuration) -> Result<View> {
        let members = self.resource_members(owner, &wish.credentials).await?;
        let id = service::resource_id(&owner.namespace, &owner.name);
        let clients = wish.clients.iter().map(|name| resource_username(&owner.namespace, name));
        let body = Service {
            enabled: true,
            account: None,
            credentials: members.iter().map(|entry| entry.head.id).collect(),
            blind_credentials: Vec::new(),
            clients: clients.collect(),
        };
        let origin = Origin::Resource(owner.clone());
        let actor = Actor::operator();
        let entry = match self.records.find_released::<Service>(&id).await? {
            Some(entry) => {
                entry.head.require_writer(&origin)?;
                let as_wanted =
                    entry.body == body && entry.head.released.is_none() && entry.head.retain_for == retain_for;
                match as_wanted {
                    true => entry,
                    false => self.records.revise_retained(&actor, &entry, retain_for, body).await?,
                }
            }
            None => {
                let new = NewRecord { tenant: Tenant::namespace(&owner.namespace), name: id, origin, retain_for };
                self.records.create(&actor, self.records.new_id(), new, body).await?
            }
        };
        let credentials = members.into_iter().map(Arc::new).collect();
        Ok(View { entry: entry.into(), members: Members { credentials, blind_credentials: Vec::new() } })
    }

    /// The credentials of a service's own namespace, in the order of their names in the list.
    pub async fn resource_members(&self, owner: &Owner, names: &[String]) -> Result<Vec<Entry<Credential>>> {
        let paths: Vec<Path> = names.iter().map(|name| Path::kubernetes(&owner.namespace, name)).collect();
        let texts: Vec<&str> = paths.iter().map(Path::as_str).collect();
        let mut found = self.records.find::<Credential>(Key::Names(&texts)).await?;
        // A certificate authority shares the namespace of paths, but its key is nobody's environment.
        found.retain(|entry| entry.body.authority.is_none());
        let mut members = Vec::with_capacity(names.len());
        let mut absent = Vec::new();
        for (name, path) in names.iter().zip(&paths) {
            match found.iter().position(|entry| entry.head.name == path.as_str()) {
                Some(at) => members.push(found.swap_remove(at)),
                None => absent.push(name.as_str()),
            }
        }
        if absent.is_empty() {
            return Ok(members);
        }
        let message = format!("waits for a value of Credential {}", absent.join(", "));
        Err(Error::Awaiting { reason: "AwaitingCredential", message })
    }
}

/// A service as a resource wants it: names of credentials and clients of its own namespace.
pub struct Wish {
    pub credentials: Vec<String>,
    pub clients: Vec<String>,
}
