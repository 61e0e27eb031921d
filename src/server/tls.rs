//! What a listener shows as its certificate, replaceable while connections run, and what it asks of
//! its callers' certificates.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, ServerConfig, SignatureScheme};

use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};
use crate::server::mutual_tls::{Authorities, Judged, Standing, roots};

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
    state: RwLock<State>,
}

struct State {
    shown: Arc<SingleCertAndKey>,
    authorities: Option<Arc<Authorities>>,
    /// Names of the authorities above certificates that Strongroom issued to callers.
    own: Vec<DistinguishedName>,
    config: Arc<ServerConfig>,
}

/// A list of names in a request for a certificate has less than 64 KiB (RFC 8446, 4.2.4).
const HINTS_BYTES: usize = 32 * 1024;

impl Tls {
    /// `chain` is PEM, leaf first.
    pub fn new(chain: &str, key: &SecretText, clients: ClientCertificates) -> Result<Self> {
        let (shown, own) = (certified(chain, key)?, Vec::new());
        let config = configure(shown.clone(), clients, None, &own)?;
        Ok(Self { clients, state: RwLock::new(State { shown, authorities: None, own, config }) })
    }

    /// New connections get this certificate; running ones are not disturbed. Nothing changes on an error.
    pub fn replace(&self, chain: &str, key: &SecretText) -> Result<()> {
        let shown = certified(chain, key)?;
        self.change(|state| state.shown = shown)
    }

    /// Certificates of these authorities name callers from now on, on running connections too.
    pub fn believe(&self, authorities: Authorities) -> Result<()> {
        self.change(|state| state.authorities = Some(Arc::new(authorities)))
    }

    /// Callers with certificates that are known by their fingerprint must hear that they may show them: `above` are the
    /// certificates above those, in PEM. They are named beside authorities that are believed, and not alone: without any names
    /// in the request everybody shows what it has.
    pub fn welcome(&self, above: &str) -> Result<()> {
        let own = if above.is_empty() { Vec::new() } else { roots(above)?.subjects() };
        if is_same(&self.read().own, &own) {
            return Ok(());
        }
        self.change(|state| state.own = own)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let (shown, authorities, own) = (state.shown.clone(), state.authorities.clone(), state.own.clone());
        let mut next = State { shown, authorities, own, config: state.config.clone() };
        change(&mut next);
        next.config = configure(next.shown.clone(), self.clients, next.authorities.clone(), &next.own)?;
        *state = next;
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn current(&self) -> Arc<ServerConfig> {
        self.read().config.clone()
    }

    fn authorities(&self) -> Option<Arc<Authorities>> {
        self.read().authorities.clone()
    }
}

/// The certificates that a connection's caller has shown, and what they come to.
pub struct Shown {
    tls: Arc<Tls>,
    chain: Vec<CertificateDer<'static>>,
    /// By whom it was judged.
    judged: Mutex<Option<(Arc<Authorities>, Option<Judged>)>>,
}

impl Shown {
    pub(super) fn new(tls: &Arc<Tls>, chain: &[CertificateDer<'_>]) -> Self {
        let chain = chain.iter().map(|part| part.clone().into_owned()).collect();
        Self { tls: tls.clone(), chain, judged: Mutex::default() }
    }

    /// Once for each connection, and again when other authorities are believed. `None`: they know nothing of it.
    pub fn judged(&self) -> Option<Judged> {
        let authorities = self.tls.authorities()?;
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((by, judged)) = judged.as_ref()
            && Arc::ptr_eq(by, &authorities)
        {
            return judged.clone();
        }
        let found = authorities.judge(&self.chain, UnixTime::now());
        *judged = Some((authorities, found.clone()));
        found
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} certificates", self.chain.len())
    }
}

fn certified(chain: &str, key: &SecretText) -> Result<Arc<SingleCertAndKey>> {
    let refuse = |part: &'static str| move |error: &dyn fmt::Display| Error::invalid(part, error.to_string());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refuse("tls-cert")(&error))?;
    if chain.is_empty() {
        return Err(Error::invalid("tls-cert", "holds no certificate in PEM"));
    }
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| Error::invalid("tls-key", "holds no private key in PEM"))?;
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    Ok(Arc::new(certified.map_err(|error| refuse("tls-cert, tls-key")(&error))?.into()))
}

/// A session is resumed only under the configuration that began it, because its memory goes with the
/// configuration; rustls keeps the caller's certificate in that memory, so a resumed connection has the
/// identity that was proven at its beginning. Early data stays off: it could be replayed.
fn configure(
    shown: Arc<SingleCertAndKey>,
    clients: ClientCertificates,
    authorities: Option<Arc<Authorities>>,
    own: &[DistinguishedName],
) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = match clients {
        ClientCertificates::Accepted => {
            Arc::new(Possession { provider: provider.clone(), hints: hints(authorities.as_deref(), own), authorities })
                as Arc<dyn ClientCertVerifier>
        }
        ClientCertificates::Ignored => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(Error::internal)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_KEPT);
    Ok(Arc::new(config))
}

/// Whose certificates callers may show. Go's and Java's clients show nothing to a server that names others: so those of
/// strangers stay at home, and whoever has one of Strongroom's must find its authority here.
fn hints(authorities: Option<&Authorities>, own: &[DistinguishedName]) -> Vec<DistinguishedName> {
    let Some(authorities) = authorities else { return Vec::new() };
    let (mut hints, mut bytes) = (Vec::new(), 0);
    for name in authorities.subjects().into_iter().chain(own.iter().cloned()) {
        if hints.iter().any(|known: &DistinguishedName| known.as_ref() == name.as_ref()) {
            continue;
        }
        bytes += name.as_ref().len() + 2;
        if bytes > HINTS_BYTES {
            tracing::warn!("too many authorities to name them all to callers; some may not show their certificate");
            break;
        }
        hints.push(name);
    }
    hints
}

fn is_same(some: &[DistinguishedName], others: &[DistinguishedName]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(name, other)| name.as_ref() == other.as_ref())
}

/// Checks that a caller holds the private key of the certificate that it shows, and refuses one that a believed authority
/// has signed and whose time is over: whoever has it is to get another, and is told so in TLS already. Nothing else.
///
/// Of certificates that Strongroom issued this is enough, because nothing in the certificate is believed: the identity is looked up by the SHA-256 of the
/// whole certificate among those that Strongroom issued and stored, with their time and state
/// (`Callers::authenticate_certificate`). Whoever makes a certificate with the same names makes another
/// fingerprint; whoever copies one cannot sign the handshake. Chains add nothing to that, and a list of
/// roots would have to follow every CertificateAuthority of every namespace. Whether a certificate names somebody because of
/// who signed it is asked at each request (`Shown::judged`), where it can be answered in words.
#[derive(Debug)]
struct Possession {
    provider: Arc<CryptoProvider>,
    authorities: Option<Arc<Authorities>>,
    hints: Vec<DistinguishedName>,
}

/// Others than rustls' own words for it: clients know this one as `certificate_unknown`, which is what CredHub says.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is not of this time")]
struct Untimely;

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None, unless authorities are believed: our own are not for everybody to see.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            let chain: Vec<CertificateDer<'_>> = std::iter::once(leaf).chain(above).cloned().collect();
            if authorities.standing(&chain, now) == Standing::Untimely {
                return Err(CertificateError::Other(OtherError(Arc::new(Untimely))).into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
