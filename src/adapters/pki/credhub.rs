//! Certificates in CredHub's manner, as programs look at them that were written for it: the common name first and each
//! part in the narrowest string type, identifiers by SHA-1, RSA in PKCS#1, no chain.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use der::Decode;
use der::asn1::AnyRef;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, KeyIdMethod, KeyPair, PublicKeyData,
};

use super::authority::{Signer, refuse};
use super::certificate::{self, ISSUER, SUBJECT};
use super::{keys, pem};
use crate::domain::authority::{self, Carried, CertificatePlan};
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];
const EXTENDED_KEY_USAGES: &[u64] = &[2, 5, 29, 37];

pub(super) fn make(plan: &CertificatePlan, carried: &Carried, issuer: Option<&Material>) -> Result<Material> {
    let signer = issuer.map(Signer::open).transpose()?;
    let key = keys::generate(plan.key)?;
    let der = sign(params(plan, carried)?, carried, &key, signer.as_ref())?;
    let certificate = pem::write(pem::CERTIFICATE, &der);
    let ca = match issuer {
        Some(issuer) => alone(issuer.require("certificate")?).map_err(refuse)?,
        None => certificate.clone(),
    };
    Ok(Material::texts([("certificate", certificate), ("private_key", keys::pkcs1(&key)?), ("ca", ca)]))
}

/// The text of a certificate without those above it: as it was given where there are none, because it is compared.
pub(super) fn alone(certificate: &SecretText) -> Result<SecretText, &'static str> {
    let first = pem::first_certificate(certificate.expose())?;
    Ok(if pem::is_alone(certificate.expose()) { certificate.clone() } else { pem::write(pem::CERTIFICATE, &first) })
}

fn sign(mut params: CertificateParams, carried: &Carried, key: &KeyPair, signer: Option<&Signer>) -> Result<Vec<u8>> {
    let own = digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()).as_ref().to_vec();
    params.key_identifier_method = KeyIdMethod::PreSpecified(own.clone());
    let (signing, identifier) = match signer {
        Some(signer) => (&*signer.key, signer.key_identifier.clone()),
        None => (key, Some(own)),
    };
    // An identifier that the authority's certificate does not have would lead nowhere.
    params.use_authority_key_identifier_extension = identifier.is_some();
    let draft = certificate::draft(&params, key, signing, identifier.as_deref())?;
    certificate::seal(&draft, signing, |parts| {
        if let Some(subject) = &carried.subject {
            parts[SUBJECT] = AnyRef::from_der(subject).map_err(Error::internal)?;
        }
        parts[ISSUER] = match signer {
            Some(signer) => AnyRef::from_der(&signer.subject).map_err(|_| refuse("has a name that is not DER"))?,
            None => parts[SUBJECT],
        };
        Ok(())
    })
}

fn params(plan: &CertificatePlan, carried: &Carried) -> Result<CertificateParams> {
    let mut params = certificate::params(plan, name(&plan.subject))?;
    if let Some(names) = &carried.alternative_names {
        params.subject_alt_names.clear();
        params.custom_extensions.push(CustomExtension::from_oid_content(ALTERNATIVE_NAMES, names.clone()));
    }
    if let Some(usages) = &carried.extended_key_usages {
        params.extended_key_usages.clear();
        params.custom_extensions.push(CustomExtension::from_oid_content(EXTENDED_KEY_USAGES, usages.clone()));
    }
    Ok(params)
}

/// Each value is one attribute, whatever characters are in it: a name is never put together as text.
fn name(subject: &authority::DistinguishedName) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    let parts = [
        (DnType::CommonName, &subject.common_name),
        (DnType::OrganizationalUnitName, &subject.organizational_unit),
        (DnType::CountryName, &subject.country),
        (DnType::StateOrProvinceName, &subject.state),
        (DnType::OrganizationName, &subject.organization),
        (DnType::LocalityName, &subject.locality),
    ];
    for (attribute, value) in parts {
        if let Some(text) = value {
            let plain = text.as_str().try_into().map(DnValue::PrintableString);
            name.push(attribute, plain.unwrap_or_else(|_| DnValue::Utf8String(text.clone())));
        }
    }
    name
}
