//! Certificates that cannot be set, made or rotated.

use reqwest::Method;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::stock::{Case, SECRET, Stock, assert_refused, case, certificate, generate, make, put, set};

fn asked(parameters: &Value) -> Value {
    json!({"name": "/new", "type": "certificate", "parameters": parameters})
}

/// Each is mended in its turn, so that the next one is what is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_wrong_parameters_the_first_in_credhubs_order_is_named() {
    let stock = Stock::open().await;
    let mut parameters = json!({
        "key_usage": ["digital_signature", "signing"], "extended_key_usage": ["server"], "key_length": 1024,
        "ca": "/root", "self_sign": true, "alternative_names": ["a b"], "duration": 0,
    });
    let long = "x".repeat(65);
    for (word, field, mended) in [
        ("key_usage", "key_usage", json!(["crl_sign"])),
        ("extended_key_usage", "extended_key_usage", Value::Null),
        ("key_length", "key_length", json!("2048")),
        ("subject", "common_name", json!(long)),
        ("self_sign", "ca", json!("")),
        ("alternative_names", "alternative_names", json!(["a.example", "::1", "*.b"])),
        ("duration", "duration", json!("3650")),
        ("common_name", "common_name", json!("x".repeat(64))),
    ] {
        assert_refused(&stock, [generate(asked(&parameters), word)]).await;
        parameters[field] = mended;
    }
    make(&stock, "/new", parameters).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_certificates_that_cannot_be() {
    let stock = Stock::open().await;
    let mut cases = Vec::new();
    for parameters in [Value::Null, json!([]), json!("x")] {
        cases.push(generate(asked(&parameters), "parameters"));
    }
    cases.push(generate(json!({"name": "/new", "type": "certificate"}), "parameters"));
    for parameters in
        [json!({}), json!({"is_ca": true}), json!({"self_sign": true, "common_name": "", "country": null})]
    {
        cases.push(generate(asked(&parameters), "subject"));
    }
    cases.push(generate(asked(&json!({"common_name": "x"})), "ca"));
    cases.push(generate(asked(&json!({"common_name": "x", "is_ca": false, "self_sign": "false"})), "ca"));
    let names = ["http://a", "a@b", "a b", "1.2.3.4.5", "a..b", "*a.b", "a/b", "[::1]"];
    let wrong = names.iter().map(|name| ("alternative_names", json!([name]), "alternative_names"));
    let usages = ["DigitalSignature", "", "server_auth", "digital_signature "];
    let wrong = wrong.chain(usages.iter().map(|usage| ("key_usage", json!([usage]), "key_usage")));
    let wrong = wrong.chain([0, -1, 3651, i64::MAX].iter().map(|days| ("duration", json!(days), "duration")));
    for (field, value, word) in wrong.chain([
        ("alternative_names", json!("a.example"), "alternative_names"),
        ("alternative_names", json!([["a"]]), "alternative_names"),
        ("alternative_names", json!(["x".repeat(254)]), "alternative_names"),
        ("alternative_names", json!(vec!["a.example"; 5_000]), "alternative_names"),
        ("extended_key_usage", json!(["any"]), "extended_key_usage"),
        ("extended_key_usage", json!("client_auth"), "extended_key_usage"),
        ("key_length", json!(1024), "key_length"),
        ("key_length", json!("huge"), "key_length"),
        ("duration", json!("a year"), "duration"),
        ("duration", json!(1.5), "duration"),
        ("organization", json!("x".repeat(65)), "organization"),
        ("organization_unit", json!("x".repeat(65)), "organization"),
        ("locality", json!("x".repeat(129)), "locality"),
        ("state", json!("x".repeat(129)), "state"),
        ("country", json!("CHE"), "country"),
        ("common_name", json!(["x"]), "common_name"),
        ("common_name", json!("a\0b"), "common_name"),
        ("is_ca", json!("pizza"), "is_ca"),
        ("self_sign", json!({}), "self_sign"),
    ]) {
        let mut parameters = json!({"common_name": "x", "self_sign": true});
        parameters[field] = value;
        cases.push(generate(asked(&parameters), word));
    }
    assert_refused(&stock, cases).await;
    stock.close().await;
}

/// Where something is there already that would do, it is all the same refused to ask for what could not be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_that_cannot_sign_are_refused_in_every_mode() {
    let stock = Stock::open().await;
    let mut cases = Vec::new();
    for (ca, status, word) in [
        ("/absent", 404, "authority"),
        ("absent", 404, "authority"),
        ("/password", 400, "another type"),
        ("/leaf", 400, "CA:TRUE"),
        ("/given", 400, "CA:TRUE"),
        ("/keyless", 400, "private key"),
    ] {
        for (name, mode) in
            [("/new", "converge"), ("/leaf", "converge"), ("/leaf", "overwrite"), ("/leaf", "no-overwrite")]
        {
            let parameters = json!({"common_name": "leaf", "ca": ca});
            let body = json!({"name": name, "type": "certificate", "mode": mode, "parameters": parameters});
            cases.push(Case { status, ..generate(body, word) });
        }
    }
    assert_refused(&stock, cases).await;
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_cannot_be_set() {
    let stock = Stock::open().await;
    let part = |made: &Value, name: &str| made["value"][name].as_str().unwrap().to_owned();
    let (root, leaf) = (part(&stock.root, "certificate"), part(&stock.leaf, "certificate"));
    let (root_key, other) = (part(&stock.root, "private_key"), part(&stock.other, "certificate"));
    let elliptic = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let own = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap().self_signed(&elliptic).unwrap();
    let armoured = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let long = format!("{leaf}{}", "x".repeat(7001));
    let wrong = [
        (json!({}), 400, "value"),
        (json!({"ca": "", "certificate": null, "private_key": "", "ca_name": "/root"}), 400, "value"),
        (json!({"certificate": leaf, "ca": root, "ca_name": "/root"}), 400, "ca_name"),
        (json!({"certificate": long}), 400, "7000"),
        (json!({"certificate": leaf, "ca": long}), 400, "7000"),
        (json!({"certificate": SECRET}), 400, "certificate"),
        (json!({"certificate": armoured}), 400, "certificate"),
        (json!({"certificate": root_key}), 400, "certificate"),
        (json!({"certificate": [leaf]}), 400, "certificate"),
        (json!({"certificate": leaf, "ca": SECRET}), 400, "ca"),
        (json!({"certificate": leaf, "ca": other}), 400, "signed"),
        (json!({"certificate": leaf, "ca": leaf}), 400, "signed"),
        (json!({"certificate": leaf, "private_key": SECRET}), 400, "private_key"),
        (json!({"certificate": leaf, "private_key": root_key}), 400, "private_key"),
        (json!({"certificate": leaf, "private_key": elliptic.serialize_pem()}), 400, "RSA"),
        (json!({"ca": root}), 400, "certificate"),
        (json!({"private_key": root_key}), 400, "certificate"),
        (json!({"certificate": leaf, "ca_name": "/absent"}), 404, "authority"),
        (json!({"certificate": leaf, "ca_name": "/password"}), 400, "another type"),
        (json!({"certificate": leaf, "ca_name": "/other"}), 400, "signed"),
        (json!({"certificate": leaf, "ca_name": "/alone"}), 400, "signed"),
        (json!({"certificate": leaf, "ca_name": "a//b"}), 400, "name"),
        (json!({"certificate": leaf, "private_key": "x".repeat(65_520)}), 413, "value"),
    ];
    let id = stock.id("/root").await;
    let mut cases = Vec::new();
    for (value, status, word) in wrong {
        cases.push(set(certificate("/new", value.clone()), status, word));
        let path = format!("/api/v1/certificates/{id}/versions");
        cases.push(case(Method::POST, path, json!({"value": value}), status, word));
    }
    assert_refused(&stock, cases).await;

    // One with another sort of key can be kept, and not be made anew.
    put(&stock, certificate("/elliptic", json!({"certificate": own.pem()}))).await;
    let again = case(Method::POST, "/api/v1/regenerate", json!({"name": "/elliptic"}), 400, "RSA");
    assert_refused(&stock, [again]).await;
    stock.close().await;
}

/// The first could be signed anew, the second not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_made_anew_keeps_all_under_its_authority_as_they_are() {
    let stock = Stock::open().await;
    let part = |name: &str| stock.root["value"][name].as_str().unwrap();
    let der = PrivateKeyDer::from_pem_slice(part("private_key").as_bytes()).unwrap();
    let key = rcgen::KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let root = rcgen::Issuer::from_ca_cert_pem(part("certificate"), key).unwrap();
    let elliptic = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let signed = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap().signed_by(&elliptic, &root).unwrap();
    put(&stock, certificate("/odd", json!({"certificate": signed.pem(), "ca_name": "/root"}))).await;
    let body = json!({"signed_by": "/root"});
    assert_refused(&stock, [case(Method::POST, "/api/v1/bulk-regenerate", body, 400, "RSA")]).await;
    let leaf = stock.get("/api/v1/data?name=/leaf").await.1;
    assert_eq!((leaf["data"].as_array().unwrap().len(), &leaf["data"][0]["id"]), (1, &stock.leaf["id"]));
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_that_cannot_be() {
    let stock = Stock::open().await;
    let (root, given, leaf) = (stock.id("/root").await, stock.id("/given").await, stock.id("/leaf").await);
    let of = |id: &str, rest: &str| format!("/api/v1/certificates/{id}/{rest}");
    let regenerate = |id: &str, body: Value, status, word| case(Method::POST, of(id, "regenerate"), body, status, word);
    let foreign = stock.leaf["id"].as_str().unwrap();
    let absent = "00000000-0000-4000-8000-000000000000";
    let mut cases = vec![regenerate(&given, json!({}), 400, "certificate")];
    for (field, value, word) in [
        ("set_as_transitional", json!("pizza"), "set_as_transitional"),
        ("set_as_transitional", json!(1), "set_as_transitional"),
        ("allow_transitional_parent_to_sign", json!([]), "allow_transitional_parent_to_sign"),
        ("key_length", json!(1024), "key_length"),
        ("key_length", json!("big"), "key_length"),
        ("duration", json!(0), "duration"),
        ("duration", json!(3651), "duration"),
        ("duration", json!("long"), "duration"),
        ("metadata", json!("x".repeat(7000)), "metadata"),
    ] {
        cases.push(regenerate(&root, json!({field: value}), 400, word));
    }
    for version in [json!("x"), json!(foreign), json!(absent), json!("LATEST"), json!(5), json!([foreign])] {
        let path = of(&root, "update_transitional_version");
        cases.push(case(Method::PUT, path, json!({"version": version}), 400, "version"));
    }
    let own = stock.root["id"].as_str().unwrap();
    cases.push(case(Method::DELETE, of(&root, &format!("versions/{own}")), Value::Null, 400, "last"));
    for version in [foreign, absent, "x"] {
        cases.push(case(Method::DELETE, of(&root, &format!("versions/{version}")), Value::Null, 404, "does not exist"));
    }
    for (value, word) in [(Value::Null, "value"), (json!("x"), "value"), (json!([]), "value")] {
        cases.push(case(Method::POST, of(&root, "versions"), json!({"value": value}), 400, word));
    }
    cases.push(case(Method::POST, of(&root, "versions"), json!({}), 400, "value"));
    let value = json!({"certificate": stock.root["value"]["certificate"]});
    let pizza = json!({"value": value, "transitional": "pizza"});
    cases.push(case(Method::POST, of(&root, "versions"), pizza, 400, "transitional"));
    assert_refused(&stock, cases).await;

    // Only one waits.
    let waits = json!({"set_as_transitional": "true"});
    let (status, made) = stock.send(Method::POST, &of(&root, "regenerate"), &waits).await;
    assert_eq!((status, &made["transitional"]), (200, &json!(true)), "{made}");
    let another = json!({"value": value, "transitional": true});
    assert_refused(
        &stock,
        [
            regenerate(&root, waits.clone(), 400, "transitional"),
            case(Method::POST, of(&root, "versions"), another, 400, "transitional"),
        ],
    )
    .await;

    // What an authority that is gone has signed cannot be made anew, and stays what it is.
    let deleted = stock.send(Method::DELETE, "/api/v1/data?name=/root", &Value::Null).await;
    assert_eq!(deleted.0, 204);
    assert_refused(
        &stock,
        [
            regenerate(&leaf, json!({}), 404, "authority"),
            case(Method::POST, "/api/v1/regenerate", json!({"name": "/leaf"}), 404, "does not exist"),
        ],
    )
    .await;
    assert_eq!(stock.get("/api/v1/data?name=/leaf").await.0, 200);
    stock.close().await;
}
