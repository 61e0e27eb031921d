//! The words of a certificate request and their limits (RFC 5280; CredHub's lengths, spec/credhub 2.5).

use std::net::IpAddr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Carried, Conventions};
use crate::domain::name::Path;
use crate::domain::{Error, Result, Violation};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    EcdsaP256,
    EcdsaP384,
    Ed25519,
    Rsa2048,
    Rsa3072,
    Rsa4096,
}

impl KeyAlgorithm {
    pub fn rsa_bits(self) -> Option<u32> {
        match self {
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
            Self::EcdsaP256 | Self::EcdsaP384 | Self::Ed25519 => None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistinguishedName {
    pub common_name: Option<String>,
    pub organization: Option<String>,
    pub organizational_unit: Option<String>,
    pub locality: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlternativeName {
    Dns(String),
    Ip(IpAddr),
}

impl AlternativeName {
    /// An address literal, or a host name that may start with `*.`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Ip(address));
        }
        let host = text.strip_prefix("*.").unwrap_or(text);
        let label = |part: &str| {
            let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !part.is_empty()
                && part.len() <= 63
                && part.bytes().all(inner)
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        (text.len() <= 253 && host.split('.').all(label)).then(|| Self::Dns(text.to_ascii_lowercase()))
    }
}

/// RFC 5280, section 4.2.1.3, in the order of its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyUsage {
    DigitalSignature,
    ContentCommitment,
    KeyEncipherment,
    DataEncipherment,
    KeyAgreement,
    KeyCertSign,
    CrlSign,
    EncipherOnly,
    DecipherOnly,
}

/// RFC 5280, section 4.2.1.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExtendedKeyUsage {
    ServerAuth,
    ClientAuth,
    CodeSigning,
    EmailProtection,
    TimeStamping,
}

/// Basic constraints: what the certificate may be used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    Leaf,
    /// How many authorities may stand between this one and a leaf; `None`: any number.
    Authority {
        path_length: Option<u8>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Issuer {
    SelfSigned,
    /// Path of the authority's credential.
    Authority(Path),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    pub subject: DistinguishedName,
    pub alternative_names: Vec<AlternativeName>,
    pub key: KeyAlgorithm,
    pub key_usages: Vec<KeyUsage>,
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    pub role: Role,
    pub validity: SignedDuration,
    pub issuer: Issuer,
    /// Absent in what was stored before there were others.
    #[serde(default, skip_serializing_if = "Conventions::is_own")]
    pub conventions: Conventions,
}

/// X.520's upper bounds, as CredHub holds to them.
impl DistinguishedName {
    pub fn named(common_name: impl Into<String>) -> Self {
        Self { common_name: Some(common_name.into()), ..Self::default() }
    }

    pub(super) fn parts(&self) -> [(&'static str, &Option<String>, usize); 6] {
        [
            ("commonName", &self.common_name, 64),
            ("organization", &self.organization, 64),
            ("organizationalUnit", &self.organizational_unit, 64),
            ("locality", &self.locality, 128),
            ("state", &self.state, 128),
            ("country", &self.country, 2),
        ]
    }

    pub(super) fn without_empty(self) -> Self {
        let filled = |part: Option<String>| part.filter(|text| !text.is_empty());
        Self {
            common_name: filled(self.common_name),
            organization: filled(self.organization),
            organizational_unit: filled(self.organizational_unit),
            locality: filled(self.locality),
            state: filled(self.state),
            country: filled(self.country),
        }
    }

    /// Case does not count (RFC 5280, section 7.1).
    pub fn is_like(&self, other: &Self) -> bool {
        let lower = |part: &Option<String>| part.as_ref().map(|text| text.to_lowercase());
        self.parts().iter().zip(other.parts()).all(|((_, one, _), (_, two, _))| lower(one) == lower(two))
    }

    fn check(&self, conventions: &Conventions) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut refuse = |field: &str, why: String| violations.push(Violation { field: field.into(), why });
        if self.parts().iter().all(|(_, value, _)| value.is_none()) {
            refuse("subject", "needs at least one of commonName, organization …".into());
        }
        for (field, value, limit) in self.parts() {
            match value {
                Some(text) if text.is_empty() => refuse(field, "must not be empty".into()),
                Some(text) if text.chars().count() > limit => {
                    refuse(field, format!("is longer than {limit} characters"))
                }
                Some(text) if text.chars().any(char::is_control) => refuse(field, "has a control character".into()),
                _ => {}
            }
        }
        let is_country = |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
        if conventions.is_own() && !self.country.as_ref().is_none_or(is_country) {
            refuse("country", "must be two letters".into());
        }
        violations
    }
}

/// No certificate outlives this: a century and a bit more than any root needs.
const VALIDITY_MAX: SignedDuration = SignedDuration::from_hours(24 * 366 * 100);
const VALIDITY_MIN: SignedDuration = SignedDuration::from_secs(1);
pub(super) const ALTERNATIVE_NAME_COUNT_MAX: usize = 100;

impl CertificateRequest {
    pub fn check(&self) -> Result<()> {
        // A name that another certificate had is not ours to judge: what it signed is found by it.
        let mut violations = match &self.conventions {
            Conventions::Credhub(Carried { subject: Some(_), .. }) => Vec::new(),
            conventions => self.subject.check(conventions),
        };
        let mut refuse = |field: &str, why: &str| violations.push(Violation { field: field.into(), why: why.into() });
        if !(VALIDITY_MIN..=VALIDITY_MAX).contains(&self.validity) {
            refuse("duration", "must be between one second and a hundred years");
        }
        if self.alternative_names.len() > ALTERNATIVE_NAME_COUNT_MAX {
            refuse("alternativeNames", "has more than 100 names");
        }
        if self.conventions.is_own() {
            if self.role == Role::Leaf && self.key_usages.contains(&KeyUsage::KeyCertSign) {
                refuse("keyUsage", "keyCertSign belongs to certificate authorities only");
            }
        } else if self.key.rsa_bits().is_none() {
            refuse("key", "must be RSA");
        }
        if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternative_names_are_hosts_or_addresses() {
        for good in ["a", "a.example", "*.example", "10.0.0.1", "::1", "a_b.example", "xn--bcher-kva.example"] {
            assert!(AlternativeName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a b", "https://a", "a@b", "*", "a.*.b", "-a", "a..b", "bücher.example", "a\0b"] {
            assert!(AlternativeName::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(AlternativeName::parse("A.Example"), Some(AlternativeName::Dns("a.example".into())));
    }

    #[test]
    fn a_subject_is_held_to_its_limits() {
        let named = |text: &str| DistinguishedName::named(text).check(&Conventions::Own);
        assert!(named("x").is_empty());
        assert_eq!(named(&"x".repeat(65))[0].field, "commonName");
        assert_eq!(DistinguishedName::default().check(&Conventions::Own)[0].field, "subject");
        let country = DistinguishedName { country: Some("D1".into()), ..Default::default() };
        assert_eq!(country.check(&Conventions::Own)[0].field, "country");
        assert!(country.check(&Conventions::Credhub(Carried::default())).is_empty());
    }
}
