//! Keys that sign tokens, and tokens of any content: also such as an issuer never makes.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
use x509_parser::public_key::PublicKey;

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

pub struct Key {
    pub kid: String,
    pair: Pair,
}

/// Without padding and for URLs, as tokens are written.
pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub fn rsa(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        Self { kid: kid.to_owned(), pair: Pair::Rsa(pair) }
    }

    pub fn p256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { kid: kid.to_owned(), pair: Pair::P256(pair) }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
        }
    }

    /// The public part.
    fn der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().expect("a public key"),
            Pair::P256(pair) => pair.public_key().as_der().expect("a public key"),
        };
        der.as_ref().to_vec()
    }

    /// The public part, as an issuer without a key set would have it written into settings.
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(self.der());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("text")).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// As UAA lists it, which adds `value` to what a JWK has.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(_) => {
                let der = self.der();
                let (_, info) = SubjectPublicKeyInfo::from_der(&der).expect("a public key");
                let Ok(PublicKey::RSA(rsa)) = info.parsed() else { panic!("an RSA key") };
                let modulus = rsa.modulus.strip_prefix(&[0]).unwrap_or(rsa.modulus);
                json!({ "kty": "RSA", "n": encoded(modulus), "e": encoded(rsa.exponent) })
            }
            Pair::P256(pair) => {
                // A byte that says that both coordinates follow.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) })
            }
        };
        jwk["use"] = json!("sig");
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm());
        jwk["value"] = json!(self.pem());
        jwk
    }

    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a signature");
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message).expect("a signature").as_ref().to_vec(),
        }
    }

    /// With this header, whether or not it fits the key.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        format!("{message}.{}", encoded(self.signature(message.as_bytes())))
    }
}

/// What a token's signature is of.
pub fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()))
}
