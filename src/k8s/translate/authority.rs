//! A `CertificateAuthority`.

use super::{AUTHORITY_FIELDS, namespace, number, renamed};
use crate::domain::authority::{Authority, CertificateRequest, Conventions, DistinguishedName, Issuer, Policy, Role};
use crate::domain::credential::Generate;
use crate::domain::name::Path;
use crate::domain::{Error, Result};
use crate::k8s::crd;

/// How its certificate is made, and what makes it an authority.
#[derive(Debug)]
pub struct AuthorityWish {
    pub generate: Generate,
    pub authority: Authority,
}

/// Where the authority is that signs this one. By its name it is in the same namespace.
fn parent(resource: &crd::CertificateAuthority) -> Result<Option<Path>> {
    let Some(parent) = &resource.spec.parent_ref else { return Ok(None) };
    match (&parent.name, &parent.path) {
        (Some(name), None) => Ok(Some(Path::kubernetes(&namespace(resource), name.as_str()))),
        (None, Some(path)) => Path::parse(path).map(Some).map_err(renamed(&[("name", "spec.parentRef.path")])),
        _ => Err(Error::invalid("spec.parentRef", "needs either name or path, and not both")),
    }
}

/// The same of what is not translated yet: what is wrong with it is said by whoever does.
pub fn parent_of(resource: &crd::CertificateAuthority) -> Option<Path> {
    parent(resource).ok().flatten()
}

impl TryFrom<&crd::CertificateAuthority> for AuthorityWish {
    type Error = Error;

    fn try_from(resource: &crd::CertificateAuthority) -> Result<Self> {
        let spec = &resource.spec;
        let subject = &spec.subject;
        let parent = parent(resource)?;
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
            conventions: Conventions::Own,
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
