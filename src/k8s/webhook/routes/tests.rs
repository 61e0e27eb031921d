use kube_runtime::reflector::store::Writer;
use kube_runtime::watcher::Event;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Service};

/// The ends into which reflectors write.
struct Writers {
    services: Writer<Service>,
    credentials: Writer<Credential>,
    _authorities: Writer<CertificateAuthority>,
    _clients: Writer<ClientCredential>,
}

fn fill<K: kube::Resource<DynamicType = ()> + Clone + 'static>(writer: &mut Writer<K>, objects: Vec<K>) {
    writer.apply_watcher_event(&Event::Init);
    objects.into_iter().for_each(|object| writer.apply_watcher_event(&Event::InitApply(object)));
    writer.apply_watcher_event(&Event::InitDone);
}

fn known() -> (watch::Receiver<Known>, Writers) {
    let (services, of_services) = kube_runtime::reflector::store();
    let (credentials, of_credentials) = kube_runtime::reflector::store();
    let (authorities, of_authorities) = kube_runtime::reflector::store();
    let (clients, of_clients) = kube_runtime::reflector::store();
    let writers = Writers {
        services: of_services,
        credentials: of_credentials,
        _authorities: of_authorities,
        _clients: of_clients,
    };
    (watch::channel(Known { credentials, services, authorities, clients }).1, writers)
}

fn service(name: &str) -> Service {
    let metadata = json!({"name": name, "namespace": "shop", "generation": 1});
    let object = json!({"apiVersion": "strongroom.dev/v1alpha1", "kind": "Service", "metadata": metadata, "spec": {"credentials": []}});
    serde_json::from_value(object).expect("a service")
}

fn review(resource: &str, kind: &Value, operation: &str, object: &Value) -> Value {
    let request = json!({
        "uid": "u-1", "kind": kind, "operation": operation, "namespace": "shop", "name": "web", "userInfo": {},
        "resource": {"group": kind["group"], "version": kind["version"], "resource": resource},
        "object": object, "oldObject": null,
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
}

fn pod_review(operation: &str) -> Value {
    let metadata = json!({
        "name": "web", "labels": {"strongroom.dev/inject": "true"}, "annotations": {"strongroom.dev/services": "till"},
    });
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "app"}]}});
    review("pods", &json!({"group": "", "version": "v1", "kind": "Pod"}), operation, &pod)
}

async fn post(routes: &BoxedFilter<(Response,)>, path: &str, review: &Value) -> Value {
    let request = warp::test::request().method("POST").path(path).header("content-type", "application/json");
    let answer = request.json(review).reply(routes).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!(answer["response"]["uid"], "u-1");
    answer["response"].clone()
}

#[tokio::test]
async fn a_pod_waits_for_a_service_that_was_applied_just_before_it() {
    let (known, mut writers) = known();
    let routes = routes(known, Admissions::default());
    fill(&mut writers.services, vec![]);
    let review = pod_review("CREATE");
    let (answer, ()) = tokio::join!(post(&routes, "/mutate/pods", &review), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        writers.services.apply_watcher_event(&Event::Apply(service("till")));
    });
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["patchType"], "JSONPatch");
}

#[tokio::test]
async fn a_service_that_does_not_come_refuses_the_pod_within_two_seconds() {
    let (known, mut writers) = known();
    let routes = routes(known, Admissions::default());
    let started = Instant::now();
    let answer = post(&routes, "/mutate/pods", &pod_review("CREATE")).await;
    assert!(answer["status"]["message"].as_str().expect("a message").contains("has just started"), "{answer}");
    fill(&mut writers.services, vec![service("other")]);
    let answer = post(&routes, "/mutate/pods", &pod_review("CREATE")).await;
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["status"]["code"], 422);
    assert_eq!(answer["status"]["details"]["causes"][0]["field"], "metadata.annotations[strongroom.dev/services]");
    assert!(answer["status"]["message"].as_str().expect("a message").contains("no Service \"till\" in namespace shop"));
    let took = started.elapsed();
    assert!(took > Duration::from_millis(1800) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn only_the_creation_of_a_pod_is_looked_at() {
    let (known, _writers) = known();
    let routes = routes(known, Admissions::default());
    for operation in ["UPDATE", "DELETE", "CONNECT"] {
        assert_eq!(post(&routes, "/mutate/pods", &pod_review(operation)).await["allowed"], true);
    }
    let mut subresource = pod_review("CREATE");
    subresource["request"]["subResource"] = json!("ephemeralcontainers");
    let mut mirror = pod_review("CREATE");
    mirror["request"]["object"]["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("x");
    for review in [subresource, mirror] {
        let answer = post(&routes, "/mutate/pods", &review).await;
        assert_eq!((answer["allowed"].as_bool(), answer.get("patch")), (Some(true), None));
    }
}

#[tokio::test]
async fn a_contradiction_that_goes_away_at_once_is_none() {
    let (known, mut writers) = known();
    let routes = routes(known, Admissions::default());
    let spec = json!({"type": "Value", "source": {"stored": {}}, "target": {"secretName": "till"}});
    let object = json!({"apiVersion": "strongroom.dev/v1alpha1", "kind": "Credential", "metadata": {"name": "db", "namespace": "shop"}, "spec": spec});
    let kind = json!({"group": "strongroom.dev", "version": "v1alpha1", "kind": "Credential"});
    let review = review("credentials", &kind, "CREATE", &object);
    fill(&mut writers.services, vec![service("till")]);
    fill(&mut writers.credentials, vec![]);
    let refused = post(&routes, "/validate", &review).await;
    assert_eq!(refused["status"]["details"]["causes"][0]["field"], "spec.target.secretName");
    let (answer, ()) = tokio::join!(post(&routes, "/validate", &review), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        writers.services.apply_watcher_event(&Event::Delete(service("till")));
    });
    assert_eq!(answer["allowed"], true);
}

#[tokio::test]
async fn an_object_of_a_newer_crd_is_refused_and_not_left_to_stop_the_watch() {
    let (known, _writers) = known();
    let object = json!({"apiVersion": "strongroom.dev/v1alpha1", "kind": "Credential", "metadata": {"name": "db"}, "spec": {"type": "Passkey"}});
    let kind = json!({"group": "strongroom.dev", "version": "v1alpha1", "kind": "Credential"});
    let answer =
        post(&routes(known, Admissions::default()), "/validate", &review("credentials", &kind, "CREATE", &object))
            .await;
    assert!(answer["status"]["message"].as_str().expect("a message").contains("update Strongroom first"), "{answer}");
}

#[tokio::test]
async fn bad_input_of_each_sort_is_answered_and_counted() {
    let (known, _writers) = known();
    let admissions = Admissions::default();
    let mut registry = Registry::default();
    admissions.register(&mut registry);
    let routes = routes(known, admissions);
    let json = "application/json";
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut v1beta1 = pod_review("CREATE");
    v1beta1["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let mut without = pod_review("CREATE");
    without["request"] = Value::Null;
    let stranger = review(
        "jobs",
        &json!({"group": "batch", "version": "v1", "kind": "Job"}),
        "CREATE",
        &json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": {}}),
    );
    let sent: Vec<(&str, &str, &str, Vec<u8>, u16)> = vec![
        ("POST", "/mutate/pods", json, vec![], 400),
        ("POST", "/mutate/pods", json, b"{".to_vec(), 400),
        ("POST", "/mutate/pods", json, b"[]".to_vec(), 400),
        ("POST", "/mutate/pods", json, vec![0xff, 0xfe], 400),
        ("POST", "/mutate/pods", json, deep.into_bytes(), 400),
        ("POST", "/mutate/pods", json, v1beta1.to_string().into_bytes(), 400),
        ("POST", "/mutate/pods", json, without.to_string().into_bytes(), 400),
        ("POST", "/mutate/pods", json, b"{\"request\":{\"object\":7}}".to_vec(), 400),
        ("POST", "/mutate/pods", "text/plain", pod_review("CREATE").to_string().into_bytes(), 415),
        ("POST", "/validate", json, stranger.to_string().into_bytes(), 400),
        ("GET", "/mutate/pods", json, vec![], 405),
        ("PUT", "/validate", json, vec![], 405),
        ("POST", "/mutate", json, vec![], 404),
        ("POST", "/mutate/pods/x", json, vec![], 404),
        ("GET", "/", json, vec![], 404),
    ];
    for (method, path, kind, body, status) in sent {
        let request = warp::test::request().method(method).path(path).header("content-type", kind);
        let answer = request.body(body).reply(&routes).await;
        assert_eq!(answer.status(), status, "{method} {path}: {:?}", answer.body());
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("metrics");
    assert!(text.contains("admissions_total{webhook=\"pods\",outcome=\"malformed\"} 9"), "{text}");
    assert!(text.contains("admissions_total{webhook=\"resources\",outcome=\"malformed\"} 1"), "{text}");
}
