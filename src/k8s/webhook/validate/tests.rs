use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn object<K: Managed + DeserializeOwned>(name: &str, spec: Value) -> K {
    let api_version = K::api_version(&());
    let metadata = json!({"name": name, "namespace": "shop", "generation": 1});
    let object = json!({"apiVersion": api_version, "kind": K::KIND, "metadata": metadata, "spec": spec});
    serde_json::from_value(object).expect("an object")
}

fn credential(name: &str, target: Value) -> Credential {
    object(name, json!({"type": "Pairs", "source": {"stored": {}}, "target": target}))
}

fn with_keys(name: &str, ready: &str, generation: i64, keys: &[&str]) -> Credential {
    let mut credential = credential(name, json!({}));
    let status = json!({
        "observedGeneration": generation,
        "conditions": [{"type": "Ready", "status": ready, "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "keys": keys,
    });
    credential.status = Some(serde_json::from_value(status).expect("a status"));
    credential
}

fn service(credentials: Value) -> Service {
    object("env", json!({"credentials": credentials}))
}

fn authority(name: &str, parent: Option<&str>, bundle: Option<&str>) -> CertificateAuthority {
    let mut spec = json!({"subject": {"commonName": name}, "validity": "8760h"});
    if let Some(parent) = parent {
        spec["parentRef"] = json!({"name": parent});
    }
    if let Some(bundle) = bundle {
        spec["trustBundle"] = json!({"configMapName": bundle});
    }
    object(name, spec)
}

fn said<K: Validated>(object: &K, others: &Others) -> Vec<String> {
    refusals(object, None, others).iter().map(ToString::to_string).collect()
}

fn credentials(all: impl IntoIterator<Item = Credential>) -> Others {
    Others { credentials: all.into_iter().map(Arc::new).collect(), ..Others::default() }
}

fn authorities(all: impl IntoIterator<Item = CertificateAuthority>) -> Others {
    Others { authorities: all.into_iter().map(Arc::new).collect(), ..Others::default() }
}

#[test]
fn nothing_known_refuses_nothing() {
    let none = Others::default();
    assert!(said(&credential("db", json!({})), &none).is_empty());
    assert!(said(&service(json!([{"name": "db", "keys": {"a": "b"}}])), &none).is_empty());
    assert!(said(&authority("leaf", Some("root"), Some("trust")), &none).is_empty());
}

#[test]
fn one_secret_has_one_maker_of_any_kind() {
    let client: ClientCredential = object("till", json!({"type": "Basic", "target": {"secretName": "db"}}));
    let others = Others {
        clients: vec![Arc::new(client.clone())],
        services: vec![Arc::new(service(json!([{"name": "x"}])))],
        ..credentials([credential("other", json!({}))])
    };
    let expected = "spec.target.secretName: Secret db is made by ClientCredential till already: write another name, or creationPolicy: None for no Secret";
    assert_eq!(said(&credential("db", json!({})), &others), [expected]);
    assert!(said(&credential("x", json!({"secretName": "env"})), &others)[0].contains("made by Service env already"));
    assert!(said(&object::<Service>("other", json!({"credentials": []})), &others)[0].contains("Credential other"));
    assert!(said(&client, &others).is_empty(), "an object does not stand in its own way");
}

#[test]
fn who_makes_no_secret_claims_none() {
    let none = json!({"creationPolicy": "None"});
    let others = credentials([credential("db", none.clone())]);
    assert!(said(&object::<Service>("db", json!({"credentials": []})), &others).is_empty());
    assert!(said(&credential("x", none), &credentials([credential("y", json!({"secretName": "x"}))])).is_empty());
}

#[test]
fn what_an_update_leaves_as_it_was_is_not_refused_again() {
    let others =
        credentials([credential("db", json!({"secretName": "same"})), credential("x", json!({"secretName": "same"}))]);
    let old = credential("x", json!({"secretName": "same"}));
    let mut new = old.clone();
    new.spec.documentation = Some("ask the shop team".into());
    assert!(refusals(&new, Some(&old), &others).is_empty());
    let free = credential("x", json!({"secretName": "free"}));
    assert_eq!(refusals(&new, Some(&free), &others).len(), 1);
}

#[test]
fn a_key_that_the_credential_does_not_have_is_refused() {
    let object = service(json!([{"name": "a"}, {"name": "db", "keys": {"user": "U", "pass": "P"}}]));
    let others = credentials([with_keys("db", "True", 1, &["user", "word"])]);
    let expected = "spec.credentials[1].keys[\"pass\"]: Credential db has no such key: it has user, word";
    assert_eq!(said(&object, &others), [expected]);
}

#[test]
fn keys_of_a_credential_that_is_not_settled_are_not_known() {
    let object = service(json!([{"name": "db", "keys": {"pass": "P"}}]));
    for unsettled in
        [with_keys("db", "False", 1, &["user"]), with_keys("db", "True", 0, &["user"]), with_keys("db", "True", 1, &[])]
    {
        assert!(said(&object, &credentials([unsettled])).is_empty());
    }
}

#[test]
fn a_key_that_two_members_bring_is_refused() {
    let others =
        credentials([with_keys("a", "True", 1, &["password"]), with_keys("b", "True", 1, &["password", "user"])]);
    let plain = service(json!([{"name": "a"}, {"name": "b"}]));
    let expected = "spec.credentials[1].keys: Credential a brings the key password too: give one of them another name";
    assert_eq!(said(&plain, &others), [expected]);
    let renamed = service(json!([{"name": "a", "keys": {"password": "A"}}, {"name": "b"}]));
    assert!(said(&renamed, &others).is_empty());
    let unknown = service(json!([{"name": "x", "keys": {"m": "user"}}, {"name": "b"}]));
    assert_eq!(said(&unknown, &others).len(), 1, "the name here is known though the Credential is not");
}

#[test]
fn one_config_map_has_one_authority() {
    let others = authorities([authority("root", None, Some("trust"))]);
    let expected = "spec.trustBundle.configMapName: ConfigMap trust is made by CertificateAuthority root already: write another name";
    assert_eq!(said(&authority("other", None, Some("trust")), &others), [expected]);
    assert!(said(&authority("root", None, Some("trust")), &others).is_empty());
}

#[test]
fn a_path_into_the_own_namespace_closes_a_circle_too() {
    let by_path = |name: &str, path: &str| {
        let spec = json!({"subject": {"commonName": name}, "validity": "8760h", "parentRef": {"path": path}});
        object::<CertificateAuthority>(name, spec)
    };
    let others = authorities([by_path("b", "/Kubernetes/shop/A"), authority("c", Some("a"), None)]);
    let expected = "is a circle: one of them must have no parentRef";
    let around = said(&authority("a", Some("b"), None), &others);
    assert!(around[0].starts_with("spec.parentRef.name: a is signed by b is signed by a, which"), "{around:?}");
    let itself = said(&by_path("a", "/kubernetes/shop/a"), &others);
    assert!(
        itself[0].starts_with("spec.parentRef.path: a is signed by a") && itself[0].contains(expected),
        "{itself:?}"
    );
    assert_eq!(said(&by_path("a", "/kubernetes/shop/c"), &others).len(), 1);
    for elsewhere in ["/kubernetes/other/c", "/team/a", "/kubernetes/shop/unknown", "/kubernetes/shop/c/d"] {
        assert!(said(&by_path("a", elsewhere), &others).is_empty(), "{elsewhere}");
    }
}

#[test]
fn authorities_do_not_sign_each_other_in_a_circle() {
    let others = authorities([authority("b", Some("c"), None), authority("c", Some("a"), None)]);
    let expected = "spec.parentRef.name: a is signed by b is signed by c is signed by a, which is a circle: one of them must have no parentRef";
    assert_eq!(said(&authority("a", Some("b"), None), &others), [expected]);
    let elsewhere = authorities([authority("b", Some("c"), None), authority("c", Some("b"), None)]);
    assert!(said(&authority("a", Some("b"), None), &elsewhere).is_empty(), "and looking for it ends");
}

#[test]
fn a_credential_and_an_authority_do_not_share_a_name() {
    let why = "has this name already, and Credentials and CertificateAuthorities share their names: choose another";
    let others = authorities([authority("ca", None, None)]);
    assert_eq!(said(&credential("ca", json!({})), &others), [format!("metadata.name: CertificateAuthority ca {why}")]);
    let others = credentials([credential("ca", json!({}))]);
    assert_eq!(said(&authority("ca", None, None), &others), [format!("metadata.name: Credential ca {why}")]);
}
