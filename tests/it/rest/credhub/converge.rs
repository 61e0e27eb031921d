//! What a generation that converges takes for the same, and what for another wish.

use reqwest::Method;
use serde_json::{Value, json};

use super::stock::{make, put};
use super::{DATA, current, generate, set, text, value};
use crate::rest::house::House;

/// Whether this is answered with the version that is there.
async fn keeps(house: &House, body: &Value) -> bool {
    let name = text(&body["name"]);
    let before = current(house, name).await[0]["id"].clone();
    let (status, made) = house.send(Method::POST, DATA, body).await;
    assert_eq!(status, 200, "{made} to {body}");
    assert_eq!(current(house, name).await[0]["id"], made["id"], "what is answered counts");
    made["id"] == before
}

/// Each row changes the wish of the row before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_kept_unless_it_would_say_something_else() {
    let house = House::open().await;
    for name in ["/ca", "/other"] {
        make(&house, name, json!({"common_name": name, "is_ca": true})).await;
    }
    let mut parameters = json!({
        "common_name": "Till", "organization": "Shop", "locality": "Bern", "duration": 30, "ca": "/ca",
        "alternative_names": ["b.example", "a.example", "10.0.0.1"],
        "key_usage": ["digital_signature", "key_encipherment"],
        "extended_key_usage": ["client_auth", "server_auth"],
    });
    make(&house, "/till", parameters.clone()).await;
    let rows = [
        (true, json!({})),
        (true, json!({"duration": 3650})),
        (true, json!({"common_name": "tILL", "organization": "SHOP"})),
        (true, json!({"key_usage": ["key_encipherment", "digital_signature", "digital_signature"]})),
        (true, json!({"key_length": 2048, "is_ca": false, "self_sign": "false"})),
        (true, json!({"ca": "ca"})),
        (false, json!({"alternative_names": ["a.example", "b.example", "10.0.0.1"]})),
        (false, json!({"alternative_names": ["a.example", "b.example"]})),
        (false, json!({"extended_key_usage": ["server_auth", "client_auth"]})),
        (false, json!({"key_usage": ["key_encipherment"]})),
        (false, json!({"key_usage": null})),
        (false, json!({"common_name": "till 2"})),
        (false, json!({"locality": ""})),
        (false, json!({"organization_unit": "Shop", "organization": null})),
        (false, json!({"key_length": 3072})),
        (false, json!({"key_length": null})),
        (false, json!({"is_ca": true})),
        (false, json!({"ca": "/other", "is_ca": false})),
        (false, json!({"ca": null, "self_sign": true})),
        (true, json!({"duration": 1})),
        (false, json!({"is_ca": true})),
        (true, json!({"self_sign": false})),
    ];
    let mut wrong = Vec::new();
    for (is_kept, change) in rows {
        parameters.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let body = json!({"name": "/till", "type": "certificate", "parameters": parameters, "metadata": change});
        if keeps(&house, &body).await != is_kept {
            wrong.push(format!("kept: {}: {change}", !is_kept));
        }
        let metadata = current(&house, "/till").await[0]["metadata"].clone();
        assert_eq!(metadata == change, !is_kept, "metadata alone makes no version: {change} {metadata}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_made_anew_when_its_authority_has_another_active_certificate() {
    let house = House::open().await;
    let old = make(&house, "/ca", json!({"common_name": "ca", "is_ca": true})).await;
    let body = json!({"name": "/till", "type": "certificate", "parameters": {"common_name": "till", "ca": "/ca"}});
    make(&house, "/till", body["parameters"].clone()).await;
    let (_, listed) = house.get("/api/v1/certificates?name=/ca").await;
    let certificates = format!("/api/v1/certificates/{}", text(&listed["certificates"][0]["id"]));
    let waits = json!({"set_as_transitional": true});
    assert_eq!(house.send(Method::POST, &format!("{certificates}/regenerate"), &waits).await.0, 200);
    let rows = [
        ("one that waits signs nothing yet", None, true),
        ("the one that waited counts", Some(json!({"version": old["id"]})), false),
        ("and goes on counting", None, true),
        ("no other waits", Some(json!({"version": null})), true),
    ];
    for (why, moved, is_kept) in rows {
        if let Some(moved) = moved {
            let path = format!("{certificates}/update_transitional_version");
            assert_eq!(house.send(Method::PUT, &path, &moved).await.0, 200);
        }
        assert_eq!(keeps(&house, &body).await, is_kept, "{why}");
    }
    assert_eq!(value(&house, "/till").await["ca"], value(&house, "/ca").await["certificate"]);
    assert_eq!(house.send(Method::POST, "/api/v1/regenerate", &json!({"name": "/ca"})).await.0, 200);
    assert!(!keeps(&house, &body).await, "its authority was made anew");
    house.close().await;
}

/// An operator's own certificate stays where a deployment asks for one like it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_set_is_compared_by_what_it_says() {
    let house = House::open().await;
    let root = make(&house, "/ca", json!({"common_name": "ca", "is_ca": true})).await["value"].clone();
    make(&house, "/other", json!({"common_name": "other", "is_ca": true})).await;
    let leaf = make(&house, "/leaf", json!({"common_name": "leaf", "ca": "/ca"})).await["value"].clone();
    let alone = make(&house, "/alone", json!({"common_name": "alone", "self_sign": true})).await["value"].clone();
    let own = |made: &Value| json!({"certificate": made["certificate"], "private_key": made["private_key"]});
    let with = |made: &Value, name: &str, ca: &Value| {
        let mut value = own(made);
        value[name] = ca.clone();
        value
    };
    let asked = |name: &str, ca: &str| json!({"common_name": name, "ca": ca});
    for (why, value, parameters, is_kept) in [
        ("by its authority's name", with(&leaf, "ca_name", &json!("/ca")), asked("leaf", "/ca"), true),
        ("by another's name", with(&leaf, "ca_name", &json!("/ca")), asked("leaf", "/other"), false),
        ("by its authority's text", with(&leaf, "ca", &root["certificate"]), asked("leaf", "/ca"), true),
        ("by a text and another's name", with(&leaf, "ca", &root["certificate"]), asked("leaf", "/other"), true),
        ("by a text, with another name", with(&leaf, "ca", &root["certificate"]), asked("leaf 2", "/ca"), false),
        ("self-signed", own(&alone), json!({"common_name": "alone", "self_sign": true}), true),
        ("self-signed, to be signed", own(&alone), asked("alone", "/ca"), false),
        ("a root", own(&root), json!({"common_name": "CA", "is_ca": true}), true),
    ] {
        put(&house, json!({"name": "/given", "type": "certificate", "value": value})).await;
        let body = json!({"name": "/given", "type": "certificate", "parameters": parameters});
        assert_eq!(keeps(&house, &body).await, is_kept, "{why}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_users_and_keys_are_kept_if_they_were_made_so() {
    let house = House::open().await;
    let special = json!({"include_special": true});
    let rows = [
        ("password", json!({}), json!({"length": 30}), true),
        ("password", json!(null), json!({"exclude_lower": false, "include_special": "false"}), true),
        ("password", json!({"length": 3}), json!({"length": 201}), true),
        ("password", json!({"length": 20}), json!({"length": 21}), false),
        ("password", json!({}), special.clone(), false),
        ("password", special.clone(), json!({}), false),
        ("password", json!({}), json!({"exclude_number": true}), false),
        ("password", json!({}), json!({"exclude_upper": true}), false),
        ("password", json!({}), json!({"exclude_lower": true}), false),
        ("user", json!({}), json!({}), true),
        ("user", json!({"username": "u"}), json!({"username": "u", "length": 30}), true),
        ("user", json!({"username": "u"}), json!({"username": "U"}), false),
        ("user", json!({"username": "u"}), json!({}), false),
        ("user", json!({}), json!({"username": "u"}), false),
        ("user", json!({}), special, false),
        ("ssh", json!({}), json!({"key_length": 2048, "ssh_comment": ""}), true),
        ("ssh", json!({"ssh_comment": "a"}), json!({"ssh_comment": "b"}), false),
        ("rsa", json!({}), json!({"key_length": "2048"}), true),
        ("rsa", json!({}), json!({"key_length": 3072}), false),
    ];
    let mut wrong = Vec::new();
    for (at, (kind, first, second, is_kept)) in rows.iter().enumerate() {
        let name = format!("/row/{at}");
        let made = generate(&house, &name, kind, first.clone()).await;
        let again = json!({"name": name, "type": kind, "parameters": second, "metadata": "other"});
        if keeps(&house, &again).await != *is_kept {
            wrong.push(format!("{kind} {first} {second}"));
        }
        // And whatever it was made with, it stays as it was.
        let now = current(&house, &name).await[0].clone();
        assert_eq!(now["value"] == made["value"], now["id"] == made["id"], "{now}");
        for mode in [json!({"mode": "no-overwrite"}), json!({"overwrite": "false"})] {
            let mut body = again.clone();
            body["parameters"] = first.clone();
            body.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
            assert!(keeps(&house, &body).await, "{body}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_set_fits_no_wish_but_keys_of_the_right_length_do() {
    let house = House::open().await;
    let (rsa, ssh) =
        (generate(&house, "/rsa", "rsa", json!({})).await, generate(&house, "/ssh", "ssh", json!({})).await);
    let part = |made: &Value, name: &str| json!({name: made["value"][name]});
    for (kind, value, is_kept) in [
        ("password", json!("x".repeat(30)), false),
        ("user", json!({"username": "u", "password": "x".repeat(30)}), false),
        ("rsa", rsa["value"].clone(), true),
        ("rsa", part(&rsa, "public_key"), true),
        ("rsa", json!({"private_key": "no key"}), false),
        ("ssh", ssh["value"].clone(), true),
        ("ssh", part(&ssh, "public_key"), true),
        ("ssh", json!({"public_key": "ssh-rsa no key"}), false),
    ] {
        let name = format!("/given/{kind}");
        set(&house, &name, kind, value.clone()).await;
        let parameters = if kind == "user" { json!({"username": "u"}) } else { json!({}) };
        let body = json!({"name": name, "type": kind, "parameters": parameters});
        assert_eq!(keeps(&house, &body).await, is_kept, "{kind} {value}");
        assert!(keeps(&house, &body).await, "what was made fits");
    }
    house.close().await;
}
