//! CredHub's words for what a certificate is to say, in the order in which it looks at them: the first that is wrong is
//! the one that is named. Lists, usages and lengths are its own; what they become is a request like any other.

use jiff::SignedDuration;

use super::profile::ALTERNATIVE_NAME_COUNT_MAX;
use super::{
    AlternativeName, Carried, CertificateRequest, Conventions, DistinguishedName, ExtendedKeyUsage, Issuer,
    KeyAlgorithm, KeyUsage, Role,
};
use crate::domain::name::Path;
use crate::domain::{Error, Result};

pub const DAYS_DEFAULT: i64 = 365;
pub const DAYS_MAX: i64 = 3650;
const NAME_LIMIT: usize = 253;

pub const KEY_USAGES: [(&str, KeyUsage); 9] = [
    ("digital_signature", KeyUsage::DigitalSignature),
    ("non_repudiation", KeyUsage::ContentCommitment),
    ("key_encipherment", KeyUsage::KeyEncipherment),
    ("data_encipherment", KeyUsage::DataEncipherment),
    ("key_agreement", KeyUsage::KeyAgreement),
    ("key_cert_sign", KeyUsage::KeyCertSign),
    ("crl_sign", KeyUsage::CrlSign),
    ("encipher_only", KeyUsage::EncipherOnly),
    ("decipher_only", KeyUsage::DecipherOnly),
];

pub const EXTENDED_KEY_USAGES: [(&str, ExtendedKeyUsage); 5] = [
    ("client_auth", ExtendedKeyUsage::ClientAuth),
    ("server_auth", ExtendedKeyUsage::ServerAuth),
    ("code_signing", ExtendedKeyUsage::CodeSigning),
    ("email_protection", ExtendedKeyUsage::EmailProtection),
    ("timestamping", ExtendedKeyUsage::TimeStamping),
];

/// `parameters` of type certificate, as they came. An empty part of the subject is an absent one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    pub subject: DistinguishedName,
    pub alternative_names: Vec<String>,
    pub key_usage: Vec<String>,
    pub extended_key_usage: Vec<String>,
    pub key_length: Option<i64>,
    pub duration: Option<i64>,
    pub ca: Option<Path>,
    pub is_ca: bool,
    pub self_sign: bool,
}

impl Parameters {
    pub fn request(self) -> Result<CertificateRequest> {
        let key_usages = key_usages(&self.key_usage)?;
        let extended_key_usages = extended_key_usages(&self.extended_key_usage)?;
        let key = self.key_length.map_or(Ok(KeyAlgorithm::Rsa2048), key_length)?;
        let subject = self.subject.without_empty();
        if subject == DistinguishedName::default() {
            return Err(Error::invalid(
                "parameters",
                "needs a subject: common_name, organization or another part of it",
            ));
        }
        let issuer = match (self.ca, self.self_sign) {
            (Some(_), true) => return Err(Error::invalid("self_sign", "and ca exclude each other")),
            (None, false) if !self.is_ca => {
                return Err(Error::invalid("ca", "is needed, unless self_sign or is_ca is true"));
            }
            (Some(path), false) => Issuer::Authority(path),
            (None, _) => Issuer::SelfSigned,
        };
        let alternative_names = alternative_names(&self.alternative_names)?;
        let validity = duration(self.duration.unwrap_or(DAYS_DEFAULT))?;
        check_lengths(&subject, &self.alternative_names)?;
        let role = if self.is_ca { Role::Authority { path_length: None } } else { Role::Leaf };
        Ok(CertificateRequest {
            subject,
            alternative_names,
            key,
            key_usages,
            extended_key_usages,
            role,
            validity,
            issuer,
            conventions: Conventions::Credhub(Carried::default()),
        })
    }
}

fn words<T: Copy>(field: &str, table: &[(&str, T)], given: &[String]) -> Result<Vec<T>> {
    let find = |word: &String| {
        table.iter().find(|(known, _)| known == word).map(|(_, usage)| *usage).ok_or_else(|| {
            let known: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
            Error::invalid(field, format!("has no {:?}; it may have {}", shown(word), known.join(", ")))
        })
    };
    given.iter().map(find).collect()
}

/// What a caller wrote goes back to it, and into a log perhaps: not a page of it.
fn shown(word: &str) -> &str {
    word.char_indices().nth(64).map_or(word, |(end, _)| &word[..end])
}

pub fn key_usages(given: &[String]) -> Result<Vec<KeyUsage>> {
    words("key_usage", &KEY_USAGES, given)
}

/// In the order in which they are given.
pub fn extended_key_usages(given: &[String]) -> Result<Vec<ExtendedKeyUsage>> {
    words("extended_key_usage", &EXTENDED_KEY_USAGES, given)
}

pub fn key_length(bits: i64) -> Result<KeyAlgorithm> {
    match bits {
        2048 => Ok(KeyAlgorithm::Rsa2048),
        3072 => Ok(KeyAlgorithm::Rsa3072),
        4096 => Ok(KeyAlgorithm::Rsa4096),
        _ => Err(Error::invalid("key_length", "must be 2048, 3072 or 4096")),
    }
}

/// In days of 24 hours.
pub fn duration(days: i64) -> Result<SignedDuration> {
    match days {
        1..=DAYS_MAX => Ok(SignedDuration::from_hours(24 * days)),
        _ => Err(Error::invalid("duration", "must be a whole number of days from 1 to 3650")),
    }
}

/// A list from a template with an empty variable in it is a list without that name: an empty one in the certificate
/// would name nothing, and programs that look closely refuse the whole certificate for it.
pub fn alternative_names(given: &[String]) -> Result<Vec<AlternativeName>> {
    if given.len() > ALTERNATIVE_NAME_COUNT_MAX {
        return Err(Error::invalid("alternative_names", format!("has more than {ALTERNATIVE_NAME_COUNT_MAX} names")));
    }
    let parse = |text: &String| {
        let why = "must be host names (perhaps with *. before them) or IP addresses";
        alternative_name(text).ok_or_else(|| Error::invalid("alternative_names", why))
    };
    // Longer ones are no host names either; that they are too long is the better answer, and comes last.
    given.iter().filter(|text| (1..=NAME_LIMIT).contains(&text.len())).map(parse).collect()
}

fn alternative_name(text: &str) -> Option<AlternativeName> {
    if text == "*" {
        return Some(AlternativeName::Dns(text.to_owned()));
    }
    // An address with a typing error would pass as a host name.
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let parsed = AlternativeName::parse(text)?;
    let is_odd = matches!(&parsed, AlternativeName::Dns(host) if host.rsplit('.').next().is_some_and(is_number));
    (!is_odd).then_some(parsed)
}

fn check_lengths(subject: &DistinguishedName, alternative_names: &[String]) -> Result<()> {
    let names = ["common_name", "organization", "organization_unit", "locality", "state", "country"];
    for (field, (_, value, limit)) in names.into_iter().zip(subject.parts()) {
        let Some(text) = value else { continue };
        if text.chars().count() > limit {
            return Err(Error::invalid(field, format!("is longer than {limit} characters")));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::invalid(field, "has a control character"));
        }
    }
    if alternative_names.iter().any(|name| name.len() > NAME_LIMIT) {
        return Err(Error::invalid("alternative_names", format!("has a name longer than {NAME_LIMIT} characters")));
    }
    Ok(())
}

/// What an installation adds to every request for a certificate, whether it is generated or made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    pub leaf_minimum_days: u32,
    pub authority_minimum_days: u32,
    /// An authority that names no usages signs certificates and revocation lists.
    pub authority_key_usages: bool,
}

/// How long a certificate lasts, and whether it was asked for less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lasting {
    pub days: i64,
    pub is_overridden: bool,
}

impl Additions {
    pub fn apply(&self, request: &mut CertificateRequest) -> Lasting {
        let is_authority = request.role != Role::Leaf;
        let minimum = if is_authority { self.authority_minimum_days } else { self.leaf_minimum_days };
        let least = SignedDuration::from_hours(24 * i64::from(minimum));
        let is_overridden = request.validity < least;
        request.validity = request.validity.max(least);
        if is_authority && self.authority_key_usages && request.key_usages.is_empty() {
            request.key_usages = vec![KeyUsage::KeyCertSign, KeyUsage::CrlSign];
        }
        Lasting { days: request.validity.as_hours() / 24, is_overridden }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Parameters {
        Parameters { subject: DistinguishedName::named("till"), self_sign: true, ..Parameters::default() }
    }

    fn refusal(parameters: Parameters) -> String {
        parameters.request().unwrap_err().to_string()
    }

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let request = asked().request().unwrap();
        assert_eq!((request.key, request.validity), (KeyAlgorithm::Rsa2048, SignedDuration::from_hours(24 * 365)));
        assert_eq!((request.role, &request.issuer), (Role::Leaf, &Issuer::SelfSigned));
        assert_eq!(request.conventions, Conventions::Credhub(Carried::default()));
        request.check().unwrap();
    }

    #[test]
    fn every_word_of_both_lists_is_known_and_others_are_named() {
        for (word, usage) in KEY_USAGES {
            assert_eq!(key_usages(&texts(&[word])).unwrap(), [usage]);
        }
        let both = extended_key_usages(&texts(&["server_auth", "client_auth"])).unwrap();
        assert_eq!(both, [ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth]);
        for unknown in ["", "server_auth", "Digital_Signature", "digitalSignature"] {
            let error = key_usages(&texts(&["crl_sign", unknown])).unwrap_err().to_string();
            assert!(error.starts_with("key_usage") && error.contains(&format!("{unknown:?}")), "{error}");
        }
        let error = extended_key_usages(&texts(&[&"é".repeat(9000)])).unwrap_err().to_string();
        assert!(error.starts_with("extended_key_usage") && error.len() < 400, "{error}");
    }

    #[test]
    fn who_signs_is_said_in_one_way() {
        let ca = || Some(Path::parse("/root").unwrap());
        let issuer = |ca: Option<Path>, is_ca, self_sign| {
            Parameters { ca, is_ca, self_sign, ..asked() }.request().map(|request| (request.issuer, request.role))
        };
        let authority = Role::Authority { path_length: None };
        assert_eq!(issuer(None, true, false).unwrap(), (Issuer::SelfSigned, authority));
        assert_eq!(issuer(None, true, true).unwrap(), (Issuer::SelfSigned, authority));
        assert_eq!(issuer(ca(), true, false).unwrap(), (Issuer::Authority(ca().unwrap()), authority));
        assert_eq!(issuer(ca(), false, false).unwrap(), (Issuer::Authority(ca().unwrap()), Role::Leaf));
        assert!(issuer(None, false, false).unwrap_err().to_string().starts_with("ca "));
        assert!(issuer(ca(), false, true).unwrap_err().to_string().starts_with("self_sign "));
    }

    #[test]
    fn the_first_that_is_wrong_is_named() {
        let mut wrong = Parameters {
            subject: DistinguishedName { country: Some("CHE".into()), ..DistinguishedName::default() },
            alternative_names: texts(&["a b"]),
            key_usage: texts(&["sign"]),
            extended_key_usage: texts(&["auth"]),
            key_length: Some(1024),
            duration: Some(0),
            ..Parameters::default()
        };
        assert!(refusal(wrong.clone()).starts_with("key_usage"));
        wrong.key_usage.clear();
        assert!(refusal(wrong.clone()).starts_with("extended_key_usage"));
        wrong.extended_key_usage.clear();
        assert!(refusal(wrong.clone()).starts_with("key_length"));
        wrong.key_length = Some(4096);
        let country = wrong.subject.country.replace(String::new());
        assert!(refusal(wrong.clone()).starts_with("parameters"));
        wrong.subject.country = country;
        assert!(refusal(wrong.clone()).starts_with("ca "));
        wrong.is_ca = true;
        assert!(refusal(wrong.clone()).starts_with("alternative_names"));
        wrong.alternative_names = texts(&[&"a.".repeat(200)]);
        assert!(refusal(wrong.clone()).starts_with("duration"));
        wrong.duration = Some(3650);
        assert!(refusal(wrong.clone()).starts_with("country"));
        wrong.subject.country = None;
        wrong.subject.organizational_unit = Some("x".repeat(65));
        assert!(refusal(wrong.clone()).starts_with("organization_unit"));
        wrong.subject.organizational_unit = Some("x\n".into());
        assert!(refusal(wrong.clone()).starts_with("organization_unit"));
        wrong.subject.organizational_unit = Some("x".repeat(64));
        assert!(refusal(wrong.clone()).starts_with("alternative_names"));
        wrong.alternative_names.clear();
        wrong.request().unwrap().check().unwrap();
    }

    #[test]
    fn durations_are_days_from_one_to_ten_years() {
        for bad in [i64::MIN, -1, 0, 3651, i64::MAX] {
            assert!(duration(bad).unwrap_err().to_string().starts_with("duration"), "{bad}");
        }
        assert_eq!(duration(1).unwrap().as_hours(), 24);
    }

    #[test]
    fn alternative_names_are_hosts_addresses_and_wildcards() {
        let one = |text: &str| alternative_names(&texts(&[text]));
        for good in ["*", "*.a.b", "a", "a_b.example", "10.0.0.1", "::1", "2001:db8::1", "3com.example", "a.1b"] {
            assert_eq!(one(good).unwrap().len(), 1, "{good}");
        }
        for bad in ["https://a", "a@b", "a b", "10.0.0.300", "10.0.0", "*a", "**", "a.*", ".a", "a/b", "é"] {
            assert!(one(bad).unwrap_err().to_string().starts_with("alternative_names"), "{bad}");
        }
        assert!(one("").unwrap().is_empty());
        assert!(
            alternative_names(&vec!["a".to_owned(); 101]).unwrap_err().to_string().starts_with("alternative_names")
        );
    }

    #[test]
    fn an_installation_lengthens_and_never_shortens() {
        let additions = Additions { leaf_minimum_days: 400, authority_minimum_days: 900, authority_key_usages: true };
        let mut leaf = asked().request().unwrap();
        assert_eq!(additions.apply(&mut leaf), Lasting { days: 400, is_overridden: true });
        assert!(leaf.key_usages.is_empty());
        assert_eq!(additions.apply(&mut leaf), Lasting { days: 400, is_overridden: false });
        let mut root = Parameters { is_ca: true, duration: Some(3650), ..asked() }.request().unwrap();
        assert_eq!(additions.apply(&mut root), Lasting { days: 3650, is_overridden: false });
        assert_eq!(root.key_usages, [KeyUsage::KeyCertSign, KeyUsage::CrlSign]);
        root.key_usages = vec![KeyUsage::CrlSign];
        additions.apply(&mut root);
        assert_eq!(root.key_usages, [KeyUsage::CrlSign]);
    }
}
