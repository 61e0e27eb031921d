//! Use cases of services: what one consumer gets. For REST callers here, for resources in `resource`; what is in a
//! service is `mapping`.

pub mod mapping;
mod resource;

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::app::access::Access;
use crate::app::audit::Read;
use crate::app::history::Page;
use crate::app::ports::Key;
use crate::app::records::{NewRecord, Records};
use crate::domain::actor::Actor;
use crate::domain::name::{RecordId, Revision, Tenant};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Class, Entry, Origin};
use crate::domain::service::{self, Service};
use crate::domain::{Conflict, Error, Result};
pub use mapping::{Mapping, Members, blind_member, member};
pub use resource::Wish;

#[derive(Clone)]
pub struct Services {
    pub(super) records: Arc<Records>,
    pub(super) access: Access,
    pub(super) mapping: Mapping,
}

/// A service with what it consists of.
#[derive(Clone)]
pub struct View {
    pub entry: Arc<Entry<Service>>,
    pub members: Members,
}

/// A service as a REST caller wants it; `None` keeps what is there, or is enabled and without credentials.
#[derive(Debug, Default)]
pub struct Draft {
    pub enabled: Option<bool>,
    pub account: Option<String>,
    pub credentials: Option<Vec<RecordId>>,
    pub blind_credentials: Option<Vec<RecordId>>,
}

/// Where a REST caller may write a service: made by [`Services::require_writable`] only.
pub struct Slot {
    id: String,
    current: Option<Entry<Service>>,
}

fn target<'a>(entry: &'a Entry<Service>) -> Target<'a> {
    let readers = &entry.body.clients;
    Target { readers, ..Target::new(Class::Service, &entry.head.tenant, &entry.head.name) }
}

fn missing<'a>(tenant: &'a Tenant, name: &'a str) -> Target<'a> {
    Target::new(Class::Service, tenant, name)
}

/// In their order, each once.
fn once(ids: Vec<RecordId>) -> Vec<RecordId> {
    let mut seen = BTreeSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}

impl Services {
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Entry<Service>>> {
        let tenant = Tenant::outside();
        self.access.require(actor, Action::List, &missing(&tenant, "")).await?;
        let all = self.records.list_all().await?;
        self.records.audit.list(actor, Class::Service).await?;
        Ok(all)
    }

    /// Two queries, or three, however many credentials it has.
    pub async fn view(&self, actor: &Actor, id: &str, action: Action) -> Result<View> {
        let found = self.records.known::<Service>(Key::Names(&[id])).await?.pop();
        let entry = self.require_found(actor, action, id, found).await?;
        let entry = entry.ok_or_else(|| Error::not_found(format!("service {id}")))?;
        self.access.require_account(actor, action, &target(&entry), entry.body.account.as_deref()).await?;
        let members = self.mapping.members(&entry.body.credentials, &entry.body.blind_credentials).await?;
        let values = if action == Action::Get { members.credentials.as_slice() } else { &[] };
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
        let credentials = once(draft.credentials.or(known.map(|body| body.credentials.clone())).unwrap_or_default());
        let blind = draft.blind_credentials.or(known.map(|body| body.blind_credentials.clone())).unwrap_or_default();
        let blind = once(blind);
        service::check_count(&credentials, &blind)?;
        let members = self.mapping.members(&credentials, &blind).await?;
        self.require_mappable(actor, &id, known, &members).await?;
        self.mapping.require_distinct(&members)?;
        let body = Service {
            enabled: draft.enabled.or(known.map(|body| body.enabled)).unwrap_or(true),
            account: draft.account,
            credentials: members.credentials.iter().map(|entry| entry.head.id).collect(),
            blind_credentials: members.blind_credentials.iter().map(|entry| entry.head.id).collect(),
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
        Ok(View { entry: entry.into(), members })
    }

    /// Whoever maps a credential opens it to the service's readers, so it takes the right to read it.
    /// Those that are mapped already were asked about when they were.
    async fn require_mappable(
        &self,
        actor: &Actor,
        id: &str,
        current: Option<&Service>,
        members: &Members,
    ) -> Result<()> {
        let is_mapped =
            |id| current.is_some_and(|body| body.credentials.contains(&id) || body.blind_credentials.contains(&id));
        let heads = members.credentials.iter().map(|entry| &entry.head);
        let heads = heads.chain(members.blind_credentials.iter().map(|entry| &entry.head));
        for head in heads.filter(|head| !is_mapped(head.id)) {
            let read = Target::new(head.class, &head.tenant, &head.name);
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

    /// Those that were written last first.
    pub async fn newest(&self, actor: &Actor, page: Page) -> Result<Vec<Entry<Service>>> {
        self.records.newest_for(actor, &self.access, page).await
    }

    /// Every revision, the first one first.
    pub async fn history(&self, actor: &Actor, id: &str) -> Result<Vec<Entry<Service>>> {
        let entry = self.require_known(actor, Action::Metadata, id).await?;
        self.records.history(actor, &entry).await
    }

    /// Two revisions; those that do not exist are told by their number.
    pub async fn pair(&self, actor: &Actor, id: &str, numbers: [Revision; 2]) -> Result<[Entry<Service>; 2]> {
        let entry = self.require_known(actor, Action::Metadata, id).await?;
        self.records.pair(actor, &entry, numbers).await
    }

    /// Makes what an earlier revision says the next one. Credentials that are gone since are left out.
    pub async fn revert(&self, actor: &Actor, id: &str, number: Revision) -> Result<View> {
        let entry = self.require_known(actor, Action::Revert, id).await?;
        entry.head.require_writer(&Origin::Rest)?;
        let earlier = self.records.require_revision(&entry, number).await?.body;
        let members = self.mapping.members(&earlier.credentials, &earlier.blind_credentials).await?;
        self.require_mappable(actor, id, Some(&entry.body), &members).await?;
        self.mapping.require_distinct(&members)?;
        let next = Service {
            credentials: members.credentials.iter().map(|entry| entry.head.id).collect(),
            blind_credentials: members.blind_credentials.iter().map(|entry| entry.head.id).collect(),
            clients: entry.body.clients.clone(),
            ..earlier
        };
        if next == entry.body {
            return Err(Error::invalid("revision", "is no different from the current one"));
        }
        let entry = self.records.revise(actor, &entry, next).await?;
        Ok(View { entry: entry.into(), members })
    }

    async fn require_known(&self, actor: &Actor, action: Action, id: &str) -> Result<Entry<Service>> {
        let entry = self.require(actor, action, id).await?;
        entry.ok_or_else(|| Error::not_found(format!("service {id}")))
    }

    pub(in crate::app) async fn require(
        &self,
        actor: &Actor,
        action: Action,
        id: &str,
    ) -> Result<Option<Entry<Service>>> {
        let found = self.records.find_one::<Service>(Key::Names(&[id])).await?;
        self.require_found(actor, action, id, found).await
    }

    async fn require_found<E: Borrow<Entry<Service>>>(
        &self,
        actor: &Actor,
        action: Action,
        id: &str,
        found: Option<E>,
    ) -> Result<Option<E>> {
        // Ids are matched exactly: names are unique ignoring case, but permissions are not asked that way.
        let found = found.filter(|entry| entry.borrow().head.name == id);
        let tenant = Tenant::outside();
        let asked = found.as_ref().map_or_else(|| missing(&tenant, id), |entry| target(entry.borrow()));
        self.access.require(actor, action, &asked).await?;
        Ok(found)
    }
}
