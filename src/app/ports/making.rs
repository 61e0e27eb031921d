//! What is slow by nature, and so runs in bounded pools.

use async_trait::async_trait;

use crate::domain::Result;
use crate::domain::authority::{CertificatePlan, Facts, PublicKey, SigningRequest};
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::token::{Claims, VerificationKey};

/// Makes keys and certificates. Slow work runs in a bounded pool: a full one is `Error::Overloaded`.
#[async_trait]
pub trait Keymaker: Countersign + SignTokens + Send + Sync {
    /// Fields of kind Rsa: SPKI public key and PKCS#1 private key, both PEM.
    async fn rsa(&self, bits: u16) -> Result<Material>;

    /// Fields of kind Ssh: one `ssh-rsa …` line and a PKCS#1 private key in PEM.
    async fn ssh(&self, bits: u16, comment: Option<&str>) -> Result<Material>;

    /// Makes a key pair and a certificate as planned. `issuer` holds the authority's fields of kind
    /// Certificate; absent: self-signed. The result's `certificate` is the leaf followed by the
    /// intermediates up to, and without, the root; `ca` is the root; `private_key` is PKCS#8.
    async fn certificate(&self, plan: &CertificatePlan, issuer: Option<&Material>) -> Result<Material>;

    /// What the first certificate of a PEM text says.
    fn facts(&self, certificate: &SecretText) -> Result<Facts>;
}

/// Certificates for keys that are made elsewhere, and keys in the form that those who want them read.
#[async_trait]
pub trait Countersign: Send + Sync {
    /// What a signing request in PEM asks for. Its signature was verified, so its maker holds the key.
    fn signing_request(&self, text: &str) -> Result<SigningRequest>;

    /// As [`Keymaker::certificate`], for a key that is there: the result has no `private_key`.
    async fn countersign(&self, plan: &CertificatePlan, key: &PublicKey, issuer: &Material) -> Result<Material>;

    /// An RSA key of PKCS#8 as PKCS#1, both PEM.
    fn as_pkcs1(&self, private_key: &SecretText) -> Result<SecretText>;
}

/// Tokens (RFC 7519), signed with private keys in PEM: RSA by RS256, P-256 by ES256.
pub trait SignTokens: Send + Sync {
    /// `Error::Invalid` for a key that signs no tokens.
    fn verification_key(&self, private_key: &SecretText) -> Result<VerificationKey>;

    fn sign(&self, private_key: &SecretText, kid: &str, claims: &Claims<'_>) -> Result<SecretText>;
}
