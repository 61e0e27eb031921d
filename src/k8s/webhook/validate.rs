//! What only a look at other objects can tell: two resources that claim one Secret, keys that a Credential does not
//! have, authorities in a circle. Advice for whoever types `kubectl apply`: the reconciler is the authority, so another
//! object that is not known is no reason to refuse (GitOps applies in any order), nor is one that was wrong before.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;

use super::{Refusal, settled_status, shown};
use crate::domain::name::Path;
use crate::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Managed, Service, ServiceCredential};
use crate::k8s::translate::parent_of;

/// What is known of the namespace of the object being admitted. It may hold the object itself, as it was.
#[derive(Clone, Debug, Default)]
pub struct Others {
    pub credentials: Vec<Arc<Credential>>,
    pub services: Vec<Arc<Service>>,
    pub authorities: Vec<Arc<CertificateAuthority>>,
    pub clients: Vec<Arc<ClientCredential>>,
}

impl Others {
    fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.iter().find(|it| it.name_any() == name).map(Arc::as_ref)
    }

    fn authority(&self, name: &str) -> Option<&CertificateAuthority> {
        self.authorities.iter().find(|it| it.name_any() == name).map(Arc::as_ref)
    }

    /// Kind and name of every resource that makes this Secret.
    fn makers(&self, secret: &str) -> Vec<(&'static str, String)> {
        fn of<K: Managed>(all: &[Arc<K>], secret: &str) -> Vec<(&'static str, String)> {
            let makes = all.iter().filter(|it| it.secret_name().as_deref() == Some(secret));
            makes.map(|it| (K::KIND, it.name_any())).collect()
        }
        let all = [
            of(&self.credentials, secret),
            of(&self.services, secret),
            of(&self.authorities, secret),
            of(&self.clients, secret),
        ];
        all.concat()
    }
}

/// A kind whose objects can contradict others.
pub trait Validated: Managed {
    /// Rules of this kind alone.
    fn contradictions(&self, others: &Others) -> Vec<Refusal>;
}

/// Why `object` is refused; empty when it is not. What an update leaves as it was is not refused again: it would keep
/// people from changing anything else, and other controllers from removing a finalizer.
pub fn refusals<K: Validated>(object: &K, old: Option<&K>, others: &Others) -> Vec<Refusal> {
    let mut refusals = contradictions(object, others);
    if let Some(old) = old {
        let before = contradictions(old, others);
        refusals.retain(|refusal| !before.contains(refusal));
    }
    refusals
}

fn contradictions<K: Validated>(object: &K, others: &Others) -> Vec<Refusal> {
    let mut found = shared_secret(object, others);
    found.extend(object.contradictions(others));
    found
}

fn shared_secret<K: Managed>(object: &K, others: &Others) -> Vec<Refusal> {
    let Some(secret) = object.secret_name() else { return Vec::new() };
    let name = object.name_any();
    let makers = others.makers(&secret);
    let others = makers.iter().filter(|(kind, other)| (*kind, other) != (K::KIND, &name));
    let refuse = |(kind, other): &(&str, String)| {
        let why = format!(
            "Secret {secret} is made by {kind} {other} already: write another name, or creationPolicy: None for no Secret"
        );
        Refusal::new("spec.target.secretName", why)
    };
    others.map(refuse).collect()
}

/// Credentials and authorities share the paths of the store: the second would be told that the first owns its record.
fn shared_path(other: &'static str, name: &str, taken: bool) -> Option<Refusal> {
    taken.then(|| {
        let why = format!("{other} {name} has this name already, and Credentials and CertificateAuthorities share their names: choose another");
        Refusal::new("metadata.name", why)
    })
}

impl Validated for Credential {
    fn contradictions(&self, others: &Others) -> Vec<Refusal> {
        let name = self.name_any();
        let taken = others.authority(&name).is_some();
        shared_path(CertificateAuthority::KIND, &name, taken).into_iter().collect()
    }
}

impl Validated for ClientCredential {
    fn contradictions(&self, _: &Others) -> Vec<Refusal> {
        Vec::new()
    }
}

impl Validated for Service {
    fn contradictions(&self, others: &Others) -> Vec<Refusal> {
        let members = &self.spec.credentials;
        let mut found: Vec<Refusal> =
            members.iter().enumerate().flat_map(|(at, member)| missing_keys(at, member, others)).collect();
        found.extend(twice(members, others));
        found
    }
}

/// Keys of a Credential that works; `None` while they are not known.
fn known_keys<'a>(name: &str, others: &'a Others) -> Option<&'a [String]> {
    let keys = &settled_status(others.credential(name)?)?.keys;
    (!keys.is_empty()).then_some(keys)
}

fn missing_keys(at: usize, member: &ServiceCredential, others: &Others) -> Vec<Refusal> {
    let Some(known) = known_keys(member.name.as_str(), others) else { return Vec::new() };
    let missing = member.keys.keys().filter(|key| !known.contains(key));
    let refuse = |key: &String| {
        let why = format!("Credential {} has no such key: it has {}", member.name, known.join(", "));
        Refusal::new(format!("spec.credentials[{at}].keys[{}]", shown(key)), why)
    };
    missing.map(refuse).collect()
}

/// A key that two members would put into the Service's Secret.
fn twice(members: &[ServiceCredential], others: &Others) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut holders: BTreeMap<&str, &ServiceCredential> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        let keys: Vec<&str> = match member.keys.is_empty() {
            true => known_keys(member.name.as_str(), others).into_iter().flatten().map(String::as_str).collect(),
            // What it is called here is known even while the Credential is not.
            false => member.keys.values().map(|key| key.as_str()).collect(),
        };
        for key in keys {
            match holders.get(key) {
                Some(holder) => {
                    let why =
                        format!("Credential {} brings the key {key} too: give one of them another name", holder.name);
                    found.push(Refusal::new(format!("spec.credentials[{at}].keys"), why));
                }
                None => drop(holders.insert(key, member)),
            }
        }
    }
    found
}

impl Validated for CertificateAuthority {
    fn contradictions(&self, others: &Others) -> Vec<Refusal> {
        let name = self.name_any();
        let taken = others.credential(&name).is_some();
        let mut found: Vec<Refusal> = shared_path(Credential::KIND, &name, taken).into_iter().collect();
        found.extend(shared_bundle(self, &name, others));
        found.extend(circle(self, &name, others));
        found
    }
}

fn bundle(authority: &CertificateAuthority) -> Option<&str> {
    authority.spec.trust_bundle.as_ref().map(|bundle| bundle.config_map_name.as_str())
}

fn shared_bundle(authority: &CertificateAuthority, name: &str, others: &Others) -> Option<Refusal> {
    let config_map = bundle(authority)?;
    let other = others.authorities.iter().find(|it| bundle(it) == Some(config_map) && it.name_any() != name)?;
    let why = format!(
        "ConfigMap {config_map} is made by CertificateAuthority {} already: write another name",
        other.name_any()
    );
    Some(Refusal::new("spec.trustBundle.configMapName", why))
}

/// In this namespace, by its name or by its path.
fn parent_in(authority: &CertificateAuthority, namespace: &str) -> Option<String> {
    let path = parent_of(authority)?;
    // Paths are the same in either case; names of objects have one.
    let folded = Path::parse(&path.as_str().to_ascii_lowercase()).ok()?;
    folded.as_resource().filter(|(place, _)| *place == namespace).map(|(_, name)| name.to_owned())
}

/// Follows the parents up. A circle further up that does not come back here is not this object's fault.
fn circle(authority: &CertificateAuthority, name: &str, others: &Others) -> Option<Refusal> {
    let namespace = authority.namespace().unwrap_or_default();
    let mut chain = vec![name.to_owned()];
    let mut parent = parent_in(authority, &namespace);
    while let Some(next) = parent {
        if next == name {
            let chain = chain.join(" is signed by ");
            let why = format!("{chain} is signed by {name}, which is a circle: one of them must have no parentRef");
            let by_name = authority.spec.parent_ref.as_ref().is_some_and(|parent| parent.name.is_some());
            let field = if by_name { "spec.parentRef.name" } else { "spec.parentRef.path" };
            return Some(Refusal::new(field, why));
        }
        if chain.contains(&next) {
            return None;
        }
        parent = parent_in(others.authority(&next)?, &namespace);
        chain.push(next);
    }
    None
}

#[cfg(test)]
mod tests;
