//! Good tokens: whom they make, what they may, what they cost.

use serde_json::{Value, json};
use strongroom::adapters::identity::oidc::{Believed, KeysFrom};
use strongroom::domain::oidc::Terms;

use super::{Trusting, told};
use crate::issuer::{Issuer, Key};

fn with(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_known_by_their_client_or_their_user() {
    let trusting = Trusting::open().await;
    let user = json!({"grant_type": "password", "client_id": "credhub_cli", "user_id": "u-1", "sub": "u-1"});
    let claims = trusting.issuer.claims("till");
    for (changes, who) in [
        (json!({}), "uaa-client:till"),
        (user, "uaa-user:u-1"),
        // Of an issuer that is not UAA.
        (json!({"grant_type": null, "client_id": null, "azp": "mail", "sub": "mail"}), "uaa-client:mail"),
        (json!({"grant_type": null, "client_id": null, "azp": "web", "sub": "ann"}), "uaa-user:ann"),
        (json!({"scope": "openid credhub.write credhub.read"}), "uaa-client:till"),
    ] {
        let token = trusting.issuer.token(&with(claims.clone(), changes));
        for path in ["/version", "/credhub/version"] {
            let from = trusting.house.reads(0).len();
            assert_eq!(trusting.get(path, &token).await.status, 200, "{who}");
            let [record] = &trusting.house.reads(from)[..] else { panic!("one record") };
            assert_eq!((&record["who"], &record["scheme"]), (&json!(who), &json!("oidc")));
        }
    }
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_scopes_are_needed_for_every_operation() {
    let trusting = Trusting::open().await;
    let claims = trusting.issuer.claims("till");
    for scopes in [json!([]), json!(null), json!(["credhub.read"]), json!(["credhub.write"]), json!(["credhub.*"])] {
        let token = trusting.issuer.token(&with(claims.clone(), json!({"scope": scopes})));
        for (path, confidant) in [("/version", false), ("/credhub/version", false), ("/v1/credentials", true)] {
            let from = trusting.house.reads(0).len();
            let told = trusting.get(path, &token).await;
            assert_eq!(told.status, 403, "{scopes} {path}");
            let challenge = told.challenge.unwrap_or_default();
            assert_eq!(challenge.starts_with("Bearer error=\"insufficient_scope\""), !confidant, "{challenge}");
            assert_eq!(told.body.is_empty(), !confidant, "{}", told.body);
            let [record] = &trusting.house.reads(from)[..] else { panic!("one record") };
            let expected = (&json!("uaa-client:till"), &json!("denied"));
            assert_eq!((&record["who"], &record["outcome"]), expected, "{record}");
        }
    }
    assert_eq!(trusting.get("/info", "x").await.status, 200, "what needs no caller asks for none");
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_callers_and_other_dialects_are_as_they_were() {
    let trusting = Trusting::open().await;
    let house = &trusting.house;
    let mine = trusting.token();
    for (path, token, status) in [
        // Of a ServiceAccount, by TokenReview.
        ("/version", "all", 200),
        ("/v1/credentials", "all", 200),
        ("/v1/credentials", "none", 403),
        ("/v1/user/email", "all", 200),
        ("/version", "nobody's", 401),
        // A grantee may nothing over Confidant's API.
        ("/v1/credentials", mine.as_str(), 403),
        ("/v1/services", mine.as_str(), 403),
    ] {
        let before = house.recorded().await;
        assert_eq!(trusting.get(path, token).await.status, status, "{path} {token}");
        assert_eq!(house.recorded().await - before, 1, "{path} {token}");
    }
    let told = told(house.client.get(house.url("/version"))).await;
    assert_eq!((told.status, told.error.as_deref(), told.has_description), (401, Some("access_denied"), true));
    assert!(told.challenge.unwrap().starts_with("Bearer"));
    let admin = house.ops(reqwest::Method::GET, "/version").send().await.unwrap();
    assert_eq!(admin.status(), 200);
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_have_to_be_for_this_server_and_callers_may_be_named_otherwise() {
    let change = |believed: Believed| {
        let terms = Terms { audiences: vec!["credhub".into(), "vault".into()], prefix: "ci".into(), ..believed.terms };
        Believed { terms, ..believed }
    };
    let trusting = Trusting::with(Issuer::start().await, change).await;
    let claims = trusting.issuer.claims("till");
    for (audience, status) in
        [(json!(["credhub"]), 200), (json!("vault"), 200), (json!(["uaa"]), 401), (json!([]), 401), (json!(null), 401)]
    {
        let token = trusting.issuer.token(&with(claims.clone(), json!({"aud": audience})));
        assert_eq!(trusting.status(&token).await, status, "{audience}");
    }
    let records = trusting.house.reads(0);
    assert!(records.iter().any(|record| record["who"] == "ci-client:till"));
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_may_be_in_a_file_or_at_an_address_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    for make in [Key::rsa, Key::p256] {
        let issuer = Issuer::start().await;
        issuer.rotate(make("own"));
        std::fs::write(&path, issuer.key().pem()).unwrap();
        let (name, place) = (issuer.name(), KeysFrom::File(path.clone()));
        let of_file = |believed: Believed| {
            let (mut believed, name) = (believed, Some(name));
            believed.place.keys = place;
            Believed { name, ..believed }
        };
        let mut trusting = Trusting::with(issuer, of_file).await;
        let token = trusting.token();
        let forged = Key::rsa("own").token(&json!({"alg": "RS256"}), &trusting.issuer.claims("till"));
        trusting.issuer.down().await;
        assert_eq!((trusting.status(&token).await, trusting.status(&forged).await), (200, 401));
        assert_eq!(trusting.asked(), 0, "nobody is asked");
        trusting.house.close().await;
    }
    let issuer = Issuer::start().await;
    let (name, place) = (issuer.name(), KeysFrom::Set(format!("{}/token_keys", issuer.url())));
    let of_set = |believed: Believed| {
        let (mut believed, name) = (believed, Some(name));
        believed.place.keys = place;
        Believed { name, ..believed }
    };
    let trusting = Trusting::with(issuer, of_set).await;
    assert_eq!(trusting.status(&trusting.token()).await, 200);
    assert_eq!(trusting.issuer.asked("/.well-known/openid-configuration"), 0);
    trusting.house.close().await;
}
