//! A `Credential`, and how its value comes about.

use std::net::IpAddr;

use super::{VALIDITY_DEFAULT, namespace, number, under};
use crate::domain::authority::{AlternativeName, CertificateRequest, Conventions, DistinguishedName, Issuer, Role};
use crate::domain::credential::{About, Characters, Generate, Kind};
use crate::domain::name::Path;
use crate::domain::{Error, Result};
use crate::k8s::crd;

const RSA_BITS_DEFAULT: i64 = 2048;

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
        conventions: Conventions::Own,
    })
}

fn alternative_name(name: &crd::AlternativeName) -> Result<AlternativeName> {
    let text = name.as_str();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(AlternativeName::Ip(address));
    }
    let refused = || Error::invalid("alternativeNames", format!("has {text:?}, which is no DNS name or IP address"));
    AlternativeName::parse(text).ok_or_else(refused)
}
