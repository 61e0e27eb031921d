//! PEM (RFC 7468), written without leaving copies of a private key behind, and read within limits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::{Error, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::domain::secret::SecretText;

pub(super) const CERTIFICATE: &str = "CERTIFICATE";
pub(super) const PRIVATE_KEY: &str = "PRIVATE KEY";
pub(super) const RSA_PRIVATE_KEY: &str = "RSA PRIVATE KEY";
pub(super) const PUBLIC_KEY: &str = "PUBLIC KEY";

/// Far more than any chain or key needs, and little enough to parse while others wait.
pub(super) const TEXT_LIMIT: usize = 64 * 1024;
const LINE: usize = 64;

/// The text is allocated once: a growing one would leave parts of a key in freed memory.
pub(super) fn write(label: &str, der: &[u8]) -> SecretText {
    let body = Zeroizing::new(STANDARD.encode(der));
    let frame = 2 * ("-----BEGIN -----\n".len() + label.len());
    let mut text = String::with_capacity(frame + body.len() + body.len() / LINE + 1);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.extend([line, "\n"]);
        rest = after;
    }
    text.extend(["-----END ", label, "-----\n"]);
    SecretText::new(text)
}

/// At least one. Sections of other sorts are passed over.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    if text.len() > TEXT_LIMIT {
        return Err("is larger than 64 KiB");
    }
    let found: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| "is not well-formed PEM")?;
    if found.is_empty() { Err("holds no PEM certificate") } else { Ok(found) }
}

/// What follows the first is not looked at: others keep their notes there.
pub(super) fn first_certificate(text: &str) -> Result<CertificateDer<'static>, &'static str> {
    if text.len() > TEXT_LIMIT {
        return Err("is larger than 64 KiB");
    }
    match CertificateDer::from_pem_slice(text.as_bytes()) {
        Ok(der) => Ok(der),
        Err(Error::NoItemsFound) => Err("holds no PEM certificate"),
        Err(_) => Err("is not well-formed PEM"),
    }
}

/// Whether the first is all there is.
pub(super) fn is_alone(text: &str) -> bool {
    text.len() <= TEXT_LIMIT && CertificateDer::pem_slice_iter(text.as_bytes()).filter(Result::is_ok).count() == 1
}

/// PKCS#8, PKCS#1 or SEC1, not encrypted.
pub(super) fn private_key(text: &str) -> Option<Zeroizing<PrivateKeyDer<'static>>> {
    let within = text.len() <= TEXT_LIMIT;
    within.then(|| PrivateKeyDer::from_pem_slice(text.as_bytes()).ok().map(Zeroizing::new)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_whatever_its_length() {
        for length in [1, 47, 48, 49, 96, 1000] {
            let der = vec![length as u8; length];
            let text = write(CERTIFICATE, &der);
            assert_eq!(certificates(text.expose()).unwrap()[0].as_ref(), der);
            assert!(text.expose().lines().all(|line| line.len() <= LINE && !line.is_empty()));
        }
    }

    #[test]
    fn the_limit_is_on_the_text() {
        let text = write(CERTIFICATE, &[0; 40]).expose().to_owned();
        let padding = "\n".repeat(TEXT_LIMIT - text.len());
        assert!(certificates(&format!("{padding}{text}")).is_ok());
        assert_eq!(certificates(&format!("{padding}\n{text}")), Err("is larger than 64 KiB"));
    }
}
