//! Credentials by their paths and in their versions, as CredHub's callers know them: what a path stands for, who may do
//! what with it, and reading it. Writing is `write`, certificates are `certificates` and `rotation`, lists are `find`.

mod bulk;
mod certificates;
mod find;
mod rotation;
mod shown;
mod signer;
mod turn;
mod usage;
mod version;
mod write;

use std::borrow::Borrow;
use std::sync::Arc;

use crate::app::access::Access;
use crate::app::audit::Read;
use crate::app::batch::TRIES;
use crate::app::making::Making;
use crate::app::ports::Key;
use crate::app::records::Records;
use crate::app::services::Mapping;
use crate::domain::actor::Actor;
use crate::domain::credential::{Credential, Kind};
use crate::domain::name::{Path, Revision, Tenant, VersionId};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Class, Entry, Head, Origin};
use crate::domain::{Conflict, Error, Result};

pub use certificates::Order;
pub use find::{Certificate, Found};
pub use rotation::Standing;
pub use shown::{Facts, Held, Shown};
pub use signer::Signer;
pub use turn::Wanted;
pub use usage::{Counted, Usage};
pub use version::Version;
pub use write::{Made, Mode, Setting, Slot};

#[derive(Clone)]
pub struct ByPath {
    pub(super) records: Arc<Records>,
    pub(super) access: Access,
    pub(super) making: Making,
    pub(super) mapping: Mapping,
    pub(super) held: Arc<Held>,
    pub(super) counted: Arc<Counted>,
}

type Known = Arc<Entry<Credential>>;

impl ByPath {
    /// The version that counts, and behind it the transitional one if there is one.
    pub async fn current(&self, actor: &Actor, name: &str) -> Result<Vec<Version>> {
        let entry = self.require(actor, Action::Get, name).await?;
        self.record(actor, Action::Get, &entry, Vec::new()).await?;
        Ok(Version::of(&entry).collect())
    }

    /// Every version there is, the newest first, `limit` at most.
    pub async fn versions(&self, actor: &Actor, name: &str, limit: Option<usize>) -> Result<Vec<Version>> {
        let entry = self.require(actor, Action::Get, name).await?;
        let found = self.all_versions(&entry, limit).await?;
        let others = found.iter().map(|version| (entry.head.name.as_str(), version.revision()));
        let others = others.filter(|(_, number)| *number != entry.stamp.number).collect();
        self.record(actor, Action::Get, &entry, others).await?;
        Ok(found)
    }

    /// One version by its own id.
    pub async fn version(&self, actor: &Actor, id: VersionId) -> Result<Version> {
        let missing = || Error::not_found(format!("version {id}"));
        let row = self.records.store.version(id).await?.ok_or_else(missing)?;
        let entry = self.records.known::<Credential>(Key::Ids(&[row.id])).await?.pop().ok_or_else(missing)?;
        let entry = self.require_found(actor, Action::Get, &entry.head.name.clone(), Some(entry)).await?;
        let version = self.version_of(&entry, id, row.stamp.number).await?.ok_or_else(missing)?;
        let others = vec![(entry.head.name.as_str(), version.revision())];
        let others = if version.revision() == entry.stamp.number { Vec::new() } else { others };
        self.record(actor, Action::Get, &entry, others).await?;
        Ok(version)
    }

    /// A version of this credential that its revision `number` may have made.
    async fn version_of(&self, entry: &Known, id: VersionId, number: Revision) -> Result<Option<Version>> {
        if version::is_removed(entry, id) {
            return Ok(None);
        }
        let made = match number == entry.stamp.number {
            true => entry.clone(),
            false => match self.records.revision(entry, number).await? {
                Some(made) => Arc::new(made),
                None => return Ok(None),
            },
        };
        Ok(Version::made_by(&made).map(|version| version.beside(entry)))
    }

    /// The newest first. A certificate's revisions are looked at all, because not each of them made a version.
    async fn all_versions(&self, entry: &Known, limit: Option<usize>) -> Result<Vec<Version>> {
        let limit = limit.unwrap_or(usize::MAX);
        let newest = entry.stamp.number.0;
        let first = match entry.body.kind {
            Kind::Certificate => 1,
            _ => newest.saturating_sub((limit as u64).saturating_sub(1)).max(1),
        };
        let revisions = self.records.revisions_from::<Credential>(entry, Revision(first)).await?;
        Ok(version::among(entry, revisions.into_iter().rev()).take(limit).collect())
    }

    async fn record(
        &self,
        actor: &Actor,
        action: Action,
        entry: &Entry<Credential>,
        with: Vec<(&str, Revision)>,
    ) -> Result<()> {
        self.records.audit.read(actor, action, Read { head: &entry.head, stamp: &entry.stamp, with }).await
    }

    /// What stands at this path, for whoever may do this to it.
    async fn require(&self, actor: &Actor, action: Action, name: &str) -> Result<Known> {
        let found = self.records.known::<Credential>(Key::Names(&[name])).await?.pop();
        self.require_found(actor, action, name, found).await
    }

    async fn require_found<E: Borrow<Entry<Credential>>>(
        &self,
        actor: &Actor,
        action: Action,
        name: &str,
        found: Option<E>,
    ) -> Result<E> {
        let tenant = Path::parse(name).map_or_else(|_| Tenant::outside(), |path| path.tenant());
        let missing = Target::new(Class::Credential, &tenant, name);
        let found = self.access.require_found(actor, action, found, &missing).await?;
        found.ok_or_else(|| Error::not_found(format!("credential {name}")))
    }

    /// Forgets it with all its versions. Nothing else is: what it has signed or is contained in stays as it is.
    pub async fn delete(&self, actor: &Actor, name: &str) -> Result<()> {
        for _ in 0..TRIES {
            let entry = self.require(actor, Action::Delete, name).await?;
            entry.head.require_writer(&Origin::Rest)?;
            match self.records.delete(actor, &entry).await {
                // It is to go, whoever wrote it last; but what may be done to it is decided again.
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                done => return done,
            }
        }
        Err(write::busy(name))
    }
}

fn target(head: &Head) -> Target<'_> {
    Target::new(Class::Credential, &head.tenant, &head.name)
}
