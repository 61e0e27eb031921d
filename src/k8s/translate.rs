//! From what people wrote into a resource to what the domain understands. Used by the controllers and by
//! the webhook. Names the fields of the resource in whatever it refuses.

use std::net::IpAddr;

use jiff::SignedDuration;
use kube::ResourceExt;

use crate::domain::authority::{self, Authority, CertificateRequest, DistinguishedName, Issuer, Policy, Role};
use crate::domain::client::State;
use crate::domain::credential::{About, Characters, Generate, Kind};
use crate::domain::name::Path;
use crate::domain::{Error, Result, Violation};
use crate::k8s::crd;

const RSA_BITS_DEFAULT: i64 = 2048;
const VALIDITY_DEFAULT: SignedDuration = SignedDuration::from_hours(8760);

/// A `Credential` as the domain understands it.
#[derive(Debug)]
pub struct CredentialWish {
    pub kind: Kind,
    pub about: About,
    pub source: SourceWish,
}

#[derive(Debug)]
pub enum SourceWish {
    Generate(Generate),
    Import(crd::SecretReference),
    Stored,
}

impl TryFrom<&crd::Credential> for CredentialWish {
    type Error = Error;

    fn try_from(resource: &crd::Credential) -> Result<Self> {
        let spec = &resource.spec;
        let kind = Kind::from(spec.kind);
        let source = match &spec.source {
            crd::Source { generate: Some(wish), secret_ref: None, stored: None } => {
                SourceWish::Generate(generate(kind, wish, &namespace(resource)).map_err(under("spec.source.generate"))?)
            }
            crd::Source { generate: None, secret_ref: Some(reference), stored: None } => {
                SourceWish::Import(reference.clone())
            }
            crd::Source { generate: None, secret_ref: None, stored: Some(_) } => SourceWish::Stored,
            _ => return Err(Error::invalid("spec.source", "must have exactly one of generate, secretRef and stored")),
        };
        let metadata = match spec.metadata.is_empty() {
            true => None,
            false => Some(serde_json::to_string(&spec.metadata).map_err(Error::internal)?),
        };
        let about = About {
            enabled: spec.enabled(),
            documentation: spec.documentation.clone(),
            metadata,
            tags: spec.tags.clone(),
        };
        Ok(Self { kind, about, source })
    }
}

fn namespace(resource: &impl ResourceExt) -> String {
    resource.namespace().unwrap_or_default()
}

/// The fields of a refusal as they are found in the resource.
pub fn under(parent: &'static str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Invalid(violations) => Error::Invalid(violations.into_iter().map(|found| found.under(parent)).collect()),
        other => other,
    }
}

/// The same, where the resource calls some fields otherwise than the domain.
pub fn renamed(names: &'static [(&'static str, &'static str)]) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Invalid(violations) => Error::Invalid(
            violations
                .into_iter()
                .map(|found| match names.iter().find(|(domain, _)| *domain == found.field) {
                    Some((_, field)) => Violation { field: (*field).to_owned(), ..found },
                    None => found.under("spec"),
                })
                .collect(),
        ),
        other => other,
    }
}

impl Violation {
    fn under(self, parent: &str) -> Self {
        match self.field.starts_with("spec.") {
            true => self,
            false => Self { field: format!("{parent}.{}", self.field), ..self },
        }
    }
}

impl From<crd::CredentialType> for Kind {
    fn from(kind: crd::CredentialType) -> Self {
        use crd::CredentialType as T;
        match kind {
            T::Value => Self::Value,
            T::Json => Self::Json,
            T::Password => Self::Password,
            T::User => Self::User,
            T::Rsa => Self::Rsa,
            T::Ssh => Self::Ssh,
            T::Certificate => Self::Certificate,
            T::Pairs => Self::Pairs,
        }
    }
}

fn generate(kind: Kind, wish: &crd::Generate, namespace: &str) -> Result<Generate> {
    let text = |text: &Option<crd::SubjectText<253>>| text.as_ref().map(ToString::to_string);
    let made = match kind {
        Kind::Password => Generate::Password(characters(wish)?),
        Kind::User => Generate::User { username: text(&wish.username), characters: characters(wish)? },
        Kind::Rsa => Generate::Rsa { bits: bits(wish)? },
        Kind::Ssh => Generate::Ssh { bits: bits(wish)?, comment: text(&wish.ssh_comment) },
        Kind::Certificate => Generate::Certificate(Box::new(certificate(wish, namespace)?)),
        Kind::Value | Kind::Json | Kind::Pairs => {
            let why = format!("is not possible for type {}: use secretRef or stored", kind.name());
            return Err(Error::invalid("spec.source.generate", why));
        }
    };
    made.check()?;
    Ok(made)
}

fn number<T: TryFrom<i64>>(field: &str, number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::invalid(field, "is out of range"))
}

fn characters(wish: &crd::Generate) -> Result<Characters> {
    let defaults = Characters::default();
    Ok(Characters {
        length: wish.length.map_or(Ok(defaults.length), |length| number("length", length))?,
        lower: !wish.exclude_lower.unwrap_or(false),
        upper: !wish.exclude_upper.unwrap_or(false),
        digits: !wish.exclude_number.unwrap_or(false),
        special: wish.include_special.unwrap_or(false),
    })
}

fn bits(wish: &crd::Generate) -> Result<u16> {
    number("keyLength", wish.key_length.unwrap_or(RSA_BITS_DEFAULT))
}

fn certificate(wish: &crd::Generate, namespace: &str) -> Result<CertificateRequest> {
    let issuer = match (&wish.ca, wish.self_signed) {
        (Some(authority), None | Some(false)) => {
            Issuer::Authority(Path::kubernetes(namespace, authority.name.as_str()))
        }
        (None, Some(true)) => Issuer::SelfSigned,
        _ => return Err(Error::invalid("ca", "or selfSigned: true, exactly one of them must be set")),
    };
    Ok(CertificateRequest {
        subject: DistinguishedName {
            common_name: wish.common_name.as_ref().map(ToString::to_string),
            organization: wish.organization.as_ref().map(ToString::to_string),
            organizational_unit: wish.organization_unit.as_ref().map(ToString::to_string),
            locality: wish.locality.as_ref().map(ToString::to_string),
            state: wish.state.as_ref().map(ToString::to_string),
            country: wish.country.as_ref().map(ToString::to_string),
        },
        alternative_names: wish.alternative_names.iter().map(alternative_name).collect::<Result<_>>()?,
        key: wish.key_algorithm.unwrap_or_default().into(),
        key_usages: wish.key_usage.iter().map(|usage| (*usage).into()).collect(),
        extended_key_usages: wish.extended_key_usage.iter().map(|usage| (*usage).into()).collect(),
        role: Role::Leaf,
        validity: wish.duration.as_ref().map_or(VALIDITY_DEFAULT, crd::GoDuration::length),
        issuer,
    })
}

fn alternative_name(name: &crd::AlternativeName) -> Result<authority::AlternativeName> {
    let text = name.as_str();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(authority::AlternativeName::Ip(address));
    }
    let refused = || Error::invalid("alternativeNames", format!("has {text:?}, which is no DNS name or IP address"));
    authority::AlternativeName::parse(text).ok_or_else(refused)
}

/// A `CertificateAuthority`: how its certificate is made, and what makes it an authority.
#[derive(Debug)]
pub struct AuthorityWish {
    pub generate: Generate,
    pub authority: Authority,
}

impl TryFrom<&crd::CertificateAuthority> for AuthorityWish {
    type Error = Error;

    fn try_from(resource: &crd::CertificateAuthority) -> Result<Self> {
        let spec = &resource.spec;
        let subject = &spec.subject;
        let parent =
            spec.parent_ref.as_ref().map(|parent| Path::kubernetes(&namespace(resource), parent.name.as_str()));
        let request = CertificateRequest {
            subject: DistinguishedName {
                common_name: Some(subject.common_name.to_string()),
                organization: subject.organization.as_ref().map(ToString::to_string),
                organizational_unit: subject.organization_unit.as_ref().map(ToString::to_string),
                locality: subject.locality.as_ref().map(ToString::to_string),
                state: subject.state.as_ref().map(ToString::to_string),
                country: subject.country.as_ref().map(ToString::to_string),
            },
            alternative_names: Vec::new(),
            key: spec.key.algorithm().into(),
            key_usages: Vec::new(),
            extended_key_usages: Vec::new(),
            role: Role::Authority {
                path_length: spec.path_length.map(|length| number("spec.pathLength", length)).transpose()?,
            },
            validity: spec.validity.length(),
            issuer: parent.clone().map_or(Issuer::SelfSigned, Issuer::Authority),
        };
        request.check().map_err(AUTHORITY_FIELDS)?;
        let policy = Policy {
            max_validity: spec.issuance.max_validity.as_ref().map(crd::GoDuration::length),
            allowed_dns_names: spec.issuance.allowed_dns_names.iter().map(ToString::to_string).collect(),
        };
        let authority = Authority { parent, policy };
        Ok(Self { generate: Generate::Certificate(Box::new(request)), authority })
    }
}

/// Domain errors in the fields of a `CertificateAuthority`.
pub const AUTHORITY_FIELDS: fn(Error) -> Error = |error| {
    renamed(&[("duration", "spec.validity"), ("ca", "spec.parentRef"), ("commonName", "spec.subject.commonName")])(
        error,
    )
};

/// Domain errors in the fields of a `ClientCredential`.
pub const CLIENT_FIELDS: fn(Error) -> Error =
    |error| renamed(&[("duration", "spec.ttl"), ("ca", "spec.authorityRef")])(error);

/// A `ClientCredential`: how the client proves who it is.
#[derive(Debug)]
pub enum ClientWish {
    Basic,
    X509(Box<CertificateRequest>),
}

impl TryFrom<&crd::ClientCredential> for ClientWish {
    type Error = Error;

    fn try_from(resource: &crd::ClientCredential) -> Result<Self> {
        let spec = &resource.spec;
        if spec.kind == crd::ClientType::Basic {
            return Ok(Self::Basic);
        }
        let required = |field: &str| Error::invalid(field, "is required for type X509");
        let common_name = spec.common_name.as_ref().ok_or_else(|| required("spec.commonName"))?;
        let authority = spec.authority_ref.as_ref().ok_or_else(|| required("spec.authorityRef"))?;
        let request = CertificateRequest {
            subject: DistinguishedName::named(common_name.to_string()),
            alternative_names: Vec::new(),
            key: authority::KeyAlgorithm::EcdsaP256,
            key_usages: vec![authority::KeyUsage::DigitalSignature],
            extended_key_usages: vec![authority::ExtendedKeyUsage::ClientAuth],
            role: Role::Leaf,
            validity: spec.ttl.as_ref().map_or(VALIDITY_DEFAULT, crd::GoDuration::length),
            issuer: Issuer::Authority(Path::kubernetes(&namespace(resource), authority.name.as_str())),
        };
        request.check().map_err(CLIENT_FIELDS)?;
        Ok(Self::X509(Box::new(request)))
    }
}

impl From<crd::ClientState> for State {
    fn from(state: crd::ClientState) -> Self {
        match state {
            crd::ClientState::Active => Self::Active,
            crd::ClientState::Suspended => Self::Suspended,
            crd::ClientState::Revoked => Self::Revoked,
        }
    }
}

impl From<State> for crd::ClientState {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Suspended => Self::Suspended,
            State::Revoked => Self::Revoked,
        }
    }
}

impl From<crd::KeyAlgorithm> for authority::KeyAlgorithm {
    fn from(algorithm: crd::KeyAlgorithm) -> Self {
        use crd::KeyAlgorithm as K;
        match algorithm {
            K::EcdsaP256 => Self::EcdsaP256,
            K::EcdsaP384 => Self::EcdsaP384,
            K::Rsa2048 => Self::Rsa2048,
            K::Rsa3072 => Self::Rsa3072,
            K::Rsa4096 => Self::Rsa4096,
            K::Ed25519 => Self::Ed25519,
        }
    }
}

impl From<crd::KeyUsage> for authority::KeyUsage {
    fn from(usage: crd::KeyUsage) -> Self {
        use crd::KeyUsage as U;
        match usage {
            U::DigitalSignature => Self::DigitalSignature,
            U::ContentCommitment => Self::ContentCommitment,
            U::KeyEncipherment => Self::KeyEncipherment,
            U::DataEncipherment => Self::DataEncipherment,
            U::KeyAgreement => Self::KeyAgreement,
            U::EncipherOnly => Self::EncipherOnly,
            U::DecipherOnly => Self::DecipherOnly,
        }
    }
}

impl From<crd::ExtendedKeyUsage> for authority::ExtendedKeyUsage {
    fn from(usage: crd::ExtendedKeyUsage) -> Self {
        use crd::ExtendedKeyUsage as U;
        match usage {
            U::ServerAuth => Self::ServerAuth,
            U::ClientAuth => Self::ClientAuth,
            U::CodeSigning => Self::CodeSigning,
            U::EmailProtection => Self::EmailProtection,
            U::TimeStamping => Self::TimeStamping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn resource<K: DeserializeOwned>(kind: &str, spec: Value) -> K {
        let metadata = json!({"name": "db", "namespace": "shop"});
        let api_version = "strongroom.dev/v1alpha1";
        serde_json::from_value(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}))
            .unwrap()
    }

    fn credential(spec: Value) -> Result<CredentialWish> {
        CredentialWish::try_from(&resource::<crd::Credential>("Credential", spec))
    }

    fn generated(kind: &str, generate: Value) -> Result<Generate> {
        match credential(json!({"type": kind, "source": {"generate": generate}}))?.source {
            SourceWish::Generate(generate) => Ok(generate),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_written_takes_credhubs_defaults() {
        let characters = Characters { length: 30, lower: true, upper: true, digits: true, special: false };
        assert_eq!(generated("Password", json!({})).unwrap(), Generate::Password(characters));
        assert_eq!(generated("User", json!({})).unwrap(), Generate::User { username: None, characters });
        assert_eq!(generated("Rsa", json!({})).unwrap(), Generate::Rsa { bits: 2048 });
        assert_eq!(generated("Ssh", json!({})).unwrap(), Generate::Ssh { bits: 2048, comment: None });
        let Generate::Certificate(request) =
            generated("Certificate", json!({"commonName": "x", "ca": {"name": "root"}})).unwrap()
        else {
            panic!("no certificate");
        };
        assert_eq!(request.issuer, Issuer::Authority(Path::kubernetes("shop", "root")));
        assert_eq!((request.validity, request.key), (VALIDITY_DEFAULT, authority::KeyAlgorithm::EcdsaP256));
    }

    #[test]
    fn what_is_refused_is_named_as_in_the_resource() {
        let field = |error: Result<Generate>| error.unwrap_err().to_string();
        assert!(field(generated("Password", json!({"length": 3}))).starts_with("spec.source.generate.length "));
        assert!(field(generated("Rsa", json!({"keyLength": 100}))).starts_with("spec.source.generate.keyLength "));
        assert!(field(generated("Value", json!({}))).starts_with("spec.source.generate "));
        let name = json!({"commonName": "x", "selfSigned": true, "alternativeNames": ["a b"]});
        assert!(field(generated("Certificate", name)).starts_with("spec.source.generate.alternativeNames "));
    }

    #[test]
    fn words_about_a_credential_are_taken_over() {
        let wish = credential(json!({"type": "Pairs", "source": {"stored": {}}, "documentation": "d", "tags": ["t"],
            "metadata": {"team": "till"}, "enabled": false}))
        .unwrap();
        let metadata = Some(r#"{"team":"till"}"#.to_owned());
        let expected = About { enabled: false, documentation: Some("d".into()), metadata, tags: vec!["t".into()] };
        assert_eq!(wish.about, expected);
        assert_eq!(credential(json!({"type": "Pairs", "source": {"stored": {}}})).unwrap().about, About::default());
    }

    #[test]
    fn an_authority_is_signed_by_its_parent_in_its_own_namespace() {
        let spec = json!({"subject": {"commonName": "CA"}, "validity": "24h", "parentRef": {"name": "root"},
            "pathLength": 0, "issuance": {"maxValidity": "1h", "allowedDnsNames": ["*.shop.svc"]}});
        let wish =
            AuthorityWish::try_from(&resource::<crd::CertificateAuthority>("CertificateAuthority", spec)).unwrap();
        let Generate::Certificate(request) = wish.generate else { panic!("no certificate") };
        assert_eq!(request.issuer, Issuer::Authority(Path::kubernetes("shop", "root")));
        assert_eq!(request.role, Role::Authority { path_length: Some(0) });
        assert_eq!(wish.authority.policy.allowed_dns_names, ["*.shop.svc"]);
        assert_eq!(AUTHORITY_FIELDS(Error::invalid("duration", "x")).to_string(), "spec.validity x");
        assert_eq!(AUTHORITY_FIELDS(Error::invalid("pathLength", "x")).to_string(), "spec.pathLength x");
    }

    #[test]
    fn a_client_certificate_is_for_clients() {
        let spec = json!({"type": "X509", "commonName": "till", "authorityRef": {"name": "ca"}, "ttl": "24h"});
        let wish = ClientWish::try_from(&resource::<crd::ClientCredential>("ClientCredential", spec)).unwrap();
        let ClientWish::X509(request) = wish else { panic!("no certificate") };
        assert_eq!(request.extended_key_usages, [authority::ExtendedKeyUsage::ClientAuth]);
        assert_eq!(request.subject, DistinguishedName::named("till"));
        let missing = resource::<crd::ClientCredential>("ClientCredential", json!({"type": "X509", "commonName": "x"}));
        assert!(ClientWish::try_from(&missing).unwrap_err().to_string().starts_with("spec.authorityRef"));
    }
}
