//! Use cases of services: what one consumer gets, over REST and through resources.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::app::access::Access;
use crate::app::audit::Read;
use crate::app::ports::Key;
use crate::app::records::{NewRecord, Records};
use crate::domain::actor::Actor;
use crate::domain::credential::Credential;
use crate::domain::error::KeyConflict;
use crate::domain::name::{Path, RecordId, Tenant};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Class, Entry, Origin, Owner};
use crate::domain::service::{self, Member, Service};
use crate::domain::{Conflict, Error, Result};

#[derive(Clone)]
pub struct Services {
    pub(super) records: Arc<Records>,
    pub(super) access: Access,
}

/// A service with the credentials that it consists of, in the order of its own list.
#[derive(Clone)]
pub struct View {
    pub entry: Entry<Service>,
    pub members: Vec<Entry<Credential>>,
}

/// A service as a REST caller wants it; `None` keeps what is there, or is enabled and without credentials.
#[derive(Debug, Default)]
pub struct Draft {
    pub enabled: Option<bool>,
    pub account: Option<String>,
    pub credentials: Option<Vec<RecordId>>,
}

/// Where a REST caller may write a service: made by [`Services::require_writable`] only.
pub struct Slot {
    id: String,
    current: Option<Entry<Service>>,
}

fn target<'a>(entry: &'a Entry<Service>) -> Target<'a> {
    let readers = &entry.body.clients;
    Target { class: Class::Service, tenant: &entry.head.tenant, name: &entry.head.name, readers }
}

fn missing<'a>(tenant: &'a Tenant, name: &'a str) -> Target<'a> {
    Target { class: Class::Service, tenant, name, readers: &[] }
}

impl Services {
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Entry<Service>>> {
        let tenant = Tenant::outside();
        self.access.require(actor, Action::List, &missing(&tenant, "")).await?;
        let all = self.records.list_all().await?;
        self.records.audit.list(actor, Class::Service).await?;
        Ok(all)
    }

    /// Two queries, however many credentials it has.
    pub async fn view(&self, actor: &Actor, id: &str, action: Action) -> Result<View> {
        let entry = self.require(actor, action, id).await?;
        let entry = entry.ok_or_else(|| Error::not_found(format!("service {id}")))?;
        let members = self.members(&entry.body.credentials).await?;
        let values = if action == Action::Get { members.as_slice() } else { &[] };
        let with = values.iter().map(|member| (member.head.name.as_str(), member.stamp.number)).collect();
        self.records.audit.read(actor, action, Read { head: &entry.head, stamp: &entry.stamp, with }).await?;
        Ok(View { entry, members })
    }

    pub async fn may_update(&self, actor: &Actor, view: &View) -> Result<bool> {
        self.access.allows(actor, Action::Update, &target(&view.entry)).await
    }

    /// The caller may create it, or may update it and REST is its writer.
    pub async fn require_writable(&self, actor: &Actor, id: &str) -> Result<Slot> {
        let current = self.records.find_released::<Service>(id).await?;
        let action = if current.is_none() { Action::Create } else { Action::Update };
        let tenant = Tenant::outside();
        let asked = current.as_ref().map_or_else(|| missing(&tenant, id), target);
        self.access.require(actor, action, &asked).await?;
        service::check_id(id)?;
        if let Some(entry) = &current {
            entry.head.require_writer(&Origin::Rest)?;
            // Names are unique ignoring case, but nobody means this one.
            if entry.head.name != id {
                let what = format!("service {}", entry.head.name);
                return Err(Error::Conflict(Conflict::Exists { what, id: entry.head.id }));
            }
        }
        Ok(Slot { id: id.to_owned(), current })
    }

    /// Creates or replaces. Credentials that do not exist are left out, as Confidant does.
    pub async fn put(&self, actor: &Actor, slot: Slot, draft: Draft) -> Result<View> {
        let Slot { id, current } = slot;
        let known = current.as_ref().map(|entry| &entry.body);
        let wanted = draft.credentials.or_else(|| known.map(|body| body.credentials.clone())).unwrap_or_default();
        let mut seen = BTreeSet::new();
        let wanted: Vec<RecordId> = wanted.into_iter().filter(|id| seen.insert(*id)).collect();
        service::check_count(&wanted).map_err(|violation| Error::Invalid(vec![violation]))?;
        let members = self.members(&wanted).await?;
        self.require_mappable(actor, &id, known, &members).await?;
        service::require_distinct_keys(&members.iter().map(member).collect::<Vec<_>>())?;
        let body = Service {
            enabled: draft.enabled.or(known.map(|body| body.enabled)).unwrap_or(true),
            account: draft.account,
            credentials: members.iter().map(|entry| entry.head.id).collect(),
            clients: known.map(|body| body.clients.clone()).unwrap_or_default(),
        };
        let entry = match current {
            Some(entry) => self.records.revise(actor, &entry, body).await?,
            None => {
                let new = NewRecord {
                    tenant: Tenant::outside(),
                    name: id,
                    origin: Origin::Rest,
                    retain_for: SignedDuration::ZERO,
                };
                self.records.create(actor, self.records.new_id(), new, body).await?
            }
        };
        Ok(View { entry, members })
    }

    /// Whoever maps a credential opens it to the service's readers, so it takes the right to read it.
    /// Those that are mapped already were asked about when they were.
    async fn require_mappable(
        &self,
        actor: &Actor,
        id: &str,
        current: Option<&Service>,
        members: &[Entry<Credential>],
    ) -> Result<()> {
        let mapped = |entry: &Entry<Credential>| current.is_some_and(|body| body.credentials.contains(&entry.head.id));
        for member in members.iter().filter(|entry| !mapped(entry)) {
            let head = &member.head;
            let read = Target { class: Class::Credential, tenant: &head.tenant, name: &head.name, readers: &[] };
            match self.access.require(actor, Action::Get, &read).await {
                Err(Error::Forbidden { actor, .. }) => {
                    let action = "map credentials that it may not read into";
                    return Err(Error::Forbidden { actor, action, what: format!("service {id}") });
                }
                asked => asked?,
            }
        }
        Ok(())
    }

    async fn require(&self, actor: &Actor, action: Action, id: &str) -> Result<Option<Entry<Service>>> {
        let found = self.records.find_one::<Service>(Key::Names(&[id])).await?;
        // Ids are matched exactly: names are unique ignoring case, but permissions are not asked that way.
        let found = found.filter(|entry| entry.head.name == id);
        let tenant = Tenant::outside();
        self.access.require(actor, action, &found.as_ref().map_or_else(|| missing(&tenant, id), target)).await?;
        Ok(found)
    }

    async fn members(&self, ids: &[RecordId]) -> Result<Vec<Entry<Credential>>> {
        members(&self.records, ids).await
    }

    // For resources.

    /// Brings the service of a resource to what the resource wants: these credentials of its own
    /// namespace, open to these clients of its own namespace. Unchanged: reads only.
    pub async fn converge(&self, owner: &Owner, wish: Wish, retain_for: SignedDuration) -> Result<View> {
        let members = self.resource_members(owner, &wish.credentials).await?;
        let id = service::resource_id(&owner.namespace, &owner.name);
        let clients = wish.clients.iter().map(|name| crate::domain::client::resource_username(&owner.namespace, name));
        let body = Service {
            enabled: true,
            account: None,
            credentials: members.iter().map(|entry| entry.head.id).collect(),
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
        Ok(View { entry, members })
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

async fn members(records: &Records, ids: &[RecordId]) -> Result<Vec<Entry<Credential>>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = records.find::<Credential>(Key::Ids(ids)).await?;
    found.sort_by_key(|entry| ids.iter().position(|id| *id == entry.head.id));
    found.retain(|entry| entry.head.origin != Origin::Own);
    Ok(found)
}

fn member(entry: &Entry<Credential>) -> Member {
    Member {
        id: entry.head.id,
        name: entry.body.title.clone(),
        keys: entry.body.material.names().map(str::to_owned).collect(),
    }
}

/// A credential that gets new keys must not collide with its neighbours in a service written over REST;
/// `Service` resources may rename keys and are checked where they are projected.
pub(super) async fn require_no_conflict(records: &Records, id: RecordId, next: &Credential) -> Result<()> {
    let services = records.find::<Service>(Key::LinksTo(id)).await?;
    let mut found: Vec<KeyConflict> = Vec::new();
    for service in services.iter().filter(|service| service.head.origin == Origin::Rest) {
        let others = members(records, &service.body.credentials).await?;
        let mut all: Vec<Member> = others.iter().filter(|entry| entry.head.id != id).map(member).collect();
        all.push(Member { id, name: next.title.clone(), keys: next.material.names().map(str::to_owned).collect() });
        match service::require_distinct_keys(&all) {
            Err(Error::Conflict(Conflict::Keys { keys })) => {
                for key in keys {
                    add_conflict(&mut found, key, &service.head.name);
                }
            }
            checked => checked?,
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Error::Conflict(Conflict::Keys { keys: found })) }
}

/// One key may conflict in several services: told once, with all of them.
fn add_conflict(found: &mut Vec<KeyConflict>, mut conflict: KeyConflict, service: &str) {
    match found.iter_mut().find(|known| known.key == conflict.key) {
        Some(known) => {
            for (id, name) in conflict.credentials.into_iter().zip(conflict.holders) {
                if !known.credentials.contains(&id) {
                    known.credentials.push(id);
                    known.holders.push(name);
                }
            }
            known.services.push(service.to_owned());
        }
        None => {
            conflict.services.push(service.to_owned());
            found.push(conflict);
        }
    }
}
