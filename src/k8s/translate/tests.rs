//! Defaults, refusals and what is taken over.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{AUTHORITY_FIELDS, AuthorityWish, ClientWish, CredentialWish, SourceWish, VALIDITY_DEFAULT, parent_of};
use crate::domain::authority::{DistinguishedName, ExtendedKeyUsage, Issuer, KeyAlgorithm, Role};
use crate::domain::credential::{About, Characters, Generate};
use crate::domain::name::Path;
use crate::domain::{Error, Result};
use crate::k8s::crd;

fn resource<K: DeserializeOwned>(kind: &str, spec: Value) -> K {
    let metadata = json!({"name": "db", "namespace": "shop"});
    let api_version = "strongroom.dev/v1alpha1";
    serde_json::from_value(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}))
        .unwrap()
}

fn credential(spec: Value) -> Result<CredentialWish> {
    CredentialWish::try_from(&resource::<crd::Credential>("Credential", spec))
}

fn generated(kind: &str, generate: Value) -> Result<Generate> {
    match credential(json!({"type": kind, "source": {"generate": generate}}))?.source {
        SourceWish::Generate(generate) => Ok(generate),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_written_takes_credhubs_defaults() {
    let characters = Characters { length: 30, lower: true, upper: true, digits: true, special: false };
    assert_eq!(generated("Password", json!({})).unwrap(), Generate::Password(characters));
    assert_eq!(generated("User", json!({})).unwrap(), Generate::User { username: None, characters });
    assert_eq!(generated("Rsa", json!({})).unwrap(), Generate::Rsa { bits: 2048 });
    assert_eq!(generated("Ssh", json!({})).unwrap(), Generate::Ssh { bits: 2048, comment: None });
    let Generate::Certificate(request) =
        generated("Certificate", json!({"commonName": "x", "ca": {"name": "root"}})).unwrap()
    else {
        panic!("no certificate");
    };
    assert_eq!(request.issuer, Issuer::Authority(Path::kubernetes("shop", "root")));
    assert_eq!((request.validity, request.key), (VALIDITY_DEFAULT, KeyAlgorithm::EcdsaP256));
}

#[test]
fn what_is_refused_is_named_as_in_the_resource() {
    let field = |error: Result<Generate>| error.unwrap_err().to_string();
    assert!(field(generated("Password", json!({"length": 3}))).starts_with("spec.source.generate.length "));
    assert!(field(generated("Rsa", json!({"keyLength": 100}))).starts_with("spec.source.generate.keyLength "));
    assert!(field(generated("Value", json!({}))).starts_with("spec.source.generate "));
    let name = json!({"commonName": "x", "selfSigned": true, "alternativeNames": ["a b"]});
    assert!(field(generated("Certificate", name)).starts_with("spec.source.generate.alternativeNames "));
}

#[test]
fn words_about_a_credential_are_taken_over() {
    let wish = credential(json!({"type": "Pairs", "source": {"stored": {}}, "documentation": "d", "tags": ["t"],
        "metadata": {"team": "till"}, "enabled": false}))
    .unwrap();
    let metadata = Some(r#"{"team":"till"}"#.to_owned());
    let expected = About { enabled: false, documentation: Some("d".into()), metadata, tags: vec!["t".into()] };
    assert_eq!(wish.about, expected);
    assert_eq!(credential(json!({"type": "Pairs", "source": {"stored": {}}})).unwrap().about, About::default());
}

#[test]
fn an_authority_is_signed_by_its_parent_in_its_own_namespace() {
    let spec = json!({"subject": {"commonName": "CA"}, "validity": "24h", "parentRef": {"name": "root"},
        "pathLength": 0, "issuance": {"maxValidity": "1h", "allowedDnsNames": ["*.shop.svc"]}});
    let wish = AuthorityWish::try_from(&resource::<crd::CertificateAuthority>("CertificateAuthority", spec)).unwrap();
    let Generate::Certificate(request) = wish.generate else { panic!("no certificate") };
    assert_eq!(request.issuer, Issuer::Authority(Path::kubernetes("shop", "root")));
    assert_eq!(request.role, Role::Authority { path_length: Some(0) });
    assert_eq!(wish.authority.policy.allowed_dns_names, ["*.shop.svc"]);
    assert_eq!(AUTHORITY_FIELDS(Error::invalid("duration", "x")).to_string(), "spec.validity x");
    assert_eq!(AUTHORITY_FIELDS(Error::invalid("pathLength", "x")).to_string(), "spec.pathLength x");
}

#[test]
fn a_parent_is_named_in_one_way() {
    let authority = |parent: serde_json::Value| {
        let spec = json!({"subject": {"commonName": "CA"}, "validity": "24h", "parentRef": parent});
        resource::<crd::CertificateAuthority>("CertificateAuthority", spec)
    };
    let abroad = authority(json!({"path": "/team/root-ca"}));
    let wish = AuthorityWish::try_from(&abroad).unwrap();
    let parent = Path::parse("/team/root-ca").unwrap();
    assert_eq!((wish.authority.parent.as_ref(), parent_of(&abroad).as_ref()), (Some(&parent), Some(&parent)));
    let Generate::Certificate(request) = wish.generate else { panic!("no certificate") };
    assert_eq!(request.issuer, Issuer::Authority(parent));
    // What an older CRD may have let in.
    for (parent, field) in [
        (json!({}), "spec.parentRef needs"),
        (json!({"name": "a", "path": "/b"}), "spec.parentRef needs"),
        (json!({"path": "b"}), "spec.parentRef.path does not start"),
        (json!({"path": "/a/../b"}), "spec.parentRef.path has an empty"),
    ] {
        let authority = authority(parent);
        let error = AuthorityWish::try_from(&authority).unwrap_err().to_string();
        assert!(error.starts_with(field) && parent_of(&authority).is_none(), "{error}");
    }
}

#[test]
fn a_client_certificate_is_for_clients() {
    let spec = json!({"type": "X509", "commonName": "till", "authorityRef": {"name": "ca"}, "ttl": "24h"});
    let wish = ClientWish::try_from(&resource::<crd::ClientCredential>("ClientCredential", spec)).unwrap();
    let ClientWish::X509(request) = wish else { panic!("no certificate") };
    assert_eq!(request.extended_key_usages, [ExtendedKeyUsage::ClientAuth]);
    assert_eq!(request.subject, DistinguishedName::named("till"));
    let missing = resource::<crd::ClientCredential>("ClientCredential", json!({"type": "X509", "commonName": "x"}));
    assert!(ClientWish::try_from(&missing).unwrap_err().to_string().starts_with("spec.authorityRef"));
}
