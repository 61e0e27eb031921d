//! Use cases of credentials: for REST callers here, their earlier revisions in `history`, and for the resources that
//! manage them in `resource`.

mod history;
mod resource;

use std::borrow::Borrow;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::app::access::Access;
use crate::app::audit::Read;
use crate::app::making::Making;
use crate::app::ports::{AliasKind, Key};
use crate::app::records::{NewRecord, Records};
use crate::app::services::{Mapping, member};
use crate::domain::actor::Actor;
use crate::domain::authority::Facts;
use crate::domain::credential::Memo;
use crate::domain::credential::change::{self, Patch};
use crate::domain::credential::{About, Credential, Kind, Lineage, Material, check_words};
use crate::domain::name::{Path, RecordId, Tenant, is_dns_label, is_dns_subdomain};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Class, Entry, Head, Origin};
use crate::domain::{Error, Result};

#[derive(Clone)]
pub struct Credentials {
    pub(super) records: Arc<Records>,
    pub(super) access: Access,
    pub(super) making: Making,
    pub(super) mapping: Mapping,
}

/// A credential that a REST caller creates.
pub struct Draft {
    /// What people call it. A title `/kubernetes/<namespace>/<name>` is the path at which a `Credential`
    /// resource with `source: {stored: {}}` looks for its value.
    pub title: String,
    pub kind: Kind,
    pub about: About,
    pub material: Material,
}

/// Where a REST caller may create a credential: made by [`Credentials::require_creatable`] only.
pub struct Place {
    id: RecordId,
    path: Path,
}

/// A credential as one caller sees it.
pub struct View {
    pub entry: Arc<Entry<Credential>>,
    /// Whether the values may be shown: they were asked for, and the caller may read them.
    pub shows_values: bool,
    pub may_get: bool,
    pub may_update: bool,
}

fn target(head: &Head) -> Target<'_> {
    Target::new(Class::Credential, &head.tenant, &head.name)
}

/// What stands for a credential that does not exist where a permission is asked.
fn missing<'a>(tenant: &'a Tenant, name: &'a str) -> Target<'a> {
    Target::new(Class::Credential, tenant, name)
}

impl Credentials {
    /// Everything that is not Strongroom's own, in the order of titles.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Entry<Credential>>> {
        let tenant = Tenant::outside();
        self.access.require(actor, Action::List, &missing(&tenant, "")).await?;
        let mut all = self.records.list_all::<Credential>().await?;
        all.retain(|entry| entry.head.origin != Origin::Own);
        all.sort_by_cached_key(|entry| (entry.body.title.to_lowercase(), entry.head.id));
        self.records.audit.list(actor, Class::Credential).await?;
        Ok(all)
    }

    /// Needs the right to see it; says whether the caller may also read its values and change it. Recorded
    /// as a read of the values if they are `wanted` and may be shown.
    pub async fn view(&self, actor: &Actor, id: RecordId, wanted: bool) -> Result<View> {
        let found = self.records.known::<Credential>(Key::Ids(&[id])).await?.pop();
        let entry = self.require_found(actor, Action::Metadata, id, found).await?;
        let may_get = self.may_get(actor, &entry).await?;
        let may_update = self.access.allows(actor, Action::Update, &target(&entry.head)).await?;
        let shows_values = wanted && may_get;
        let action = if shows_values { Action::Get } else { Action::Metadata };
        let read = Read { head: &entry.head, stamp: &entry.stamp, with: Vec::new() };
        self.records.audit.read(actor, action, read).await?;
        Ok(View { entry, shows_values, may_get, may_update })
    }

    /// For answers that could show values to a caller who may write, but not read them.
    pub async fn may_get(&self, actor: &Actor, entry: &Entry<Credential>) -> Result<bool> {
        self.access.allows(actor, Action::Get, &target(&entry.head)).await
    }

    /// The caller may create a credential of this title: asked before anything else of the draft is looked
    /// at. Without a title it is asked for a place outside all namespaces.
    pub async fn require_creatable(&self, actor: &Actor, title: Option<&str>) -> Result<Place> {
        let id = self.records.new_id();
        let path = title.and_then(reserved).unwrap_or_else(|| Path::confidant(id));
        self.access.require(actor, Action::Create, &missing(&path.tenant(), path.as_str())).await?;
        Ok(Place { id, path })
    }

    pub async fn create(&self, actor: &Actor, place: Place, draft: Draft) -> Result<Entry<Credential>> {
        let Place { id, path } = place;
        if reserved(&draft.title).is_some_and(|wanted| wanted != path) {
            return Err(Error::internal("a credential is created elsewhere than where it was asked for"));
        }
        require_resource_name(&path)?;
        check_words(&draft.title, &draft.about)?;
        draft.material.check(draft.kind)?;
        let tenant = path.tenant();
        let body = Credential {
            title: draft.title,
            kind: draft.kind,
            about: draft.about,
            generated: None,
            rotated_at: self.records.now(),
            not_after: None,
            authority: None,
            lineage: Lineage::begin(&path, draft.kind, None),
            memo: Memo::default(),
            material: draft.material,
        };
        let new = NewRecord {
            tenant,
            name: path.as_str().to_owned(),
            origin: Origin::Rest,
            retain_for: SignedDuration::ZERO,
        };
        match self.archived_at(&path).await? {
            // Its place is the only one that a resource looks at: it goes on where it was.
            Some(archived) => self.records.revise(actor, &archived, body).await,
            None => self.records.create(actor, id, new, body).await,
        }
    }

    async fn archived_at(&self, path: &Path) -> Result<Option<Entry<Credential>>> {
        if path.as_resource().is_none() {
            return Ok(None);
        }
        let found = self.records.find_released::<Credential>(path.as_str()).await?;
        Ok(found.filter(|entry| entry.head.released.is_some() && entry.head.origin == Origin::Rest))
    }

    /// The caller may update it, it exists, and REST is its writer.
    pub async fn require_writable(&self, actor: &Actor, id: RecordId) -> Result<Entry<Credential>> {
        let entry = self.require(actor, Action::Update, id).await?;
        entry.head.require_writer(&Origin::Rest)?;
        Ok(entry)
    }

    /// Another credential with this title, if there is one.
    pub async fn titled(&self, title: &str) -> Result<Option<RecordId>> {
        let found = self.records.find_one::<Credential>(Key::Alias(AliasKind::Title, title)).await?;
        Ok(found.map(|entry| entry.head.id))
    }

    /// The revision after `entry`, which [`Credentials::require_writable`] gave.
    pub async fn update(&self, actor: &Actor, entry: &Entry<Credential>, patch: Patch) -> Result<Entry<Credential>> {
        let next = change::patched(&entry.body, patch, self.records.now())?;
        if next.title != entry.body.title {
            require_movable(&entry.head, &next.title)?;
        }
        check_words(&next.title, &next.about)?;
        self.mapping.require_no_conflict(&member(entry.head.id, &next)).await?;
        self.records.revise(actor, entry, next).await
    }

    async fn require(&self, actor: &Actor, action: Action, id: RecordId) -> Result<Entry<Credential>> {
        let found = self.records.find_one::<Credential>(Key::Ids(&[id])).await?;
        self.require_found(actor, action, id, found).await
    }

    async fn require_found<E: Borrow<Entry<Credential>>>(
        &self,
        actor: &Actor,
        action: Action,
        id: RecordId,
        found: Option<E>,
    ) -> Result<E> {
        let (tenant, name) = (Tenant::outside(), Path::confidant(id));
        let found = self.access.require_found(actor, action, found, &missing(&tenant, name.as_str())).await?;
        found.ok_or_else(|| Error::not_found(format!("credential {}", id.hex())))
    }

    /// What the certificate of a credential says; `None` where it is none.
    pub fn facts(&self, credential: &Credential) -> Result<Option<Facts>> {
        match credential.kind {
            Kind::Certificate => self.making.facts(&credential.material).map(Some),
            _ => Ok(None),
        }
    }

    pub async fn find(&self, path: &Path) -> Result<Option<Entry<Credential>>> {
        self.records.find_one(Key::Names(&[path.as_str()])).await
    }
}

/// The path that a title stands for, if it is one where a resource looks for its value.
fn reserved(title: &str) -> Option<Path> {
    Path::parse(title).ok().filter(|path| path.as_resource().is_some())
}

/// No resource could ever have another name, but the record would be in the way of one that differs in case.
pub(super) fn require_resource_name(path: &Path) -> Result<()> {
    match path.as_resource() {
        Some((namespace, name)) if !is_dns_label(namespace) || !is_dns_subdomain(name) => {
            Err(Error::invalid("name", "is a path below /kubernetes, but names no possible namespace and resource"))
        }
        _ => Ok(()),
    }
}

/// The permission was asked for where the record lives. A title of a resource is unique like a place, so
/// taking one by renaming would take it from a namespace that the caller may have no rights in.
fn require_movable(head: &Head, title: &str) -> Result<()> {
    if reserved(title).is_some() || reserved(&head.name).is_some() {
        return Err(Error::invalid(
            "name",
            "cannot change to or from a path below /kubernetes; create a new credential",
        ));
    }
    Ok(())
}
