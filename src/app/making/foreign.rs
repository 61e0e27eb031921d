//! Authorities outside of a namespace that sign authorities in it: any certificate of the store that may sign, as CredHub's
//! callers use it, where a stored permission opens it to the namespace.

use std::collections::{BTreeSet, VecDeque};

use super::{Making, missing};
use crate::app::ports::{Chain, Key};
use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::authority::{Role, Unfit};
use crate::domain::credential::lineage::Active;
use crate::domain::credential::{Credential, Kind, Material};
use crate::domain::name::{Path, Revision, Tenant};
use crate::domain::permission::{Action, Operation, Target};
use crate::domain::record::{Class, Entry, Origin};
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// Records that are looked at for the certificates above an authority.
const RECORDS: usize = 16;

/// What became of the authority that signed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Above {
    /// It is there with another certificate than the one that signed.
    Replaced,
    Gone,
}

impl Making {
    /// The authority, with a chain up to its root as its material. Who may not ask it does not learn whether it is there.
    pub(super) async fn foreign(&self, path: &Path, tenant: &Tenant) -> Result<Entry<Credential>> {
        let group = group(tenant).ok_or_else(|| missing(path))?;
        if !self.is_open(path, &group).await? {
            return Err(self.not_open(path, tenant, group).await?);
        }
        let entry = self.active(path).await?.ok_or_else(|| missing(path))?;
        self.require_fit(path, &entry)?;
        let chain = self.chain(&entry).await?;
        let text = chain.iter().map(SecretText::expose).collect::<String>();
        let key = entry.body.material.require("private_key")?.clone();
        let material = Material::texts([("certificate", SecretText::new(text)), ("private_key", key)]);
        Ok(entry.map(|body| Credential { material, ..body }))
    }

    /// What became of the authority at this path since it signed this certificate. Nothing is said where nothing changed,
    /// nor to those to whom the authority is not open any more.
    pub async fn above(&self, certificate: &Material, path: &Path, tenant: &Tenant) -> Result<Option<Above>> {
        let Some(group) = group(tenant).filter(|_| path.tenant() != *tenant) else { return Ok(None) };
        if !self.is_open(path, &group).await? {
            return Ok(None);
        }
        let authority = match self.active(path).await {
            Ok(Some(authority)) => authority,
            Ok(None) => return Ok(Some(Above::Gone)),
            // What it has signed is none the worse for it.
            Err(Error::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let texts = texts(certificate);
        let chain = self.keymaker.chain(certificate.require("certificate")?, &texts.iter().collect::<Vec<_>>())?;
        let signer = chain.certificates.get(1).map(|pem| self.keymaker.facts(pem)).transpose()?;
        let now = authority.body.material.get("certificate").and_then(|pem| self.keymaker.facts(pem).ok());
        let fingerprint = |facts: crate::domain::authority::Facts| facts.fingerprint;
        Ok((signer.map(fingerprint) != now.map(fingerprint)).then_some(Above::Replaced))
    }

    /// Stored permissions decide, whether they are enforced for callers or not: without them, whoever may make a resource
    /// anywhere would sign with everything.
    async fn is_open(&self, path: &Path, group: &str) -> Result<bool> {
        Ok(self.grantees.stored(group).await?.allows(Operation::Read, path.as_str()))
    }

    /// Recorded, as every denial is.
    async fn not_open(&self, path: &Path, tenant: &Tenant, group: String) -> Result<Error> {
        let message = format!(
            "namespace {} may not sign with {path}: somebody who may write permissions there grants it by POST \
             /api/v2/permissions {{\"path\":\"{path}\",\"actor\":\"{group}\",\"operations\":[\"read\"]}}",
            tenant.as_str()
        );
        let actor = Actor {
            id: group,
            tenant: tenant.clone(),
            scheme: Scheme::Internal,
            standing: Standing::Grantee,
            from: None,
        };
        let place = path.tenant();
        let target = Target::new(Class::Credential, &place, path.as_str());
        self.records.audit.denied(&actor, Action::Get, &target).await?;
        Ok(Error::Awaiting { reason: "NotPermitted", message })
    }

    /// Not Strongroom's own, and not one of which only a version in waiting is left.
    async fn active(&self, path: &Path) -> Result<Option<Entry<Credential>>> {
        let found = self.records.find_one::<Credential>(Key::Names(&[path.as_str()])).await?;
        let has_active = |entry: &Entry<Credential>| {
            entry.body.lineage.as_deref().is_none_or(|lineage| lineage.active != Active::None)
        };
        Ok(found.filter(|entry| entry.head.origin != Origin::Own && has_active(entry)))
    }

    /// All of it is for others to change than who reads this, so it is waited for.
    fn require_fit(&self, path: &Path, entry: &Entry<Credential>) -> Result<()> {
        let unfit = |why: &dyn std::fmt::Display| Error::Awaiting {
            reason: "UnfitAuthority",
            message: format!("{path} cannot sign: it {why}"),
        };
        let (body, now) = (&entry.body, self.records.now());
        if body.kind != Kind::Certificate {
            return Err(unfit(&Unfit::OtherType));
        }
        let facts = self.facts(&body.material).map_err(|_| unfit(&"has a certificate that cannot be read"))?;
        if !facts.is_authority {
            return Err(unfit(&Unfit::NoAuthority));
        }
        if facts.role == Role::Leaf {
            return Err(unfit(&"has key usages without key_cert_sign"));
        }
        if body.material.get("private_key").is_none() {
            return Err(unfit(&Unfit::NoPrivateKey));
        }
        // One below it would sign for any name.
        if body.authority.as_ref().is_some_and(|authority| !authority.policy.allowed_dns_names.is_empty()) {
            return Err(unfit(&"has issuance.allowedDnsNames, and so signs no authorities of other namespaces"));
        }
        if now >= facts.not_after {
            let message = format!("{path} expired at {}: it has to be regenerated", facts.not_after);
            return Err(Error::Awaiting { reason: "AuthorityExpired", message });
        }
        Ok(())
    }

    /// Its certificate and those above it, the root included. What signed it may have been replaced since, so that every
    /// revision of those above counts, and signatures say which one it was.
    async fn chain(&self, entry: &Entry<Credential>) -> Result<Vec<SecretText>> {
        let own = entry.body.material.require("certificate")?;
        let mut known = texts_of(&entry.body);
        let mut above: VecDeque<Path> = signers(&entry.body).collect();
        let mut seen = BTreeSet::from([entry.head.name.to_ascii_lowercase()]);
        loop {
            let Chain { certificates, is_whole } = self.keymaker.chain(own, &known.iter().collect::<Vec<_>>())?;
            if is_whole {
                return Ok(certificates);
            }
            let next = std::iter::from_fn(|| above.pop_front())
                .find(|path| seen.len() < RECORDS && seen.insert(path.as_str().to_ascii_lowercase()));
            let Some(path) = next else {
                let message = format!(
                    "the certificates above {} do not lead to a root: set it again with all of them in ca",
                    entry.head.name
                );
                return Err(Error::Awaiting { reason: "UnfitAuthority", message });
            };
            let found = self.records.find_one::<Credential>(Key::Names(&[path.as_str()])).await?;
            let Some(found) = found.filter(|entry| entry.body.kind == Kind::Certificate) else { continue };
            for made in self.records.revisions_from::<Credential>(&found, Revision::FIRST).await? {
                known.extend(texts_of(&made.body));
                above.extend(signers(&made.body));
            }
        }
    }
}

/// Every ServiceAccount of a namespace, as Kubernetes calls them: to permissions the namespace itself.
fn group(tenant: &Tenant) -> Option<String> {
    tenant.as_namespace().map(|namespace| format!("system:serviceaccounts:{namespace}"))
}

fn signers(body: &Credential) -> impl Iterator<Item = Path> {
    body.lineage.iter().flat_map(|lineage| lineage.signers()).cloned()
}

fn texts(material: &Material) -> Vec<SecretText> {
    ["certificate", "ca"].into_iter().filter_map(|name| material.get(name)).cloned().collect()
}

/// Of both versions.
fn texts_of(body: &Credential) -> Vec<SecretText> {
    let other = body.lineage.as_deref().and_then(|lineage| lineage.transitional.as_deref());
    let others = other.map(|version| texts(&version.content.material)).unwrap_or_default();
    texts(&body.material).into_iter().chain(others).collect()
}
