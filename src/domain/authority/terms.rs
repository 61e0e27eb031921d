//! On what terms an authority signs for callers of REST: how they name it, for how long, and under which names a
//! service may have certificates. Decides about names and times; knows nothing of keys and signatures.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    AlternativeName, CertificateRequest, Conventions, DistinguishedName, ExtendedKeyUsage, Facts, Issuer, KeyAlgorithm,
    Role,
};
use crate::domain::name::{Path, is_dns_label, is_dns_subdomain};
use crate::domain::{Error, Result};

pub const DAY: SignedDuration = SignedDuration::from_hours(24);
const MAX_DAYS: i32 = 120;
const SERVICE: &str = "{service}";

/// What an installation says of one authority beside its own policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub max_validity: SignedDuration,
    /// `None`: services get no certificates of it.
    pub domain: Option<DomainPattern>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { max_validity: DAY * MAX_DAYS, domain: None }
    }
}

/// The authorities that callers of REST can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities(BTreeMap<String, (Path, Terms)>);

impl Authorities {
    pub fn new(named: impl IntoIterator<Item = (String, Path, Terms)>) -> Self {
        Self(named.into_iter().map(|(name, path, terms)| (name, (path, terms))).collect())
    }

    /// A name of the settings, or `<namespace>.<name>` of a resource, as services are named. `None`: names nothing. What
    /// the settings demand of an authority holds by its resource's name too: it is no way around them.
    pub fn find(&self, name: &str) -> Option<(Path, Terms)> {
        if let Some(named) = self.0.get(name) {
            return Some(named.clone());
        }
        let path = resource_path(name)?;
        let terms = self.of(&path).map(|(_, terms)| terms.clone()).unwrap_or_default();
        Some((path, terms))
    }

    fn of(&self, path: &Path) -> Option<(&String, &Terms)> {
        self.0.iter().find(|(_, (known, _))| known == path).map(|(name, (_, terms))| (name, terms))
    }

    /// What callers call the authority at this path: as the settings do, or as its resource is called. Without either it
    /// has no name and nobody sees it.
    pub fn name(&self, path: &Path) -> Option<String> {
        let given = self.of(path).map(|(name, _)| name.clone());
        given.or_else(|| path.as_resource().map(|(namespace, name)| format!("{namespace}.{name}")))
    }
}

/// Of a resource's authority: a namespace has no dot, so the first one separates.
fn resource_path(name: &str) -> Option<Path> {
    let (namespace, name) = name.split_once('.')?;
    (is_dns_label(namespace) && is_dns_subdomain(name)).then(|| Path::kubernetes(namespace, name))
}

/// A DNS name with `{service}` in it, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainPattern {
    before: String,
    after: String,
}

impl DomainPattern {
    /// `None`: no such pattern.
    pub fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(SERVICE)?;
        // Lower-cased, as the names are that it is compared with.
        let pattern = Self { before: before.to_ascii_lowercase(), after: after.to_ascii_lowercase() };
        let example = pattern.name("service");
        let is_name = AlternativeName::parse(&example) == Some(AlternativeName::Dns(example.clone()));
        (is_name && !example.starts_with("*.")).then_some(pattern)
    }

    fn name(&self, service: &str) -> String {
        [&self.before, service, &self.after].concat()
    }

    /// Whether all of these names are this service's and no other's. The whole name counts, from its beginning to its
    /// end, and the service's as it is written: `Mail` and `mail` are two callers and DNS knows one name.
    pub fn is_own(&self, service: &str, names: &[AlternativeName]) -> bool {
        let own = self.name(service);
        let is_own = |name: &AlternativeName| matches!(name, AlternativeName::Dns(name) if *name == own);
        is_dns_subdomain(service) && !names.is_empty() && names.iter().all(is_own)
    }
}

/// What a caller wants of a certificate beside its common name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub alternative_names: Vec<AlternativeName>,
    /// `None`: as many as there may be.
    pub days: Option<u32>,
    pub key: KeyAlgorithm,
}

impl Wanted {
    /// The common name among the others, as verifiers look for it: what is held to a policy is all of them, and so the
    /// common name must be a host or an address itself.
    pub fn names(&self, common_name: &str) -> Result<Vec<AlternativeName>> {
        let why = "must be a host name (international ones in their xn-- form) or an IP address";
        let common = AlternativeName::parse(common_name).ok_or_else(|| Error::invalid("commonName", why))?;
        let mut names = vec![common];
        for name in &self.alternative_names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    /// Cut to what the bounds and the authority's own end leave of it, as Confidant's clients expect. That an authority
    /// is over is said by who plans the certificate.
    pub fn validity(
        &self,
        bounds: [Option<SignedDuration>; 2],
        facts: &Facts,
        now: Timestamp,
    ) -> Result<SignedDuration> {
        let asked = match self.days {
            Some(0) => return Err(Error::invalid("duration", "must be at least one day")),
            Some(days) => DAY * i32::try_from(days).unwrap_or(i32::MAX),
            None => SignedDuration::MAX,
        };
        let left = Some(now.duration_until(facts.not_after)).filter(SignedDuration::is_positive);
        Ok(bounds.into_iter().chain([left]).flatten().fold(asked, SignedDuration::min))
    }

    pub fn request(
        &self,
        common_name: &str,
        names: Vec<AlternativeName>,
        validity: SignedDuration,
        issuer: Path,
    ) -> CertificateRequest {
        CertificateRequest {
            // In the one spelling that is held to the policy.
            subject: DistinguishedName::named(common_name.to_ascii_lowercase()),
            alternative_names: names,
            key: self.key,
            key_usages: Vec::new(),
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth],
            role: Role::Leaf,
            validity,
            issuer: Issuer::Authority(issuer),
            conventions: Conventions::Own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(texts: &[&str]) -> Vec<AlternativeName> {
        texts.iter().map(|text| AlternativeName::parse(text).unwrap()).collect()
    }

    fn wanted(others: &[&str], days: Option<u32>) -> Wanted {
        Wanted { alternative_names: names(others), days, key: KeyAlgorithm::EcdsaP256 }
    }

    #[test]
    fn an_authority_has_the_name_of_its_resource_or_of_the_settings() {
        let given = Terms { max_validity: DAY, domain: None };
        let path = Path::kubernetes("shop", "root");
        let named = Authorities::new([("internal".to_owned(), path.clone(), given.clone())]);
        assert_eq!(named.find("internal"), Some((path.clone(), given.clone())));
        assert_eq!(named.find("shop.root"), Some((path.clone(), given)));
        assert_eq!(named.find("shop.other").unwrap().1, Terms::default());
        assert_eq!(named.find("shop.a.b").unwrap().0, Path::kubernetes("shop", "a.b"));
        for nothing in ["", "root", ".root", "shop.", "Shop.root", "shop.a/b", "shop.../etc"] {
            assert_eq!(named.find(nothing), None, "{nothing}");
        }
        assert_eq!(named.name(&path).as_deref(), Some("internal"));
        assert_eq!(Authorities::default().name(&path).as_deref(), Some("shop.root"));
        assert_eq!(named.name(&Path::own("rest-root")), None);
    }

    #[test]
    fn a_pattern_is_a_name_around_the_service() {
        for good in ["{service}", "{service}.example.com", "a.{service}-b.example", "{service}.EXAMPLE.com"] {
            assert!(DomainPattern::parse(good).is_some(), "{good}");
        }
        for bad in ["", "example.com", "{service}{service}", "*.{service}", "{service}.", "{name}.a", "{service} b"] {
            assert!(DomainPattern::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn every_name_of_a_service_is_its_own_from_end_to_end() {
        let pattern = DomainPattern::parse("{service}.Example.com").unwrap();
        let is_own = |service: &str, texts: &[&str]| pattern.is_own(service, &names(texts));
        assert!(is_own("mail", &["mail.example.com"]));
        assert!(is_own("shop.till", &["shop.till.example.com"]));
        for foreign in [
            "mail.example.com.evil.org",
            "mail.example.comx",
            "xmail.example.com",
            "a.mail.example.com",
            "*.example.com",
            "example.com",
            "10.0.0.1",
        ] {
            assert!(!is_own("mail", &[foreign]), "{foreign}");
            assert!(!is_own("mail", &["mail.example.com", foreign]), "{foreign}");
        }
        assert!(!is_own("Mail", &["mail.example.com"]));
        assert!(!is_own("*", &["*.example.com"]));
        assert!(!is_own("mail", &[]));
    }

    proptest! {
        #[test]
        fn no_name_is_two_services(a in "[a-z.-]{1,6}", b in "[a-z.-]{1,6}", pattern in "[a-z.-]{0,3}\\{service\\}[a-z.-]{0,3}") {
            if let Some(pattern) = DomainPattern::parse(&pattern)
                && let Some(name) = AlternativeName::parse(&pattern.name(&a))
            {
                prop_assert!(a == b || !pattern.is_own(&b, &[name]));
            }
        }
    }

    #[test]
    fn the_common_name_is_held_to_what_the_others_are() {
        let others = wanted(&["b.example", "a.example"], None);
        assert_eq!(others.names("A.example").unwrap(), names(&["a.example", "b.example"]));
        for bad in ["", "two words", "bücher.example", "till/17", "a@b", "a.example\n"] {
            assert!(others.names(bad).unwrap_err().to_string().starts_with("commonName"), "{bad}");
        }
    }

    #[test]
    fn the_shortest_of_all_bounds_counts() {
        let now = Timestamp::UNIX_EPOCH;
        let validity = |days, policy: Option<i32>, left: i32| {
            let role = Role::Authority { path_length: None };
            let not_after = now + DAY * left;
            let facts =
                Facts { not_before: now, not_after, role, is_authority: true, serial: vec![1], fingerprint: [0; 32] };
            let bounds = [Some(Terms::default().max_validity), policy.map(|days| DAY * days)];
            wanted(&[], days).validity(bounds, &facts, now)
        };
        assert_eq!(validity(None, None, 900).unwrap(), DAY * 120);
        assert_eq!(validity(Some(7), None, 900).unwrap(), DAY * 7);
        assert_eq!(validity(Some(u32::MAX), Some(30), 900).unwrap(), DAY * 30);
        assert_eq!(validity(Some(100), None, 3).unwrap(), DAY * 3);
        assert_eq!(validity(None, None, -3).unwrap(), DAY * 120);
        assert!(validity(Some(0), None, 900).unwrap_err().to_string().starts_with("duration"));
    }
}
