//! From a plan to a signed certificate with its chain.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
    SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

use super::authority::{Authority, Signer};
use super::{keys, pem};
use crate::domain::authority::{self, AlternativeName, CertificatePlan, ExtendedKeyUsage, KeyUsage, PublicKey, Role};
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

pub(super) fn make(plan: &CertificatePlan, authority: Option<&Authority>) -> Result<Material> {
    let key = keys::generate(plan.key)?;
    let private_key = pem::write(pem::PRIVATE_KEY, key.serialized_der());
    let params = params(plan, name(&plan.subject)?)?;
    let (certificate, root) = match authority {
        None => {
            let made = params.self_signed(&*key).map_err(Error::internal)?;
            let text = pem::write(pem::CERTIFICATE, made.der());
            (text.clone(), Some(text))
        }
        Some(authority) => chain(&params, &*key, authority)?,
    };
    let fields = [("certificate", certificate), ("private_key", private_key)];
    Ok(Material::texts(fields.into_iter().chain(root.map(|root| ("ca", root)))))
}

/// For a key whose private half is somebody else's.
pub(super) fn countersign(plan: &CertificatePlan, key: &PublicKey, authority: &Authority) -> Result<Material> {
    let key =
        SubjectPublicKeyInfo::from_der(&key.der).map_err(|_| Error::invalid("csr", "has a key of no known sort"))?;
    let (certificate, root) = chain(&params(plan, name(&plan.subject)?)?, &key, authority)?;
    Ok(Material::texts([("certificate", certificate)].into_iter().chain(root.map(|root| ("ca", root)))))
}

/// The certificate with those above it, and the root.
fn chain(
    params: &CertificateParams,
    key: &impl PublicKeyData,
    authority: &Authority,
) -> Result<(SecretText, Option<SecretText>)> {
    let leaf = pem::write(pem::CERTIFICATE, &issue(params, key, &authority.signer)?);
    Ok((SecretText::new([leaf.expose(), &authority.intermediates].concat()), authority.root.clone()))
}

/// rcgen writes an authority's name in its own words: it drops the first of two organizational units and
/// refuses other names altogether, and then no chain verifies. So it composes the certificate without
/// issuer and signature, and both are put in here, the name byte for byte.
fn issue(params: &CertificateParams, key: &impl PublicKeyData, signer: &Signer) -> Result<Vec<u8>> {
    let draft = draft(params, key, &signer.key, signer.key_identifier.as_deref())?;
    let mut parts = parts(&draft)?;
    parts[ISSUER] = signer.name()?;
    seal(&draft, &parts, &signer.key)
}

/// RFC 5280, section 4.1.
#[derive(Sequence)]
struct Signed<'a> {
    /// version, serial, algorithm, issuer, …
    body: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
}

pub(super) const ISSUER: usize = 3;
pub(super) const SUBJECT: usize = 5;

/// Composed by rcgen, without its issuer's name and not signed.
pub(super) fn draft(
    params: &CertificateParams,
    key: &impl PublicKeyData,
    signer: &KeyPair,
    key_identifier: Option<&[u8]>,
) -> Result<Vec<u8>> {
    let mut of_issuer = CertificateParams::default();
    of_issuer.distinguished_name = DistinguishedName::new();
    if let Some(id) = key_identifier {
        of_issuer.key_identifier_method = KeyIdMethod::PreSpecified(id.to_vec());
    }
    let issuer = Issuer::new(of_issuer, Unsigned(signer));
    Ok(params.signed_by(key, &issuer).map_err(Error::internal)?.der().to_vec())
}

/// What is signed, by its parts.
pub(super) fn parts(draft: &[u8]) -> Result<Vec<AnyRef<'_>>> {
    Signed::from_der(draft).and_then(|draft| draft.body.decode_as()).map_err(Error::internal)
}

/// Signs the parts, in the way that the draft says.
pub(super) fn seal(draft: &[u8], parts: &Vec<AnyRef<'_>>, key: &KeyPair) -> Result<Vec<u8>> {
    let Signed { algorithm, .. } = Signed::from_der(draft).map_err(Error::internal)?;
    let body = parts.to_der().map_err(Error::internal)?;
    let signature = key.sign(&body).map_err(Error::internal)?;
    let sealed = Signed {
        body: AnyRef::from_der(&body).map_err(Error::internal)?,
        algorithm,
        signature: BitStringRef::from_bytes(&signature).map_err(Error::internal)?,
    };
    sealed.to_der().map_err(Error::internal)
}

/// Stands for the authority's key while rcgen composes; signs nothing.
struct Unsigned<'a>(&'a KeyPair);

impl PublicKeyData for Unsigned<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for Unsigned<'_> {
    fn sign(&self, _body: &[u8]) -> std::result::Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

pub(super) fn params(plan: &CertificatePlan, subject: DistinguishedName) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.not_before = date(plan.not_before)?;
    params.not_after = date(plan.not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&plan.serial));
    params.distinguished_name = subject;
    params.subject_alt_names = plan.alternative_names.iter().map(alternative_name).collect::<Result<_>>()?;
    params.is_ca = match plan.role {
        // NoCa would leave out the subject key identifier too.
        Role::Leaf => IsCa::ExplicitNoCa,
        Role::Authority { path_length: None } => IsCa::Ca(BasicConstraints::Unconstrained),
        Role::Authority { path_length: Some(limit) } => IsCa::Ca(BasicConstraints::Constrained(limit)),
    };
    params.key_usages = plan.key_usages.iter().copied().map(key_usage).collect();
    for usage in &plan.extended_key_usages {
        params.insert_extended_key_usage(extended_key_usage(*usage));
    }
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Certificates know whole seconds; the fraction is cut off.
fn date(at: Timestamp) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(Error::internal)
}

/// From the country down to the common name. The country is a PrintableString, the rest UTF-8 (RFC 5280, appendix A).
fn name(subject: &authority::DistinguishedName) -> Result<DistinguishedName> {
    let mut name = DistinguishedName::new();
    if let Some(country) = &subject.country {
        let country = country.as_str().try_into().map_err(|_| Error::invalid("country", "must be two letters"))?;
        name.push(DnType::CountryName, DnValue::PrintableString(country));
    }
    let rest = [
        (DnType::StateOrProvinceName, &subject.state),
        (DnType::LocalityName, &subject.locality),
        (DnType::OrganizationName, &subject.organization),
        (DnType::OrganizationalUnitName, &subject.organizational_unit),
        (DnType::CommonName, &subject.common_name),
    ];
    for (attribute, value) in rest {
        if let Some(value) = value {
            name.push(attribute, value.as_str());
        }
    }
    Ok(name)
}

fn alternative_name(name: &AlternativeName) -> Result<SanType> {
    match name {
        AlternativeName::Ip(address) => Ok(SanType::IpAddress(*address)),
        AlternativeName::Dns(host) => host
            .as_str()
            .try_into()
            .map(SanType::DnsName)
            .map_err(|_| Error::invalid("alternativeNames", "has a name that is not ASCII")),
    }
}

fn key_usage(usage: KeyUsage) -> KeyUsagePurpose {
    match usage {
        KeyUsage::DigitalSignature => KeyUsagePurpose::DigitalSignature,
        KeyUsage::ContentCommitment => KeyUsagePurpose::ContentCommitment,
        KeyUsage::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
        KeyUsage::DataEncipherment => KeyUsagePurpose::DataEncipherment,
        KeyUsage::KeyAgreement => KeyUsagePurpose::KeyAgreement,
        KeyUsage::KeyCertSign => KeyUsagePurpose::KeyCertSign,
        KeyUsage::CrlSign => KeyUsagePurpose::CrlSign,
        KeyUsage::EncipherOnly => KeyUsagePurpose::EncipherOnly,
        KeyUsage::DecipherOnly => KeyUsagePurpose::DecipherOnly,
    }
}

fn extended_key_usage(usage: ExtendedKeyUsage) -> ExtendedKeyUsagePurpose {
    match usage {
        ExtendedKeyUsage::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsage::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsage::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
        ExtendedKeyUsage::EmailProtection => ExtendedKeyUsagePurpose::EmailProtection,
        ExtendedKeyUsage::TimeStamping => ExtendedKeyUsagePurpose::TimeStamping,
    }
}
