//! The issuer away, slow, or with other keys: who goes on, who waits, and how often it is asked.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;

use super::{Trusting, believed};
use crate::issuer::{Fault, Issuer, Key};

/// Longer than the pause between two questions.
const PAUSE: i64 = 11;
const DAY: i64 = 24 * 3600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_keys_go_on_while_the_issuer_is_away_and_for_a_day() {
    let mut trusting = Trusting::open().await;
    let old = trusting.token();
    assert_eq!(trusting.status(&old).await, 200);
    trusting.issuer.down().await;
    trusting.clock.by(PAUSE);
    let new = trusting.issuer.token(&trusting.issuer.claims("mail"));
    assert_eq!((trusting.status(&old).await, trusting.status(&new).await), (200, 200));
    let unknown = Key::rsa("key-9").token(&json!({"alg": "RS256", "kid": "key-9"}), &trusting.issuer.claims("till"));
    let told = trusting.get("/version", &unknown).await;
    assert_eq!((told.status, told.error.as_deref()), (401, Some("invalid_token")));
    trusting.issuer.set_lifetime(4 * DAY);
    let lasting = trusting.token();
    assert_eq!(trusting.status(&lasting).await, 200);
    // Longer than that nobody knows which keys the issuer has withdrawn.
    trusting.clock.by(DAY);
    let before = trusting.house.recorded().await;
    let told = trusting.get("/version", &lasting).await;
    assert_eq!((told.status, told.error.is_some()), (503, true));
    assert_eq!(trusting.house.recorded().await, before, "nothing was found out about who it is");
    assert_eq!(trusting.status("all").await, 200, "ServiceAccounts need no issuer");
    trusting.issuer.up().await;
    trusting.clock.by(PAUSE);
    assert_eq!(trusting.status(&lasting).await, 200);
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_without_its_issuer_and_finds_it_later() {
    let mut issuer = Issuer::start().await;
    issuer.down().await;
    let mut trusting = Trusting::with(issuer, |believed| believed).await;
    let token = trusting.token();
    assert_eq!(trusting.get("/version", &token).await.status, 503);
    assert_eq!(trusting.get("/v1/credentials", &token).await.status, 503);
    assert_eq!(trusting.status("all").await, 200);
    trusting.issuer.up().await;
    assert_eq!(trusting.status(&token).await, 503, "it was asked a moment ago");
    trusting.clock.by(PAUSE);
    assert_eq!(trusting.status(&token).await, 200);
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_counts_at_once_and_one_that_is_gone_does_not() {
    let trusting = Trusting::open().await;
    let old = trusting.token();
    assert_eq!(trusting.status(&old).await, 200);
    for (at, make) in [Key::rsa as fn(&str) -> Key, Key::p256].into_iter().enumerate() {
        trusting.issuer.rotate(make(&format!("key-{}", at + 2)));
        let new = trusting.token();
        assert_eq!(trusting.status(&new).await, 401, "it was asked a moment ago");
        trusting.clock.by(PAUSE);
        let before = trusting.asked();
        let statuses = join_all((0..20).map(|_| trusting.status(&new))).await;
        assert_eq!(statuses, [200; 20]);
        assert_eq!(trusting.asked() - before, 1, "one asks for all");
        assert_eq!(trusting.status(&old).await, 200);
    }
    trusting.issuer.forget_old_keys();
    trusting.clock.by(PAUSE);
    let unknown = Key::rsa("key-9").token(&json!({"alg": "RS256", "kid": "key-9"}), &trusting.issuer.claims("till"));
    assert_eq!(trusting.status(&unknown).await, 401);
    let told = trusting.get("/version", &old).await;
    assert_eq!((told.status, told.error.as_deref()), (401, Some("invalid_token")), "it was held, and its key is gone");
    assert_eq!(trusting.status(&trusting.token()).await, 200);
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_is_no_flood_for_the_issuer_and_nobody_else_waits() {
    let trusting = Trusting::open().await;
    let good = trusting.token();
    assert_eq!(trusting.status(&good).await, 200);
    let thief = Key::rsa("thief");
    let unknown =
        |at: usize| thief.token(&json!({"alg": "RS256", "kid": format!("key-{at}")}), &trusting.issuer.claims("till"));
    let tokens: Vec<String> = (100..200).map(unknown).collect();
    for (fault, asks) in [(None, 1), (Some(Fault::Silence), 1), (Some(Fault::Answer(500, String::new())), 1)] {
        trusting.issuer.fail("/token_keys", fault.clone());
        trusting.clock.by(PAUSE);
        let before = trusting.asked();
        let begun = Instant::now();
        let flood = join_all(tokens.iter().map(|token| trusting.status(token)));
        let held = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begun = Instant::now();
            assert_eq!(trusting.status(&good).await, 200);
            begun.elapsed()
        };
        let (statuses, waited) = tokio::join!(flood, held);
        // Those beyond a few that wait for the one answer are told to come again.
        assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
        assert!(statuses.contains(&401));
        assert_eq!(trusting.asked() - before, asks, "{fault:?}");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_gives_up_does_not_make_the_next_one_ask_again() {
    let trusting = Trusting::open().await;
    let unknown = Key::rsa("key-9").token(&json!({"alg": "RS256", "kid": "key-9"}), &trusting.issuer.claims("till"));
    assert_eq!(trusting.status(&trusting.token()).await, 200);
    trusting.issuer.fail("/token_keys", Some(Fault::Silence));
    trusting.clock.by(PAUSE);
    let before = trusting.asked();
    for _ in 0..20 {
        let url = trusting.house.url("/version");
        let asked =
            trusting.house.client.get(url).bearer_auth(&unknown).timeout(Duration::from_millis(50)).send().await;
        assert!(asked.is_err());
    }
    assert_eq!(trusting.asked() - before, 1);
    trusting.issuer.fail("/token_keys", None);
    trusting.issuer.rotate(Key::rsa("key-2"));
    assert_eq!(trusting.status(&unknown).await, 401);
    trusting.clock.by(PAUSE);
    assert_eq!(trusting.status(&trusting.token()).await, 200);
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_no_set_of_keys_changes_nothing() {
    let trusting = Trusting::open().await;
    let good = trusting.token();
    assert_eq!(trusting.status(&good).await, 200);
    let thief = Key::rsa("thief");
    let stolen = thief.token(&json!({"alg": "RS256", "kid": "thief"}), &trusting.issuer.claims("till"));
    let elsewhere = json!({"issuer": trusting.issuer.name(), "jwks_uri": "http://192.0.2.1/keys"}).to_string();
    for (path, fault) in [
        ("/token_keys", Fault::Answer(200, "<html>".into())),
        ("/token_keys", Fault::Answer(200, r#"{"keys":[]}"#.into())),
        ("/token_keys", Fault::Answer(200, "x".repeat(600 * 1024))),
        ("/token_keys", Fault::Answer(404, json!({"keys": [thief.jwk()]}).to_string())),
        ("/.well-known/openid-configuration", Fault::Answer(200, elsewhere)),
        ("/.well-known/openid-configuration", Fault::Answer(200, r#"{"issuer":""}"#.into())),
    ] {
        trusting.issuer.fail(path, Some(fault.clone()));
        trusting.clock.by(PAUSE);
        assert_eq!(trusting.status(&stolen).await, 401, "{fault:?}");
        assert_eq!(trusting.status(&good).await, 200, "{fault:?}");
        trusting.issuer.fail(path, None);
    }
    // A document without an address of keys is UAA's of old.
    let old = json!({"issuer": trusting.issuer.name()}).to_string();
    trusting.issuer.fail("/.well-known/openid-configuration", Some(Fault::Answer(200, old)));
    trusting.issuer.rotate(Key::rsa("key-2"));
    trusting.clock.by(PAUSE);
    assert_eq!(trusting.status(&trusting.token()).await, 200);
    trusting.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_is_known_by_its_root_and_by_its_name() {
    let issuer = Issuer::start().await;
    let stranger = Issuer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root.pem");
    std::fs::write(&root, stranger.root()).unwrap();
    let trusting = Trusting::with(issuer, |_| believed("https://localhost:1", None)).await;
    assert_eq!(trusting.status(&trusting.token()).await, 401, "of an address that nobody believes");
    trusting.house.close().await;
    // Somebody else at the issuer's address.
    let url = stranger.url();
    let trusting = Trusting::with(stranger, |mut it| {
        it.place.ca = None;
        it
    });
    let trusting = trusting.await;
    assert_eq!(trusting.status(&trusting.token()).await, 503, "{url}");
    assert_eq!(trusting.asked(), 0);
    trusting.house.close().await;
    let trusting = Trusting::with(Issuer::start().await, |mut it| {
        it.name = Some("https://other.example".into());
        it
    });
    let trusting = trusting.await;
    assert_eq!(trusting.status(&trusting.token()).await, 401, "the settings say another name");
    let other = trusting.issuer.claims("till");
    let other = {
        let mut other = other;
        other["iss"] = json!("https://other.example");
        other
    };
    assert_eq!(trusting.status(&trusting.issuer.token(&other)).await, 503, "and its document contradicts them");
    trusting.house.close().await;
}
