//! Certificates in CredHub's manner, as programs look at them that were written for it: the common name first and each
//! part in the narrowest string type, identifiers by SHA-1, RSA in PKCS#1, no chain.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use der::asn1::AnyRef;
use der::{Decode, Encode, Tag, TagNumber};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, KeyIdMethod, KeyPair, PublicKeyData,
};

use super::authority::{Authority, Signer, refuse};
use super::certificate::{self, ISSUER, SUBJECT};
use super::{keys, pem};
use crate::domain::authority::{self, Carried, CertificatePlan};
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];
const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGES: &[u64] = &[2, 5, 29, 37];

pub(super) fn make(plan: &CertificatePlan, carried: &Carried, issuer: Option<&Authority>) -> Result<Material> {
    let key = keys::generate(plan.key)?;
    let der = sign(plan, carried, &key, issuer.map(|issuer| &issuer.signer))?;
    let certificate = pem::write(pem::CERTIFICATE, &der);
    let ca = match issuer {
        Some(issuer) => alone(&issuer.certificate).map_err(refuse)?,
        None => certificate.clone(),
    };
    Ok(Material::texts([("certificate", certificate), ("private_key", keys::pkcs1(&key)?), ("ca", ca)]))
}

/// The text of a certificate without those above it: as it was given where there are none, because it is compared.
pub(super) fn alone(certificate: &SecretText) -> Result<SecretText, &'static str> {
    let first = pem::first_certificate(certificate.expose())?;
    Ok(if pem::is_alone(certificate.expose()) { certificate.clone() } else { pem::write(pem::CERTIFICATE, &first) })
}

fn sign(plan: &CertificatePlan, carried: &Carried, key: &KeyPair, signer: Option<&Signer>) -> Result<Vec<u8>> {
    let mut params = params(plan, carried)?;
    let own = digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()).as_ref().to_vec();
    params.key_identifier_method = KeyIdMethod::PreSpecified(own.clone());
    let Some(signer) = signer else { return sign_itself(params, plan, carried, key, &own) };
    // An identifier that the authority's certificate does not have would lead nowhere.
    params.use_authority_key_identifier_extension = signer.key_identifier.is_some();
    let draft = certificate::draft(&params, key, &signer.key, signer.key_identifier.as_deref())?;
    let mut parts = certificate::parts(&draft)?;
    parts[SUBJECT] = subject(carried, parts[SUBJECT])?;
    parts[ISSUER] = signer.name()?;
    certificate::seal(&draft, &parts, &signer.key)
}

/// Names itself in full as who signed it, and for that its name has to be encoded first, which rcgen does in certificates
/// only.
fn sign_itself(
    mut params: CertificateParams,
    plan: &CertificatePlan,
    carried: &Carried,
    key: &KeyPair,
    identifier: &[u8],
) -> Result<Vec<u8>> {
    params.use_authority_key_identifier_extension = false;
    let nameless = certificate::draft(&params, key, key, None)?;
    let name = subject(carried, certificate::parts(&nameless)?[SUBJECT])?;
    let itself = full_identifier(identifier, name, &plan.serial).map_err(Error::internal)?;
    params.custom_extensions.push(CustomExtension::from_oid_content(AUTHORITY_KEY_IDENTIFIER, itself));
    let draft = certificate::draft(&params, key, key, None)?;
    let mut parts = certificate::parts(&draft)?;
    (parts[SUBJECT], parts[ISSUER]) = (name, name);
    certificate::seal(&draft, &parts, key)
}

fn subject<'a>(carried: &'a Carried, drafted: AnyRef<'a>) -> Result<AnyRef<'a>> {
    carried.subject.as_deref().map_or(Ok(drafted), |subject| AnyRef::from_der(subject).map_err(Error::internal))
}

/// RFC 5280, section 4.2.1.1: key, name and serial number. The number is positive and of full length by its plan.
fn full_identifier(key: &[u8], name: AnyRef<'_>, serial: &[u8]) -> der::Result<Vec<u8>> {
    let field = |number, constructed, content: &[u8]| {
        AnyRef::new(Tag::ContextSpecific { constructed, number: TagNumber(number) }, content)?.to_der()
    };
    const DIRECTORY_NAME: u32 = 4;
    let names = field(DIRECTORY_NAME, true, &name.to_der()?)?;
    let fields = [field(0, false, key)?, field(1, true, &names)?, field(2, false, serial)?].concat();
    AnyRef::new(Tag::Sequence, &fields)?.to_der()
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
