//! Makes new material as a generation asks for it: characters from entropy, keys and certificates from
//! the keymaker, signed by an authority of the same tenant or by one that is opened to it (`foreign`).

mod foreign;

use std::sync::Arc;

use jiff::Timestamp;

use crate::app::permissions::Grantees;
use crate::app::ports::{Key, Keymaker};
use crate::app::records::Records;
use crate::domain::authority::{self, CertificateRequest, Issuer, Policy, PublicKey};
use crate::domain::credential::{Credential, Generate, Material, generate};
use crate::domain::name::{Path, Tenant};
use crate::domain::record::Entry;
use crate::domain::{Error, Result};

pub use foreign::Above;

#[derive(Clone)]
pub struct Making {
    pub(super) records: Arc<Records>,
    pub(super) keymaker: Arc<dyn Keymaker>,
    pub(super) grantees: Arc<Grantees>,
}

/// New material, and when it ends if it does.
pub struct Made {
    pub material: Material,
    pub not_after: Option<Timestamp>,
}

/// A certificate that is the caller's and not kept.
pub struct Issued {
    /// Fields of kind Certificate, without `private_key` where the key is the caller's own.
    pub material: Material,
    pub serial: [u8; 20],
}

impl Making {
    /// `tenant` is who asks: it reaches authorities of its own, and those that were opened to it.
    pub async fn make(&self, wish: &Generate, tenant: &Tenant) -> Result<Made> {
        wish.check()?;
        let entropy = self.records.entropy.as_ref();
        let lasting = |material| Made { material, not_after: None };
        Ok(match wish {
            Generate::Password(characters) => lasting(generate::password(characters, entropy)?),
            Generate::User { username, characters } => {
                lasting(generate::user(username.as_deref(), characters, entropy)?)
            }
            Generate::Rsa { bits } => lasting(self.keymaker.rsa(*bits).await?),
            Generate::Ssh { bits, comment } => lasting(self.keymaker.ssh(*bits, comment.as_deref()).await?),
            Generate::Certificate(request) => self.certificate(request, tenant).await?,
        })
    }

    pub async fn certificate(&self, request: &CertificateRequest, tenant: &Tenant) -> Result<Made> {
        let Issuer::Authority(path) = &request.issuer else { return self.signed(request, None).await };
        self.signed(request, Some(&self.authority(path, tenant).await?)).await
    }

    /// By the authority that is given, which the caller has found to be the one that may and should; else by itself.
    pub async fn signed(&self, request: &CertificateRequest, issuer: Option<&Entry<Credential>>) -> Result<Made> {
        let facts = issuer.map(|entry| self.facts(&entry.body.material)).transpose()?;
        let open = Policy::default();
        let policy = issuer.map(|entry| entry.body.authority.as_ref().map_or(&open, |authority| &authority.policy));
        let plan =
            authority::plan(request, facts.as_ref().zip(policy), self.records.now(), self.records.entropy.as_ref())?;
        let material = self.keymaker.certificate(&plan, issuer.map(|entry| &entry.body.material)).await?;
        Ok(Made { material, not_after: Some(plan.not_after) })
    }

    /// Signed by an authority that was found and may be asked: for the key that is given, or for a new one. Begins at
    /// the `now` by which the request was cut to the authority's end.
    pub async fn issue(
        &self,
        request: &CertificateRequest,
        key: Option<&PublicKey>,
        issuer: &Entry<Credential>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Issued> {
        let own = &issuer.body.material;
        let facts = self.facts(own)?;
        let plan = authority::plan(request, Some((&facts, policy)), now, self.records.entropy.as_ref())?;
        let material = match key {
            Some(key) => self.keymaker.countersign(&plan, key, own).await?,
            None => self.keymaker.certificate(&plan, Some(own)).await?,
        };
        Ok(Issued { material, serial: plan.serial })
    }

    /// In the tenant's own folder a `CertificateAuthority` and nothing else: what REST callers write there is not asked to
    /// sign by its name alone.
    async fn authority(&self, path: &Path, tenant: &Tenant) -> Result<Entry<Credential>> {
        if path.tenant() != *tenant {
            return self.foreign(path, tenant).await;
        }
        let found = self.records.find_one::<Credential>(Key::Names(&[path.as_str()])).await?;
        let is_own = |entry: &Entry<Credential>| entry.head.tenant == *tenant && entry.body.authority.is_some();
        found.filter(is_own).ok_or_else(|| missing(path))
    }

    pub fn facts(&self, certificate: &Material) -> Result<authority::Facts> {
        self.keymaker.facts(certificate.require("certificate")?)
    }
}

/// One that does not exist, one elsewhere and one that is nobody's to ask give the same answer.
fn missing(path: &Path) -> Error {
    let message = format!("the certificate authority {path} does not exist yet");
    Error::Awaiting { reason: "AwaitingAuthority", message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::authority::{Carried, Conventions};

    #[test]
    fn requests_that_were_stored_before_conventions_are_read_and_written_as_they_were() {
        let stored = r#"{"subject":{"common_name":"x","organization":null,"organizational_unit":null,"locality":null,"state":null,"country":null},"alternative_names":[{"Dns":"x"}],"key":"EcdsaP256","key_usages":[],"extended_key_usages":[],"role":"Leaf","validity":"PT1H","issuer":"SelfSigned"}"#;
        let request: CertificateRequest = serde_json::from_str(stored).unwrap();
        assert_eq!(request.conventions, Conventions::Own);
        assert_eq!(serde_json::to_string(&request).unwrap(), stored);
        let carried = Carried { subject: Some(vec![0x30, 0]), ..Carried::default() };
        let other = CertificateRequest { conventions: Conventions::Credhub(carried), ..request };
        assert_eq!(serde_json::from_str::<CertificateRequest>(&serde_json::to_string(&other).unwrap()).unwrap(), other);
    }
}
