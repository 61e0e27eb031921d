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
        hex::encode(self.0)
    }
}

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// See `app/password`; the password itself is in the client's Secret only. The mark is on that
    /// Secret too: a Secret with another mark holds another password.
    Basic {
        password_hash: SecretText,
        mark: String,
    },
    X509(Box<Issued>),
}

/// A certificate that was replaced before its end: callers that have not read the new one yet still
/// come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    pub fingerprint: Fingerprint,
    pub not_after: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub state: State,
    /// May do everything over REST.
    pub admin: bool,
    pub proof: Proof,
    pub retired: Vec<Retired>,
}

/// The user name of a `ClientCredential` resource. A namespace has no slash, so the first one separates;
/// names made without a cluster have none.
pub fn resource_username(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Client {
    /// Lets go of the private key: nothing that recognises a client needs it.
    pub fn forget_keys(&mut self) {
        if let Proof::X509(issued) = &mut self.proof {
            issued.material = Material::default();
        }
    }

    /// Certificates that this client is recognised by.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        let current = match &self.proof {
            Proof::Basic { .. } => None,
            Proof::X509(issued) => Some(issued.fingerprint),
        };
        current.into_iter().chain(self.retired.iter().map(|retired| retired.fingerprint))
    }

    /// Whether a caller with this certificate may call now. Past its end it must not, whatever TLS says.
    pub fn accepts_certificate(&self, presented: Fingerprint, now: Timestamp) -> bool {
        let current = match &self.proof {
            Proof::Basic { .. } => false,
            Proof::X509(issued) => {
                issued.fingerprint == presented && issued.not_before <= now && now < issued.not_after
            }
        };
        let retired = self.retired.iter().any(|known| known.fingerprint == presented && now < known.not_after);
        self.state == State::Active && (current || retired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::authority::{Conventions, DistinguishedName, Issuer, KeyAlgorithm, Role};
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
            conventions: Conventions::Own,
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
    fn a_certificate_is_accepted_while_it_lives_and_its_client_is_active() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let issued = Issued {
            fingerprint: Fingerprint([1; 32]),
            not_before: at(10),
            not_after: at(20),
            request: request(),
            material: Material::default(),
        };
        let retired = vec![Retired { fingerprint: Fingerprint([2; 32]), not_after: at(12) }];
        let client = |state| Client {
            state,
            admin: false,
            proof: Proof::X509(Box::new(issued.clone())),
            retired: retired.clone(),
        };
        let accepts = |state, n, now| client(state).accepts_certificate(Fingerprint([n; 32]), at(now));
        assert!(accepts(State::Active, 1, 10));
        assert!(!accepts(State::Active, 1, 9));
        assert!(!accepts(State::Active, 1, 20));
        assert!(accepts(State::Active, 2, 11));
        assert!(!accepts(State::Active, 2, 12));
        assert!(!accepts(State::Active, 3, 15));
        assert!(!accepts(State::Suspended, 1, 15));
        assert!(!accepts(State::Revoked, 1, 15));
    }
}
