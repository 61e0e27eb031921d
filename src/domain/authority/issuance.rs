//! Request + issuer + policy → what the certificate will say, or why it will not be made.
//! Only approved fields reach the certificate; nothing is copied from the caller unseen.

use jiff::{SignedDuration, Timestamp};

use crate::domain::authority::profile::{
    AlternativeName, CertificateRequest, DistinguishedName, ExtendedKeyUsage, KeyAlgorithm, KeyUsage, Role,
};
use crate::domain::authority::{Carried, Conventions, Policy, Unfit};
use crate::domain::entropy::Entropy;
use crate::domain::{Error, Result};

/// Clocks differ: a certificate is valid a little before it was made.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// What an existing certificate says of itself, as far as issuing needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// An authority's only if its key usages let it sign certificates.
    pub role: Role,
    /// CA:TRUE, whatever its key usages are.
    pub is_authority: bool,
    pub serial: Vec<u8>,
    /// SHA-256 of the DER form.
    pub fingerprint: [u8; 32],
}

/// Everything a certificate will say, but for its key and its issuer's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePlan {
    pub subject: DistinguishedName,
    pub alternative_names: Vec<AlternativeName>,
    pub key: KeyAlgorithm,
    pub key_usages: Vec<KeyUsage>,
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    pub role: Role,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// 20 random bytes, positive and of full length: never repeated under one issuer.
    pub serial: [u8; 20],
    pub conventions: Conventions,
}

/// Plans a certificate. `issuer` is absent for self-signed ones.
pub fn plan(
    request: &CertificateRequest,
    issuer: Option<(&Facts, &Policy)>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<CertificatePlan> {
    request.check()?;
    let not_after =
        now.checked_add(request.validity).map_err(|_| Error::invalid("duration", "ends after the year 9999"))?;
    let not_before = match (&request.conventions, issuer) {
        (Conventions::Own, None) => now - BACKDATE,
        (Conventions::Own, Some((facts, policy))) => {
            require_authority(facts, request.role, now)?;
            require_policy(policy, request)?;
            require_end(facts, not_after)?;
            (now - BACKDATE).max(facts.not_before)
        }
        (Conventions::Credhub(_), None) => now,
        (Conventions::Credhub(carried), Some((facts, policy))) => {
            if !facts.is_authority {
                return Err(Unfit::NoAuthority.into());
            }
            require_path_length(facts, request.role)?;
            require_policy(policy, request)?;
            require_names_told(policy, request, carried)?;
            now
        }
    };
    let mut serial = entropy.bytes::<20>();
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(CertificatePlan {
        subject: request.subject.clone(),
        alternative_names: request.alternative_names.clone(),
        key: request.key,
        key_usages: key_usages(request),
        extended_key_usages: request.extended_key_usages.clone(),
        role: request.role,
        not_before,
        not_after,
        serial,
        conventions: request.conventions.clone(),
    })
}

fn require_authority(issuer: &Facts, role: Role, now: Timestamp) -> Result<()> {
    if issuer.role == Role::Leaf {
        return Err(Error::invalid("ca", "is a certificate that may not sign others"));
    }
    if now >= issuer.not_after {
        return Err(Error::invalid("ca", format!("expired at {}", issuer.not_after)));
    }
    require_path_length(issuer, role)
}

fn require_end(issuer: &Facts, not_after: Timestamp) -> Result<()> {
    if not_after <= issuer.not_after {
        return Ok(());
    }
    let why = format!("ends after its authority, which is valid until {}", issuer.not_after);
    Err(Error::invalid("duration", why))
}

fn require_path_length(issuer: &Facts, role: Role) -> Result<()> {
    let Role::Authority { path_length } = issuer.role else { return Ok(()) };
    match (path_length, role) {
        (Some(0), Role::Authority { .. }) => Err(Error::invalid("parentRef", "has pathLength 0: it signs leaves only")),
        (Some(limit), Role::Authority { path_length: Some(wanted) }) if wanted >= limit => {
            Err(Error::invalid("pathLength", format!("must be below its parent's, {limit}")))
        }
        _ => Ok(()),
    }
}

fn require_policy(policy: &Policy, request: &CertificateRequest) -> Result<()> {
    if policy.max_validity.is_some_and(|limit| request.validity > limit) {
        return Err(Error::invalid("duration", "is longer than its authority's issuance.maxValidity"));
    }
    if policy.allowed_dns_names.is_empty() || request.role != Role::Leaf {
        return Ok(());
    }
    if request.alternative_names.iter().all(|name| allows(policy, name)) {
        return Ok(());
    }
    Err(Error::invalid("alternativeNames", "has a name outside its authority's issuance.allowedDnsNames"))
}

fn allows(policy: &Policy, name: &AlternativeName) -> bool {
    match name {
        AlternativeName::Dns(name) => policy.allowed_dns_names.iter().any(|pattern| matches_pattern(pattern, name)),
        AlternativeName::Ip(_) => false,
    }
}

/// Whoever may use the authority over this API asks for more than its resource's neighbours do. An authority below it
/// would sign for any name; a common name counts as a host's where there is no alternative one; and what cannot be told
/// cannot be held to the policy.
fn require_names_told(policy: &Policy, request: &CertificateRequest, carried: &Carried) -> Result<()> {
    if policy.allowed_dns_names.is_empty() {
        return Ok(());
    }
    if request.role != Role::Leaf {
        return Err(Error::invalid("is_ca", "is not granted by an authority with issuance.allowedDnsNames"));
    }
    // Without a space in it, it may be taken for a host's.
    let host = request.subject.common_name.as_deref().filter(|name| !name.contains(' '));
    if host.is_some_and(|name| !AlternativeName::parse(name).is_some_and(|name| allows(policy, &name))) {
        return Err(Error::invalid("common_name", "is outside its authority's issuance.allowedDnsNames"));
    }
    if carried.is_told() {
        return Ok(());
    }
    Err(Error::invalid("certificate", "has names that its authority's issuance.allowedDnsNames cannot be held against"))
}

/// `*.` stands for exactly one label, as in RFC 6125; a requested wildcard needs the same pattern.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(_, parent)| parent == rest),
        None => name == pattern,
    }
}

/// What was asked for, and in our own manner what RFC 5280 implies by the role.
fn key_usages(request: &CertificateRequest) -> Vec<KeyUsage> {
    let mut usages = request.key_usages.clone();
    match request.role {
        _ if !request.conventions.is_own() => {}
        Role::Authority { .. } => usages.extend([KeyUsage::KeyCertSign, KeyUsage::CrlSign]),
        Role::Leaf if usages.is_empty() => {
            usages.push(KeyUsage::DigitalSignature);
            if matches!(request.key, KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096) {
                usages.push(KeyUsage::KeyEncipherment);
            }
        }
        Role::Leaf => {}
    }
    usages.sort_unstable();
    usages.dedup();
    usages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::authority::Issuer;
    use crate::domain::credential::generate::tests::Counter;
    use std::sync::atomic::AtomicU64;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn request(role: Role) -> CertificateRequest {
        CertificateRequest {
            subject: DistinguishedName::named("x"),
            alternative_names: vec![],
            key: KeyAlgorithm::EcdsaP256,
            key_usages: vec![],
            extended_key_usages: vec![],
            role,
            validity: HOUR,
            issuer: Issuer::SelfSigned,
            conventions: Conventions::Own,
        }
    }

    fn issuer(path_length: Option<u8>) -> Facts {
        let now = Timestamp::UNIX_EPOCH;
        Facts {
            not_before: now,
            not_after: now + HOUR * 10,
            role: Role::Authority { path_length },
            is_authority: true,
            serial: vec![1],
            fingerprint: [0; 32],
        }
    }

    fn make(request: &CertificateRequest, issuer: Option<(&Facts, &Policy)>) -> Result<CertificatePlan> {
        plan(request, issuer, Timestamp::UNIX_EPOCH, &Counter(AtomicU64::new(0)))
    }

    fn refusal(request: &CertificateRequest, facts: &Facts, policy: &Policy) -> String {
        make(request, Some((facts, policy))).unwrap_err().to_string()
    }

    #[test]
    fn a_leaf_never_outlives_its_authority_nor_starts_before_it() {
        let long = CertificateRequest { validity: HOUR * 11, ..request(Role::Leaf) };
        assert!(refusal(&long, &issuer(None), &Policy::default()).starts_with("duration"));
        let plan = make(&request(Role::Leaf), Some((&issuer(None), &Policy::default()))).unwrap();
        assert_eq!(plan.not_before, Timestamp::UNIX_EPOCH);
        assert_eq!(make(&request(Role::Leaf), None).unwrap().not_before, Timestamp::UNIX_EPOCH - BACKDATE);
    }

    #[test]
    fn path_lengths_only_shrink() {
        let child = |path_length| request(Role::Authority { path_length });
        let policy = Policy::default();
        assert!(refusal(&child(None), &issuer(Some(0)), &policy).starts_with("parentRef"));
        assert!(refusal(&child(Some(1)), &issuer(Some(1)), &policy).starts_with("pathLength"));
        assert!(make(&child(Some(0)), Some((&issuer(Some(1)), &policy))).is_ok());
        assert!(make(&request(Role::Leaf), Some((&issuer(Some(0)), &policy))).is_ok());
        let leaf = Facts { role: Role::Leaf, is_authority: false, ..issuer(None) };
        assert!(refusal(&request(Role::Leaf), &leaf, &policy).starts_with("ca"));
    }

    #[test]
    fn the_policy_bounds_names_and_validity() {
        let policy = Policy { max_validity: Some(HOUR), allowed_dns_names: vec!["*.shop.svc".into(), "till".into()] };
        let named = |text: &str| CertificateRequest {
            alternative_names: vec![AlternativeName::parse(text).unwrap()],
            ..request(Role::Leaf)
        };
        for good in ["a.shop.svc", "till", "*.shop.svc"] {
            assert!(make(&named(good), Some((&issuer(None), &policy))).is_ok(), "{good}");
        }
        for bad in ["shop.svc", "a.b.shop.svc", "tills", "10.0.0.1", "*.till"] {
            assert!(refusal(&named(bad), &issuer(None), &policy).starts_with("alternativeNames"), "{bad}");
        }
        let long = CertificateRequest { validity: HOUR * 2, ..request(Role::Leaf) };
        assert!(refusal(&long, &issuer(None), &policy).contains("maxValidity"));
    }

    #[test]
    fn authorities_sign_certificates_and_lists() {
        let plan = make(&request(Role::Authority { path_length: None }), None).unwrap();
        assert_eq!(plan.key_usages, [KeyUsage::KeyCertSign, KeyUsage::CrlSign]);
        let leaf = make(&request(Role::Leaf), None).unwrap();
        assert_eq!(leaf.key_usages, [KeyUsage::DigitalSignature]);
    }

    fn credhub(role: Role, carried: Carried) -> CertificateRequest {
        CertificateRequest { key: KeyAlgorithm::Rsa2048, conventions: Conventions::Credhub(carried), ..request(role) }
    }

    #[test]
    fn in_credhubs_manner_nothing_is_implied_and_a_leaf_may_outlive_its_authority() {
        let facts = Facts { role: Role::Leaf, ..issuer(None) };
        let long = CertificateRequest { validity: HOUR * 11, ..credhub(Role::Leaf, Carried::default()) };
        let plan = make(&long, Some((&facts, &Policy::default()))).unwrap();
        assert_eq!((plan.not_before, plan.not_after), (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + HOUR * 11));
        assert!(plan.key_usages.is_empty());
        let root = make(&credhub(Role::Authority { path_length: None }, Carried::default()), None).unwrap();
        assert!(root.key_usages.is_empty());
        assert_eq!(root.not_before, Timestamp::UNIX_EPOCH);

        let leaf = Facts { is_authority: false, ..facts };
        assert_eq!(refusal(&long, &leaf, &Policy::default()), Error::from(Unfit::NoAuthority).to_string());
        let elliptic = CertificateRequest { key: KeyAlgorithm::EcdsaP256, ..long };
        assert!(make(&elliptic, None).unwrap_err().to_string().starts_with("key"));
    }

    #[test]
    fn an_authority_below_one_that_signs_leaves_only_is_refused_in_every_manner() {
        let child = credhub(Role::Authority { path_length: None }, Carried::default());
        assert!(refusal(&child, &issuer(Some(0)), &Policy::default()).contains("pathLength"));
    }

    #[test]
    fn no_way_leads_around_the_policy_in_credhubs_manner() {
        let policy = Policy { max_validity: Some(HOUR), allowed_dns_names: vec!["*.shop.svc".into()] };
        let named = |common_name: &str, name: &str| CertificateRequest {
            subject: DistinguishedName::named(common_name),
            alternative_names: vec![AlternativeName::parse(name).unwrap()],
            ..credhub(Role::Leaf, Carried::default())
        };
        let facts = issuer(None);
        for good in ["a.shop.svc", "The till, by the door"] {
            assert!(make(&named(good, "a.shop.svc"), Some((&facts, &policy))).is_ok(), "{good}");
        }
        assert!(refusal(&named("a.shop.svc", "evil.example"), &facts, &policy).starts_with("alternativeNames"));
        assert!(refusal(&named("evil.example", "a.shop.svc"), &facts, &policy).starts_with("common_name"));
        for host in ["10.0.0.1", "evil", "*", "evil.example."] {
            assert!(refusal(&named(host, "a.shop.svc"), &facts, &policy).starts_with("common_name"), "{host}");
        }
        let long = CertificateRequest { validity: HOUR * 2, ..named("a.shop.svc", "a.shop.svc") };
        assert!(refusal(&long, &facts, &policy).contains("maxValidity"));
        let child = credhub(Role::Authority { path_length: None }, Carried::default());
        assert!(refusal(&child, &facts, &policy).starts_with("is_ca"));
        for carried in [
            Carried { subject_says_more: true, ..Carried::default() },
            Carried { alternative_names: Some(vec![]), ..Carried::default() },
        ] {
            let hidden =
                CertificateRequest { conventions: Conventions::Credhub(carried), ..named("a.shop.svc", "a.shop.svc") };
            assert!(refusal(&hidden, &facts, &policy).starts_with("certificate"));
        }
    }

    #[test]
    fn serials_are_positive_and_of_full_length() {
        for seed in 0..200 {
            let serial =
                plan(&request(Role::Leaf), None, Timestamp::UNIX_EPOCH, &Counter(AtomicU64::new(seed))).unwrap().serial;
            assert!((0x40..0x80).contains(&serial[0]));
        }
    }
}
