//! Certificates of authorities that others run and that are believed: whether one chains to them, and whom it names.
//! Knows nothing of the certificates that Strongroom issued and stored.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{DistinguishedName, RootCertStore};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATIONAL_UNIT};
use x509_parser::prelude::FromDer;

use crate::domain::subject::{Attribute, Pattern, Subject};
use crate::domain::{Error, Result};

/// Whose certificates are believed, and which of them name a caller.
#[derive(Debug)]
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// The first that fits counts.
    patterns: Vec<Pattern>,
    provider: Arc<CryptoProvider>,
}

/// What a certificate comes to that chains to one of the authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Until its end.
    Named(String, Timestamp),
    Flawed(Flaw),
}

/// Why such a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not for showing who calls.
    Purpose,
    /// Its subject fits no pattern.
    Subject,
}

/// Where in its life a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Sound,
    /// It would be sound at another time.
    Untimely,
    /// Of none of the authorities.
    Foreign,
}

/// What a chain is built for is looked at afterwards: a certificate that must not be shown is told so in words.
struct Anything;

impl ExtendedKeyUsageValidator for Anything {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        for purpose in purposes {
            purpose?;
        }
        Ok(())
    }
}

impl Authorities {
    /// `bundle` is PEM. The error says what is wrong with it.
    pub fn new(bundle: &str, patterns: Vec<Pattern>) -> Result<Self> {
        let roots = roots(bundle)?;
        Ok(Self { anchors: roots.roots, patterns, provider: Arc::new(aws_lc_rs::default_provider()) })
    }

    /// What callers are told, so that those with other certificates do not show them.
    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        RootCertStore { roots: self.anchors.clone() }.subjects()
    }

    /// `None`: of none of the authorities. The caller has shown to hold the key; `chain` has its certificate first.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<Judged> {
        if self.standing(chain, now) != Standing::Sound {
            return None;
        }
        let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
        // Whoever signs servers' certificates does not mean them to call; no word about it is not enough.
        let is_for_clients =
            certificate.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.client_auth);
        if !is_for_clients {
            return Some(Judged::Flawed(Flaw::Purpose));
        }
        let subject = subject(&certificate);
        let name = self.patterns.iter().find_map(|pattern| pattern.actor(&subject));
        let end = Timestamp::from_second(certificate.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX);
        Some(name.map_or(Judged::Flawed(Flaw::Subject), |name| Judged::Named(name, end)))
    }

    pub(super) fn standing(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Standing {
        match self.verify(chain, now) {
            Ok(()) => Standing::Sound,
            Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
                // Said before the issuer was looked at: a stranger's certificate may be old as well.
                let was_sound = own_times(chain).into_iter().any(|time| self.verify(chain, time).is_ok());
                if was_sound { Standing::Untimely } else { Standing::Foreign }
            }
            Err(_) => Standing::Foreign,
        }
    }

    fn verify(&self, chain: &[CertificateDer<'_>], time: UnixTime) -> Result<(), webpki::Error> {
        let (leaf, above) = chain.split_first().ok_or(webpki::Error::BadDer)?;
        let leaf = EndEntityCert::try_from(leaf)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        leaf.verify_for_usage(algorithms, &self.anchors, above, time, Anything, None, None).map(|_| ())
    }
}

/// When the first certificate begins and ends.
fn own_times(chain: &[CertificateDer<'_>]) -> Vec<UnixTime> {
    let Some((_, certificate)) = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok()) else {
        return Vec::new();
    };
    let validity = certificate.validity();
    let times = [validity.not_after, validity.not_before].into_iter().map(|time| u64::try_from(time.timestamp()));
    times.flatten().map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds))).collect()
}

fn subject(certificate: &X509Certificate<'_>) -> Subject {
    let known = |oid: &x509_parser::der_parser::oid::Oid<'_>| {
        let is = |other: &x509_parser::der_parser::oid::Oid<'_>| oid == other;
        if is(&OID_X509_ORGANIZATIONAL_UNIT) {
            Some(Attribute::OrganizationalUnit)
        } else {
            is(&OID_X509_COMMON_NAME).then_some(Attribute::CommonName)
        }
    };
    let parts = certificate.subject().iter_rdn().map(|part| {
        // What cannot be read is empty and not away: a later part must not take its place.
        let said = part
            .iter()
            .filter_map(|said| Some((known(said.attr_type())?, said.as_str().unwrap_or_default().to_owned())));
        said.collect()
    });
    Subject(parts.collect())
}

/// Every certificate of a bundle in PEM, as one that is believed.
pub(super) fn roots(bundle: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        let certificate = certificate.map_err(|_| Error::invalid("caFile", "is not well-formed PEM"))?;
        roots.add(certificate).map_err(|error| Error::invalid("caFile", error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(Error::invalid("caFile", "holds no certificate in PEM"));
    }
    Ok(roots)
}
