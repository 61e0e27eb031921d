//! Tokens that are forged, stolen from elsewhere or not of this time: all 401, with the word that clients act on.

use std::sync::Arc;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use strongroom::adapters::identity::OidcIssuers;
use strongroom::adapters::identity::oidc::Believed;
use strongroom::adapters::system::SystemClock;
use strongroom::domain::oidc::Terms;

use super::{Trusting, believed, told};
use crate::issuer::{Issuer, Key, encoded, message};
use crate::rest::house::{House, Setup};

fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encoded(signature.as_ref()))
}

/// Signed by the issuer over texts that no library would write.
fn raw(key: &Key, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    format!("{message}.{}", encoded(key.signature(message.as_bytes())))
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn without(claims: &Value, name: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_are_nobodys() {
    let trusting = Trusting::open().await;
    let issuer = &trusting.issuer;
    let (key, thief) = (issuer.key(), Key::rsa("key-1"));
    let claims = issuer.claims("till");
    let now = claims["iat"].as_i64().unwrap();
    let good = issuer.token(&claims);
    let header = json!({"alg": "RS256", "kid": "key-1", "typ": "JWT"});
    let named = |kid: &str| key.token(&json!({"alg": "RS256", "kid": kid}), &claims);
    let also = |name: &str, value: Value| with(&header, name, value);
    let text = claims.to_string();
    let (body, signature) = good.rsplit_once('.').unwrap();
    let other = issuer.token(&issuer.claims("mail"));
    let p256 = Key::p256("key-1");
    let pem = key.pem();
    let modulus = key.jwk()["n"].as_str().unwrap().to_owned();
    let set = format!("{}/token_keys", issuer.url());
    let cases = [
        // Who signed it.
        ("unsigned", format!("{}.", message(&json!({"alg": "none"}), &claims))),
        (
            "unsigned, with a signature",
            format!("{}.{signature}", message(&json!({"alg": "none", "kid": "key-1"}), &claims)),
        ),
        ("unsigned, in other letters", format!("{}.", message(&json!({"alg": "nOnE"}), &claims))),
        ("without an algorithm", key.token(&json!({"kid": "key-1"}), &claims)),
        ("by the public key as a secret", hs256(pem.as_bytes(), &also("alg", json!("HS256")), &claims)),
        ("by the modulus as a secret", hs256(modulus.as_bytes(), &also("alg", json!("HS256")), &claims)),
        ("by an empty secret", hs256(&[0], &also("alg", json!("HS256")), &claims)),
        ("by another key of that name", thief.token(&header, &claims)),
        ("by a key of another sort of that name", p256.token(&also("alg", json!("ES256")), &claims)),
        ("said to be of another sort", key.token(&also("alg", json!("ES256")), &claims)),
        ("said to be longer", key.token(&also("alg", json!("RS512")), &claims)),
        ("said to be PSS", key.token(&also("alg", json!("PS256")), &claims)),
        ("with the key in it", thief.token(&also("jwk", thief.jwk()), &claims)),
        ("with a place for keys", thief.token(&also("jku", json!("https://127.0.0.1:1/keys")), &claims)),
        ("with a place for certificates", thief.token(&also("x5u", json!(set)), &claims)),
        ("with a certificate", thief.token(&also("x5c", json!([encoded("certificate")])), &claims)),
        ("with another's signature", format!("{body}.{}", other.rsplit_once('.').unwrap().1)),
        ("with another's claims", {
            let mut parts: Vec<&str> = good.split('.').collect();
            parts[1] = other.split('.').nth(1).unwrap();
            parts.join(".")
        }),
        ("with a shorter signature", good[..good.len() - 4].to_owned()),
        ("without a signature", format!("{body}.")),
        ("with zeros as a signature", format!("{body}.{}", encoded([0; 256]))),
        ("with zeros as a curve's signature", {
            format!("{}.{}", message(&also("alg", json!("ES256")), &claims), encoded([0; 64]))
        }),
        // Names of keys.
        ("of no key", named("key-0")),
        ("of a path", named("../../../../dev/null")),
        ("of an address", named(&set)),
        ("of a statement", named("key-1' OR '1'='1")),
        ("of an empty name", named("")),
        ("of a null", key.token(&json!({"alg": "RS256", "kid": null}), &claims)),
        ("of no name", key.token(&json!({"alg": "RS256"}), &claims)),
        ("of a number", key.token(&json!({"alg": "RS256", "kid": 1}), &claims)),
        ("of two names", raw(&key, r#"{"alg":"RS256","kid":"key-0","kid":"key-1"}"#, &text)),
        ("of two algorithms", raw(&key, r#"{"alg":"none","alg":"RS256","kid":"key-1"}"#, &text)),
        // Form.
        ("that must be understood", key.token(&also("crit", json!(["exp"])), &claims)),
        ("that is not encoded", key.token(&with(&also("crit", json!(["b64"])), "b64", json!(false)), &claims)),
        ("with padding", good.replace('.', "=.")),
        ("with a line's end", format!("{}%0A", good)),
        ("in two parts", body.to_owned()),
        ("in four parts", format!("{good}.{signature}")),
        ("in five parts", format!("{good}.{signature}.{signature}")),
        ("too long", key.token(&header, &with(&claims, "sub", json!("s".repeat(16 * 1024))))),
        ("of no JSON", raw(&key, &header.to_string(), "till")),
        ("of a list", raw(&key, &header.to_string(), &format!("[{text}]"))),
        ("of more than JSON", raw(&key, &header.to_string(), &format!("{text}{text}"))),
        ("with its client twice", {
            raw(&key, &header.to_string(), &text.replacen('{', r#"{"client_id":"admin","#, 1))
        }),
        ("with its end twice", raw(&key, &header.to_string(), &text.replacen('{', r#"{"exp":9999999999,"#, 1))),
        // Claims.
        ("without an issuer", key.token(&header, &without(&claims, "iss"))),
        ("of another issuer", key.token(&header, &with(&claims, "iss", json!("https://elsewhere.example")))),
        ("of nearly this issuer", key.token(&header, &with(&claims, "iss", json!(format!("{}/", issuer.name()))))),
        ("of the issuer's address", key.token(&header, &with(&claims, "iss", json!(issuer.url())))),
        ("of several issuers", key.token(&header, &with(&claims, "iss", json!([issuer.name()])))),
        ("without an end", key.token(&header, &without(&claims, "exp"))),
        ("with an end in words", key.token(&header, &with(&claims, "exp", json!("9999999999")))),
        ("with no end of its end", key.token(&header, &with(&claims, "exp", json!(1e300)))),
        ("not yet", key.token(&header, &with(&claims, "nbf", json!(now + 65)))),
        ("of nobody", key.token(&header, &without(&without(&claims, "client_id"), "azp"))),
        ("of a name with a line's end", key.token(&header, &with(&claims, "client_id", json!("till\nadmin")))),
    ];
    assert_eq!(trusting.status(&good).await, 200);
    let mut bodies = Vec::new();
    for (what, token) in cases {
        for path in ["/version", "/credhub/version"] {
            let before = trusting.house.recorded().await;
            let told = trusting.get(path, &token).await;
            assert_eq!((told.status, told.error.as_deref()), (401, Some("invalid_token")), "{what}: {}", told.body);
            assert!(told.has_description && told.challenge.unwrap().starts_with("Bearer"), "{what}");
            assert_eq!(trusting.house.recorded().await - before, 1, "{what}");
            bodies.push(told.body);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "nobody learns why: {bodies:?}");
    assert_eq!(trusting.asked(), 1, "none of them makes us ask the issuer so soon again");
    assert_eq!(trusting.status(&good).await, 200);
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_speaks_for_itself_alone() {
    let (first, second) = (Issuer::start().await, Issuer::start().await);
    let dir = tempfile::tempdir().unwrap();
    let believe = |issuer: &Issuer, prefix: &str| {
        let root = dir.path().join(prefix);
        std::fs::write(&root, issuer.root()).unwrap();
        let believed = believed(&issuer.url(), Some(root));
        let terms = Terms { prefix: prefix.into(), ..believed.terms };
        Believed { terms, ..believed }
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let both = vec![believe(&first, "uaa"), believe(&second, "ci")];
    let issuers = Arc::new(OidcIssuers::new(both, Arc::new(SystemClock)).unwrap());
    let house = House::set_up(Setup { issuers: Some(issuers), ..Setup::default() }).await;
    let (one, other) = (first.claims("till"), second.claims("till"));
    for (token, who) in [
        (first.token(&one), Some("uaa-client:till")),
        (second.token(&other), Some("ci-client:till")),
        // Signed by one in the other's name, under the name that both give their keys.
        (second.token(&one), None),
        (first.token(&other), None),
    ] {
        let from = house.reads(0).len();
        let told = told(house.client.get(house.url("/version")).bearer_auth(token)).await;
        assert_eq!(told.status, if who.is_some() { 200 } else { 401 });
        assert_eq!(house.reads(from)[0]["who"].as_str(), who);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_a_minute_after_its_end() {
    let trusting = Trusting::open().await;
    let issuer = &trusting.issuer;
    let claims = issuer.claims("till");
    let now = claims["iat"].as_i64().unwrap();
    for (name, value, expected) in [
        ("exp", now - 65, Some("access_token_expired")),
        ("exp", 0, Some("access_token_expired")),
        ("exp", now - 50, None),
        ("exp", now + 50, None),
        ("nbf", now + 50, None),
        ("nbf", now + 70, Some("invalid_token")),
    ] {
        let told = trusting.get("/version", &issuer.token(&with(&claims, name, json!(value)))).await;
        assert_eq!(
            (told.status, told.error.as_deref()),
            (if expected.is_some() { 401 } else { 200 }, expected),
            "{name} {value}"
        );
        assert_eq!(told.has_description, expected.is_some());
    }
    // What was forged is not told that it came too late.
    let late =
        Key::rsa("key-1").token(&json!({"alg": "RS256", "kid": "key-1"}), &with(&claims, "exp", json!(now - 500)));
    assert_eq!(trusting.get("/version", &late).await.error.as_deref(), Some("invalid_token"));
    // One that is held ends as well.
    let short = issuer.token(&with(&claims, "exp", json!(now + 300)));
    for (forward, status) in [(0, 200), (350, 200), (20, 401)] {
        trusting.clock.by(forward);
        assert_eq!(trusting.status(&short).await, status, "{forward}");
    }
    let late = trusting.get("/version", &short).await;
    assert_eq!(late.error.as_deref(), Some("access_token_expired"));
    trusting.house.close().await;
}
