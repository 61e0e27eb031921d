//! What is in a service: finds its credentials, and holds them to the rule that no key is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::app::body::Body;
use crate::app::ports::Key;
use crate::app::records::Records;
use crate::domain::blind::BlindCredential;
use crate::domain::credential::Credential;
use crate::domain::error::{Holder, KeyConflict};
use crate::domain::name::RecordId;
use crate::domain::record::{Entry, Origin};
use crate::domain::service::{Member, Service, require_distinct_keys};
use crate::domain::{Conflict, Error, Result};

#[derive(Clone)]
pub struct Mapping {
    pub(in crate::app) records: Arc<Records>,
    pub(in crate::app) ignore_conflicts: bool,
}

/// The credentials of a service, each sort in the order of its own list.
#[derive(Clone, Default)]
pub struct Members {
    pub credentials: Vec<Arc<Entry<Credential>>>,
    pub blind_credentials: Vec<Arc<Entry<BlindCredential>>>,
}

impl Members {
    fn of_rule(&self) -> impl Iterator<Item = Member> {
        let credentials = self.credentials.iter().map(|entry| member(entry.head.id, &entry.body));
        credentials.chain(self.blind_credentials.iter().map(|entry| blind_member(entry.head.id, &entry.body)))
    }
}

impl Mapping {
    /// Those that exist. One query for each sort, whatever their number.
    pub async fn members(&self, credentials: &[RecordId], blind_credentials: &[RecordId]) -> Result<Members> {
        Ok(Members {
            credentials: self.ordered(credentials).await?,
            blind_credentials: self.ordered(blind_credentials).await?,
        })
    }

    async fn ordered<B: Body>(&self, ids: &[RecordId]) -> Result<Vec<Arc<Entry<B>>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.records.known::<B>(Key::Ids(ids)).await?;
        // What is held comes in the order it was asked for.
        if !found.iter().map(|entry| entry.head.id).eq(ids.iter().copied()) {
            let places: BTreeMap<RecordId, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
            found.sort_by_key(|entry| places.get(&entry.head.id).copied());
        }
        found.retain(|entry| entry.head.origin != Origin::Own);
        Ok(found)
    }

    /// Services that this credential, blind or not, is mapped into.
    pub async fn services(&self, id: RecordId) -> Result<Vec<Entry<Service>>> {
        let mut services = self.records.find::<Service>(Key::LinksTo(id)).await?;
        services.sort_by(|left, right| left.head.name.cmp(&right.head.name));
        Ok(services)
    }

    pub fn require_distinct(&self, members: &Members) -> Result<()> {
        match self.ignore_conflicts {
            true => Ok(()),
            false => require_distinct_keys(&members.of_rule().collect::<Vec<_>>()),
        }
    }

    /// A credential that gets new keys must not collide with its neighbours in a service written over REST;
    /// `Service` resources may rename keys and are checked where they are projected.
    pub async fn require_no_conflict(&self, next: &Member) -> Result<()> {
        if self.ignore_conflicts {
            return Ok(());
        }
        let mut services = self.services(next.holder.id).await?;
        services.retain(|service| service.head.origin == Origin::Rest);
        let union = |ids: fn(&Service) -> &Vec<RecordId>| -> Vec<RecordId> {
            let all: BTreeSet<RecordId> = services.iter().flat_map(|service| ids(&service.body)).copied().collect();
            all.into_iter().collect()
        };
        let known = self.members(&union(|body| &body.credentials), &union(|body| &body.blind_credentials)).await?;
        let known: BTreeMap<RecordId, Member> = known.of_rule().map(|member| (member.holder.id, member)).collect();
        let mut found = Conflicts::default();
        for service in &services {
            let ids = service.body.credentials.iter().chain(&service.body.blind_credentials);
            let others = ids.filter(|id| **id != next.holder.id).filter_map(|id| known.get(id).cloned());
            let all: Vec<Member> = others.chain([next.clone()]).collect();
            match require_distinct_keys(&all) {
                Err(Error::Conflict(Conflict::Keys { keys })) => found.add(keys, &service.head.name),
                checked => checked?,
            }
        }
        found.judge()
    }
}

/// One key may conflict in several services: told once, with all of them.
#[derive(Default)]
struct Conflicts(BTreeMap<String, KeyConflict>);

impl Conflicts {
    fn add(&mut self, keys: Vec<KeyConflict>, service: &str) {
        for conflict in keys {
            let KeyConflict { key, holders, .. } = conflict;
            let known = self.0.entry(key.clone()).or_insert_with(|| KeyConflict {
                key,
                holders: Vec::new(),
                services: Vec::new(),
            });
            for holder in holders {
                if !known.holders.contains(&holder) {
                    known.holders.push(holder);
                }
            }
            known.services.push(service.to_owned());
        }
    }

    fn judge(self) -> Result<()> {
        let keys: Vec<KeyConflict> = self.0.into_values().collect();
        if keys.is_empty() { Ok(()) } else { Err(Error::Conflict(Conflict::Keys { keys })) }
    }
}

pub fn member(id: RecordId, credential: &Credential) -> Member {
    let holder = Holder { id, is_blind: false, name: credential.title.clone() };
    Member { holder, keys: credential.material.names().map(str::to_owned).collect() }
}

pub fn blind_member(id: RecordId, credential: &BlindCredential) -> Member {
    let holder = Holder { id, is_blind: true, name: credential.title.clone() };
    Member { holder, keys: credential.keys.clone() }
}
