//! The issuer itself, judged by a library of JWT: what it issues is what its key set verifies, and its faults are faults.

use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use super::{Fault, Issuer, Key, SCOPES, encoded, message};

fn caller(issuer: &Issuer) -> Client {
    let root = Certificate::from_pem(issuer.root().as_bytes()).expect("a root");
    Client::builder().tls_certs_only([root]).timeout(Duration::from_secs(2)).build().expect("a client")
}

async fn got(caller: &Client, issuer: &Issuer, path: &str) -> Result<Value, String> {
    let answer = caller.get(issuer.url() + path).send().await.map_err(|error| error.to_string())?;
    answer.json().await.map_err(|error| error.to_string())
}

async fn granted(caller: &Client, issuer: &Issuer, form: &[(&str, &str)]) -> (u16, Value) {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let answer = caller.post(issuer.url() + "/oauth/token").body(form).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

/// What a token says to whom asks the issuer for its keys.
async fn verified(caller: &Client, issuer: &Issuer, token: &str) -> Result<Value, String> {
    let keys: JwkSet = serde_json::from_value(got(caller, issuer, "/token_keys").await?).expect("a key set");
    let header = decode_header(token).map_err(|error| error.to_string())?;
    let key = keys.find(header.kid.as_deref().expect("an id")).ok_or("no key of this id")?;
    let key = DecodingKey::from_jwk(key).expect("a key");
    let mut rules = Validation::new(header.alg);
    rules.leeway = 0;
    rules.set_audience(&["credhub"]);
    rules.set_issuer(&[issuer.name()]);
    decode::<Value>(token, &key, &rules).map(|token| token.claims).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tokens_of_every_grant_and_key_are_verified_by_what_the_issuer_lists() {
    let issuer = Issuer::start().await;
    let caller = caller(&issuer);
    let secret = issuer.add_client("bosh", &SCOPES);
    let (id, password) = issuer.add_user("ann", &SCOPES[..1]);
    let client = [("grant_type", "client_credentials"), ("client_id", "bosh"), ("client_secret", &secret)];
    let user = [("grant_type", "password"), ("username", "ann"), ("password", &password), ("client_id", "credhub_cli")];
    for key in [Key::rsa("key-2"), Key::p256("key-3")] {
        let (status, answer) = granted(&caller, &issuer, &client).await;
        let claims = verified(&caller, &issuer, answer["access_token"].as_str().expect("a token")).await.expect("good");
        assert_eq!((status, &claims["client_id"], &claims["scope"]), (200, &json!("bosh"), &json!(SCOPES)));
        issuer.rotate(key);
    }
    let (_, answer) = granted(&caller, &issuer, &user).await;
    let refresh = answer["refresh_token"].as_str().expect("a token");
    let again = [("grant_type", "refresh_token"), ("client_id", "credhub_cli"), ("refresh_token", refresh)];
    let (_, again) = granted(&caller, &issuer, &again).await;
    for answer in [answer, again] {
        let claims = verified(&caller, &issuer, answer["access_token"].as_str().expect("a token")).await.expect("good");
        assert_eq!((&claims["sub"], &claims["user_name"]), (&json!(id), &json!("ann")));
        assert_eq!((&claims["grant_type"], &claims["scope"]), (&json!("password"), &json!(["credhub.read"])));
    }
    let wrong = [("grant_type", "client_credentials"), ("client_id", "bosh"), ("client_secret", "guessed")];
    assert_eq!(granted(&caller, &issuer, &wrong).await.0, 401);
    let settings = got(&caller, &issuer, "/.well-known/openid-configuration").await.expect("settings");
    assert_eq!(settings["issuer"], json!(issuer.name()));
    assert_eq!(issuer.asked("/oauth/token"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn its_keys_its_clock_and_its_faults_are_what_the_test_says() {
    let mut issuer = Issuer::start().await;
    let caller = caller(&issuer);
    let old = issuer.token(&issuer.claims("bosh"));
    let forged = message(&json!({ "alg": "RS256", "kid": "key-1" }), &issuer.claims("bosh"));
    let forged = format!("{forged}.{}", encoded(Key::rsa("key-1").signature(forged.as_bytes())));
    assert!(verified(&caller, &issuer, &old).await.is_ok());
    assert_eq!(verified(&caller, &issuer, &forged).await, Err("InvalidSignature".to_owned()));
    issuer.set_clock(-60);
    issuer.set_lifetime(30);
    assert_eq!(
        verified(&caller, &issuer, &issuer.token(&issuer.claims("bosh"))).await,
        Err("ExpiredSignature".to_owned())
    );
    issuer.rotate(Key::p256("key-2"));
    issuer.forget_old_keys();
    assert_eq!(verified(&caller, &issuer, &old).await, Err("no key of this id".to_owned()));
    assert!(issuer.key().pem().starts_with("-----BEGIN PUBLIC KEY-----\nMFkw"));

    issuer.fail("/token_keys", Some(Fault::Answer(200, "no JSON".to_owned())));
    assert!(got(&caller, &issuer, "/token_keys").await.is_err());
    issuer.fail("/token_keys", Some(Fault::Silence));
    assert!(got(&caller, &issuer, "/token_keys").await.is_err());
    issuer.fail("/token_keys", None);
    assert!(got(&caller, &issuer, "/token_keys").await.is_ok());
    issuer.down().await;
    assert!(got(&caller, &issuer, "/token_keys").await.is_err());
    issuer.up().await;
    assert!(got(&caller, &issuer, "/token_keys").await.is_ok());
    assert!(Issuer::plain().await.url().starts_with("http://localhost:"));
}
