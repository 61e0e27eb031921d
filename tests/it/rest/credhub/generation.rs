//! Values that are generated, and generated again.

use reqwest::Method;
use serde_json::{Value, json};

use super::{DATA, generate, members, set, text, value};
use crate::rest::house::House;

async fn post(house: &House, body: Value) -> (u16, Value) {
    house.send(Method::POST, DATA, &body).await
}

#[tokio::test]
async fn a_password_is_as_it_is_asked_for() {
    let house = House::open().await;
    for (parameters, length, is) in [
        (json!({}), 30, char::is_alphanumeric as fn(char) -> bool),
        (json!({"length": 4, "exclude_upper": true, "exclude_lower": "true"}), 4, |c| c.is_ascii_digit()),
        (json!({"length": "200", "exclude_number": true}), 200, |c| c.is_ascii_alphabetic()),
        (json!({"length": 3}), 30, |c| c.is_ascii_alphanumeric()),
        (json!({"length": 201}), 30, |c| c.is_ascii_alphanumeric()),
        (
            json!({"include_special": true, "exclude_number": true, "exclude_upper": true, "exclude_lower": true}),
            30,
            |c| c.is_ascii_punctuation() && !"\"'+".contains(c),
        ),
    ] {
        let made = generate(&house, &format!("/pw-{}", parameters.to_string().len()), "password", parameters).await;
        let password = text(&made["value"]);
        assert!(password.len() == length && password.chars().all(is), "{made}");
    }
    assert_eq!(post(&house, json!({"name": "/null", "type": "password", "parameters": null})).await.0, 200);
    house.close().await;
}

#[tokio::test]
async fn each_mode_keeps_or_makes_what_it_says() {
    let house = House::open().await;
    let wish = |mode: Value, length: u64| {
        let mut body = json!({"name": "/m", "type": "password", "parameters": {"length": length}});
        body.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
        body
    };
    let id = async |mode: Value, length: u64| {
        let (status, made) = post(&house, wish(mode, length)).await;
        assert_eq!(status, 200, "{made}");
        made["id"].clone()
    };
    let first = id(json!({}), 20).await;
    assert_eq!(id(json!({}), 20).await, first);
    assert_eq!(id(json!({"mode": "converge"}), 20).await, first);
    assert_eq!(id(json!({"mode": "no-overwrite"}), 40).await, first);
    assert_eq!(id(json!({"overwrite": false}), 40).await, first);
    let second = id(json!({"mode": "converge"}), 40).await;
    assert_ne!(second, first);
    let third = id(json!({"mode": "overwrite"}), 40).await;
    assert_ne!(third, second);
    assert_ne!(id(json!({"overwrite": true}), 40).await, third);
    // What was set has no parameters that could fit.
    set(&house, "/m", "password", json!("x".repeat(40))).await;
    assert_ne!(id(json!({}), 40).await, third);
    for (mode, status) in [
        (json!({"mode": "overwrite", "overwrite": true}), 400),
        (json!({"mode": "maybe"}), 400),
        (json!({"overwrite": "pizza"}), 400),
        (json!({"other": 1}), 400),
    ] {
        assert_eq!(post(&house, wish(mode.clone(), 40)).await.0, status, "{mode}");
    }
    // In every mode, another type is refused.
    for mode in ["converge", "overwrite", "no-overwrite"] {
        assert_eq!(post(&house, json!({"name": "/m", "type": "user", "mode": mode})).await.0, 400, "{mode}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_user_has_the_name_that_is_asked_for_or_twenty_letters() {
    let house = House::open().await;
    let body = json!({"name": "/u", "type": "user", "value": {"username": "v"}, "parameters": {"username": "p"}});
    let (_, named) = post(&house, body).await;
    assert_eq!(named["value"]["username"], "v");
    let drawn = generate(&house, "/drawn", "user", json!({"length": 10})).await;
    let name = text(&drawn["value"]["username"]).to_owned();
    assert!(name.len() == 20 && name.chars().all(|c| c.is_ascii_alphabetic()), "{drawn}");
    assert_eq!(text(&drawn["value"]["password"]).len(), 10);
    let (status, again) = post(&house, json!({"name": "/drawn", "regenerate": true})).await;
    assert_eq!((status, text(&again["value"]["username"])), (200, name.as_str()), "it keeps its name");
    assert_ne!(again["value"]["password"], drawn["value"]["password"]);
    assert_eq!(text(&again["value"]["password"]).len(), 10);
    let converged = generate(&house, "/drawn", "user", json!({"length": 10})).await;
    assert_eq!(converged["id"], again["id"]);
    house.close().await;
}

#[tokio::test]
async fn keys_come_in_the_form_and_length_that_is_asked_for_and_keep_it() {
    let house = House::open().await;
    let rsa = generate(&house, "/rsa", "rsa", json!({"key_length": 3072})).await;
    assert!(text(&rsa["value"]["private_key"]).starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    assert!(text(&rsa["value"]["public_key"]).starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(generate(&house, "/rsa", "rsa", json!({"key_length": 3072})).await["id"], rsa["id"]);
    let (_, again) = post(&house, json!({"name": "/rsa", "regenerate": true})).await;
    assert_ne!(again["value"], rsa["value"]);
    let length = |made: &Value| text(&made["value"]["private_key"]).len();
    assert!(length(&again).abs_diff(length(&rsa)) < 30, "as long as it was");

    let ssh = generate(&house, "/ssh", "ssh", json!({"ssh_comment": "who@where"})).await;
    assert_eq!(members(&ssh["value"]), ["public_key", "private_key", "public_key_fingerprint"]);
    assert!(text(&ssh["value"]["public_key"]).starts_with("ssh-rsa "));
    assert!(text(&ssh["value"]["public_key"]).ends_with(" who@where"));
    let fingerprint = text(&ssh["value"]["public_key_fingerprint"]);
    assert!(fingerprint.len() == 43 && !fingerprint.contains([':', '=']), "{fingerprint}");
    assert_eq!(generate(&house, "/ssh", "ssh", json!({"ssh_comment": "who@where"})).await["id"], ssh["id"]);
    let other = generate(&house, "/ssh", "ssh", json!({})).await;
    assert_ne!(other["id"], ssh["id"], "without a comment");
    for kind in ["rsa", "ssh"] {
        let body = json!({"name": "/k", "type": kind, "parameters": {"key_length": 1024}});
        assert_eq!(post(&house, body).await.0, 400);
    }
    house.close().await;
}

#[tokio::test]
async fn only_what_was_generated_is_generated_again() {
    let house = House::open().await;
    set(&house, "/v", "value", json!("x")).await;
    set(&house, "/p", "password", json!("x")).await;
    set(&house, "/u", "user", json!({"password": "x"})).await;
    let made = generate(&house, "/g", "password", json!({"length": 12})).await;
    let again = async |name: &str| house.send(Method::POST, "/api/v1/regenerate", &json!({"name": name})).await;
    for (name, status) in [("/v", 400), ("/p", 400), ("/u", 400), ("/nothing", 404), ("g", 404), ("", 400)] {
        assert_eq!(again(name).await.0, status, "{name}");
    }
    let (status, next) = again("/g").await;
    assert_eq!((status, text(&next["value"]).len()), (200, 12));
    assert_ne!(next["value"], made["value"]);
    assert_eq!(value(&house, "/g").await, next["value"]);
    let body = json!({"name": "/g", "metadata": {"k": 1}});
    assert_eq!(house.send(Method::POST, "/api/v1/regenerate", &body).await.1["metadata"], json!({"k": 1}));
    assert_eq!(again("/g").await.1["metadata"], json!(null), "absent is none");
    house.close().await;
}
