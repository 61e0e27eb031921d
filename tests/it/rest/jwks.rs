//! Tokens and the keys that verify them, as Confidant's clients ask for them; verified by a JWT library from what is served.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use jiff::SignedDuration;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::confidant::settings::Settings;
use strongroom::domain::credential::change::{Source, Wish};
use strongroom::domain::credential::{About, Generate, Kind};
use strongroom::domain::name::Path;
use strongroom::domain::rules::Rules;
use strongroom::domain::secret::SecretText;
use strongroom::domain::token::{Environment, Issuance, Kept, KeySource};

use crate::rest::house::{House, KEEP, answer, owner};

/// A new private key of OpenSSL's making.
fn key(words: &[&str]) -> KeySource {
    let output = Command::new("openssl").arg("genpkey").args(words).output().expect("these tests need openssl");
    assert!(output.status.success());
    KeySource::Given(SecretText::new(String::from_utf8(output.stdout).unwrap()))
}

pub fn p256() -> KeySource {
    key(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
}

fn environment<const N: usize>(active: &str, keys: [(&str, KeySource); N]) -> Environment {
    Environment { active: active.into(), keys: keys.map(|(name, source)| (name.to_owned(), source)).into() }
}

pub fn issuance<const N: usize>(environments: [(&str, Environment); N]) -> Issuance {
    let environments: BTreeMap<_, _> = environments.map(|(name, keys)| (name.to_owned(), keys)).into();
    Issuance { environments, ..Issuance::default() }
}

/// One environment with one key.
pub fn one() -> Issuance {
    issuance([("test", environment("only", [("only", p256())]))])
}

async fn house(tokens: Issuance) -> House {
    House::with(Settings::default(), Rules { tokens, ..Rules::default() }).await
}

/// The value of a credential of a resource; other bits make another.
async fn rsa(house: &House, bits: u16) {
    let source = Source::Generate(Generate::Rsa { bits });
    let wish = Wish { kind: Kind::Rsa, about: About::default(), source };
    house.app.credentials.converge(&owner("Credential", "ops", "jwt"), wish, None, KEEP).await.unwrap();
}

async fn token(house: &House, path: &str) -> String {
    let (status, got) = house.get(path).await;
    assert_eq!((status, got.as_object().map(serde_json::Map::len)), (200, Some(1)), "{got}");
    got["token"].as_str().unwrap().to_owned()
}

/// What is served to anybody.
async fn served(house: &House, environment: &str) -> Value {
    let url = house.url(&format!("/v1/jwks/public/{environment}"));
    let (status, keys) = answer(house.client.request(Method::GET, url)).await;
    assert_eq!(status, 200);
    keys
}

/// Claims of a token, once a served key verifies it.
fn verified(token: &str, keys: &Value) -> Result<Value, String> {
    let keys: JwkSet = serde_json::from_value(keys.clone()).map_err(|error| error.to_string())?;
    let header = decode_header(token).map_err(|error| error.to_string())?;
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let key = keys.find(header.kid.as_deref().unwrap()).ok_or("no key of this id")?;
    assert!(matches!(header.alg, Algorithm::RS256 | Algorithm::ES256));
    let mut validation = Validation::new(header.alg);
    (validation.validate_nbf, validation.leeway) = (true, 0);
    let key = DecodingKey::from_jwk(key).map_err(|error| error.to_string())?;
    Ok(decode::<Value>(token, &key, &validation).map_err(|error| error.to_string())?.claims)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_have_confidants_shape_and_are_verified_by_what_is_served() {
    let rsa = key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let tokens = issuance([
        ("prod", environment("2026-11", [("2026-11", rsa), ("2026-05", p256())])),
        ("test", environment("ec", [("ec", p256())])),
    ]);
    let house = house(tokens).await;
    for (name, kid, alg, members) in [
        ("prod", "2026-11", "RS256", vec!["alg", "e", "kid", "kty", "n"]),
        ("test", "ec", "ES256", vec!["alg", "crv", "kid", "kty", "x", "y"]),
    ] {
        let before = house.app.now().as_second();
        let token = token(&house, &format!("/v1/jwks/token?environment={name}")).await;
        let header = decode_header(&token).unwrap();
        assert_eq!((header.kid.as_deref(), format!("{:?}", header.alg).as_str()), (Some(kid), alg));
        let keys = served(&house, name).await;
        let mut claims = verified(&token, &keys).unwrap();
        let claims = claims.as_object_mut().unwrap();
        let mut taken = |name: &str| claims.shift_remove(name).unwrap().as_i64().unwrap();
        let (issued, from, until) = (taken("iat"), taken("nbf"), taken("exp"));
        assert!((before..=before + 5).contains(&issued) && from == issued && until == issued + 3600);
        assert_eq!(Value::from(claims.clone()), json!({"is_service": true, "requester": "ops", "user": "ops"}));
        let all = keys["keys"].as_array().unwrap();
        assert_eq!(all.len(), if name == "prod" { 2 } else { 1 });
        let key = all.iter().find(|key| key["kid"] == kid).unwrap().as_object().unwrap();
        let mut names: Vec<&str> = key.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!((names, &key["alg"]), (members, &json!(alg)));
        // Of another environment no key fits.
        let other = served(&house, if name == "prod" { "test" } else { "prod" }).await;
        assert!(verified(&token, &other).is_err());
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_about_whom_the_path_says_for_as_long_as_it_says() {
    let tokens = Issuance { issuer: Some("https://tokens.example".into()), ..one() };
    let house = house(tokens).await;
    let keys = served(&house, "test").await;
    let claims = verified(&token(&house, "/v1/jwks/token/till?environment=test").await, &keys).unwrap();
    assert_eq!((&claims["requester"], &claims["user"]), (&json!("ops"), &json!("till")));
    assert_eq!(claims["iss"], "https://tokens.example");
    let claims = verified(&token(&house, "/v1/jwks/token/till/60?environment=test").await, &keys).unwrap();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    for (path, field) in [
        ("/v1/jwks/token", "environment"),
        ("/v1/jwks/token?environment=", "environment"),
        ("/v1/jwks/token?environment=nowhere", "environment"),
        ("/v1/jwks/token/till", "environment"),
        ("/v1/jwks/token/till/3601?environment=test", "expiry"),
        ("/v1/jwks/token/till/0?environment=test", "expiry"),
        ("/v1/jwks/token/till/-1?environment=test", "expiry"),
        ("/v1/jwks/token/till/soon?environment=test", "expiry"),
        ("/v1/jwks/token/a%0Ab?environment=test", "id"),
    ] {
        let (status, refused) = house.get(path).await;
        let error = refused["error"].as_str().unwrap_or_default();
        assert_eq!((status, error.starts_with(field)), (400, true), "{path} {refused}");
    }
    let unknown = house.url("/v1/jwks/public/nowhere");
    let (status, refused) = answer(house.client.request(Method::GET, unknown)).await;
    assert_eq!((status, refused["error"].is_string()), (404, true));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_signs_at_once_and_the_old_one_is_still_verified() {
    let source = || KeySource::Credential(Path::kubernetes("ops", "jwt"));
    let tokens = issuance([("prod", environment("store", [("store", source()), ("spare", p256())]))]);
    let house = house(tokens).await;
    // Nothing is there yet to sign with, which is no reason to serve no other key.
    let (status, refused) = house.get("/v1/jwks/token?environment=prod").await;
    assert_eq!((status, refused["error"].as_str().unwrap().starts_with("environment")), (400, true));
    assert_eq!(served(&house, "prod").await["keys"].as_array().unwrap().len(), 1);
    rsa(&house, 2048).await;
    let first = token(&house, "/v1/jwks/token?environment=prod").await;
    let keys_before = served(&house, "prod").await;
    rsa(&house, 3072).await;
    let second = token(&house, "/v1/jwks/token?environment=prod").await;
    let keys = served(&house, "prod").await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 3);
    for token in [&first, &second] {
        assert_eq!(verified(token, &keys).unwrap()["user"], "ops");
    }
    verified(&first, &keys_before).unwrap();
    assert!(verified(&second, &keys_before).is_err());
    let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
    assert_ne!(kid(&first), kid(&second));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_can_have_signed_nothing_that_is_still_valid_is_served_no_more() {
    let source = KeySource::Credential(Path::kubernetes("ops", "jwt"));
    let tokens = issuance([("prod", environment("store", [("store", source)]))]);
    // Not even the leeway is left: everything before now is over.
    let tokens = Issuance { lifetime: SignedDuration::from_secs(1), maximum: SignedDuration::from_mins(-5), ..tokens };
    let house = house(tokens).await;
    rsa(&house, 2048).await;
    let first = served(&house, "prod").await;
    rsa(&house, 3072).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = served(&house, "prod").await;
    assert_eq!(second["keys"].as_array().unwrap().len(), 1);
    assert_ne!(first, second);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authoritys_key_signs_no_tokens() {
    let source = KeySource::Credential(Path::kubernetes("shop", "root"));
    let house = house(issuance([("prod", environment("ca", [("ca", source)]))])).await;
    house.authority().await;
    assert_eq!(house.get("/v1/jwks/token?environment=prod").await.0, 400);
    assert_eq!(served(&house, "prod").await, json!({"keys": []}));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_token_is_given_to_who_asked_for_it_and_nobody_else() {
    let kept = Some(Kept { count: 10, age: SignedDuration::from_secs(60) });
    let house = house(Issuance { kept, ..one() }).await;
    let path = "/v1/jwks/token/till?environment=test";
    let first = token(&house, path).await;
    let from = house.reads(0).len();
    assert_eq!(token(&house, path).await, first);
    assert_eq!(house.reads(from).len(), 1, "a token that is given again is recorded again");
    let keys = served(&house, "test").await;
    for other in ["/v1/jwks/token?environment=test", "/v1/jwks/token/till/3000?environment=test"] {
        assert_ne!(token(&house, other).await, first);
    }
    let (_, others) = answer(house.client.get(house.url(path)).bearer_auth("all")).await;
    let claims = verified(others["token"].as_str().unwrap(), &keys).unwrap();
    assert_eq!((&claims["requester"], &claims["user"]), (&json!("system:serviceaccount:shop:all"), &json!("till")));
    // With half of its life gone a new one is made.
    let short = "/v1/jwks/token/till/2?environment=test";
    let (first, again) = (token(&house, short).await, async || {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        token(&house, short).await
    });
    assert_ne!(again().await, first);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_leaves_one_record_of_who_it_is_about() {
    let house = house(one()).await;
    let from = house.reads(0).len();
    token(&house, "/v1/jwks/token/till?environment=test").await;
    let records = house.reads(from);
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["who"], &records[0]["action"]), (&json!("ops"), &json!("issue")));
    assert_eq!((&records[0]["class"], &records[0]["name"]), (&json!("token"), &json!("till")));
    assert_eq!(records[0]["id"], "only");
    house.close().await;
}
