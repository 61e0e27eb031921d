//! Use cases of permissions: who may what, path by path, as CredHub's callers ask and say it. Deciding by them is
//! `access`'s; here they are kept.

mod body;
mod grantees;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

pub use grantees::Grantees;

use self::body::{alias, of_path};
use crate::app::access::Access;
use crate::app::audit::Event;
use crate::app::batch::{Planned, TRIES};
use crate::app::body::Body;
use crate::app::ports::{AliasKind, Key, Mac};
use crate::app::records::{NewRecord, Records};
use crate::domain::actor::{Actor, Standing};
use crate::domain::credential::Credential;
use crate::domain::name::{RecordId, Tenant};
use crate::domain::permission::{Action, Granted, Operations, Permission, Scope, Target};
use crate::domain::record::{Class, Entry, Origin};
use crate::domain::{Conflict, Error, Result};

pub struct Permissions {
    pub(super) records: Arc<Records>,
    pub(super) access: Access,
    pub(super) grantees: Arc<Grantees>,
    pub(super) seeds: Vec<Permission>,
}

impl Permissions {
    /// What the caller may at which paths, for whoever looks for everything of it: nothing, for callers that others than
    /// stored permissions decide about.
    pub async fn of(&self, actor: &Actor) -> Result<Arc<Granted>> {
        match actor.standing {
            Standing::Operator | Standing::Admin => Ok(Arc::new(Granted::everything())),
            Standing::Grantee => self.grantees.of(&actor.id).await,
            Standing::Client | Standing::Delegated { .. } | Standing::Principal { .. } => Ok(Arc::default()),
        }
    }

    /// The one that this actor has at this path.
    pub async fn find(&self, actor: &Actor, path: &str, grantee: &str) -> Result<Entry<Permission>> {
        self.require(actor, Action::Get, path).await?;
        let found = match Scope::parse(path) {
            Ok(path) => self.stored(grantee, &path).await?,
            Err(_) => None,
        };
        let (_, entry) = found.ok_or_else(absent)?;
        self.recorded(actor, entry).await
    }

    pub async fn view(&self, actor: &Actor, id: RecordId) -> Result<Entry<Permission>> {
        let (_, entry) = self.require_found(actor, Action::Get, id).await?;
        self.recorded(actor, entry).await
    }

    /// `Conflict::Exists` if the actor has one at this path.
    pub async fn create(&self, actor: &Actor, permission: Permission) -> Result<Entry<Permission>> {
        self.require(actor, Action::Create, permission.path.as_str()).await?;
        self.require_others(actor, Action::Create, &permission).await?;
        let planned = self.plan_new(actor, permission);
        self.records.write_together(actor, std::slice::from_ref(&planned)).await?;
        Ok(planned.entry)
    }

    /// Says anew what it allows. `claimed`: the path and the actor that the caller takes it to be of.
    pub async fn replace(
        &self,
        actor: &Actor,
        id: RecordId,
        operations: Operations,
        claimed: Option<(&Scope, &str)>,
    ) -> Result<Entry<Permission>> {
        // It does not depend on what it said before: whoever comes second has the last word, and both are noted.
        for _ in 0..TRIES {
            let (_, current) = self.require_found(actor, Action::Update, id).await?;
            self.require_others(actor, Action::Update, &current.body).await?;
            let Permission { actor: grantee, path, .. } = &current.body;
            if claimed.is_some_and(|claimed| claimed != (path, grantee.as_str())) {
                return Err(Error::invalid("path and actor", "are not those of the permission with this id"));
            }
            let next = Permission { operations, ..current.body.clone() };
            let planned = self.records.plan(actor, &current, |_| Ok(next))?;
            match self.records.write_together(actor, std::slice::from_ref(&planned)).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                done => return done.map(|()| planned.entry),
            }
        }
        Err(busy())
    }

    pub async fn delete(&self, actor: &Actor, id: RecordId) -> Result<Entry<Permission>> {
        for _ in 0..TRIES {
            let (mark, current) = self.require_found(actor, Action::Delete, id).await?;
            self.require_others(actor, Action::Delete, &current.body).await?;
            match self.forget(actor, mark, current).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                done => return done,
            }
        }
        Err(busy())
    }

    /// The same, by the path and the actor.
    pub async fn revoke(&self, actor: &Actor, path: &str, grantee: &str) -> Result<()> {
        self.require(actor, Action::Delete, path).await?;
        let path = Scope::parse(path).map_err(|_| absent())?;
        let named = Permission { actor: grantee.to_owned(), path, operations: Operations::default() };
        self.require_others(actor, Action::Delete, &named).await?;
        for _ in 0..TRIES {
            let (mark, current) = self.stored(grantee, &named.path).await?.ok_or_else(absent)?;
            match self.forget(actor, mark, current).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                done => return done.map(|_| ()),
            }
        }
        Err(busy())
    }

    /// Everybody's at the name of one credential, which exists, and how that is spelt.
    pub async fn at_credential(&self, actor: &Actor, name: &str) -> Result<(String, Vec<Entry<Permission>>)> {
        self.require(actor, Action::Get, name).await?;
        let found = self.records.known::<Credential>(Key::Names(&[name])).await?;
        let credential = found.into_iter().find(|entry| entry.head.origin != Origin::Own).ok_or_else(absent)?;
        let name = credential.head.name.clone();
        let mut all = self.at_path(&name).await?;
        all.sort_unstable_by_key(|entry| entry.head.id);
        let event = Event::of(actor, Action::Get.verb(), self.records.now()).about(Class::Permission, &name);
        self.records.audit.journal.note(event.note()).await?;
        Ok((name, all))
    }

    /// Adds to what actors may at one path, all of it or nothing. `Conflict::Exists` if one of them may all of its already.
    pub async fn grant(&self, actor: &Actor, wanted: &[Permission]) -> Result<()> {
        for path in by_path(wanted).into_keys() {
            self.require(actor, Action::Create, path.as_str()).await?;
        }
        for permission in wanted {
            self.require_others(actor, Action::Create, permission).await?;
        }
        for _ in 0..TRIES {
            for permission in wanted {
                self.require_news(permission).await?;
            }
            match self.add(actor, wanted).await {
                // Another came first: what is to be added depends on what it wrote.
                Err(Error::Conflict(_)) => {}
                done => return done.map(|_| ()),
            }
        }
        Err(busy())
    }

    /// Adds what the settings say, where it is not there. Writes nothing otherwise; says how many.
    pub async fn seed(&self) -> Result<usize> {
        for _ in 0..TRIES {
            match self.add(&Actor::operator(), &self.seeds).await {
                Err(Error::Conflict(_)) => {}
                done => return done,
            }
        }
        Err(busy())
    }

    async fn require_news(&self, wanted: &Permission) -> Result<()> {
        let granted = self.grantees.stored(&wanted.actor).await?;
        if !granted.allows_all(wanted.operations, wanted.path.as_str()) {
            return Ok(());
        }
        let what = format!("a permission of {} to all of this at {}", wanted.actor, wanted.path.as_str());
        Err(Conflict::Exists { what, id: RecordId::from_bytes([0; 16]) }.into())
    }

    /// A conflict if any of them was written meanwhile.
    async fn add(&self, actor: &Actor, wanted: &[Permission]) -> Result<usize> {
        let mut planned = Vec::new();
        for (path, wanted) in by_path(wanted) {
            let current = self.at_path(path.as_str()).await?;
            for (grantee, operations) in wanted {
                let is_it = |entry: &&Entry<Permission>| entry.body.actor == grantee && entry.body.path == *path;
                let Some(known) = current.iter().find(is_it) else {
                    let body = Permission { actor: grantee.to_owned(), path: path.clone(), operations };
                    planned.push(self.plan_new(actor, body));
                    continue;
                };
                let operations = operations.and(known.body.operations);
                if operations != known.body.operations {
                    let body = Permission { operations, ..known.body.clone() };
                    planned.push(self.records.plan(actor, known, |_| Ok(body))?);
                }
            }
        }
        if !planned.is_empty() {
            self.records.write_together(actor, &planned).await?;
        }
        Ok(planned.len())
    }

    async fn at_path(&self, path: &str) -> Result<Vec<Entry<Permission>>> {
        let mut all = self.records.find::<Permission>(Key::LinksTo(of_path(path))).await?;
        all.retain(|entry| entry.body.path.as_str().eq_ignore_ascii_case(path));
        Ok(all)
    }

    async fn stored(&self, grantee: &str, path: &Scope) -> Result<Option<(Mac, Entry<Permission>)>> {
        let found = self.open(Key::Alias(AliasKind::Grant, &alias(grantee, path))).await?;
        Ok(found.filter(|(_, entry)| entry.body.actor == grantee && entry.body.path == *path))
    }

    /// With its mark: a deletion is bound to the one that was seen.
    async fn open(&self, key: Key<'_>) -> Result<Option<(Mac, Entry<Permission>)>> {
        for is_last in [false, true] {
            let Some(row) = self.records.rows(Class::Permission, key).await?.pop() else { return Ok(None) };
            match self.records.open(&row).await {
                // Sealed anew meanwhile: read again with the keys of the moment.
                Err(Error::KeyReplaced) if !is_last => {}
                opened => return opened.map(|entry| Some((row.mac, entry))),
            }
        }
        Ok(None)
    }

    /// A permission's name as a record says nothing.
    fn plan_new(&self, actor: &Actor, permission: Permission) -> Planned<Permission> {
        let id = self.records.new_id();
        let new = NewRecord {
            tenant: Tenant::outside(),
            name: format!("/permission/{}", id.hex()),
            origin: Origin::Rest,
            retain_for: SignedDuration::ZERO,
        };
        self.records.plan_new(actor, id, new, permission)
    }

    async fn forget(&self, actor: &Actor, mark: Mac, current: Entry<Permission>) -> Result<Entry<Permission>> {
        let planned = self.records.plan_forgetting(current, mark);
        self.records.write_together(actor, std::slice::from_ref(&planned)).await?;
        Ok(planned.entry)
    }

    async fn recorded(&self, actor: &Actor, entry: Entry<Permission>) -> Result<Entry<Permission>> {
        let Entry { head, stamp, body } = &entry;
        let event = Event::of(actor, Action::Get.verb(), self.records.now()).to(head, stamp.number);
        self.records.audit.journal.note(body.told(event).note()).await?;
        Ok(entry)
    }

    async fn require_found(&self, actor: &Actor, action: Action, id: RecordId) -> Result<(Mac, Entry<Permission>)> {
        match self.open(Key::Ids(&[id])).await? {
            Some((mark, entry)) => {
                self.require(actor, action, entry.body.path.as_str()).await?;
                Ok((mark, entry))
            }
            // Asked all the same: who may see no permission does not learn which ids exist.
            None => {
                self.require(actor, action, &id.to_string()).await?;
                Err(absent())
            }
        }
    }

    async fn require(&self, actor: &Actor, action: Action, path: &str) -> Result<()> {
        self.access.require(actor, action, &Target::new(Class::Permission, &Tenant::outside(), path)).await
    }

    /// Nobody says what it may itself do, however much it may say of others.
    async fn require_others(&self, actor: &Actor, action: Action, permission: &Permission) -> Result<()> {
        let is_own = actor.standing == Standing::Grantee && actor.id == permission.actor;
        if !is_own || !self.grantees.are_enforced() {
            return Ok(());
        }
        let tenant = Tenant::outside();
        let target = Target::new(Class::Permission, &tenant, permission.path.as_str());
        self.records.audit.denied(actor, action, &target).await?;
        Err(Error::invalid("actor", "is the caller: what it may do is for others to say"))
    }
}

/// Each path once, and there each actor once.
fn by_path(wanted: &[Permission]) -> BTreeMap<&Scope, BTreeMap<&str, Operations>> {
    let mut all: BTreeMap<&Scope, BTreeMap<&str, Operations>> = BTreeMap::new();
    for Permission { actor, path, operations } in wanted {
        let known = all.entry(path).or_default().entry(actor).or_default();
        *known = known.and(*operations);
    }
    all
}

fn absent() -> Error {
    Error::not_found("the permission")
}

fn busy() -> Error {
    Error::Overloaded { retry_after: std::time::Duration::from_secs(1) }
}
