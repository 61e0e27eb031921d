//! What public keys tell of themselves: fingerprint, size, comment. Whoever set them wrote what they liked, so everything
//! may be missing.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use ssh_key::PrivateKey;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{given, inspection, pem};
use crate::app::ports::SshLine;

/// `<algorithm> <base64> [comment]`, as in `authorized_keys` without options.
pub(super) fn ssh_line(line: &str) -> Option<SshLine> {
    let mut words = line.trim().splitn(3, ' ');
    let (algorithm, blob) = (words.next()?, STANDARD.decode(words.next()?).ok()?);
    let mut rest = blob.as_slice();
    if take(&mut rest)? != algorithm.as_bytes() {
        return None;
    }
    let bits = if algorithm == "ssh-rsa" { rsa_blob_bits(rest) } else { None };
    Some(SshLine {
        fingerprint: STANDARD_NO_PAD.encode(digest(&SHA256, &blob)),
        bits,
        comment: words.next().map(str::trim).filter(|comment| !comment.is_empty()).map(str::to_owned),
    })
}

/// RFC 4251, section 5: a length in four bytes, and as many bytes.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (taken, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(taken)
}

/// Exponent, then modulus (RFC 4253, section 6.6).
fn rsa_blob_bits(mut rest: &[u8]) -> Option<u32> {
    take(&mut rest)?;
    modulus_bits(take(&mut rest)?)
}

fn modulus_bits(bytes: &[u8]) -> Option<u32> {
    let first = bytes.iter().position(|byte| *byte != 0)?;
    let modulus = &bytes[first..];
    Some(u32::try_from(8 * modulus.len()).ok()? - modulus[0].leading_zeros())
}

/// Of an RSA key in any form that is read here: an SSH line, or PEM of either half, not encrypted.
pub(super) fn key_bits(text: &str) -> Option<u32> {
    if let Some(line) = ssh_line(text) {
        return line.bits;
    }
    if let Some(key) = pem::private_key(text) {
        return given::numbers(&key).map(|key| key.bits());
    }
    if text.len() > pem::TEXT_LIMIT {
        return None;
    }
    if let Ok(der) = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()) {
        let (_, key) = SubjectPublicKeyInfo::from_der(&der).ok()?;
        return inspection::rsa(&key).map(|key| key.bits());
    }
    openssh_bits(text)
}

/// The public half stands in the clear, also of one that is encrypted.
fn openssh_bits(text: &str) -> Option<u32> {
    let key = PrivateKey::from_openssh(text).ok()?;
    modulus_bits(key.public_key().key_data().rsa()?.n.as_positive_bytes()?)
}
