//! Credentials of resources: brings the store to what a resource wants.

use jiff::SignedDuration;

use crate::app::credentials::Credentials;
use crate::app::making::{Above, Made};
use crate::app::records::NewRecord;
use crate::app::services::member;
use crate::domain::actor::Actor;
use crate::domain::authority::Authority;
use crate::domain::credential::Lineage;
use crate::domain::credential::Memo;
use crate::domain::credential::change::{self, Source, Step, Wish};
use crate::domain::credential::{Credential, Kind};
use crate::domain::name::Path;
use crate::domain::record::{Entry, Origin, Owner};
use crate::domain::{Conflict, Error, Result};

impl Credentials {
    /// Brings the credential of a resource to what the resource wants. Unchanged: reads only.
    pub async fn converge(
        &self,
        owner: &Owner,
        wish: Wish,
        authority: Option<Authority>,
        retain_for: SignedDuration,
    ) -> Result<Entry<Credential>> {
        let path = Path::kubernetes(&owner.namespace, &owner.name);
        let origin = Origin::Resource(owner.clone());
        let current = self.records.find_released::<Credential>(path.as_str()).await?;
        if let Some(entry) = &current {
            require_free(entry, &origin)?;
        }
        // What a deleted resource left behind binds a new one of its name only while it is of the same type.
        let known = current.as_ref().filter(|entry| entry.head.released.is_none() || entry.body.kind == wish.kind);
        let planned = change::converge(known.map(|entry| &entry.body), &wish)?;
        let body = match (planned, &current) {
            (Step::Keep, Some(entry)) if is_as_wanted(entry, &authority, retain_for) => return Ok(entry.clone()),
            (Step::Keep | Step::Describe, Some(entry)) => {
                Credential { about: wish.about, authority, ..entry.body.clone() }
            }
            (Step::Keep | Step::Describe | Step::Generate(_) | Step::Import, _) => {
                self.anew(&path, wish, authority).await?
            }
        };
        let actor = Actor::operator();
        match current {
            Some(entry) => {
                self.mapping.require_no_conflict(&member(entry.head.id, &body)).await?;
                self.records.revise_retained(&actor, &entry, retain_for, body).await
            }
            None => {
                let new = NewRecord { tenant: path.tenant(), name: path.as_str().to_owned(), origin, retain_for };
                self.records.create(&actor, self.records.new_id(), new, body).await
            }
        }
    }

    async fn anew(&self, path: &Path, wish: Wish, authority: Option<Authority>) -> Result<Credential> {
        let (made, generated) = match wish.source {
            Source::Generate(parameters) => (self.making.make(&parameters, &path.tenant()).await?, Some(parameters)),
            Source::Import(material) => (Made { material, not_after: None }, None),
        };
        made.material.check(wish.kind)?;
        let imported_certificate = generated.is_none() && wish.kind == Kind::Certificate;
        let not_after = match imported_certificate {
            true => Some(self.making.facts(&made.material)?.not_after),
            false => made.not_after,
        };
        Ok(Credential {
            lineage: Lineage::begin(path, wish.kind, generated.as_ref()),
            memo: Memo::default(),
            title: path.as_str().to_owned(),
            kind: wish.kind,
            about: wish.about,
            generated,
            rotated_at: self.records.now(),
            not_after,
            authority,
            material: made.material,
        })
    }

    /// What became of the authority outside of its namespace that signed this one, where anything did.
    pub async fn above(&self, entry: &Entry<Credential>) -> Result<Option<Above>> {
        match entry.body.authority.as_ref().and_then(|authority| authority.parent.as_ref()) {
            Some(parent) => self.making.above(&entry.body.material, parent, &entry.head.tenant).await,
            None => Ok(None),
        }
    }

    /// The value that REST callers wrote at a resource's path.
    pub async fn stored(&self, owner: &Owner, kind: Kind) -> Result<Entry<Credential>> {
        let path = Path::kubernetes(&owner.namespace, &owner.name);
        let entry = self.find(&path).await?.ok_or_else(|| Error::Awaiting {
            reason: "AwaitingValue",
            message: format!("no value was written over REST yet: create a credential named {path}"),
        })?;
        if entry.head.origin != Origin::Rest {
            return Err(Error::Conflict(Conflict::Managed {
                what: format!("credential {path}"),
                owner: entry.head.origin.to_string(),
                id: entry.head.id,
            }));
        }
        if entry.body.kind != kind {
            let why = format!("is {}, but a value of type {} was written", kind.name(), entry.body.kind.name());
            return Err(Error::invalid("spec.type", why));
        }
        Ok(entry)
    }
}

/// A resource writes its own record only; one that another left behind is in its way until it is purged.
fn require_free(entry: &Entry<Credential>, origin: &Origin) -> Result<()> {
    match (&entry.head.released, entry.head.origin == *origin) {
        (_, true) => Ok(()),
        (None, false) => entry.head.require_writer(origin),
        (Some(release), false) => Err(Error::Conflict(Conflict::Managed {
            what: format!("credential {}", entry.head.name),
            owner: format!("the deleted {} until {}", entry.head.origin, release.purge_at),
            id: entry.head.id,
        })),
    }
}

fn is_as_wanted(entry: &Entry<Credential>, authority: &Option<Authority>, retain_for: SignedDuration) -> bool {
    entry.head.released.is_none() && entry.head.retain_for == retain_for && entry.body.authority == *authority
}
