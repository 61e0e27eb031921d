//! What a certificate says. Reads certificates that others made, so nothing in them is taken for granted.

use aws_lc_rs::digest;
use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{BasicConstraints, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::pem;
use crate::domain::authority::{Facts, Role};

/// The first certificate of the text; the error says what is wrong with it.
pub(super) fn facts(text: &str) -> Result<Facts, &'static str> {
    let chain = pem::certificates(text)?;
    let certificate = parse(&chain[0])?;
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, &chain[0]).as_ref());
    Ok(Facts {
        not_before: timestamp(certificate.validity().not_before),
        not_after: timestamp(certificate.validity().not_after),
        role: role(&certificate)?,
        is_authority: is_authority(&certificate)?,
        serial: certificate.tbs_certificate.serial.to_bytes_be(),
        fingerprint,
    })
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, &'static str> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("has bytes after the certificate"),
        Err(_) => Err("is not an X.509 certificate"),
    }
}

/// RFC 5280's "no end", 99991231235959Z, lies a day behind the last Timestamp there is.
pub(super) fn timestamp(time: ASN1Time) -> Timestamp {
    let seconds = time.timestamp();
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// An authority by its basic constraints whose key usages, where it lists any, let it sign certificates.
fn role(certificate: &X509Certificate<'_>) -> Result<Role, &'static str> {
    let constraints = certificate.basic_constraints().map_err(|_| "has basicConstraints twice")?;
    let usage = certificate.key_usage().map_err(|_| "has keyUsage twice")?;
    let may_sign = usage.is_none_or(|usage| usage.value.key_cert_sign());
    Ok(match constraints.map(|extension| extension.value) {
        Some(BasicConstraints { ca: true, path_len_constraint }) if may_sign => {
            Role::Authority { path_length: path_len_constraint.map(|length| u8::try_from(length).unwrap_or(u8::MAX)) }
        }
        _ => Role::Leaf,
    })
}

/// By its basic constraints alone.
pub(super) fn is_authority(certificate: &X509Certificate<'_>) -> Result<bool, &'static str> {
    let constraints = certificate.basic_constraints().map_err(|_| "has basicConstraints twice")?;
    Ok(constraints.is_some_and(|extension| extension.value.ca))
}

pub(super) fn subject_key_identifier<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

/// A root, as opposed to one that an authority of the same name signed with another key.
pub(super) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    let signer = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    certificate.subject().as_raw() == certificate.issuer().as_raw()
        && signer.is_none_or(|signer| subject_key_identifier(certificate) == Some(signer))
}
