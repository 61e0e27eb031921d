//! Strongroom's own certificates, such as its webhook's: made, kept and renewed here, so that every
//! process on one store shows the same one.

use jiff::{SignedDuration, Timestamp};

use crate::app::making::Making;
use crate::app::ports::Key;
use crate::app::records::NewRecord;
use crate::domain::actor::Actor;
use crate::domain::authority::{
    AlternativeName, Authority, CertificateRequest, Conventions, DistinguishedName, ExtendedKeyUsage, Issuer,
    KeyAlgorithm, Policy, Role,
};
use crate::domain::credential::Lineage;
use crate::domain::credential::Memo;
use crate::domain::credential::{About, Credential, Generate, Kind, Material};
use crate::domain::name::{Path, Tenant};
use crate::domain::record::{Entry, Origin};
use crate::domain::secret::SecretText;
use crate::domain::{Conflict, Error, Result};

/// How long Strongroom's own certificates live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub authority: SignedDuration,
    pub leaf: SignedDuration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { authority: SignedDuration::from_hours(24 * 3650), leaf: SignedDuration::from_hours(24 * 90) }
    }
}

#[derive(Clone)]
pub struct OwnCertificates {
    pub(super) making: Making,
}

/// A certificate with its key and the roots by which others know it.
pub struct OwnCertificate {
    /// Leaf first, PEM.
    pub chain: String,
    pub private_key: SecretText,
    pub renew_at: Timestamp,
}

impl OwnCertificates {
    /// The roots to publish for `name`, newest first, PEM. Makes the first root, and the next one when
    /// two thirds of the current one's life are over; the old one stays published until it ends.
    /// Publish what this returns before asking for a leaf.
    pub async fn roots(&self, name: &str, lifetimes: Lifetimes) -> Result<String> {
        let path = root_path(name);
        let current = self.find(&path).await?;
        let now = self.making.records.now();
        if let Some(entry) = current.as_ref().filter(|entry| now < renew_at(&entry.body)) {
            return Ok(entry.body.material.require("ca")?.expose().to_owned());
        }
        let request = request(
            DistinguishedName::named(format!("Strongroom {name} authority")),
            Vec::new(),
            Role::Authority { path_length: Some(0) },
            lifetimes.authority,
            Issuer::SelfSigned,
        );
        let mut made = self.making.certificate(&request, &Tenant::outside()).await?;
        if let Some(old) = current.as_ref().filter(|entry| entry.body.not_after.is_some_and(|end| now < end)) {
            let both = [&made.material, &old.body.material].map(|material| material.require("certificate"));
            let both = both.into_iter().collect::<Result<Vec<_>>>()?;
            let bundle = SecretText::new(both.iter().map(|root| root.expose()).collect());
            made.material = replace_ca(&made.material, bundle)?;
        }
        let authority = Some(Authority { parent: None, policy: Policy::default() });
        let stored = self.write(&path, current, request, authority, made.material, made.not_after).await?;
        Ok(stored.body.material.require("ca")?.expose().to_owned())
    }

    /// The newest root of `name`, PEM, if one was made; makes nothing.
    pub async fn published_root(&self, name: &str) -> Result<Option<String>> {
        let root = self.find(&root_path(name)).await?;
        root.map(|entry| Ok(entry.body.material.require("certificate")?.expose().to_owned())).transpose()
    }

    /// The certificate of `name` for these names, signed by its newest root.
    pub async fn leaf(&self, name: &str, names: &[AlternativeName], lifetimes: Lifetimes) -> Result<OwnCertificate> {
        let path = Path::own(name);
        let current = self.find(&path).await?;
        let root = self.find(&root_path(name)).await?.ok_or_else(|| Error::not_found(format!("root of {name}")))?;
        let request = request(
            DistinguishedName::named(format!("Strongroom {name}")),
            names.to_vec(),
            Role::Leaf,
            lifetimes.leaf,
            Issuer::Authority(root_path(name)),
        );
        let wanted = Some(Generate::Certificate(Box::new(request.clone())));
        let now = self.making.records.now();
        let usable = current.as_ref().filter(|entry| {
            let newer_than_root = entry.body.rotated_at >= root.body.rotated_at;
            entry.body.generated == wanted && now < renew_at(&entry.body) && newer_than_root
        });
        let entry = match usable {
            Some(entry) => entry.clone(),
            None => {
                let made = self.making.certificate(&request, &Tenant::outside()).await?;
                self.write(&path, current, request, None, made.material, made.not_after).await?
            }
        };
        Ok(OwnCertificate {
            chain: entry.body.material.require("certificate")?.expose().to_owned(),
            private_key: entry.body.material.require("private_key")?.clone(),
            renew_at: renew_at(&entry.body),
        })
    }

    async fn find(&self, path: &Path) -> Result<Option<Entry<Credential>>> {
        self.making.records.find_one(Key::Names(&[path.as_str()])).await
    }

    async fn write(
        &self,
        path: &Path,
        current: Option<Entry<Credential>>,
        request: CertificateRequest,
        authority: Option<Authority>,
        material: Material,
        not_after: Option<Timestamp>,
    ) -> Result<Entry<Credential>> {
        let records = &self.making.records;
        let generated = Some(Generate::Certificate(Box::new(request)));
        let body = Credential {
            lineage: Lineage::begin(path, Kind::Certificate, generated.as_ref()),
            memo: Memo::default(),
            title: path.as_str().to_owned(),
            kind: Kind::Certificate,
            about: About::default(),
            generated,
            rotated_at: records.now(),
            not_after,
            authority,
            material,
        };
        let actor = Actor::operator();
        let written = match &current {
            Some(entry) => records.revise(&actor, entry, body).await,
            None => {
                let (tenant, name) = (Tenant::outside(), path.as_str().to_owned());
                let new = NewRecord { tenant, name, origin: Origin::Own, retain_for: SignedDuration::ZERO };
                records.create(&actor, records.new_id(), new, body).await
            }
        };
        match written {
            // Another process on the same store was faster: its certificate is everybody's.
            Err(Error::Conflict(Conflict::Stale { .. } | Conflict::Exists { .. })) => {
                self.find(path).await?.ok_or_else(|| Error::not_found(path.as_str()))
            }
            other => other,
        }
    }
}

fn root_path(name: &str) -> Path {
    Path::own(&format!("{name}-root"))
}

fn request(
    subject: DistinguishedName,
    alternative_names: Vec<AlternativeName>,
    role: Role,
    validity: SignedDuration,
    issuer: Issuer,
) -> CertificateRequest {
    let extended_key_usages = if role == Role::Leaf { vec![ExtendedKeyUsage::ServerAuth] } else { Vec::new() };
    CertificateRequest {
        subject,
        alternative_names,
        key: KeyAlgorithm::EcdsaP256,
        key_usages: Vec::new(),
        extended_key_usages,
        role,
        validity,
        issuer,
        conventions: Conventions::Own,
    }
}

/// Two thirds of its life.
fn renew_at(certificate: &Credential) -> Timestamp {
    certificate.not_after.map_or(Timestamp::MAX, |end| {
        let life = certificate.rotated_at.duration_until(end);
        certificate.rotated_at + life * 2 / 3
    })
}

fn replace_ca(material: &Material, ca: SecretText) -> Result<Material> {
    let keep = |name| material.require(name).cloned();
    Ok(Material::texts([("certificate", keep("certificate")?), ("private_key", keep("private_key")?), ("ca", ca)]))
}
