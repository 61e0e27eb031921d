//! What a listener shows as its certificate, replaceable while connections run, and what it asks of
//! its callers' certificates.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// Sessions remembered for resumption, as many as a busy listener has callers.
const SESSIONS_KEPT: usize = 4096;

/// Whether callers may show a certificate of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Asked for, not required.
    Accepted,
    /// Never asked for.
    Ignored,
}

pub struct Tls {
    clients: ClientCertificates,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// `chain` is PEM, leaf first.
    pub fn new(chain: &str, key: &SecretText, clients: ClientCertificates) -> Result<Self> {
        Ok(Self { clients, config: RwLock::new(configure(chain, key, clients)?) })
    }

    /// New connections get this certificate; running ones are not disturbed. Nothing changes on an error.
    pub fn replace(&self, chain: &str, key: &SecretText) -> Result<()> {
        let config = configure(chain, key, self.clients)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub fn current(&self) -> Arc<ServerConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A session is resumed only under the configuration that began it, because its memory goes with the
/// configuration; rustls keeps the caller's certificate in that memory, so a resumed connection has the
/// identity that was proven at its beginning. Early data stays off: it could be replayed.
fn configure(chain: &str, key: &SecretText, clients: ClientCertificates) -> Result<Arc<ServerConfig>> {
    let refuse = |part: &'static str| move |error: &dyn fmt::Display| Error::invalid(part, error.to_string());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refuse("tls-cert")(&error))?;
    if chain.is_empty() {
        return Err(Error::invalid("tls-cert", "holds no certificate in PEM"));
    }
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| Error::invalid("tls-key", "holds no private key in PEM"))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = match clients {
        ClientCertificates::Accepted => Arc::new(Possession(provider.clone())) as Arc<dyn ClientCertVerifier>,
        ClientCertificates::Ignored => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(Error::internal)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| refuse("tls-cert, tls-key")(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_KEPT);
    Ok(Arc::new(config))
}

/// Checks that a caller holds the private key of the certificate that it shows, and nothing else.
///
/// Sound because nothing in the certificate is believed: the identity is looked up by the SHA-256 of the
/// whole certificate among those that Strongroom issued and stored, with their time and state
/// (`Callers::authenticate_certificate`). Whoever makes a certificate with the same names makes another
/// fingerprint; whoever copies one cannot sign the handshake. Chains add nothing to that, and a list of
/// roots would have to follow every CertificateAuthority of every namespace.
#[derive(Debug)]
struct Possession(Arc<CryptoProvider>);

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: the authorities are not for everybody to see.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
