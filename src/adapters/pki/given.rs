//! Certificates and keys that callers bring: whether they are what they are said to be. How long they are valid is theirs
//! to know.

use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Decode, Sequence};
use rustls_pki_types::PrivateKeyDer;
use x509_parser::certificate::X509Certificate;

use super::keys::{PrivateKeyInfo, RsaNumbers};
use super::{inspection, pem, reading};
use crate::domain::authority::Inspection;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// In the order in which the first that is wrong is named.
pub(super) fn check(
    certificate: &SecretText,
    ca: Option<&SecretText>,
    private_key: Option<&SecretText>,
) -> Result<Inspection> {
    let refuse = |why| Error::invalid("certificate", why);
    let der = pem::first_certificate(certificate.expose()).map_err(refuse)?;
    let own = reading::parse(&der).map_err(refuse)?;
    let found = inspection::inspect_parsed(&own).map_err(refuse)?;
    if let Some(ca) = ca {
        check_ca(&own, certificate, ca)?;
    }
    if let Some(key) = private_key {
        check_key(&own, key)?;
    }
    Ok(found)
}

/// The key alone is looked at, as CredHub does: names were written differently there over the years.
fn check_ca(own: &X509Certificate<'_>, certificate: &SecretText, ca: &SecretText) -> Result<()> {
    let refuse = |why| Error::invalid("ca", why);
    let der = pem::first_certificate(ca.expose()).map_err(refuse)?;
    let authority = reading::parse(&der).map_err(refuse)?;
    if own.verify_signature(Some(authority.public_key())).is_err() {
        return Err(Error::invalid("certificate", "was not signed by the authority in ca"));
    }
    if certificate != ca && !reading::is_authority(&authority).map_err(refuse)? {
        return Err(refuse("is a certificate that may not sign others: it has no CA:TRUE"));
    }
    Ok(())
}

fn check_key(own: &X509Certificate<'_>, text: &SecretText) -> Result<()> {
    let refuse = |why| Error::invalid("private_key", why);
    let key =
        pem::private_key(text.expose()).ok_or_else(|| refuse("must be PKCS#1 or PKCS#8 in PEM, and not encrypted"))?;
    let key = numbers(&key).ok_or_else(|| refuse("is not an RSA key"))?;
    if inspection::rsa(own.public_key()).is_some_and(|it| it.modulus == key.modulus && it.exponent == key.exponent) {
        return Ok(());
    }
    Err(refuse("does not belong to the certificate"))
}

/// RFC 8017's RSAPrivateKey, with two primes.
#[derive(Sequence)]
struct RsaPrivateNumbers<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime1: UintRef<'a>,
    prime2: UintRef<'a>,
    exponent1: UintRef<'a>,
    exponent2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

/// The public half of an RSA key of any size. `None`: it is another sort of key.
pub(super) fn numbers<'a>(key: &'a PrivateKeyDer<'_>) -> Option<RsaNumbers<'a>> {
    let pkcs1 = match key {
        PrivateKeyDer::Pkcs1(der) => der.secret_pkcs1_der(),
        PrivateKeyDer::Pkcs8(der) => {
            let info = PrivateKeyInfo::from_der(der.secret_pkcs8_der()).ok()?;
            is_rsa(info.algorithm).then_some(info.private_key.as_bytes())?
        }
        _ => return None,
    };
    let key = RsaPrivateNumbers::from_der(pkcs1).ok()?;
    Some(RsaNumbers { modulus: key.modulus, exponent: key.public_exponent })
}

fn is_rsa(algorithm: AnyRef<'_>) -> bool {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    let parts: der::Result<Vec<AnyRef<'_>>> = algorithm.decode_as();
    parts.ok().and_then(|parts| parts.first()?.decode_as().ok()).is_some_and(|oid: ObjectIdentifier| oid == RSA)
}
