//! An authority's credential, opened for signing. It may have been made elsewhere and imported: with a
//! name that rcgen cannot express, without a root beside it, or with somebody else's key.

use der::Decode;
use der::asn1::AnyRef;
use rcgen::{KeyPair, PKCS_RSA_SHA256, PublicKeyData};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use zeroize::Zeroizing;

use super::{pem, reading};
use crate::domain::authority::Unfit;
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// Who signs.
pub(super) struct Signer {
    /// Its name, byte for byte as in its certificate.
    pub subject: Vec<u8>,
    /// `None`: its certificate does not say.
    pub key_identifier: Option<Vec<u8>>,
    pub key: Zeroizing<KeyPair>,
}

impl Signer {
    /// Of the first certificate.
    pub(super) fn open(material: &Material) -> Result<Self> {
        let der = pem::first_certificate(material.require("certificate")?.expose()).map_err(refuse)?;
        let own = reading::parse(&der).map_err(refuse)?;
        let key = key(material, &own)?;
        Ok(Self {
            subject: own.subject().as_raw().to_vec(),
            key_identifier: reading::subject_key_identifier(&own).map(<[u8]>::to_vec),
            key,
        })
    }

    pub(super) fn name(&self) -> Result<AnyRef<'_>> {
        AnyRef::from_der(&self.subject).map_err(|_| refuse("has a name that is not DER"))
    }

    /// Whether a signature is work for the pool.
    pub(super) fn is_slow(&self) -> bool {
        self.key.algorithm() == &PKCS_RSA_SHA256
    }
}

/// With those above it; wiped when dropped.
pub(super) struct Authority {
    pub signer: Signer,
    /// As it was given.
    pub certificate: SecretText,
    /// PEM of itself and the authorities above it, without the root.
    pub intermediates: String,
    /// `None`: an imported intermediate whose root was not given.
    pub root: Option<SecretText>,
}

impl Authority {
    pub(super) fn open(material: &Material) -> Result<Self> {
        let certificate = material.require("certificate")?.clone();
        let chain = pem::certificates(certificate.expose()).map_err(refuse)?;
        let signer = Signer::open(material)?;
        let (intermediates, last_root) = split(&chain)?;
        Ok(Self { signer, certificate, intermediates, root: material.get("ca").cloned().or(last_root) })
    }
}

/// Whether its key takes milliseconds to read. What does not parse is refused later.
pub(super) fn is_slow_to_open(material: &Material) -> bool {
    let first = material.get("certificate").and_then(|text| pem::first_certificate(text.expose()).ok());
    first
        .as_ref()
        .and_then(|der| reading::parse(der).ok())
        .is_some_and(|certificate| certificate.public_key().algorithm.algorithm == OID_PKCS1_RSAENCRYPTION)
}

/// Everything that decides how it signs.
pub(super) fn texts(material: &Material) -> [&str; 3] {
    ["certificate", "private_key", "ca"].map(|field| material.get(field).map_or("", SecretText::expose))
}

/// A certificate signed with a key that does not belong to the authority's certificate would verify nowhere.
fn key(material: &Material, own: &X509Certificate<'_>) -> Result<Zeroizing<KeyPair>> {
    let text = material.get("private_key").ok_or(Unfit::NoPrivateKey)?;
    let key = pem::private_key(text.expose())
        .and_then(|der| KeyPair::try_from(&*der).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| refuse("has a private key that cannot be read (it may be encrypted, or of a kind not known)"))?;
    if key.der_bytes() != own.public_key().subject_public_key.data.as_ref() {
        return Err(refuse("has a private key that does not belong to its certificate"));
    }
    Ok(key)
}

/// Those that callers must send, and the root, which they must have.
fn split(chain: &[CertificateDer<'_>]) -> Result<(String, Option<SecretText>)> {
    let (mut intermediates, mut root) = (String::new(), None);
    for der in chain {
        let text = pem::write(pem::CERTIFICATE, der);
        if reading::is_self_signed(&reading::parse(der).map_err(refuse)?) {
            root = Some(text);
        } else {
            intermediates.push_str(text.expose());
        }
    }
    Ok((intermediates, root))
}

pub(super) fn refuse(why: &'static str) -> Error {
    Error::invalid("ca", why)
}
