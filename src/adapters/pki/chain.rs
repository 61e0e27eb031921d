//! Certificates in the order in which they signed one another, whatever order their texts came in.

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;

use super::{pem, reading};
use crate::app::ports::Chain;
use crate::domain::secret::SecretText;

/// No real chain is longer; each step tries the signatures of all that are left.
const LIMIT: usize = 16;

/// From the first certificate of the text upwards. What holds no certificates among the others is passed over.
pub(super) fn climb(certificate: &SecretText, others: &[&SecretText]) -> Result<Chain, &'static str> {
    let mut left: Vec<CertificateDer<'static>> =
        others.iter().filter_map(|text| pem::certificates(text.expose()).ok()).flatten().collect();
    let mut own = pem::first_certificate(certificate.expose())?;
    let mut chain = Chain { certificates: Vec::new(), is_whole: false };
    loop {
        chain.certificates.push(pem::write(pem::CERTIFICATE, &own));
        let parsed = reading::parse(&own)?;
        if signs(&parsed, &parsed) {
            chain.is_whole = true;
            return Ok(chain);
        }
        let next = left.iter().position(|der| reading::parse(der).is_ok_and(|other| signs(&other, &parsed)));
        match next.filter(|_| chain.certificates.len() < LIMIT) {
            // Each is used once: authorities that signed each other end too.
            Some(at) => own = left.remove(at),
            None => return Ok(chain),
        }
    }
}

/// By name and key: a verifier looks for both.
fn signs(authority: &X509Certificate<'_>, signed: &X509Certificate<'_>) -> bool {
    authority.subject().as_raw() == signed.issuer().as_raw()
        && signed.verify_signature(Some(authority.public_key())).is_ok()
}
