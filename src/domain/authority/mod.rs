//! Certificates: what may be asked for, who signs, and what the certificate will say (RFC 5280).
//! The signing itself is an adapter's.

pub mod conventions;
pub mod credhub;
pub mod inspection;
pub mod issuance;
pub mod profile;
pub mod signing;
pub mod terms;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use conventions::{Carried, Conventions};
pub use inspection::Inspection;
pub use issuance::{CertificatePlan, Facts, plan};
pub use profile::{
    AlternativeName, CertificateRequest, DistinguishedName, ExtendedKeyUsage, Issuer, KeyAlgorithm, KeyUsage, Role,
};
pub use signing::{PublicKey, SigningRequest};
pub use terms::{Authorities, DomainPattern, Terms, Wanted};

use crate::domain::Error;
use crate::domain::name::Path;

/// Why a credential signs no certificates. `Error::Invalid` of the field `ca`, one text for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("is a credential of another type")]
    OtherType,
    #[error("is a certificate that may not sign others: it has no CA:TRUE")]
    NoAuthority,
    #[error("has no private key")]
    NoPrivateKey,
}

impl From<Unfit> for Error {
    fn from(why: Unfit) -> Self {
        Self::invalid("ca", why.to_string())
    }
}

/// What makes a credential a certificate authority, beside its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// `None`: self-signed.
    pub parent: Option<Path>,
    pub policy: Policy,
}

/// What an authority agrees to sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub max_validity: Option<SignedDuration>,
    /// DNS names, with `*.` in front for any one label; empty: every name.
    pub allowed_dns_names: Vec<String>,
}
