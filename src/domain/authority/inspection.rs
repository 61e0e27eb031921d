//! What a certificate says of itself, and the request that makes one like it.

use jiff::{SignedDuration, Timestamp};

use super::{
    AlternativeName, Carried, CertificateRequest, Conventions, DistinguishedName, ExtendedKeyUsage, Issuer,
    KeyAlgorithm, KeyUsage, Role,
};
use crate::domain::{Error, Result};

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub subject: DistinguishedName,
    /// Those that are hosts or addresses.
    pub alternative_names: Vec<AlternativeName>,
    pub key_usages: Vec<KeyUsage>,
    /// Those that are known here, in their order.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    pub carried: Carried,
    /// Of the modulus; `None`: the key is not RSA.
    pub key_bits: Option<u32>,
    /// CA:TRUE, whatever its key usages are.
    pub is_authority: bool,
    /// It has its own name for its issuer's, and its key made the signature.
    pub is_self_signed: bool,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Inspection {
    /// From its beginning to its end in whole days, at least one: what lasted for hours can be made anew too.
    pub fn days(&self) -> u32 {
        let days = self.not_after.duration_since(self.not_before).as_hours() / 24;
        u32::try_from(days).unwrap_or_default().max(1)
    }

    /// One like it with another key, valid from now on for as long as this one was. Who signs it the certificate does not
    /// say: the record knows. A size that keys are not made in becomes the next larger, or the largest.
    pub fn request(&self, issuer: Issuer) -> Result<CertificateRequest> {
        let key = match self.key_bits {
            Some(..=2048) => KeyAlgorithm::Rsa2048,
            Some(..=3072) => KeyAlgorithm::Rsa3072,
            Some(_) => KeyAlgorithm::Rsa4096,
            None => return Err(Error::invalid("certificate", "has a key that is not RSA")),
        };
        let role = if self.is_authority { Role::Authority { path_length: None } } else { Role::Leaf };
        Ok(CertificateRequest {
            subject: self.subject.clone(),
            alternative_names: self.alternative_names.clone(),
            key,
            key_usages: self.key_usages.clone(),
            extended_key_usages: self.extended_key_usages.clone(),
            role,
            validity: DAY * i32::try_from(self.days()).unwrap_or(i32::MAX),
            issuer,
            conventions: Conventions::Credhub(self.carried.clone()),
        })
    }

    /// Whether what is asked for is what this certificate says, but for how long it is valid and who signs it: the order
    /// of alternative names counts and so does that of extended usages, case in a name does not.
    pub fn satisfies(&self, asked: &CertificateRequest) -> bool {
        let Ok(own) = self.request(asked.issuer.clone()) else { return false };
        let usages = |request: &CertificateRequest| {
            let mut usages = request.key_usages.clone();
            usages.sort_unstable();
            usages.dedup();
            usages
        };
        let is_root = asked.issuer == Issuer::SelfSigned;
        self.carried.is_told()
            && self.key_bits == asked.key.rsa_bits()
            && self.is_self_signed == is_root
            && self.is_authority == (asked.role != Role::Leaf)
            && own.subject.is_like(&asked.subject)
            && own.alternative_names == asked.alternative_names
            && own.extended_key_usages == asked.extended_key_usages
            && usages(&own) == usages(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Inspection {
        let not_before = Timestamp::UNIX_EPOCH;
        Inspection {
            subject: DistinguishedName { locality: Some("Bern".into()), ..DistinguishedName::named("Till") },
            alternative_names: ["b.example", "a.example"].map(|name| AlternativeName::Dns(name.into())).to_vec(),
            key_usages: vec![KeyUsage::DigitalSignature, KeyUsage::KeyCertSign],
            extended_key_usages: vec![ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth],
            carried: Carried::default(),
            key_bits: Some(3072),
            is_authority: false,
            is_self_signed: true,
            not_before,
            not_after: not_before + DAY * 90,
        }
    }

    #[test]
    fn one_made_anew_lasts_as_long_in_whole_days() {
        let lasting = |length| Inspection { not_after: Timestamp::UNIX_EPOCH + length, ..seen() }.days();
        assert_eq!(lasting(DAY * 365), 365);
        assert_eq!(lasting(DAY * 90 - SignedDuration::from_secs(1)), 89);
        assert_eq!(lasting(SignedDuration::from_hours(2)), 1);
        assert_eq!(lasting(SignedDuration::from_hours(-200)), 1);
        let endless = Inspection { not_before: Timestamp::MIN, not_after: Timestamp::MAX, ..seen() };
        assert!(endless.request(Issuer::SelfSigned).unwrap().check().is_err());
    }

    #[test]
    fn sizes_of_keys_are_those_that_keys_are_made_in() {
        for (bits, key) in [
            (1024, KeyAlgorithm::Rsa2048),
            (2048, KeyAlgorithm::Rsa2048),
            (2049, KeyAlgorithm::Rsa3072),
            (4096, KeyAlgorithm::Rsa4096),
            (8192, KeyAlgorithm::Rsa4096),
        ] {
            let made = Inspection { key_bits: Some(bits), ..seen() }.request(Issuer::SelfSigned).unwrap();
            assert_eq!(made.key, key, "{bits}");
        }
        let elliptic = Inspection { key_bits: None, ..seen() };
        assert!(elliptic.request(Issuer::SelfSigned).unwrap_err().to_string().starts_with("certificate"));
    }

    #[test]
    fn what_differs_in_one_thing_does_not_satisfy() {
        let asked = seen().request(Issuer::SelfSigned).unwrap();
        assert!(seen().satisfies(&asked));
        assert!(seen().satisfies(&CertificateRequest { validity: DAY, ..asked.clone() }));
        let other_case = DistinguishedName { locality: Some("BERN".into()), ..DistinguishedName::named("tiLL") };
        assert!(seen().satisfies(&CertificateRequest { subject: other_case, ..asked.clone() }));
        let usages = vec![KeyUsage::KeyCertSign, KeyUsage::DigitalSignature, KeyUsage::KeyCertSign];
        assert!(seen().satisfies(&CertificateRequest { key_usages: usages, ..asked.clone() }));

        let mut swapped = asked.alternative_names.clone();
        swapped.reverse();
        for other in [
            CertificateRequest { subject: DistinguishedName::named("Till"), ..asked.clone() },
            CertificateRequest { alternative_names: swapped, ..asked.clone() },
            CertificateRequest { key: KeyAlgorithm::Rsa2048, ..asked.clone() },
            CertificateRequest { key_usages: vec![], ..asked.clone() },
            CertificateRequest { extended_key_usages: vec![ExtendedKeyUsage::ClientAuth], ..asked.clone() },
            CertificateRequest { role: Role::Authority { path_length: None }, ..asked.clone() },
            CertificateRequest { issuer: Issuer::Authority(crate::domain::name::Path::own("x")), ..asked.clone() },
        ] {
            assert!(!seen().satisfies(&other), "{other:?}");
        }
        let more = Inspection { carried: Carried { subject_says_more: true, ..Carried::default() }, ..seen() };
        assert!(!more.satisfies(&asked));
    }
}
