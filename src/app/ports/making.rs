//! What is slow by nature, and so runs in bounded pools.

use async_trait::async_trait;

use crate::domain::Result;
use crate::domain::authority::{CertificatePlan, Facts, Inspection, PublicKey, SigningRequest};
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::token::{Claims, VerificationKey};

/// Makes keys and certificates. Slow work runs in a bounded pool: a full one is `Error::Overloaded`.
#[async_trait]
pub trait Keymaker: Countersign + Inspect + Crypt + SignTokens + Send + Sync {
    /// Fields of kind Rsa: SPKI public key and PKCS#1 private key, both PEM.
    async fn rsa(&self, bits: u16) -> Result<Material>;

    /// Fields of kind Ssh: one `ssh-rsa …` line and a PKCS#1 private key in PEM.
    async fn ssh(&self, bits: u16, comment: Option<&str>) -> Result<Material>;

    /// Makes a key pair and a certificate as planned. `issuer` holds the authority's fields of kind
    /// Certificate; absent: self-signed. The result's `certificate` is the leaf followed by the
    /// intermediates up to, and without, the root; `ca` is the root; `private_key` is PKCS#8. In
    /// CredHub's manner `certificate` is the leaf, `ca` who signed it, `private_key` PKCS#1.
    async fn certificate(&self, plan: &CertificatePlan, issuer: Option<&Material>) -> Result<Material>;

    /// How many keys are made at one time, at most. Dozens besides may wait.
    fn hands(&self) -> usize;

    /// What the first certificate of a PEM text says.
    fn facts(&self, certificate: &SecretText) -> Result<Facts>;
}

/// Certificates and keys that others made, or that are to be made anew. Text of any sort is welcome: what cannot be read
/// is `Error::Invalid` of the field `certificate`, `ca` or `private_key`.
pub trait Inspect: Send + Sync {
    /// What the first certificate of a PEM text says; what follows it is not looked at.
    fn inspect(&self, certificate: &SecretText) -> Result<Inspection>;

    /// The same for one that a caller sets: signed by `ca`, which may sign unless the two texts are one, and with its own
    /// RSA key. Expired ones are good.
    fn inspect_given(
        &self,
        certificate: &SecretText,
        ca: Option<&SecretText>,
        private_key: Option<&SecretText>,
    ) -> Result<Inspection>;

    /// The first certificate of a chain; a text that holds one only is given back as it is.
    fn alone(&self, certificate: &SecretText) -> Result<SecretText>;

    /// From the first certificate of a text up to its root, as far as the others hold what signed it.
    fn chain(&self, certificate: &SecretText, others: &[&SecretText]) -> Result<Chain>;

    /// `None` if it is no line of a public key.
    fn ssh_line(&self, public_key: &str) -> Option<SshLine>;

    /// Of an RSA key, public or private: SSH line, PEM or OpenSSH's form. `None` if it is none.
    fn key_bits(&self, key: &SecretText) -> Option<u32>;
}

/// Certificates of which each was signed by the next.
pub struct Chain {
    pub certificates: Vec<SecretText>,
    /// The last has signed itself.
    pub is_whole: bool,
}

/// What an SSH public key tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshLine {
    /// SHA-256 of the key's blob, in base64 without padding.
    pub fingerprint: String,
    /// `None`: the key is not RSA.
    pub bits: Option<u32>,
    pub comment: Option<String>,
}

/// Passwords as Unix systems hold them.
#[async_trait]
pub trait Crypt: Send + Sync {
    /// `$6$<salt>$<hash>`: SHA-512 crypt with 5000 rounds. `None` for a password longer than systems accept.
    async fn crypt(&self, password: &SecretText, salt: [u8; 6]) -> Result<Option<SecretText>>;
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
