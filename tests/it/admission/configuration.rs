//! What the keeper does to the webhook configurations, and what it leaves alone.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use strongroom::app::own::Lifetimes;
use strongroom::k8s::webhook::certificate::{Options, Readiness};

use super::{Place, Vault, Webhook};
use crate::cluster;

/// Changes of this test's configurations by the keeper that the API server took or refused.
fn writes(place: &Place) -> usize {
    answers(place).len()
}

/// How the API server answered each of them.
fn answers(place: &Place) -> Vec<u64> {
    let log = std::fs::read_to_string(cluster::SHARED.audit_log()).expect("an audit log");
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = events.filter(|event| {
        event["verb"] == "patch"
            && event["objectRef"]["apiGroup"] == "admissionregistration.k8s.io"
            && event["objectRef"]["name"] == place.namespace.as_str()
            && event["requestURI"].as_str().is_some_and(|uri| uri.contains("fieldManager=strongroom-webhook"))
    });
    ours.filter_map(|event| event["responseStatus"]["code"].as_u64()).collect()
}

async fn set_bundle(place: &Place, value: Value) {
    let api: Api<MutatingWebhookConfiguration> = Api::all(place.client.clone());
    let patch =
        Patch::Strategic(json!({"webhooks": [{"name": "pods.strongroom.dev", "clientConfig": {"caBundle": value}}]}));
    api.patch(&place.namespace, &PatchParams::default(), &patch).await.expect("changed");
}

async fn restored(place: &Place, bundle: &str) -> Duration {
    let started = Instant::now();
    while place.bundle().await != bundle {
        assert!(started.elapsed() < Duration::from_secs(10), "not restored");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

#[tokio::test]
async fn a_bundle_that_somebody_wiped_or_replaced_is_put_back() {
    let place = Place::new("wiped").await;
    let (_vault, webhook) = place.webhook().await;
    let bundle = place.bundle().await;
    set_bundle(&place, Value::Null).await;
    let wiped = restored(&place, &bundle).await;
    assert!(wiped < Duration::from_secs(2), "{wiped:?}");
    let foreign = Vault::new().await;
    let roots = foreign.app.own.roots("webhook", place.options().lifetimes).await.expect("roots of another store");
    use base64::Engine;
    set_bundle(&place, json!(base64::engine::general_purpose::STANDARD.encode(&roots))).await;
    restored(&place, &bundle).await;
    place.service("shop", None).await;
    let pod = place.shop_pod();
    place.pods().create(&Default::default(), &pod).await.expect("admitted");
    webhook.kill().await;
}

#[tokio::test]
async fn a_restart_writes_nothing() {
    let place = Place::new("restart").await;
    let (vault, webhook) = place.webhook().await;
    let port = webhook.port;
    let before = (place.mutating().await, place.validating().await);
    assert_eq!(writes(&place), 2, "one for each configuration");
    webhook.kill().await;
    let mut again = Webhook::start(&vault, &place.client, place.options(), Some(port)).await;
    again.until_ready().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((place.mutating().await, place.validating().await), before);
    assert_eq!(writes(&place), 2);
    place.service("shop", None).await;
    let pod = place.shop_pod();
    place.pods().create(&Default::default(), &pod).await.expect("admitted");
}

#[tokio::test]
async fn replicas_on_one_store_show_one_certificate_and_do_not_fight_over_the_bundle() {
    let place = Place::new("replicas").await;
    let vault = Vault::new().await;
    let lifetimes = Lifetimes { authority: SignedDuration::from_secs(12), leaf: SignedDuration::from_secs(3) };
    let options = || Options { lifetimes, ..place.options() };
    let mut replicas = [
        Webhook::start(&vault, &place.client, options(), None).await,
        Webhook::start(&vault, &place.client, options(), None).await,
        Webhook::start(&vault, &place.client, options(), None).await,
    ];
    place.install(replicas[0].port).await;
    for replica in &mut replicas {
        replica.until_ready().await;
    }
    let mut bundles = std::collections::BTreeSet::new();
    let begun = Instant::now();
    while bundles.len() < 4 {
        bundles.insert(place.bundle().await);
        assert!(begun.elapsed() < Duration::from_secs(60), "no rotation: {}", bundles.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut shown = replicas.iter().map(|it| it.shown.lock().expect("not poisoned").len());
    assert!(shown.all(|shown| shown > 3), "each shows what the store has");
    // Each wants to write each bundle into two configurations, and all but one find it done or lose the race for it.
    let answers = answers(&place);
    let taken = answers.iter().filter(|code| **code == 200).count();
    println!("{} bundles: {taken} writes taken, {} refused", bundles.len(), answers.len() - taken);
    assert!((2 * bundles.len() - 1..=2 * bundles.len() + 2).contains(&taken), "{taken}");
    assert!(answers.len() <= 2 * 2 * 3 * bundles.len(), "{}", answers.len());
    for replica in replicas {
        replica.kill().await;
    }
}

#[tokio::test]
async fn a_missing_configuration_is_asked_for_and_used_when_it_comes() {
    let place = Place::new("missing").await;
    let vault = Vault::new().await;
    let mut webhook = Webhook::start(&vault, &place.client, place.options(), None).await;
    let asks = |kind: &'static str| {
        move |readiness: &Readiness| match readiness {
            Readiness::NotReady(why) => {
                why.contains(&format!("{kind} missing-")) && why.contains("apply manifests/install.yaml")
            }
            Readiness::Ready => false,
        }
    };
    webhook.until("asks for it", asks("MutatingWebhookConfiguration")).await;
    place.install(webhook.port).await;
    webhook.until_ready().await;
    let api: Api<ValidatingWebhookConfiguration> = Api::all(place.client.clone());
    api.delete(&place.namespace, &DeleteParams::default()).await.expect("deleted");
    webhook.until("asks for the other", asks("ValidatingWebhookConfiguration")).await;
}

#[tokio::test]
async fn what_is_not_ours_in_a_configuration_stays_as_it_is() {
    let place = Place::new("others").await;
    let vault = Vault::new().await;
    let mut webhook = Webhook::start(&vault, &place.client, place.options(), None).await;
    let (mut mutating, validating) = super::manifests();
    let hooks = mutating.webhooks.as_mut().expect("webhooks");
    let mut stranger = hooks[0].clone();
    stranger.name = "first.example.org".into();
    stranger.failure_policy = Some("Ignore".into());
    hooks.insert(0, stranger);
    // Sees nothing, so that it is in nobody's way; what counts is what stands in it.
    for hook in hooks.iter_mut() {
        hook.namespace_selector
            .get_or_insert_default()
            .match_labels
            .get_or_insert_default()
            .insert("test".into(), "none".into());
    }
    mutating.metadata.name = Some(place.namespace.clone());
    let api: Api<MutatingWebhookConfiguration> = Api::all(place.client.clone());
    let before = api.create(&Default::default(), &mutating).await.expect("created");
    let mut validating = validating;
    validating.metadata.name = Some(place.namespace.clone());
    for hook in validating.webhooks.iter_mut().flatten() {
        hook.namespace_selector.get_or_insert_default().match_labels =
            Some([("test".to_owned(), "none".to_owned())].into());
    }
    Api::<ValidatingWebhookConfiguration>::all(place.client.clone())
        .create(&Default::default(), &validating)
        .await
        .expect("created");
    webhook.until_ready().await;
    let mut after = place.mutating().await.webhooks.expect("webhooks");
    assert!(after[1].client_config.ca_bundle.take().is_some());
    assert_eq!(Some(after), before.webhooks);
}
