//! An API server that answers late, then not at all: nothing that a leader asks it keeps the leader in office beyond its
//! term. The server is played, so that the time is too.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use strongroom::adapters::store::MemoryStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::k8s::leader::{Election, Options, Term};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ground::parts;

const LEASE: Duration = Duration::from_secs(15);
/// As late as an answer may be that is waited for.
const LATE: Duration = Duration::from_millis(4900);

fn answered(status: u16, body: &Value) -> Response<Body> {
    let body = Body::from(body.to_string().into_bytes());
    Response::builder().status(status).body(body).expect("an answer")
}

/// A Lease can be made; somebody has labelled it when it is renewed; who looks at it hears nothing.
async fn play(request: Request<Body>, asked: Arc<Mutex<Vec<Method>>>) -> Result<Response<Body>, Infallible> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let watches = uri.query().is_some_and(|query| query.contains("watch"));
    if method == Method::GET && uri.path().ends_with("/leases") && !watches {
        return Ok(answered(200, &json!({"metadata": {"resourceVersion": "1"}, "items": []})));
    }
    if method == Method::GET && watches {
        return std::future::pending().await;
    }
    asked.lock().expect("a list").push(method.clone());
    match method {
        Method::POST => {
            let lease = request.into_body().collect_bytes().await.expect("a body");
            let mut lease: Value = serde_json::from_slice(&lease).expect("a Lease");
            lease["metadata"]["resourceVersion"] = "1".into();
            Ok(answered(201, &lease))
        }
        Method::PATCH => {
            tokio::time::sleep(LATE).await;
            let conflict = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409});
            Ok(answered(409, &conflict))
        }
        _ => std::future::pending().await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nothing_of_its_lease_stops_when_its_term_is_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let parts = parts(Arc::new(MemoryStore::default()), &dir.path().join("key"), Arc::new(SystemClock)).await;
    let asked = Arc::<Mutex<Vec<Method>>>::default();
    let played = asked.clone();
    let client = Client::new(tower::service_fn(move |request| play(request, played.clone())), "x");
    let options = Options { namespace: "x".into(), identity: "a".into(), lease: LEASE };
    let election = Election::new(&client, options, Arc::new(App::new(parts)), Gauge::default());
    let (shutdown, led) = (CancellationToken::new(), Arc::<Mutex<Vec<Duration>>>::default());
    let (stop, times) = (shutdown.clone(), led.clone());
    let lead = move |term: Term| {
        let (stop, times) = (stop.clone(), times.clone());
        async move {
            let begun = Instant::now();
            term.end.cancelled().await;
            times.lock().expect("a list").push(begun.elapsed());
            stop.cancel();
            Ok(())
        }
    };
    election.run(lead, || {}, shutdown).await.expect("an election");
    let asked = asked.lock().expect("a list").clone();
    assert_eq!(asked[..3], [Method::POST, Method::PATCH, Method::GET], "elected, renewed, looked");
    let led = led.lock().expect("a list")[0];
    assert!(led > LEASE / 3 + LATE && led <= LEASE * 2 / 3, "it led for {led:?}");
}
