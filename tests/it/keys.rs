//! The product's own keymaker, and somebody who counts beside it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use strongroom::adapters::pki::Workshop;
use strongroom::app::ports::{Chain, Countersign, Crypt, Inspect, Keymaker, SignTokens, SshLine};
use strongroom::domain::authority::{CertificatePlan, Facts, Inspection, PublicKey, SigningRequest};
use strongroom::domain::credential::Material;
use strongroom::domain::secret::SecretText;
use strongroom::domain::token::{Claims, VerificationKey};
use strongroom::domain::{Error, Result};

#[derive(Default)]
pub struct Counted {
    workshop: Workshop,
    now: AtomicUsize,
    most: AtomicUsize,
    /// Common names, in the order in which their certificates were begun and ended.
    begun: Mutex<Vec<String>>,
    ended: Mutex<Vec<String>>,
    refused: Mutex<Option<&'static str>>,
    full: AtomicBool,
}

impl Counted {
    /// What was begun and what was ended since the last time, and how many were in the making at once.
    pub fn take(&self) -> (Vec<String>, Vec<String>, usize) {
        let [begun, ended] = [&self.begun, &self.ended].map(|names| std::mem::take(&mut *names.lock().unwrap()));
        (begun, ended, self.most.swap(0, Ordering::SeqCst))
    }

    /// There is no place for the next one.
    pub fn fill_up(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    /// The certificate with this common name is not made from now on.
    pub fn refuse(&self, common_name: &'static str) {
        *self.refused.lock().unwrap() = Some(common_name);
    }
}

#[async_trait]
impl Keymaker for Counted {
    async fn rsa(&self, bits: u16) -> Result<Material> {
        self.workshop.rsa(bits).await
    }

    async fn ssh(&self, bits: u16, comment: Option<&str>) -> Result<Material> {
        self.workshop.ssh(bits, comment).await
    }

    async fn certificate(&self, plan: &CertificatePlan, issuer: Option<&Material>) -> Result<Material> {
        let name = plan.subject.common_name.clone().unwrap_or_default();
        self.begun.lock().unwrap().push(name.clone());
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let is_full = self.full.swap(false, Ordering::SeqCst);
        let is_refused = *self.refused.lock().unwrap() == Some(name.as_str());
        let made = match (is_full, is_refused) {
            (true, _) => Err(Error::Overloaded { retry_after: Duration::from_millis(1) }),
            (_, true) => Err(Error::invalid("subject", "is refused")),
            _ => self.workshop.certificate(plan, issuer).await,
        };
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.ended.lock().unwrap().push(name);
        made
    }

    fn hands(&self) -> usize {
        3
    }

    fn facts(&self, certificate: &SecretText) -> Result<Facts> {
        self.workshop.facts(certificate)
    }
}

impl Inspect for Counted {
    fn inspect(&self, certificate: &SecretText) -> Result<Inspection> {
        self.workshop.inspect(certificate)
    }

    fn inspect_given(
        &self,
        certificate: &SecretText,
        ca: Option<&SecretText>,
        private_key: Option<&SecretText>,
    ) -> Result<Inspection> {
        self.workshop.inspect_given(certificate, ca, private_key)
    }

    fn alone(&self, certificate: &SecretText) -> Result<SecretText> {
        self.workshop.alone(certificate)
    }

    fn chain(&self, certificate: &SecretText, others: &[&SecretText]) -> Result<Chain> {
        self.workshop.chain(certificate, others)
    }

    fn ssh_line(&self, public_key: &str) -> Option<SshLine> {
        self.workshop.ssh_line(public_key)
    }

    fn key_bits(&self, key: &SecretText) -> Option<u32> {
        self.workshop.key_bits(key)
    }
}

#[async_trait]
impl Crypt for Counted {
    async fn crypt(&self, password: &SecretText, salt: [u8; 6]) -> Result<Option<SecretText>> {
        self.workshop.crypt(password, salt).await
    }
}

#[async_trait]
impl Countersign for Counted {
    fn signing_request(&self, text: &str) -> Result<SigningRequest> {
        self.workshop.signing_request(text)
    }

    async fn countersign(&self, plan: &CertificatePlan, key: &PublicKey, issuer: &Material) -> Result<Material> {
        self.workshop.countersign(plan, key, issuer).await
    }

    fn as_pkcs1(&self, private_key: &SecretText) -> Result<SecretText> {
        self.workshop.as_pkcs1(private_key)
    }
}

impl SignTokens for Counted {
    fn verification_key(&self, private_key: &SecretText) -> Result<VerificationKey> {
        self.workshop.verification_key(private_key)
    }

    fn sign(&self, private_key: &SecretText, kid: &str, claims: &Claims<'_>) -> Result<SecretText> {
        self.workshop.sign(private_key, kid, claims)
    }
}
