//! Everything that an authority has signed, in one call.

use std::time::Duration;

use reqwest::Method;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use strongroom::server::Limits;

use super::certificates::{id, listed, pems};
use super::stock::{Stock, assert_refused, case, certificate, make, put};
use super::{current, ended_in, text, value};
use crate::rest::house::{House, answer};

const BULK: &str = "/api/v1/bulk-regenerate";

async fn bulk(house: &House, name: &str) -> Value {
    let (status, done) = house.send(Method::POST, BULK, &json!({"signed_by": name})).await;
    assert_eq!(status, 200, "{done}");
    done["regenerated_credentials"].clone()
}

/// Signs with the key of an authority that was made here, as anybody who has it can.
struct Elsewhere(rcgen::Issuer<'static, rcgen::KeyPair>);

impl Elsewhere {
    fn of(made: &Value) -> Self {
        Self(rcgen::Issuer::from_ca_cert_pem(text(&made["value"]["certificate"]), key(made)).unwrap())
    }

    fn sign(&self, name: &str, key: &rcgen::KeyPair) -> String {
        let mut params = ended_in(2040);
        params.subject_alt_names.push(rcgen::SanType::DnsName(name.try_into().unwrap()));
        params.signed_by(key, &self.0).unwrap().pem()
    }
}

fn key(made: &Value) -> rcgen::KeyPair {
    let der = PrivateKeyDer::from_pem_slice(text(&made["value"]["private_key"]).as_bytes()).unwrap();
    rcgen::KeyPair::from_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_and_more_are_signed_anew_in_one_answer() {
    // So many keys take longer than another request may.
    let house = House::limited(Limits { request: Duration::from_secs(4), ..Limits::default() }).await;
    let ca = make(&house, "/ca", json!({"common_name": "ca", "is_ca": true})).await;
    let (elsewhere, key) = (Elsewhere::of(&ca), key(&ca));
    let mut names = Vec::new();
    for n in 0..102 {
        // Sorted without regard to case.
        let name = format!("/{}/{n:03}", if n % 2 == 0 { "A" } else { "a" });
        let pem = elsewhere.sign("a.example", &key);
        put(&house, certificate(&name, json!({"certificate": pem, "ca_name": "/ca"}))).await;
        names.push(name);
    }
    names.sort_by_key(|name| name.to_lowercase());
    let before = house.position().await;
    let request = house.ops(Method::POST, BULK).json(&json!({"signed_by": "/CA"})).timeout(Duration::from_secs(300));
    assert_eq!(answer(request).await, (200, json!({"regenerated_credentials": names})));
    assert!(house.position().await > before);
    for name in names {
        let all = house.get(&format!("/api/v1/data?name={name}")).await.1["data"].clone();
        assert_eq!(all.as_array().unwrap().len(), 2, "{name}");
        assert_ne!(all[0]["value"]["certificate"], all[1]["value"]["certificate"]);
        assert_eq!((&all[0]["generated"], &all[0]["value"]["ca"]), (&json!(true), &ca["value"]["certificate"]));
    }
    assert_eq!(current(&house, "/ca").await[0]["id"], ca["id"], "itself it is not, in whatever case it is named");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_signed_anew_is_named_and_nothing_is_changed() {
    let stock = Stock::open().await;
    make(&stock, "/middle", json!({"common_name": "middle", "is_ca": true, "ca": "/root"})).await;
    make(&stock, "/below", json!({"common_name": "below", "ca": "/middle"})).await;
    let elliptic = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let middle = current(&stock, "/middle").await[0].clone();
    let odd = Elsewhere::of(&middle).sign("odd.example", &elliptic);
    put(&stock, certificate("/z/odd", json!({"certificate": odd, "ca_name": "/middle"}))).await;
    let names = ["/leaf", "/middle", "/below", "/z/odd", "/root"];
    let ids = async || {
        let mut ids = Vec::new();
        for name in names {
            ids.push(current(&stock, name).await[0]["id"].clone());
        }
        ids
    };
    let before = ids().await;
    for signer in ["/root", "/middle"] {
        assert_refused(&stock, [case(Method::POST, BULK, json!({"signed_by": signer}), 400, "/z/odd")]).await;
    }
    assert_eq!(ids().await, before);
    assert_eq!(stock.send(Method::DELETE, "/api/v1/data?name=/z/odd", &Value::Null).await.0, 204);
    assert_eq!(bulk(&stock, "/root").await, json!(["/below", "/leaf", "/middle"]));
    stock.close().await;
}

/// Both authorities above a leaf are rotated at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_signed_by_what_counts_above_it_and_trusts_what_waits_there() {
    let house = House::open().await;
    make(&house, "/root", json!({"common_name": "root", "is_ca": true})).await;
    make(&house, "/middle", json!({"common_name": "middle", "is_ca": true, "ca": "/root"})).await;
    make(&house, "/leaf", json!({"common_name": "leaf", "ca": "/middle"})).await;
    for name in ["/root", "/middle"] {
        let path = format!("/api/v1/certificates/{}/regenerate", id(&house, name).await);
        assert_eq!(house.send(Method::POST, &path, &json!({"set_as_transitional": true})).await.0, 200);
    }
    let before = [current(&house, "/root").await, current(&house, "/middle").await];
    let pem = |version: &Value| pems(&version["value"]["certificate"]).remove(0);
    assert_eq!(pems(&value(&house, "/leaf").await["ca"]), [pem(&before[1][0]), pem(&before[1][1])]);
    assert_eq!(bulk(&house, "root").await, json!(["/leaf", "/middle"]));
    let [root, middle] = [current(&house, "/root").await, current(&house, "/middle").await];
    assert_eq!(root, before[0], "the root stays, and what waits in it");
    assert_ne!(pem(&middle[0]), pem(&before[1][0]));
    assert_eq!(middle[1]["id"], before[1][1]["id"], "what waits goes on waiting");
    assert_eq!(pems(&middle[0]["value"]["ca"]), [pem(&root[0]), pem(&root[1])]);
    assert_eq!(pems(&value(&house, "/leaf").await["ca"]), [pem(&middle[0]), pem(&middle[1])]);
    // A part of the tree alone.
    let leaf = value(&house, "/leaf").await;
    assert_eq!(bulk(&house, "/middle").await, json!(["/leaf"]));
    assert_eq!(current(&house, "/middle").await, middle);
    assert_ne!(value(&house, "/leaf").await["certificate"], leaf["certificate"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_sign_signs_nothing_anew() {
    let stock = Stock::open().await;
    let before = stock.position().await;
    for name in ["/nobody", "/other", "/alone", "/leaf"] {
        assert_eq!(bulk(&stock, name).await, json!([]), "{name} has signed nothing");
    }
    assert_eq!(stock.position().await, before);
    // What an authority has signed that is gone cannot be signed anew, and that is said.
    assert_eq!(listed(&stock, "/leaf").await["signed_by"], "/root");
    assert_eq!(stock.send(Method::DELETE, "/api/v1/data?name=/root", &Value::Null).await.0, 204);
    assert_refused(&stock, [case(Method::POST, BULK, json!({"signed_by": "/root"}), 404, "authority")]).await;
    assert_eq!(current(&stock, "/leaf").await[0]["id"], stock.leaf["id"]);
    // Another at its name signs it.
    let new = make(&stock, "/ROOT", json!({"common_name": "root", "is_ca": true})).await;
    assert_eq!(bulk(&stock, "/root").await, json!(["/leaf"]));
    assert_eq!(value(&stock, "/leaf").await["ca"], new["value"]["certificate"]);
    stock.close().await;
}

/// What is signed anew has its key too, which may be in the way of another credential of the same service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_get_a_field_that_a_service_has_already_is_refused_with_all_others() {
    let stock = Stock::open().await;
    let pem = stock.leaf["value"]["certificate"].clone();
    put(&stock, certificate("/brought", json!({"certificate": pem, "ca_name": "/root"}))).await;
    let brought = stock.id("/brought").await.replace('-', "");
    let other = stock.credential("other", json!({"private_key": "x"})).await;
    let service = async |ids: &[&str]| {
        let (status, put) = stock.send(Method::PUT, "/v1/services/till", &json!({"credentials": ids})).await;
        assert_eq!(status, 200, "{put}");
    };
    service(&[&brought, &other]).await;
    let before = current(&stock, "/leaf").await;
    assert_refused(&stock, [case(Method::POST, BULK, json!({"signed_by": "/root"}), 409, "private_key")]).await;
    assert_eq!(current(&stock, "/leaf").await, before);
    assert!(value(&stock, "/brought").await["private_key"].is_null());
    service(&[&brought]).await;
    assert_eq!(bulk(&stock, "/root").await, json!(["/brought", "/leaf"]));
    assert_ne!(current(&stock, "/leaf").await, before);
    assert!(value(&stock, "/brought").await["private_key"].is_string());
    stock.close().await;
}
