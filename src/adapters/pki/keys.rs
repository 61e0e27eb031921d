//! Key pairs: the table of algorithms, and the RSA and SSH credentials.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use der::asn1::{AnyRef, OctetStringRef, UintRef};
use der::{Decode, Sequence};
use rcgen::{KeyPair, PublicKeyData, RsaKeySize};
use rustls_pki_types::PrivatePkcs8KeyDer;
use ssh_key::public::{KeyData, RsaPublicKey};
use ssh_key::{Mpint, PublicKey};
use zeroize::Zeroizing;

use super::pem;
use crate::domain::authority::KeyAlgorithm;
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// `authorized_keys` has one key a line, and sshd reads lines up to 8 KiB.
const COMMENT_LIMIT: usize = 1024;

pub(super) fn is_rsa(algorithm: KeyAlgorithm) -> bool {
    matches!(algorithm, KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096)
}

pub(super) fn rsa_size(bits: u16) -> Result<RsaKeySize> {
    match bits {
        2048 => Ok(RsaKeySize::_2048),
        3072 => Ok(RsaKeySize::_3072),
        4096 => Ok(RsaKeySize::_4096),
        _ => Err(Error::invalid("keyLength", "must be 2048, 3072 or 4096")),
    }
}

/// A new key pair whose private half is wiped when dropped.
pub(super) fn generate(algorithm: KeyAlgorithm) -> Result<Zeroizing<KeyPair>> {
    let pair = match algorithm {
        KeyAlgorithm::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyAlgorithm::Ed25519 => return ed25519(),
        KeyAlgorithm::Rsa2048 => return rsa_pair(RsaKeySize::_2048),
        KeyAlgorithm::Rsa3072 => return rsa_pair(RsaKeySize::_3072),
        KeyAlgorithm::Rsa4096 => return rsa_pair(RsaKeySize::_4096),
    };
    pair.map(Zeroizing::new).map_err(Error::internal)
}

/// In version 1 of PKCS#8: rcgen's own generation writes version 2, which OpenSSL does not read.
fn ed25519() -> Result<Zeroizing<KeyPair>> {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(Error::internal)?;
    let der = PrivatePkcs8KeyDer::from(document.as_ref());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).map(Zeroizing::new).map_err(Error::internal)
}

fn rsa_pair(size: RsaKeySize) -> Result<Zeroizing<KeyPair>> {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).map(Zeroizing::new).map_err(Error::internal)
}

pub(super) fn rsa(size: RsaKeySize) -> Result<Material> {
    let pair = rsa_pair(size)?;
    Ok(Material::texts([
        ("public_key", pem::write(pem::PUBLIC_KEY, &pair.subject_public_key_info())),
        ("private_key", pkcs1(&pair)?),
    ]))
}

pub(super) fn ssh(size: RsaKeySize, comment: &str) -> Result<Material> {
    let pair = rsa_pair(size)?;
    Ok(Material::texts([("public_key", ssh_line(&pair, comment)?), ("private_key", pkcs1(&pair)?)]))
}

/// A line break would smuggle a second key into whichever `authorized_keys` the line is copied to.
pub(super) fn ssh_comment(comment: Option<&str>) -> Result<String> {
    let comment = comment.unwrap_or_default();
    if comment.len() > COMMENT_LIMIT {
        return Err(Error::invalid("sshComment", "is longer than 1024 bytes"));
    }
    if comment.chars().any(char::is_control) {
        return Err(Error::invalid("sshComment", "has a control character"));
    }
    Ok(comment.to_owned())
}

/// RFC 5208, as far as an RSA key needs it.
#[derive(Sequence)]
pub(super) struct PrivateKeyInfo<'a> {
    version: u8,
    pub(super) algorithm: AnyRef<'a>,
    pub(super) private_key: &'a OctetStringRef,
}

/// RFC 8017's RSAPublicKey.
#[derive(Sequence)]
pub(super) struct RsaNumbers<'a> {
    pub(super) modulus: UintRef<'a>,
    pub(super) exponent: UintRef<'a>,
}

impl RsaNumbers<'_> {
    pub(super) fn bits(&self) -> u32 {
        let bytes = self.modulus.as_bytes();
        let zeros = bytes.first().map_or(0, |first| first.leading_zeros());
        u32::try_from(8 * bytes.len()).unwrap_or(u32::MAX).saturating_sub(zeros)
    }
}

pub(super) fn pkcs1(pair: &KeyPair) -> Result<SecretText> {
    unwrapped(pair.serialized_der())
}

/// A key of PKCS#8 in PEM; whose it is, and that it is RSA, the caller knows.
pub(super) fn as_pkcs1(private_key: &SecretText) -> Result<SecretText> {
    let der = pem::private_key(private_key.expose());
    unwrapped(der.ok_or_else(|| Error::internal("a key that was made here cannot be read"))?.secret_der())
}

fn unwrapped(pkcs8: &[u8]) -> Result<SecretText> {
    let info = PrivateKeyInfo::from_der(pkcs8).map_err(Error::internal)?;
    Ok(pem::write(pem::RSA_PRIVATE_KEY, info.private_key.as_bytes()))
}

fn ssh_line(pair: &KeyPair, comment: &str) -> Result<SecretText> {
    let numbers = RsaNumbers::from_der(pair.der_bytes()).map_err(Error::internal)?;
    let number = |value: UintRef<'_>| Mpint::from_positive_bytes(value.as_bytes()).map_err(Error::internal);
    let key = RsaPublicKey { e: number(numbers.exponent)?, n: number(numbers.modulus)? };
    let line = PublicKey::new(KeyData::Rsa(key), comment).to_openssh().map_err(Error::internal)?;
    Ok(SecretText::new(line))
}
