//! A client credential: an identity that calls the REST API. Its state is one total function.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::authority::CertificateRequest;
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Active,
    Suspended,
    Revoked,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Suspended => "Suspended",
            Self::Revoked => "Revoked",
        }
    }

    /// Active and suspended may follow each other; revoked is the end.
    pub fn change_to(self, next: Self) -> Result<Self> {
        match (self, next) {
            (Self::Revoked, Self::Active | Self::Suspended) => {
                Err(Error::invalid("spec.state", "is Revoked for good; make a new client credential"))
            }
            (_, next) => Ok(next),
        }
    }
}

/// A certificate that was issued to a client.
#[derive(Clone, Debug)]
pub struct Issued {
    /// SHA-256 of the certificate in DER: the client is recognised by the whole certificate.
    pub fingerprint: Fingerprint,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// What it was made from, so that a changed wish is noticed.
    pub request: CertificateRequest,
    /// Fields of kind certificate.
    pub material: Material,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A PHC string of argon2id. The password itself is in the client's Secret only.
    Basic {
        password_hash: SecretText,
    },
    X509(Box<Issued>),
}

#[derive(Clone, Debug)]
pub struct Client {
    pub state: State,
    pub admin: bool,
    pub proof: Proof,
}

/// The user name of a `ClientCredential` resource. A namespace has no slash, so the first one separates;
/// names made without a cluster have none.
pub fn resource_username(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Client {
    /// Whether it may call now. A stolen certificate past its end must not, whatever TLS says.
    pub fn may_call(&self, now: Timestamp) -> bool {
        let alive = match &self.proof {
            Proof::Basic { .. } => true,
            Proof::X509(issued) => issued.not_before <= now && now < issued.not_after,
        };
        alive && self.state == State::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::authority::{DistinguishedName, Issuer, KeyAlgorithm, Role};
    use jiff::SignedDuration;

    fn request() -> CertificateRequest {
        CertificateRequest {
            subject: DistinguishedName::named("till"),
            alternative_names: vec![],
            key: KeyAlgorithm::EcdsaP256,
            key_usages: vec![],
            extended_key_usages: vec![],
            role: Role::Leaf,
            validity: SignedDuration::from_secs(10),
            issuer: Issuer::SelfSigned,
        }
    }

    #[test]
    fn revoked_is_the_end() {
        use State::{Active, Revoked, Suspended};
        for from in [Active, Suspended, Revoked] {
            for to in [Active, Suspended, Revoked] {
                assert_eq!(from.change_to(to).is_ok(), from != Revoked || to == Revoked, "{from:?} {to:?}");
            }
        }
    }

    #[test]
    fn only_an_active_client_within_its_certificates_life_may_call() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let issued = Issued {
            fingerprint: Fingerprint([0; 32]),
            not_before: at(10),
            not_after: at(20),
            request: request(),
            material: Material::default(),
        };
        let client = |state| Client { state, admin: false, proof: Proof::X509(Box::new(issued.clone())) };
        assert!(client(State::Active).may_call(at(10)));
        assert!(!client(State::Active).may_call(at(9)));
        assert!(!client(State::Active).may_call(at(20)));
        assert!(!client(State::Suspended).may_call(at(15)));
        assert!(!client(State::Revoked).may_call(at(15)));
    }
}
