//! Use cases of blind credentials: kept, numbered and mapped like credentials, and never understood.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::app::access::Access;
use crate::app::audit::Read;
use crate::app::history::{Page, absent};
use crate::app::ports::{AliasKind, Key};
use crate::app::records::{NewRecord, Records};
use crate::app::services::{Mapping, blind_member};
use crate::domain::actor::Actor;
use crate::domain::blind::{BlindCredential, Patch, record_name};
use crate::domain::name::{RecordId, Revision, Tenant};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Class, Entry, Origin};
use crate::domain::service::Service;
use crate::domain::{Conflict, Error, Result};

#[derive(Clone)]
pub struct BlindCredentials {
    pub(super) records: Arc<Records>,
    pub(super) access: Access,
    pub(super) mapping: Mapping,
}

impl BlindCredentials {
    /// All, in the order of titles.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Entry<BlindCredential>>> {
        self.require_action(actor, Action::List, "").await?;
        let mut all = self.records.list_all::<BlindCredential>().await?;
        all.sort_by_cached_key(|entry| (entry.body.title.to_lowercase(), entry.head.id));
        self.records.audit.list(actor, Class::BlindCredential).await?;
        Ok(all)
    }

    /// Those that were written last first.
    pub async fn newest(&self, actor: &Actor, page: Page) -> Result<Vec<Entry<BlindCredential>>> {
        self.records.newest_for(actor, &self.access, page).await
    }

    pub async fn view(&self, actor: &Actor, id: RecordId) -> Result<Entry<BlindCredential>> {
        let entry = self.require(actor, Action::Get, id).await?;
        let read = Read { head: &entry.head, stamp: &entry.stamp, with: Vec::new() };
        self.records.audit.read(actor, Action::Get, read).await?;
        Ok(entry)
    }

    /// Services that it is mapped into: none, for what does not exist.
    pub async fn dependents(&self, actor: &Actor, id: RecordId) -> Result<Vec<Entry<Service>>> {
        let found = absent(self.require(actor, Action::Metadata, id).await)?;
        let services = if found.is_some() { self.mapping.services(id).await? } else { Vec::new() };
        self.records.audit.looked(actor, Class::BlindCredential, &id.hex(), found.as_ref()).await?;
        Ok(services)
    }

    /// Every revision, the first one first.
    pub async fn history(&self, actor: &Actor, id: RecordId) -> Result<Vec<Entry<BlindCredential>>> {
        let entry = self.require(actor, Action::Metadata, id).await?;
        self.records.history(actor, &entry).await
    }

    /// The caller may create one: asked before its draft is looked at.
    pub async fn require_creatable(&self, actor: &Actor) -> Result<()> {
        self.require_action(actor, Action::Create, "").await
    }

    pub async fn create(&self, actor: &Actor, body: BlindCredential) -> Result<Entry<BlindCredential>> {
        self.require_creatable(actor).await?;
        body.check()?;
        let id = self.records.new_id();
        let new = NewRecord {
            tenant: Tenant::outside(),
            name: record_name(id),
            origin: Origin::Rest,
            retain_for: SignedDuration::ZERO,
        };
        self.records.create(actor, id, new, body).await
    }

    /// The caller may change it, and it exists.
    pub async fn require_writable(&self, actor: &Actor, id: RecordId) -> Result<Entry<BlindCredential>> {
        self.require(actor, Action::Update, id).await
    }

    /// The revision after `entry`, which [`BlindCredentials::require_writable`] gave.
    pub async fn update(
        &self,
        actor: &Actor,
        entry: &Entry<BlindCredential>,
        patch: Patch,
    ) -> Result<Entry<BlindCredential>> {
        let next = entry.body.patched(patch);
        next.check()?;
        self.require_free(entry.head.id, &next.title).await?;
        self.mapping.require_no_conflict(&blind_member(entry.head.id, &next)).await?;
        self.records.revise(actor, entry, next).await
    }

    /// Makes what an earlier revision says the next one.
    pub async fn revert(&self, actor: &Actor, id: RecordId, number: Revision) -> Result<Entry<BlindCredential>> {
        let entry = self.require(actor, Action::Revert, id).await?;
        let earlier = self.records.require_revision(&entry, number).await?.body;
        if earlier == entry.body {
            return Err(Error::invalid("revision", "is no different from the current one"));
        }
        self.mapping.require_no_conflict(&blind_member(id, &earlier)).await?;
        self.records.revise(actor, &entry, earlier).await
    }

    /// Before the conflict of keys, whose answer would hide this one.
    async fn require_free(&self, id: RecordId, title: &str) -> Result<()> {
        let key = Key::Alias(AliasKind::Title, title);
        match self.records.find_one::<BlindCredential>(key).await?.filter(|holder| holder.head.id != id) {
            Some(holder) => {
                let what = format!("blind credential {title}");
                Err(Error::Conflict(Conflict::Exists { what, id: holder.head.id }))
            }
            None => Ok(()),
        }
    }

    async fn require(&self, actor: &Actor, action: Action, id: RecordId) -> Result<Entry<BlindCredential>> {
        self.require_action(actor, action, &record_name(id)).await?;
        let found = self.records.find_one::<BlindCredential>(Key::Ids(&[id])).await?;
        found.ok_or_else(|| Error::not_found(format!("blind credential {}", id.hex())))
    }

    async fn require_action(&self, actor: &Actor, action: Action, name: &str) -> Result<()> {
        let tenant = Tenant::outside();
        self.access.require(actor, action, &Target::new(Class::BlindCredential, &tenant, name)).await
    }
}
