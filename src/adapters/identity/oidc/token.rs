//! A token in its three parts (RFC 7515, 7519), read strictly: what another reader could take for something else is none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer};

use crate::domain::oidc::Claims;

/// UAA's have 1 to 4 KiB, with many scopes more.
const SIZE_MAX: usize = 16 * 1024;

/// A token as it says of itself. Nothing in it is proven.
pub struct Token<'a> {
    /// What the signature is of.
    pub message: &'a str,
    pub signature: &'a str,
    pub algorithm: Algorithm,
    /// Only ever compared with the names of known keys.
    pub kid: Option<String>,
    pub issuer: String,
    pub claims: Claims,
}

/// Where the key is, says nobody but the issuer: `jku`, `jwk`, `x5u` and `x5c` are not even read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions without which it must not be understood; none is known here.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// A claim that stands twice is an error of the format, so that nobody reads the other one.
#[derive(Deserialize)]
struct Payload {
    iss: String,
    exp: Option<Seconds>,
    nbf: Option<Seconds>,
    aud: Option<Words>,
    scope: Option<Words>,
    grant_type: Option<String>,
    client_id: Option<String>,
    azp: Option<String>,
    user_id: Option<String>,
    sub: Option<String>,
}

/// Whole ones or with a fraction (RFC 7519, 2).
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Seconds {
    Whole(i64),
    Fraction(f64),
}

/// A list, or one text. Scopes in one text have spaces between them (RFC 8693, 4.2).
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Seconds {
    fn whole(self) -> i64 {
        match self {
            Self::Whole(seconds) => seconds,
            Self::Fraction(seconds) => seconds.floor() as i64,
        }
    }
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(from).map(|_| true)
}

impl<'a> Token<'a> {
    /// `None`: not a token that an issuer could have made for us.
    pub fn read(text: &'a str) -> Option<Self> {
        if text.len() > SIZE_MAX {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: Header = part(header)?;
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            _ => return None,
        };
        if header.crit {
            return None;
        }
        let payload: Payload = part(payload)?;
        let issuer = payload.iss.clone();
        Some(Self { message, signature, algorithm, kid: header.kid, issuer, claims: payload.into() })
    }

    /// Who it says has made it, for finding out whom to ask about it.
    pub fn issuer(text: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Said {
            iss: String,
        }
        if text.len() > SIZE_MAX {
            return None;
        }
        let (message, _) = text.rsplit_once('.')?;
        part::<Said>(message.split_once('.')?.1).map(|said| said.iss)
    }
}

/// JSON objects only: serde would take a list for a structure too.
fn part<T: serde::de::DeserializeOwned>(encoded: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    if bytes.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&bytes).ok()
}

impl From<Payload> for Claims {
    fn from(payload: Payload) -> Self {
        let words = |words: Option<Words>| match words {
            None => Vec::new(),
            Some(Words::One(text)) => vec![text],
            Some(Words::Many(texts)) => texts,
        };
        let scopes = words(payload.scope);
        Self {
            audiences: words(payload.aud),
            scopes: scopes.iter().flat_map(|text| text.split(' ')).map(str::to_owned).collect(),
            expires: payload.exp.map(Seconds::whole),
            not_before: payload.nbf.map(Seconds::whole),
            grant: payload.grant_type,
            client: payload.client_id.or(payload.azp),
            user: payload.user_id,
            subject: payload.sub,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        [header, payload, "sig"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    const HEADER: &str = r#"{"alg":"RS256","kid":"k","jku":"https://evil","typ":"JWT"}"#;

    #[test]
    fn what_it_says_is_read() {
        let payload = r#"{"iss":"i","exp":10.9,"nbf":5,"aud":"a","scope":"x y","azp":"c","sub":"s","more":[1]}"#;
        let text = token(HEADER, payload);
        let read = Token::read(&text).unwrap();
        assert_eq!((read.algorithm, read.kid.as_deref(), read.issuer.as_str()), (Algorithm::RS256, Some("k"), "i"));
        let expected = Claims {
            audiences: vec!["a".into()],
            scopes: vec!["x".into(), "y".into()],
            expires: Some(10),
            not_before: Some(5),
            client: Some("c".into()),
            subject: Some("s".into()),
            ..Claims::default()
        };
        assert_eq!(read.claims, expected);
        assert_eq!(Token::issuer(&text).as_deref(), Some("i"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let good = r#"{"iss":"i","exp":1}"#;
        for (header, payload) in [
            (r#"{"alg":"none"}"#, good),
            (r#"{"alg":"HS256"}"#, good),
            (r#"{"alg":"PS256"}"#, good),
            (r#"{"alg":"rs256"}"#, good),
            (r#"{"kid":"k"}"#, good),
            (r#"{"alg":"RS256","alg":"RS256"}"#, good),
            (r#"{"alg":"RS256","kid":"a","kid":"b"}"#, good),
            (r#"{"alg":"RS256","kid":7}"#, good),
            (r#"{"alg":"RS256","crit":["exp"]}"#, good),
            (r#"{"alg":"RS256","crit":null}"#, good),
            (r#"["RS256","k"]"#, good),
            (HEADER, r#"{"exp":1}"#),
            (HEADER, r#"{"iss":"i","iss":"i","exp":1}"#),
            (HEADER, r#"{"iss":"i","exp":1,"exp":9}"#),
            (HEADER, r#"{"iss":"i","exp":1,"client_id":"a","client_id":"b"}"#),
            (HEADER, r#"{"iss":["i"],"exp":1}"#),
            (HEADER, r#"{"iss":"i","exp":"1"}"#),
            (HEADER, r#"{"iss":"i","exp":1,"scope":{"a":1}}"#),
            (HEADER, r#"{"iss":"i","exp":1} x"#),
            (HEADER, "\u{feff}{}"),
        ] {
            assert!(Token::read(&token(header, payload)).is_none(), "{header} {payload}");
        }
        for text in ["", "a", "a.b", "..", "a.b.c.d", &format!("{}=", token(HEADER, good)).replace('.', "=.")] {
            assert!(Token::read(text).is_none(), "{text}");
        }
        let long = format!(r#"{{"iss":"i","exp":1,"sub":"{}"}}"#, "s".repeat(SIZE_MAX));
        assert!(Token::read(&token(HEADER, &long)).is_none());
    }
}
