//! What pods get.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use strongroom::k8s::webhook::certificate::current;
use strongroom::server::{ClientCertificates, Limits, Tls, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use super::{Place, Vault};

fn containers() -> Value {
    json!({
        "initContainers": [{"name": "migrate", "image": "none"}],
        "containers": [{"name": "app", "image": "none"}, {"name": "proxy", "image": "none"}],
    })
}

fn json_of(pod: &k8s_openapi::api::core::v1::Pod) -> Value {
    serde_json::to_value(pod).expect("JSON")
}

#[tokio::test]
async fn a_pod_gets_the_secrets_of_its_services_as_environment() {
    let place = Place::new("env").await;
    let (_vault, _webhook) = place.webhook().await;
    place.service("shop", Some("shop-env")).await;
    // No pause here: the pod follows its Service at once, as in one `kubectl apply`.
    place.service("mail", None).await;
    let pod = place.pod("web", json!({"strongroom.dev/services": "shop, mail"}), containers());
    let pod = json_of(&place.pods().create(&PostParams::default(), &pod).await.expect("admitted"));
    let both = json!([
        {"secretRef": {"name": "shop-env", "optional": false}},
        {"secretRef": {"name": "mail", "optional": false}},
    ]);
    for container in ["/spec/initContainers/0", "/spec/containers/0", "/spec/containers/1"] {
        assert_eq!(pod.pointer(container).expect("a container")["envFrom"], both, "{container}");
    }
    let injected = &pod["metadata"]["annotations"]["strongroom.dev/injected"];
    assert_eq!(injected, "shop,mail as env in migrate,app,proxy");
}

#[tokio::test]
async fn a_pod_gets_files_in_the_containers_that_it_names() {
    let place = Place::new("files").await;
    let (_vault, _webhook) = place.webhook().await;
    place.service("shop.v2", Some("shop-env")).await;
    let annotations = json!({
        "strongroom.dev/services": "shop.v2", "strongroom.dev/inject-as": "files",
        "strongroom.dev/containers": "app,migrate", "strongroom.dev/mount-path": "/etc/keys",
    });
    let pod = place.pod("web", annotations, containers());
    let pod = json_of(&place.pods().create(&PostParams::default(), &pod).await.expect("admitted"));
    let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
    let volume = volumes.iter().find(|volume| volume["secret"]["secretName"] == "shop-env").expect("our volume");
    assert_eq!(volume["secret"]["defaultMode"], 0o444);
    let mount = json!({"name": volume["name"], "mountPath": "/etc/keys/shop.v2", "readOnly": true});
    for (container, has) in
        [("/spec/initContainers/0", true), ("/spec/containers/0", true), ("/spec/containers/1", false)]
    {
        let mounts =
            pod.pointer(container).expect("a container")["volumeMounts"].as_array().cloned().unwrap_or_default();
        assert_eq!(mounts.contains(&mount), has, "{container}");
    }
}

#[tokio::test]
async fn a_pod_that_has_everything_already_is_not_changed() {
    let place = Place::new("again").await;
    let (_vault, _webhook) = place.webhook().await;
    place.service("shop", None).await;
    for way in ["env", "files"] {
        let annotations = json!({"strongroom.dev/services": "shop", "strongroom.dev/inject-as": way});
        let first = place.pod(way, annotations, containers());
        let first = place.pods().create(&PostParams::default(), &first).await.expect("admitted");
        let mut copy = first.clone();
        copy.metadata.name = Some(format!("{way}-copy"));
        copy.metadata.resource_version = None;
        let second = place.pods().create(&PostParams::default(), &copy).await.expect("admitted");
        assert_eq!(first.spec, second.spec);
        assert_eq!(first.metadata.annotations, second.metadata.annotations);
        let label = Patch::Merge(json!({"metadata": {"labels": {"later": "yes"}}}));
        let updated = place.pods().patch(way, &PatchParams::default(), &label).await.expect("updated");
        assert_eq!(first.spec, updated.spec);
    }
}

/// kubectl debug adds such a container through a subresource, which nobody asks the webhook about.
#[tokio::test]
async fn an_ephemeral_container_is_let_through_without_credentials() {
    let place = Place::new("debug").await;
    let (_vault, _webhook) = place.webhook().await;
    place.service("shop", None).await;
    let pod = place.pod("web", json!({"strongroom.dev/services": "shop"}), containers());
    place.pods().create(&PostParams::default(), &pod).await.expect("admitted");
    let debug = Patch::Strategic(json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "none"}]}}));
    let pod = place.pods().patch_ephemeral_containers("web", &PatchParams::default(), &debug).await.expect("admitted");
    let debug = &json_of(&pod)["spec"]["ephemeralContainers"][0];
    assert_eq!((debug["name"].as_str(), debug.get("envFrom")), (Some("debug"), None));
}

/// Somebody else's webhook: gives every pod one more container, once.
fn sidecar() -> BoxedFilter<(Response,)> {
    let answer = |review: Value| {
        let request = &review["request"];
        let has_it = request["object"]["spec"]["containers"].to_string().contains("\"sidecar\"");
        let add = json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "sidecar", "image": "none"}}]);
        let mut response = json!({"uid": request["uid"], "allowed": true});
        if !has_it {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(add.to_string()));
        }
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        warp::reply::json(&review).into_response()
    };
    warp::post().and(warp::body::json()).map(answer).boxed()
}

/// Serves it after ours in the order of names, under a certificate of ours.
async fn add_sidecars(place: &Place, vault: &Vault) {
    let certificate = current(&vault.app, &place.options()).await.expect("a certificate");
    let tls = Tls::new(&certificate.chain, &certificate.private_key, ClientCertificates::Ignored).expect("TLS");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(serve(listener, Some(Arc::new(tls)), sidecar(), Limits::default(), CancellationToken::new()));
    let hook = json!({
        "name": "sidecar.example.org", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": url, "caBundle": STANDARD.encode(place.bundle().await)},
        "namespaceSelector": {"matchLabels": {"test": place.namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
    });
    let name = format!("{}-z", place.namespace);
    let configuration: MutatingWebhookConfiguration =
        serde_json::from_value(json!({"metadata": {"name": name}, "webhooks": [hook]})).expect("a configuration");
    Api::all(place.client.clone()).create(&PostParams::default(), &configuration).await.expect("created");
}

#[tokio::test]
async fn a_container_that_another_webhook_adds_later_gets_its_share() {
    let place = Place::new("sidecar").await;
    let (vault, _webhook) = place.webhook().await;
    place.service("shop", None).await;
    add_sidecars(&place, &vault).await;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let pod = place.pod("web", json!({"strongroom.dev/services": "shop"}), containers());
    let mut admitted = Value::Null;
    // The API server needs a moment to know of the other webhook.
    for _ in 0..200 {
        admitted = json_of(&place.pods().create(&dry, &pod).await.expect("admitted"));
        if admitted["spec"]["containers"].as_array().is_some_and(|all| all.len() == 3) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let ours = json!([{"secretRef": {"name": "shop", "optional": false}}]);
    assert_eq!(admitted["spec"]["containers"][2]["name"], "sidecar");
    for container in admitted["spec"]["containers"].as_array().expect("containers") {
        assert_eq!(container["envFrom"], ours, "once, and in each");
    }
    let injected = &admitted["metadata"]["annotations"]["strongroom.dev/injected"];
    assert_eq!(injected, "shop as env in migrate,app,proxy,sidecar");
}
