use serde_json::{Value, json};
use strongroom::app::credentials::Draft;
use strongroom::domain::actor::{Actor, Scheme, Standing};
use strongroom::domain::credential::change::Patch;
use strongroom::domain::credential::{About, Kind, Material};
use strongroom::domain::name::Tenant;
use strongroom::k8s::crd::{CertificateAuthority, Credential, Service};

use super::operator::{Ground, Log, condition, data, keys};

pub fn admin() -> Actor {
    Actor {
        id: "admin".into(),
        tenant: Tenant::outside(),
        scheme: Scheme::Basic,
        standing: Standing::Admin,
        from: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_becomes_ready_in_a_secret_of_its_type_with_its_keys() {
    let ground = Ground::new("types").await;
    let legacy = json!({"value": "v", "json": "{\"a\": [1]}", "username": "u", "password": "p", "A": "1"});
    ground.foreign_secret("legacy", json!({}), legacy).await;
    let generate = |kind: &str, generate: Value| json!({"type": kind, "source": {"generate": generate}});
    let import =
        |kind: &str, key: Value| json!({"type": kind, "source": {"secretRef": {"name": "legacy", "key": key}}});
    let certificate =
        json!({"commonName": "db.shop.svc", "alternativeNames": ["db.shop.svc", "10.0.0.1"], "selfSigned": true});
    let all: Vec<(&str, Value, &str, Vec<&str>)> = vec![
        ("password", generate("Password", json!({"length": 40})), "Opaque", vec!["password"]),
        (
            "user",
            generate("User", json!({"username": "app"})),
            "kubernetes.io/basic-auth",
            vec!["password", "username"],
        ),
        ("rsa", generate("Rsa", json!({})), "Opaque", vec!["private_key", "public_key"]),
        (
            "ssh",
            generate("Ssh", json!({"sshComment": "deploy"})),
            "kubernetes.io/ssh-auth",
            vec!["ssh-privatekey", "ssh-publickey"],
        ),
        (
            "certificate",
            generate("Certificate", certificate),
            "kubernetes.io/tls",
            vec!["ca.crt", "tls.crt", "tls.key"],
        ),
        ("value", import("Value", json!(null)), "Opaque", vec!["value"]),
        ("json", import("Json", json!("json")), "Opaque", vec!["value"]),
        ("imported", import("User", json!(null)), "kubernetes.io/basic-auth", vec!["password", "username"]),
        ("pairs", import("Pairs", json!(null)), "Opaque", vec!["A", "json", "password", "username", "value"]),
    ];
    let operator = ground.start().await;
    for (name, spec, ..) in &all {
        let mut spec = spec.clone();
        if spec["source"]["secretRef"]["key"].is_null() {
            spec["source"]["secretRef"].as_object_mut().map(|it| it.remove("key"));
        }
        ground.create::<Credential>(name, spec).await;
    }
    for (name, _, secret_type, expected) in &all {
        let credential = ground.ready::<Credential>(name).await;
        let status = credential.status.as_ref().expect("a status");
        assert_eq!(status.keys, *expected, "{name}");
        assert_eq!((status.revision, status.secret_name.as_deref()), (Some(1), Some(*name)));
        let secret = ground.secret(name).await;
        assert_eq!(secret.type_.as_deref(), Some(*secret_type), "{name}");
        assert_eq!(keys(&secret), *expected, "{name}");
        let labels = secret.metadata.labels.clone().expect("labels");
        assert_eq!(labels["strongroom.dev/kind"], "Credential");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "strongroom");
        let annotations = secret.metadata.annotations.clone().expect("annotations");
        assert_eq!(
            (annotations["strongroom.dev/owner"].as_str(), annotations["strongroom.dev/revision"].as_str()),
            (*name, "1")
        );
        let owners = secret.metadata.owner_references.clone().expect("an owner");
        assert_eq!((owners.len(), &owners[0].uid), (1, credential.metadata.uid.as_ref().expect("a uid")));
        assert!(ground.events(name).await.is_empty(), "a new resource is no news");
    }
    assert_eq!(data(&ground.secret("password").await)["password"].len(), 40);
    assert_eq!(data(&ground.secret("user").await)["username"], "app");
    assert_eq!(data(&ground.secret("json").await)["value"], "{\"a\": [1]}");
    assert!(data(&ground.secret("ssh").await)["ssh-publickey"].ends_with(" deploy"));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_written_over_rest_reaches_its_secret_and_its_services() {
    let ground = Ground::new("stored").await;
    let operator = ground.start().await;
    ground.create::<Credential>("mail", json!({"type": "Pairs", "source": {"stored": {}}})).await;
    let message = ground.failing::<Credential>("mail", "AwaitingValue").await;
    assert!(message.contains(&format!("/kubernetes/{}/mail", ground.namespace)), "{message}");
    let waiting = ground.until::<Credential>("mail", |it| condition(it, "Reconciling").is_some()).await;
    assert!(condition(&waiting, "Stalled").is_none());
    ground.create::<Service>("till", json!({"credentials": [{"name": "mail"}]})).await;
    ground.failing::<Service>("till", "AwaitingCredential").await;

    let title = format!("/kubernetes/{}/mail", ground.namespace);
    let credentials = &operator.app.credentials;
    let place = credentials.require_creatable(&admin(), Some(&title)).await.expect("a place");
    let material = Material::texts([("HOST", "one".into())]);
    let draft = Draft { title, kind: Kind::Pairs, about: About::default(), material };
    let entry = credentials.create(&admin(), place, draft).await.expect("written");
    ground.ready::<Credential>("mail").await;
    ground.ready::<Service>("till").await;
    for secret in ["mail", "till"] {
        assert_eq!(data(&ground.secret(secret).await)["HOST"], "one");
    }
    let patch =
        Patch { material: Some(Material::texts([("HOST", "two".into()), ("PORT", "25".into())])), ..Patch::default() };
    credentials.update(&admin(), &entry, patch).await.expect("written");
    for secret in ["mail", "till"] {
        let seen = ground.secret_until(secret, |it| data(it).get("HOST").is_some_and(|host| host == "two")).await;
        assert_eq!(keys(&seen), ["HOST", "PORT"]);
    }
    ground.until::<Credential>("mail", |it| it.status.as_ref().is_some_and(|it| it.revision == Some(2))).await;
    ground.event("mail", "NewRevision").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_its_secret_and_follows_an_edit_of_the_resource() {
    let ground = Ground::new("import").await;
    let operator = ground.start().await;
    let from = |key: &str| json!({"type": "Value", "source": {"secretRef": {"name": "legacy", "key": key}}});
    ground.create::<Credential>("db", from("a")).await;
    let message = ground.failing::<Credential>("db", "AwaitingSecret").await;
    assert!(message.contains("Secret legacy does not exist"), "{message}");
    ground.foreign_secret("legacy", json!({}), json!({"a": "1", "b": "2"})).await;
    ground.change::<Credential>("db", from("b")).await;
    ground.ready::<Credential>("db").await;
    assert_eq!(data(&ground.secret("db").await)["value"], "2");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_is_stalled_and_names_its_field() {
    let ground = Ground::new("invalid").await;
    let operator = ground.start().await;
    let authority =
        json!({"subject": {"commonName": "CA"}, "validity": "24h", "issuance": {"allowedDnsNames": ["*.shop.svc"]}});
    ground.create::<CertificateAuthority>("ca", authority).await;
    ground.ready::<CertificateAuthority>("ca").await;
    let certificate = |duration: &str, name: &str| {
        let generate =
            json!({"commonName": "x", "ca": {"name": "ca"}, "duration": duration, "alternativeNames": [name]});
        json!({"type": "Certificate", "source": {"generate": generate}})
    };
    ground.create::<Credential>("long", certificate("48h", "a.shop.svc")).await;
    let message = ground.failing::<Credential>("long", "Invalid").await;
    assert!(message.starts_with("spec.source.generate.duration "), "{message}");
    let stalled = ground.until::<Credential>("long", |it| condition(it, "Stalled").is_some()).await;
    assert_eq!(stalled.status.expect("a status").observed.observed_generation, Some(1));
    ground.event("long", "Invalid").await;
    ground.create::<Credential>("elsewhere", certificate("1h", "a.other.svc")).await;
    let message = ground.failing::<Credential>("elsewhere", "Invalid").await;
    assert!(message.starts_with("spec.source.generate.alternativeNames "), "{message}");
    ground.change::<Credential>("long", json!({"source": {"generate": {"duration": "1h"}}})).await;
    let healed = ground.ready::<Credential>("long").await;
    assert!(condition(&healed, "Stalled").is_none());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_in_its_secret_and_nowhere_else() {
    const CANARY: &str = "canary-7f3a-of-this-test";
    let ground = Ground::new("canary").await;
    ground.foreign_secret("legacy", json!({}), json!({"value": CANARY, "json": format!("{{{CANARY}")})).await;
    let operator = ground.start().await;
    ground.create::<Credential>("db", json!({"type": "Value", "source": {"secretRef": {"name": "legacy"}}})).await;
    let broken = json!({"type": "Json", "source": {"secretRef": {"name": "legacy", "key": "json"}}});
    ground.create::<Credential>("broken", broken).await;
    ground.ready::<Credential>("db").await;
    ground.failing::<Credential>("broken", "AwaitingSecret").await;
    ground.edit_secret("db", json!({"stringData": {"value": "edited"}})).await;
    ground.event("db", "Restored").await;
    assert_eq!(data(&ground.secret("db").await)["value"], CANARY);
    let mut said = Log::of_this_process().text();
    for name in ["db", "broken"] {
        let credential = ground.until::<Credential>(name, |_| true).await;
        said += &serde_json::to_string(&credential).expect("plain data");
        said += &format!("{:?}", ground.events(name).await);
    }
    said += &serde_json::to_string(&ground.secret("db").await.metadata).expect("plain data");
    assert!(!said.contains(CANARY));
    operator.stop().await;
}
