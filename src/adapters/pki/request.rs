//! Reads certificate signing requests (PKCS#10): what strangers wrote, so everything that is not understood is refused,
//! and what is understood and not granted goes no further.

use std::net::IpAddr;

use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{BasicConstraints, GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA1WITHRSA,
    OID_SHA1_WITH_RSA, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::domain::authority::{AlternativeName, KeyAlgorithm, PublicKey, SigningRequest};

/// A request is a page; this one may name a hundred hosts under the largest key.
const LIMIT: usize = 32 * 1024;
/// Below it, signatures by padding alone were forged.
const EXPONENT_MIN: u64 = 65_537;

type Read<T> = Result<T, String>;

/// The error says what is wrong with it.
pub(super) fn read(text: &str) -> Read<SigningRequest> {
    if text.len() > LIMIT {
        return refuse("is larger than 32 KiB");
    }
    let Ok(der) = CertificateSigningRequestDer::from_pem_slice(text.as_bytes()) else {
        return refuse("is not a certificate signing request in PEM");
    };
    let Ok(([], request)) = X509CertificationRequest::from_der(&der) else {
        return refuse("is not a PKCS#10 certificate signing request");
    };
    // The key first: a signature of a weak one proves nothing, and its algorithm is the verifier's to choose.
    let key = key(&request.certification_request_info.subject_pki)?;
    verify(&request)?;
    Ok(SigningRequest { common_name: common_name(&request)?, alternative_names: alternative_names(&request)?, key })
}

fn refuse<T>(why: impl Into<String>) -> Read<T> {
    Err(why.into())
}

/// Who sends it holds the private key: a certificate for somebody else's key would let them answer for it.
fn verify(request: &X509CertificationRequest<'_>) -> Read<()> {
    let algorithm = &request.signature_algorithm.algorithm;
    if *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA {
        return refuse("is signed with SHA-1");
    }
    request.verify_signature().or_else(|_| refuse("is not signed by its own key, or in a way that is not known"))
}

fn key(info: &SubjectPublicKeyInfo<'_>) -> Read<PublicKey> {
    Ok(PublicKey { algorithm: algorithm(info)?, der: info.raw.to_vec() })
}

/// The sizes and curves that keys are made of here.
fn algorithm(info: &SubjectPublicKeyInfo<'_>) -> Read<KeyAlgorithm> {
    let unknown = || refuse("has a key that is none of RSA 2048, 3072 and 4096, P-256, P-384 and Ed25519");
    let oid = &info.algorithm.algorithm;
    if *oid == OID_SIG_ED25519 {
        return Ok(KeyAlgorithm::Ed25519);
    }
    match info.parsed() {
        Ok(public_key::PublicKey::RSA(rsa)) if *oid == OID_PKCS1_RSAENCRYPTION => {
            if !rsa.try_exponent().is_ok_and(|exponent| exponent >= EXPONENT_MIN) {
                return refuse("has an RSA key with an exponent below 65537 or without end");
            }
            match rsa.key_size() {
                2048 => Ok(KeyAlgorithm::Rsa2048),
                3072 => Ok(KeyAlgorithm::Rsa3072),
                4096 => Ok(KeyAlgorithm::Rsa4096),
                _ => unknown(),
            }
        }
        Ok(public_key::PublicKey::EC(_)) if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            match curve {
                Some(curve) if curve == OID_EC_P256 => Ok(KeyAlgorithm::EcdsaP256),
                Some(curve) if curve == OID_NIST_EC_P384 => Ok(KeyAlgorithm::EcdsaP384),
                _ => unknown(),
            }
        }
        _ => unknown(),
    }
}

/// Nothing else of the subject counts: nobody here can say whether an organization is the caller's.
fn common_name(request: &X509CertificationRequest<'_>) -> Read<String> {
    let mut names = request.certification_request_info.subject.iter_common_name();
    match (names.next().map(|name| name.as_str()), names.next()) {
        (Some(Ok(name)), None) => Ok(name.to_owned()),
        (Some(Err(_)), None) => refuse("has a common name that is no text"),
        (None, _) => refuse("has no common name"),
        (Some(_), Some(_)) => refuse("has more than one common name"),
    }
}

fn alternative_names(request: &X509CertificationRequest<'_>) -> Read<Vec<AlternativeName>> {
    let mut names = Vec::new();
    for attribute in request.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() else {
            continue; // A challenge password, or what some tools say of themselves: nothing to grant.
        };
        for extension in &asked.extensions {
            names.extend(granted(extension)?);
        }
    }
    Ok(names)
}

/// Usages and identifiers are the authority's to give, so what is asked of them is passed over. What cannot be given at
/// all is refused: a certificate without it would not be what its maker wanted.
fn granted(extension: &X509Extension<'_>) -> Read<Vec<AlternativeName>> {
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.iter().map(name).collect(),
        ParsedExtension::BasicConstraints(BasicConstraints { ca: true, .. }) => {
            refuse("asks for a certificate authority")
        }
        ParsedExtension::BasicConstraints(_)
        | ParsedExtension::KeyUsage(_)
        | ParsedExtension::ExtendedKeyUsage(_)
        | ParsedExtension::SubjectKeyIdentifier(_) => Ok(Vec::new()),
        _ => refuse(format!("asks for the extension {}, which is not given", extension.oid)),
    }
}

fn name(name: &GeneralName<'_>) -> Read<AlternativeName> {
    match name {
        GeneralName::DNSName(host) => match AlternativeName::parse(host) {
            Some(name @ AlternativeName::Dns(_)) => Ok(name),
            _ => refuse("has an alternative name that is no host name (international ones need their xn-- form)"),
        },
        GeneralName::IPAddress(bytes) => address(bytes).map(AlternativeName::Ip),
        _ => refuse("has an alternative name that is neither a host name nor an IP address"),
    }
}

fn address(bytes: &[u8]) -> Read<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).or_else(|_| refuse("has a malformed IP address"))
}
