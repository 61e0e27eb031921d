//! JSON Web Tokens and the keys that verify them, with jsonwebtoken. What a token says is decided elsewhere.

use std::sync::Arc;

use der::Decode;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use rustls_pki_types::PrivateKeyDer;

use super::held::Held;
use super::keys::PrivateKeyInfo;
use super::pem;
use crate::domain::secret::SecretText;
use crate::domain::token::{Claims, VerificationKey};
use crate::domain::{Error, Result};

/// RSA keys below 2048 bits are refused: so many characters has a modulus of that size.
const MODULUS_MIN: usize = 342;

/// A private key that is ready to sign; wiped when dropped. To find its public half takes as long as several signatures,
/// and anybody may ask for that.
struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    public: VerificationKey,
}

#[derive(Default)]
pub(super) struct Signers(Held<Signer>);

impl Signers {
    pub(super) fn public(&self, key: &SecretText) -> Result<VerificationKey> {
        Ok(self.open(key)?.public.clone())
    }

    pub(super) fn sign(&self, key: &SecretText, kid: &str, claims: &Claims<'_>) -> Result<SecretText> {
        let signer = self.open(key)?;
        let mut header = Header::new(signer.algorithm);
        header.kid = Some(kid.to_owned());
        encode(&header, claims, &signer.key).map(SecretText::new).map_err(Error::internal)
    }

    fn open(&self, key: &SecretText) -> Result<Arc<Signer>> {
        self.0.get_or_open(&[key.expose()], || {
            open(key).ok_or_else(|| {
                Error::invalid("key", "must be RSA of 2048 bits or more, or P-256 in PKCS#8, in PEM and not encrypted")
            })
        })
    }
}

fn open(text: &SecretText) -> Option<Signer> {
    let der = pem::private_key(text.expose())?;
    let (algorithm, key) = match &*der {
        PrivateKeyDer::Pkcs1(rsa) => (Algorithm::RS256, EncodingKey::from_rsa_der(rsa.secret_pkcs1_der())),
        PrivateKeyDer::Pkcs8(any) => {
            let pair = zeroize::Zeroizing::new(KeyPair::try_from(&*der).ok()?);
            if pair.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256 {
                (Algorithm::ES256, EncodingKey::from_ec_der(any.secret_pkcs8_der()))
            } else if pair.algorithm() == &rcgen::PKCS_RSA_SHA256 {
                let info = PrivateKeyInfo::from_der(any.secret_pkcs8_der()).ok()?;
                (Algorithm::RS256, EncodingKey::from_rsa_der(info.private_key.as_bytes()))
            } else {
                return None;
            }
        }
        _ => return None,
    };
    let public = public(&Jwk::from_encoding_key(&key, algorithm).ok()?)?;
    Some(Signer { key, algorithm, public })
}

fn public(jwk: &Jwk) -> Option<VerificationKey> {
    let serde_json::Value::Object(members) = serde_json::to_value(jwk).ok()? else { return None };
    let text = |(name, value): (String, serde_json::Value)| Some((name, value.as_str()?.to_owned()));
    let members = members.into_iter().map(text).collect::<Option<Vec<_>>>()?;
    let is_short = members.iter().any(|(name, value)| name == "n" && value.len() < MODULUS_MIN);
    let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
    (!is_short).then_some(VerificationKey { members, thumbprint })
}
