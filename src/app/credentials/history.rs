//! Credentials as they were: their revisions, what depends on them, and how they go out of sight.

use crate::app::audit::Read;
use crate::app::credentials::Credentials;
use crate::app::history::{Page, absent};
use crate::app::ports::Key;
use crate::app::services::member;
use crate::domain::actor::Actor;
use crate::domain::credential::{Credential, change};
use crate::domain::name::{RecordId, Revision};
use crate::domain::permission::Action;
use crate::domain::record::{Class, Entry, Origin};
use crate::domain::service::Service;
use crate::domain::{Error, Result};

impl Credentials {
    /// Those that were written last first.
    pub async fn newest(&self, actor: &Actor, page: Page) -> Result<Vec<Entry<Credential>>> {
        self.records.newest_for(actor, &self.access, page).await
    }

    /// Every revision, the first one first.
    pub async fn history(&self, actor: &Actor, id: RecordId) -> Result<Vec<Entry<Credential>>> {
        let entry = self.require(actor, Action::Metadata, id).await?;
        self.records.history(actor, &entry).await
    }

    /// Two revisions; those that do not exist are told by their number.
    pub async fn pair(&self, actor: &Actor, id: RecordId, numbers: [Revision; 2]) -> Result<[Entry<Credential>; 2]> {
        let entry = self.require(actor, Action::Metadata, id).await?;
        self.records.pair(actor, &entry, numbers).await
    }

    /// Services that it is mapped into: none, for what does not exist.
    pub async fn dependents(&self, actor: &Actor, id: RecordId) -> Result<Vec<Entry<Service>>> {
        let found = absent(self.require(actor, Action::Metadata, id).await)?;
        let services = if found.is_some() { self.mapping.services(id).await? } else { Vec::new() };
        self.records.audit.looked(actor, Class::Credential, &id.hex(), found.as_ref()).await?;
        Ok(services)
    }

    /// Makes what an earlier revision says the next one.
    pub async fn revert(&self, actor: &Actor, id: RecordId, number: Revision) -> Result<Entry<Credential>> {
        let entry = self.require(actor, Action::Revert, id).await?;
        entry.head.require_writer(&Origin::Rest)?;
        let earlier = self.records.require_revision(&entry, number).await?.body;
        if change::is_same(&earlier, &entry.body) {
            return Err(Error::invalid("revision", "is no different from the current one"));
        }
        self.mapping.require_no_conflict(&member(id, &earlier)).await?;
        self.records.revise(actor, &entry, earlier).await
    }

    /// The caller may archive it, it exists, and REST is its writer.
    pub async fn require_archivable(&self, actor: &Actor, id: RecordId) -> Result<Entry<Credential>> {
        let entry = self.require(actor, Action::Archive, id).await?;
        entry.head.require_writer(&Origin::Rest)?;
        Ok(entry)
    }

    /// What [`Credentials::require_archivable`] gave goes out of sight for good, with its history; its name is free
    /// again. Not `is_meant`: only says whether it could be.
    pub async fn archive(&self, actor: &Actor, entry: &Entry<Credential>, is_meant: bool) -> Result<()> {
        if entry.body.about.enabled {
            return Err(Error::invalid("enabled", "must be false before a credential is archived"));
        }
        let services = self.mapping.services(entry.head.id).await?;
        if let Some(service) = services.first() {
            let why = format!(
                "are {} services, {} among them: take the credential out of them first",
                services.len(),
                service.head.name
            );
            return Err(Error::invalid("services", why));
        }
        if is_meant {
            return self.records.archive(actor, entry).await;
        }
        let read = Read { head: &entry.head, stamp: &entry.stamp, with: Vec::new() };
        self.records.audit.read(actor, Action::Metadata, read).await
    }

    /// For operators: what was archived, in the order of titles.
    pub async fn archived(&self) -> Result<Vec<Entry<Credential>>> {
        let mut all = self.records.released::<Credential>().await?;
        all.retain(|entry| entry.head.origin == Origin::Rest);
        all.sort_by_cached_key(|entry| (entry.body.title.to_lowercase(), entry.head.id));
        Ok(all)
    }

    /// For operators: an archived credential goes on as another revision, with its history and under its name.
    pub async fn restore(&self, id: RecordId) -> Result<Entry<Credential>> {
        let found = self.records.find_even_released::<Credential>(Key::Ids(&[id])).await?;
        let archived = found.filter(|entry| entry.head.released.is_some() && entry.head.origin == Origin::Rest);
        let entry = archived.ok_or_else(|| Error::not_found(format!("archived credential {}", id.hex())))?;
        let body = entry.body.clone();
        self.records.revise(&Actor::operator(), &entry, body).await
    }
}
