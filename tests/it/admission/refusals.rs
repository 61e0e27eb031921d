//! What people read when something is not admitted, in kubectl's words.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use strongroom::k8s::crd::{CertificateAuthority, Credential, Managed};

use super::Place;

fn pod_yaml(annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels: {{strongroom.dev/inject: \"true\"}}\n  \
         annotations: {{{annotations}}}\nspec:\n  containers: [{{name: app, image: none}}]\n"
    )
}

fn resource(kind: &str, name: &str, spec: &Value) -> String {
    json!({"apiVersion": "strongroom.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
}

#[tokio::test]
async fn a_refused_pod_says_what_to_write() {
    let place = Place::new("refused").await;
    let (_vault, _webhook) = place.webhook().await;
    place.service("shop", None).await;
    let none = json!({"credentials": [{"name": "x"}], "target": {"creationPolicy": "None"}});
    place.create::<strongroom::k8s::crd::Service>("rest-only", none).await.expect("a Service");
    let key = |name: &str| format!("metadata.annotations[strongroom.dev/{name}]: ");
    for (annotations, field, says) in [
        ("", "services", "is missing, and the label strongroom.dev/inject asks for Services: write their names"),
        ("strongroom.dev/services: ''", "services", "is empty"),
        ("strongroom.dev/services: shop;mail", "services", "\"shop;mail\" cannot be the name of a Service"),
        ("strongroom.dev/services: shpo", "services", "there is no Service \"shpo\" in namespace"),
        ("strongroom.dev/services: rest-only", "services", "Service rest-only has target.creationPolicy None"),
        (
            "strongroom.dev/services: shop, strongroom.dev/inject-as: file",
            "inject-as",
            "\"file\" is not known: write env or files",
        ),
        (
            "strongroom.dev/services: shop, strongroom.dev/containers: web",
            "containers",
            "no container \"web\": write one or more of app",
        ),
        ("strongroom.dev/services: shop, strongroom.dev/mount-path: /x", "mount-path", "is for files only"),
    ] {
        let said = place.kubectl_apply(pod_yaml(annotations)).await;
        assert!(said.contains("The Pod \"web\" is invalid"), "{said}");
        assert!(said.contains(&key(field)) && said.contains(says), "{said}");
    }
    assert!(place.pods().get_opt("web").await.expect("an answer").is_none());
}

#[tokio::test]
async fn the_api_servers_message_names_the_webhook() {
    let place = Place::new("named").await;
    let (_vault, _webhook) = place.webhook().await;
    let pod: Pod = place.small_pod("web", json!({}));
    let refused = place.pods().create(&PostParams::default(), &pod).await.expect_err("refused");
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!(status.code, 422);
    let begins =
        "admission webhook \"pods.strongroom.dev\" denied the request: metadata.annotations[strongroom.dev/services]: ";
    assert!(status.message.starts_with(begins), "{}", status.message);
}

/// Waits until the webhook has heard of what this contradicts. Nothing is made meanwhile.
async fn refuses<K: Managed>(place: &Place, spec: Value) {
    let api: Api<K> = Api::namespaced(place.client.clone(), &place.namespace);
    let probe: K = serde_json::from_str(&resource(K::KIND, "probe", &spec)).expect("a resource");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let begun = std::time::Instant::now();
    while api.create(&dry, &probe).await.is_ok() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{}", K::KIND);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn resources_that_contradict_others_are_refused_by_their_field() {
    let place = Place::new("contradict").await;
    let (_vault, _webhook) = place.webhook().await;
    let stored = |target: Value| json!({"type": "Pairs", "source": {"stored": {}}, "target": target});
    let authority = |more: Value| {
        let mut spec = json!({"subject": {"commonName": "x"}, "validity": "8760h"});
        spec.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
        spec
    };
    place.create::<Credential>("db", stored(json!({}))).await.expect("a Credential");
    let bundle = json!({"trustBundle": {"configMapName": "trust"}, "parentRef": {"name": "later"}});
    place.create::<CertificateAuthority>("root", authority(bundle)).await.expect("an authority");
    let status = json!({"status": {
        "observedGeneration": 1, "keys": ["user", "word"],
        "conditions": [{"type": "Ready", "status": "True", "reason": "Stored", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }});
    let credentials: Api<Credential> = Api::namespaced(place.client.clone(), &place.namespace);
    credentials.patch_status("db", &PatchParams::default(), &Patch::Merge(&status)).await.expect("a status");
    // Accepted: what it knows by then is what the rest is refused by.
    place.create::<Credential>("other", stored(json!({"secretName": "free"}))).await.expect("a Credential");
    refuses::<Credential>(&place, stored(json!({"secretName": "free"}))).await;
    refuses::<CertificateAuthority>(&place, authority(json!({"trustBundle": {"configMapName": "trust"}}))).await;

    for (kind, name, spec, says) in [
        (
            "Credential",
            "second",
            stored(json!({"secretName": "db"})),
            "spec.target.secretName: Secret db is made by Credential db already",
        ),
        (
            "ClientCredential",
            "db",
            json!({"type": "Basic"}),
            "spec.target.secretName: Secret db is made by Credential db already",
        ),
        (
            "Service",
            "shop",
            json!({"credentials": [{"name": "unknown"}, {"name": "db", "keys": {"pass": "P"}}]}),
            "spec.credentials[1].keys[\"pass\"]: Credential db has no such key: it has user, word",
        ),
        (
            "Service",
            "shop",
            json!({"credentials": [{"name": "unknown", "keys": {"x": "user"}}, {"name": "db"}]}),
            "spec.credentials[1].keys: Credential unknown brings the key user too",
        ),
        (
            "CertificateAuthority",
            "second",
            authority(json!({"trustBundle": {"configMapName": "trust"}})),
            "spec.trustBundle.configMapName: ConfigMap trust is made by CertificateAuthority root already",
        ),
        (
            "CertificateAuthority",
            "later",
            authority(json!({"parentRef": {"name": "root"}})),
            "spec.parentRef.name: later is signed by root is signed by later, which is a circle",
        ),
        (
            "CertificateAuthority",
            "later",
            authority(json!({"parentRef": {"path": format!("/kubernetes/{}/root", place.namespace)}})),
            "spec.parentRef.path: later is signed by root is signed by later, which is a circle",
        ),
        ("CertificateAuthority", "db", authority(json!({})), "metadata.name: Credential db has this name already"),
        ("Credential", "root", stored(json!({})), "metadata.name: CertificateAuthority root has this name already"),
    ] {
        let said = place.kubectl_apply(resource(kind, name, &spec)).await;
        assert!(said.contains(&format!("The {kind} \"{name}\" is invalid")) && said.contains(says), "{said}");
    }
    let said = place.kubectl_apply(resource("Credential", "other", &stored(json!({"secretName": "db"})))).await;
    assert!(said.contains("spec.target.secretName: Secret db is made by Credential db already"), "{said}");
    let unknown = json!({"credentials": [{"name": "not-yet", "keys": {"a": "B"}}]});
    let said = place.kubectl_apply(resource("Service", "early", &unknown)).await;
    assert!(said.contains("created"), "{said}");
}
