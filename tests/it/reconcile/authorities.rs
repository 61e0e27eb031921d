use std::fs;
use std::process::Command;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use serde_json::{Value, json};
use strongroom::k8s::crd::{CertificateAuthority, ClientCredential, Credential};

use super::operator::{Ground, data, eventually};

/// What openssl thinks of a chain, with the root that the trust bundle has.
pub fn verify(chain: &str, root: &str, purpose: &str) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    fs::write(path("chain"), chain).expect("written");
    fs::write(path("root"), root).expect("written");
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"])
        .arg(path("root"))
        .arg("-untrusted")
        .args([path("chain"), path("chain")])
        .output()
        .expect("openssl");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub async fn bundle(ground: &Ground, name: &str) -> String {
    let api = ground.api::<ConfigMap>();
    let found = eventually(async || api.get_opt(name).await.expect("an answer"), Option::is_some).await;
    found.and_then(|it| it.data).expect("data").remove("ca.crt").expect("ca.crt")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_chain_is_verified_by_openssl() {
    let ground = Ground::new("chains").await;
    let operator = ground.start().await;
    // In no helpful order: the root comes last.
    let leaf = |key: &str, authority: &str| {
        let generate = json!({"commonName": "db", "alternativeNames": ["db.shop.svc"], "ca": {"name": authority},
            "keyAlgorithm": key, "extendedKeyUsage": ["ServerAuth"]});
        json!({"type": "Certificate", "source": {"generate": generate}})
    };
    for (name, key) in [("p256", "EcdsaP256"), ("p384", "EcdsaP384"), ("rsa", "Rsa2048"), ("ed", "Ed25519")] {
        ground.create::<Credential>(&format!("leaf-{name}"), leaf("EcdsaP256", &format!("child-{name}"))).await;
        let child = json!({"subject": {"commonName": name}, "validity": "8800h", "parentRef": {"name": "root"},
            "key": {"algorithm": key}, "pathLength": 0, "trustBundle": {"configMapName": format!("bundle-{name}")}});
        ground.create::<CertificateAuthority>(&format!("child-{name}"), child).await;
    }
    let client = json!({"type": "X509", "commonName": "till-18", "authorityRef": {"name": "child-p256"}});
    ground.create::<ClientCredential>("till-18", client).await;
    ground.failing::<CertificateAuthority>("child-rsa", "AwaitingAuthority").await;
    let root = json!({"subject": {"commonName": "Root", "organization": "Shop", "country": "DE"}, "validity": "87600h",
        "key": {"algorithm": "EcdsaP384"}, "trustBundle": {"configMapName": "roots"}});
    ground.create::<CertificateAuthority>("root", root).await;

    let root = bundle(&ground, "roots").await;
    for name in ["p256", "p384", "rsa", "ed"] {
        ground.ready::<Credential>(&format!("leaf-{name}")).await;
        let secret = data(&ground.secret(&format!("leaf-{name}")).await);
        assert_eq!(bundle(&ground, &format!("bundle-{name}")).await, root);
        assert_eq!(secret["ca.crt"], root);
        let said = verify(&secret["tls.crt"], &root, "sslserver");
        assert!(said.contains(": OK"), "{name}: {said}");
    }
    let client = ground.ready::<ClientCredential>("till-18").await;
    assert!(client.status.expect("a status").not_after.is_some());
    let secret = data(&ground.secret("till-18").await);
    assert!(verify(&secret["tls.crt"], &root, "sslclient").contains(": OK"));
    assert!(!verify(&secret["tls.crt"], &root, "sslserver").contains(": OK"), "a client's certificate serves nobody");

    let authority = ground.ready::<CertificateAuthority>("child-rsa").await.status.expect("a status");
    assert_eq!((authority.revision, authority.serial_number.map(|it| it.len())), (Some(1), Some(40)));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_an_authority_stays_in_the_store() {
    let ground = Ground::new("key").await;
    let operator = ground.start().await;
    let spec = json!({"subject": {"commonName": "CA"}, "validity": "24h", "trustBundle": {"configMapName": "roots"}});
    ground.create::<CertificateAuthority>("ca", spec).await;
    ground.ready::<CertificateAuthority>("ca").await;
    assert!(ground.api::<Secret>().list(&ListParams::default()).await.expect("a list").items.is_empty());
    let map: Value = serde_json::to_value(ground.api::<ConfigMap>().get("roots").await.expect("there")).expect("plain");
    assert!(map.to_string().contains("BEGIN CERTIFICATE") && !map.to_string().contains("PRIVATE KEY"));
    // A certificate authority is no Credential, although both live under one path.
    ground.create::<Credential>("ca", json!({"type": "Password", "source": {"generate": {}}})).await;
    let message = ground.failing::<Credential>("ca", "Conflict").await;
    assert!(message.contains(&format!("CertificateAuthority {}/ca", ground.namespace)), "{message}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_past_two_thirds_of_its_life_is_due() {
    let ground = Ground::new("due").await;
    let operator = ground.start().await;
    // Certificates are valid from five minutes before they are made: of this one two thirds are nearly over.
    let generate = json!({"commonName": "x", "selfSigned": true, "duration": "153s"});
    ground.create::<Credential>("short", json!({"type": "Certificate", "source": {"generate": generate}})).await;
    ground.until::<Credential>("short", |it| super::operator::condition(it, "RotationDue").is_some()).await;
    let short = ground.ready::<Credential>("short").await;
    assert!(short.status.expect("a status").not_after.is_some());
    operator.stop().await;
}
