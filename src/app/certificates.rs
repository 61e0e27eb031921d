//! Use cases of certificates for callers of REST: which authorities there are, and what they sign. Nothing of an issued
//! certificate is kept but its record of audit. What it may say is decided in `domain::authority`.

use std::sync::Arc;

use crate::app::access::Access;
use crate::app::audit::Event;
use crate::app::making::{Issued, Making};
use crate::app::ports::Key;
use crate::domain::actor::{Actor, PrincipalKind, Standing};
use crate::domain::authority::{AlternativeName, Authorities, PublicKey, SigningRequest, Terms, Wanted};
use crate::domain::credential::Credential;
use crate::domain::name::{Path, Tenant};
use crate::domain::permission::{self, Action, Resource, Target};
use crate::domain::record::{Entry, Origin};
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

#[derive(Clone)]
pub struct Certificates {
    pub(super) access: Access,
    pub(super) making: Making,
    pub(super) authorities: Authorities,
}

/// An authority by the name that callers know.
pub struct Named {
    pub name: String,
    pub entry: Arc<Entry<Credential>>,
}

/// An authority, and on what terms it signs for callers.
type Behind = (Arc<Entry<Credential>>, Terms);

/// Where a caller asks for a certificate: made by [`Certificates::desk`] only. Whether there is an authority behind it
/// is nobody's to know who may not ask it.
pub struct Desk {
    name: String,
    /// `None`: the name is none that an authority could have.
    path: Option<Path>,
    behind: Option<Behind>,
}

/// A caller may have a certificate of this name: made by [`Certificates::permit`] only.
pub struct Permit {
    common_name: String,
    issuer: Arc<Entry<Credential>>,
    terms: Terms,
}

impl Certificates {
    /// In the order of names. One without a name that callers could say is nobody's.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Named>> {
        let tenant = Tenant::outside();
        self.access.require(actor, Action::List, &Target::new(Resource::Authority, &tenant, "")).await?;
        let all = self.making.records.list_all::<Credential>().await?;
        let named = |entry: Entry<Credential>| {
            let name = self.authorities.name(&Path::parse(&entry.head.name).ok()?)?;
            is_authority(&entry).then_some(Named { name, entry: Arc::new(entry) })
        };
        let mut all: Vec<Named> = all.into_iter().filter_map(named).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        self.note(Event::of(actor, Action::List.verb(), self.making.records.now()).about(Resource::Authority, ""))
            .await?;
        Ok(all)
    }

    pub async fn view(&self, actor: &Actor, name: &str) -> Result<Named> {
        let desk = self.desk(actor, name).await?;
        self.access
            .require(actor, Action::Get, &Target::new(Resource::Authority, &desk.tenant(), desk.record()))
            .await?;
        let (name, (entry, _)) = desk.open()?;
        let event = Event::of(actor, Action::Get.verb(), self.making.records.now());
        let event = event.to(&entry.head, entry.stamp.number).about(Resource::Authority, &entry.head.name);
        self.note(event).await?;
        Ok(Named { name, entry })
    }

    /// An authority that does not exist is said to be missing only to those who could see that in the list.
    pub async fn desk(&self, actor: &Actor, name: &str) -> Result<Desk> {
        let known = self.authorities.find(name);
        let behind = match &known {
            Some((path, terms)) => self.find(path).await?.map(|entry| (entry, terms.clone())),
            None => None,
        };
        let desk = Desk { name: name.to_owned(), path: known.map(|(path, _)| path), behind };
        let tenant = desk.tenant();
        let lists = Target::new(Resource::Authority, &tenant, "");
        if desk.behind.is_none() && self.access.allows(actor, Action::List, &lists).await? {
            return Err(desk.missing());
        }
        Ok(desk)
    }

    /// What a signing request asks for; it was signed by its own key.
    pub fn signing_request(&self, text: &SecretText) -> Result<SigningRequest> {
        self.making.keymaker.signing_request(text.expose())
    }

    /// The caller may have a certificate of this common name: asked before anything else of what is wanted is looked at.
    pub async fn permit(&self, actor: &Actor, desk: Desk, common_name: &str) -> Result<Permit> {
        let tenant = desk.tenant();
        let target = Target { issuer: Some(desk.record()), ..Target::new(Resource::Certificate, &tenant, common_name) };
        self.access.require(actor, Action::Get, &target).await?;
        let (_, (issuer, terms)) = desk.open()?;
        Ok(Permit { common_name: common_name.to_owned(), issuer, terms })
    }

    /// With a new key, or for the one that is given.
    pub async fn issue(
        &self,
        actor: &Actor,
        permit: &Permit,
        wanted: &Wanted,
        key: Option<&PublicKey>,
    ) -> Result<Issued> {
        let Permit { common_name, issuer, terms } = permit;
        let names = wanted.names(common_name)?;
        if let Some(service) = bound_to(actor) {
            self.require_own(actor, service, permit, &names).await?;
        }
        let policy = issuer.body.authority.as_ref().map(|authority| authority.policy.clone()).unwrap_or_default();
        let facts = self.making.facts(&issuer.body.material)?;
        let bounds = [Some(terms.max_validity), policy.max_validity];
        let now = self.making.records.now();
        let validity = wanted.validity(bounds, &facts, now)?;
        let request = wanted.request(common_name, names, validity, Path::parse(&issuer.head.name)?);
        let issued = self.making.issue(&request, key, issuer, &policy, now).await?;
        let event = Event::of(actor, "issue", now).about(Resource::Certificate, common_name);
        let with = vec![(issuer.head.name.as_str(), issuer.stamp.number)];
        self.note(Event { id: Some(hex::encode(issued.serial)), with, ..event }).await?;
        Ok(issued)
    }

    /// The key of a certificate that was made here, as clients of old read it.
    pub fn as_pkcs1(&self, private_key: &SecretText) -> Result<SecretText> {
        self.making.keymaker.as_pkcs1(private_key)
    }

    /// Every name of the certificate, and not the first alone, belongs to the service that asks for it.
    async fn require_own(
        &self,
        actor: &Actor,
        service: &str,
        permit: &Permit,
        names: &[AlternativeName],
    ) -> Result<()> {
        if permit.terms.domain.as_ref().is_some_and(|pattern| pattern.is_own(service, names)) {
            return Ok(());
        }
        let target = Target::new(Resource::Certificate, &permit.issuer.head.tenant, &permit.common_name);
        self.making.records.audit.denied(actor, Action::Get, &target).await?;
        Err(permission::refusal(actor, Action::Get, &target))
    }

    async fn note(&self, event: Event<'_>) -> Result<()> {
        self.making.records.audit.journal.note(event.note()).await
    }

    async fn find(&self, path: &Path) -> Result<Option<Arc<Entry<Credential>>>> {
        let found = self.making.records.known(Key::Names(&[path.as_str()])).await?.pop();
        Ok(found.filter(|entry| is_authority(entry)))
    }
}

impl Desk {
    fn tenant(&self) -> Tenant {
        match (&self.behind, &self.path) {
            (Some((entry, _)), _) => entry.head.tenant.clone(),
            (None, Some(path)) => path.tenant(),
            (None, None) => Tenant::outside(),
        }
    }

    fn record(&self) -> &str {
        self.path.as_ref().map_or(&self.name, Path::as_str)
    }

    fn missing(&self) -> Error {
        Error::not_found(format!("certificate authority {}", self.name))
    }

    fn open(self) -> Result<(String, Behind)> {
        let missing = self.missing();
        Ok((self.name, self.behind.ok_or(missing)?))
    }
}

/// Strongroom's own sign for nobody else.
fn is_authority(entry: &Entry<Credential>) -> bool {
    entry.body.authority.is_some() && entry.head.origin != Origin::Own
}

/// The service whose names a caller's certificates are bound to; `None`: only the authority's policy binds them.
pub(super) fn bound_to(actor: &Actor) -> Option<&str> {
    match actor.standing {
        Standing::Principal { kind: PrincipalKind::Service, .. } => Some(&actor.id),
        Standing::Principal { kind: PrincipalKind::User, .. } => None,
        Standing::Operator | Standing::Admin | Standing::Client | Standing::Delegated { .. } | Standing::Grantee => {
            None
        }
    }
}
