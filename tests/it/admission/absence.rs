//! The webhook is silent: who suffers, and who must not even notice.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::net::TcpListener;

use super::Place;

const PODS: usize = 250;
/// The API server would wait for three seconds for the webhook.
const DELAYED: Duration = Duration::from_secs(2);

/// Makes pods and says how long the slowest took.
async fn slowest(pods: &Api<Pod>, of: &Pod) -> Duration {
    let make = |number: usize| async move {
        let mut pod = of.clone();
        pod.metadata.name = Some(format!("pod-{number}"));
        let started = Instant::now();
        pods.create(&PostParams::default(), &pod).await.expect("admitted");
        started.elapsed()
    };
    let times: Vec<Duration> = stream::iter(0..PODS).map(make).buffer_unordered(8).collect().await;
    times.into_iter().max().expect("pods")
}

/// Worse than a closed port: connections are taken and nothing is ever said.
#[tokio::test]
async fn only_pods_that_opted_in_notice_a_silent_webhook() {
    let place = Place::new("silent").await;
    let elsewhere =
        Place { namespace: crate::cluster::namespace(&place.client, "elsewhere").await, client: place.client.clone() };
    elsewhere.label(&json!({})).await;
    let silence = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    place.install(silence.local_addr().expect("an address").port()).await;
    place.until_called().await;

    let opted_in = place.shop_pod();
    let started = Instant::now();
    let refused = place.pods().create(&PostParams::default(), &opted_in).await.expect_err("fails closed");
    assert!(started.elapsed() > DELAYED, "the webhook was not asked");
    assert!(refused.to_string().contains("failed calling webhook \"pods.strongroom.dev\""), "{refused}");

    let mut unlabelled = opted_in.clone();
    unlabelled.metadata.labels = None;
    let beside = slowest(&place.pods(), &unlabelled).await;
    let outside = slowest(&elsewhere.pods(), &opted_in).await;
    println!("slowest of {PODS} pods: {beside:?} without the label, {outside:?} in a namespace without the label");
    assert!(beside < DELAYED && outside < DELAYED, "{beside:?} {outside:?}");
}
