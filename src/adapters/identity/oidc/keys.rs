//! An issuer's public keys: what may verify with them, and how they are found. The key says which algorithm it is for; a
//! token that names another is not of that key.

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::token::Token;

/// More than any issuer has at a time.
const KEYS_MAX: usize = 64;
/// Bytes of a modulus of 2048 bits; shorter ones are refused by what verifies too.
const MODULUS_MIN: usize = 256;
const MODULUS_MAX: usize = 1024;
/// Of P-256, with the byte that says that both coordinates follow.
const POINT: usize = 65;

#[derive(Clone)]
struct Key {
    /// What a token must call it. `None` in a set: only tokens without a name are of it.
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    /// Tells it from any other key.
    material: Vec<u8>,
}

/// All keys of one issuer.
#[derive(Clone)]
pub struct Keys {
    all: Vec<Key>,
    /// A key that was given by hand has no name, and takes tokens of any.
    is_named: bool,
}

/// A key as a set lists it (RFC 7517). What else stands there, such as UAA's `value`, says the same again.
#[derive(Deserialize)]
struct Listed {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// Keys of other sorts are passed over: an issuer may have some for other verifiers.
    pub fn of_set(text: &[u8]) -> Result<Self, &'static str> {
        let set: Set = serde_json::from_slice(text).map_err(|_| "it is no set of keys")?;
        let listed = set.keys.into_iter().take(KEYS_MAX);
        let all: Vec<Key> = listed.filter_map(|key| Key::listed(serde_json::from_value(key).ok()?)).collect();
        if all.is_empty() {
            return Err("it lists no key for RS256 or ES256");
        }
        Ok(Self { all, is_named: true })
    }

    /// One public key in PEM.
    pub fn of_pem(text: &str) -> Result<Self, &'static str> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| "holds no public key in PEM")?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| "holds no public key that can be read")?;
        let key = match info.parsed() {
            Ok(PublicKey::RSA(rsa)) => Key::rsa(None, rsa.modulus, rsa.exponent),
            Ok(PublicKey::EC(point)) => Key::p256(None, point.data().to_vec()),
            _ => None,
        };
        let key = key.ok_or("holds a key that is neither RSA of 2048 bits or more nor P-256")?;
        Ok(Self { all: vec![key], is_named: false })
    }

    /// Whether one of them may have signed it.
    pub fn know(&self, token: &Token<'_>) -> bool {
        self.fitting(token).next().is_some()
    }

    pub fn verify(&self, token: &Token<'_>) -> bool {
        let signed = |key: &Key| {
            crypto::verify(token.signature, token.message.as_bytes(), &key.key, key.algorithm).unwrap_or(false)
        };
        self.fitting(token).any(signed)
    }

    fn fitting(&self, token: &Token<'_>) -> impl Iterator<Item = &Key> {
        let (algorithm, kid) = (token.algorithm, token.kid.clone());
        self.all.iter().filter(move |key| key.algorithm == algorithm && (!self.is_named || key.kid == kid))
    }
}

/// The same keys under the same names, in whatever order.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let has =
            |all: &[Key], key: &Key| all.iter().any(|known| known.kid == key.kid && known.material == key.material);
        self.all.len() == other.all.len()
            && self.all.iter().all(|key| has(&other.all, key))
            && other.all.iter().all(|key| has(&self.all, key))
    }
}

impl Key {
    fn listed(listed: Listed) -> Option<Self> {
        let is_for = |algorithm: &str| listed.alg.as_deref().is_none_or(|alg| alg == algorithm);
        if listed.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| decode(text.as_deref()?);
        match listed.kty.as_str() {
            "RSA" if is_for("RS256") => Self::rsa(listed.kid, &bytes(&listed.n)?, &bytes(&listed.e)?),
            "EC" if is_for("ES256") && listed.crv.as_deref() == Some("P-256") => {
                let point = [vec![4], bytes(&listed.x)?, bytes(&listed.y)?].concat();
                Self::p256(listed.kid, point)
            }
            _ => None,
        }
    }

    fn rsa(kid: Option<String>, modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let bare = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
        let (modulus, exponent) = (bare(modulus), bare(exponent));
        let fits = (MODULUS_MIN..=MODULUS_MAX).contains(&modulus.len()) && (1..=8).contains(&exponent.len());
        fits.then(|| Self {
            kid,
            algorithm: Algorithm::RS256,
            key: DecodingKey::from_rsa_raw_components(&modulus, &exponent),
            material: [modulus, exponent].concat(),
        })
    }

    fn p256(kid: Option<String>, point: Vec<u8>) -> Option<Self> {
        let fits = point.len() == POINT && point[0] == 4;
        fits.then(|| Self { kid, algorithm: Algorithm::ES256, key: DecodingKey::from_ec_der(&point), material: point })
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    // Some issuers pad what must not be padded.
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_verify_our_algorithms_are_taken() {
        let n = "sXch".repeat(90);
        let rsa = format!(r#"{{"kty":"RSA","kid":"r","n":"{n}","e":"AQAB","value":"pem"}}"#);
        let x = "A".repeat(43);
        let ec = format!(r#"{{"kty":"EC","kid":"e","alg":"ES256","use":"sig","crv":"P-256","x":"{x}","y":"{x}"}}"#);
        let set = |keys: &str| Keys::of_set(format!(r#"{{"keys":[{keys}]}}"#).as_bytes());
        assert_eq!(set(&format!("{rsa},{ec}")).unwrap().all.len(), 2);
        for other in [
            r#"{"kty":"oct","kid":"o","k":"c2VjcmV0","alg":"HS256"}"#.to_owned(),
            r#"{"kty":"MAC","kid":"m","value":"secret","alg":"HMACSHA256"}"#.to_owned(),
            rsa.replace(&n, "sXch"),
            rsa.replace(r#""kty":"RSA""#, r#""kty":"RSA","use":"enc""#),
            rsa.replace(r#""kty":"RSA""#, r#""kty":"RSA","alg":"RS512""#),
            ec.replace("P-256", "P-384"),
            ec.replace("ES256", "RS256"),
            ec.replace(&x, "AA"),
            "7".to_owned(),
        ] {
            assert!(set(&other).is_err(), "{other}");
            assert_eq!(set(&format!("{other},{rsa}")).unwrap().all.len(), 1, "{other}");
        }
        for text in ["", "[]", "{}", r#"{"keys":7}"#, "<html>"] {
            assert!(Keys::of_set(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_set_is_the_same_in_another_order_and_with_a_key_more_it_is_not() {
        let key = |kid: &str, first: &str| {
            format!(r#"{{"kty":"RSA","kid":"{kid}","n":"{first}{}","e":"AQAB"}}"#, "sXch".repeat(90))
        };
        let set = |keys: &[String]| Keys::of_set(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap();
        let (a, b) = (key("a", "AAAB"), key("b", "AAAC"));
        assert!(set(&[a.clone(), b.clone()]) == set(&[b.clone(), a.clone()]));
        assert!(set(std::slice::from_ref(&a)) != set(&[a.clone(), b.clone()]));
        assert!(set(&[a]) != set(&[key("a", "AAAC")]));
    }

    #[test]
    fn a_key_by_hand_is_a_public_one() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        assert!(Keys::of_pem(&pair.public_key_pem()).is_ok());
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        for text in ["", "no key", &pair.serialize_pem(), &p384.public_key_pem()] {
            assert!(Keys::of_pem(text).is_err(), "{text}");
        }
    }
}
