//! A `ClientCredential`.

use super::{CLIENT_FIELDS, VALIDITY_DEFAULT, namespace};
use crate::domain::authority::{
    CertificateRequest, Conventions, DistinguishedName, ExtendedKeyUsage, Issuer, KeyAlgorithm, KeyUsage, Role,
};
use crate::domain::name::Path;
use crate::domain::{Error, Result};
use crate::k8s::crd;

/// How the client proves who it is.
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
            key: KeyAlgorithm::EcdsaP256,
            key_usages: vec![KeyUsage::DigitalSignature],
            extended_key_usages: vec![ExtendedKeyUsage::ClientAuth],
            role: Role::Leaf,
            validity: spec.ttl.as_ref().map_or(VALIDITY_DEFAULT, crd::GoDuration::length),
            issuer: Issuer::Authority(Path::kubernetes(&namespace(resource), authority.name.as_str())),
            conventions: Conventions::Own,
        };
        request.check().map_err(CLIENT_FIELDS)?;
        Ok(Self::X509(Box::new(request)))
    }
}
