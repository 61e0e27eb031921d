//! Keys and certificates with rcgen and aws-lc. Turns a plan into DER and PEM; what a certificate may
//! say was decided in `domain::authority` and is not decided again here.

mod authority;
mod certificate;
mod chain;
mod credhub;
mod crypt;
mod given;
mod held;
mod inspection;
mod keys;
mod pem;
mod public;
mod reading;
mod request;
#[cfg(test)]
mod tests;
mod token;

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;

use self::authority::Authority;
use self::held::Held;
use super::pool::Pool;
use crate::app::ports::{Chain, Countersign, Crypt, Inspect, Keymaker, SignTokens, SshLine};
use crate::domain::authority::{CertificatePlan, Conventions, Facts, Inspection, PublicKey, SigningRequest};
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::token::{Claims, VerificationKey};
use crate::domain::{Error, Result};

/// At half a second for the largest key, whoever is last in the queue of one core waits half a minute. Far fewer than the
/// requests that run at one time, so that there is room for others.
const WAITING: usize = 64;

/// A hash takes milliseconds: nobody waits behind it for long.
const WAITING_BRIEFLY: usize = 256;

pub struct Workshop {
    pool: Pool,
    /// Apart, or whoever writes a password waits behind keys.
    brief: Pool,
    authorities: Arc<Held<Authority>>,
    signers: token::Signers,
}

impl Workshop {
    /// Takes every core, for up to seconds with an RSA key, but only what nothing else wants of it.
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            pool: Pool::new("keys", cores, WAITING),
            brief: Pool::new("hashes", 1, WAITING_BRIEFLY),
            authorities: Arc::default(),
            signers: token::Signers::default(),
        }
    }
}

impl Default for Workshop {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Keymaker for Workshop {
    async fn rsa(&self, bits: u16) -> Result<Material> {
        let size = keys::rsa_size(bits)?;
        self.pool.run(move || keys::rsa(size)).await
    }

    async fn ssh(&self, bits: u16, comment: Option<&str>) -> Result<Material> {
        let size = keys::rsa_size(bits)?;
        let comment = keys::ssh_comment(comment)?;
        self.pool.run(move || keys::ssh(size, &comment)).await
    }

    async fn certificate(&self, plan: &CertificatePlan, issuer: Option<&Material>) -> Result<Material> {
        let authority = match issuer {
            Some(issuer) => Some(self.authority(issuer).await?),
            None => None,
        };
        if !keys::is_rsa(plan.key) && !authority.as_ref().is_some_and(|authority| authority.signer.is_slow()) {
            return make(plan, authority.as_deref());
        }
        let plan = plan.clone();
        self.pool.run(move || make(&plan, authority.as_deref())).await
    }

    fn hands(&self) -> usize {
        self.pool.size()
    }

    fn facts(&self, certificate: &SecretText) -> Result<Facts> {
        reading::facts(certificate.expose()).map_err(|why| Error::invalid("certificate", why))
    }
}

impl Workshop {
    async fn authority(&self, material: &Material) -> Result<Arc<Authority>> {
        if let Some(held) = self.authorities.get(&authority::texts(material)) {
            return Ok(held);
        }
        let (authorities, material) = (self.authorities.clone(), material.clone());
        let is_slow = authority::is_slow_to_open(&material);
        let open = move || authorities.get_or_open(&authority::texts(&material), || Authority::open(&material));
        if is_slow { self.pool.run(open).await } else { open() }
    }
}

fn make(plan: &CertificatePlan, issuer: Option<&Authority>) -> Result<Material> {
    match &plan.conventions {
        Conventions::Own => certificate::make(plan, issuer),
        Conventions::Credhub(carried) => credhub::make(plan, carried, issuer),
    }
}

impl Inspect for Workshop {
    fn inspect(&self, certificate: &SecretText) -> Result<Inspection> {
        inspection::inspect(certificate.expose()).map_err(|why| Error::invalid("certificate", why))
    }

    fn inspect_given(
        &self,
        certificate: &SecretText,
        ca: Option<&SecretText>,
        private_key: Option<&SecretText>,
    ) -> Result<Inspection> {
        given::check(certificate, ca, private_key)
    }

    fn alone(&self, certificate: &SecretText) -> Result<SecretText> {
        credhub::alone(certificate).map_err(|why| Error::invalid("certificate", why))
    }

    fn chain(&self, certificate: &SecretText, others: &[&SecretText]) -> Result<Chain> {
        chain::climb(certificate, others).map_err(|why| Error::invalid("certificate", why))
    }

    fn ssh_line(&self, public_key: &str) -> Option<SshLine> {
        public::ssh_line(public_key)
    }

    fn key_bits(&self, key: &SecretText) -> Option<u32> {
        public::key_bits(key.expose())
    }
}

#[async_trait]
impl Crypt for Workshop {
    async fn crypt(&self, password: &SecretText, salt: [u8; 6]) -> Result<Option<SecretText>> {
        if !crypt::is_acceptable(password) {
            return Ok(None);
        }
        let password = password.clone();
        self.brief.run(move || crypt::hash(&password, &salt).map(Some)).await
    }
}

#[async_trait]
impl Countersign for Workshop {
    fn signing_request(&self, text: &str) -> Result<SigningRequest> {
        request::read(text).map_err(|why| Error::invalid("csr", why))
    }

    async fn countersign(&self, plan: &CertificatePlan, key: &PublicKey, issuer: &Material) -> Result<Material> {
        let authority = self.authority(issuer).await?;
        if !authority.signer.is_slow() {
            return certificate::countersign(plan, key, &authority);
        }
        let (plan, key) = (plan.clone(), key.clone());
        self.pool.run(move || certificate::countersign(&plan, &key, &authority)).await
    }

    fn as_pkcs1(&self, private_key: &SecretText) -> Result<SecretText> {
        keys::as_pkcs1(private_key)
    }
}

impl SignTokens for Workshop {
    fn verification_key(&self, private_key: &SecretText) -> Result<VerificationKey> {
        self.signers.public(private_key)
    }

    fn sign(&self, private_key: &SecretText, kid: &str, claims: &Claims<'_>) -> Result<SecretText> {
        self.signers.sign(private_key, kid, claims)
    }
}
