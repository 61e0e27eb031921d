//! The root certificates by which servers are known that others run.

use reqwest::Certificate;

use crate::domain::{Error, Result};

/// The system's, or `SSL_CERT_FILE`; where there are none, as in our own image, Mozilla's as they were when this was
/// built.
pub fn certificates() -> Result<Vec<Certificate>> {
    let system = rustls_native_certs::load_native_certs().certs;
    let built_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
    let certificates = if system.is_empty() { built_in } else { &system };
    certificates.iter().map(|der| Certificate::from_der(der)).collect::<Result<_, _>>().map_err(Error::internal)
}
