//! What the admin listener says: alive, ready, and the metrics. Plain HTTP, nothing secret.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

/// The parts that must work before callers are welcome, by name.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    parts: BTreeMap<&'static str, bool>,
    remark: Option<&'static str>,
}

/// One part, in the hands of whoever knows how it is.
#[derive(Clone)]
pub struct Part {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Adds a part that is not ready yet.
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part { name, readiness: self.clone() };
        part.set(false);
        part
    }

    /// Names of the parts that are not ready.
    pub fn missing(&self) -> Vec<&'static str> {
        self.state().parts.iter().filter(|(_, ready)| !**ready).map(|(name, _)| *name).collect()
    }

    /// What whoever looks should know although callers are welcome: who is not ready gets no reads either.
    pub fn remark(&self, remark: Option<&'static str>) {
        self.state().remark = remark;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn welcome(&self) -> String {
        self.state().remark.map_or_else(|| "ok\n".into(), |remark| format!("ok, {remark}\n"))
    }
}

impl Part {
    pub fn set(&self, ready: bool) {
        self.readiness.state().parts.insert(self.name, ready);
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics, as soon as every part has registered its own.
pub type Metrics = Arc<OnceLock<Registry>>;

/// `/healthz`, `/readyz`, `/metrics`.
pub fn routes(readiness: Readiness, metrics: Metrics) -> BoxedFilter<(Response,)> {
    let reads = warp::get().or(warp::head()).unify();
    let alive = warp::path!("healthz").map(|| plain(StatusCode::OK, "ok\n".into()));
    let ready = warp::path!("readyz").map(move || match readiness.missing().as_slice() {
        [] => plain(StatusCode::OK, readiness.welcome()),
        missing => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", "))),
    });
    let metrics = warp::path!("metrics").map(move || match metrics.get() {
        Some(registry) => exposition(registry),
        None => plain(StatusCode::SERVICE_UNAVAILABLE, "not yet\n".into()),
    });
    let routes = reads.and(alive.or(ready).unify().or(metrics).unify());
    routes
        .recover(|_| async { Ok::<_, Infallible>(plain(StatusCode::NOT_FOUND, "not found\n".into())) })
        .unify()
        .boxed()
}

fn exposition(registry: &Registry) -> Response {
    let mut page = String::new();
    match text::encode(&mut page, registry) {
        Ok(()) => {
            let mut response = plain(StatusCode::OK, page);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
            response
        }
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, String::new()),
    }
}

fn plain(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::metrics::{HttpMetrics, Labels};
    use http_body_util::{BodyExt, Empty};
    use std::time::Duration;
    use tower::ServiceExt;

    async fn ask(routes: &BoxedFilter<(Response,)>, path: &str) -> (u16, String) {
        let request = warp::http::Request::get(path).body(Empty::<bytes::Bytes>::new()).unwrap();
        let answer = warp::service(routes.clone()).oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn unready_parts_are_named() {
        let readiness = Readiness::default();
        let (store, webhook) = (readiness.part("store"), readiness.part("webhook"));
        let noted = readiness.clone();
        let routes = routes(readiness, Metrics::default());
        assert_eq!(ask(&routes, "/readyz").await, (503, "not ready: store, webhook\n".into()));
        store.set(true);
        assert_eq!(ask(&routes, "/readyz").await, (503, "not ready: webhook\n".into()));
        webhook.set(true);
        assert_eq!(ask(&routes, "/readyz").await, (200, "ok\n".into()));
        noted.remark(Some("read-only"));
        assert_eq!(ask(&routes, "/readyz").await, (200, "ok, read-only\n".into()));
        assert_eq!(ask(&routes, "/healthz").await.0, 200);
        assert_eq!(ask(&routes, "/metrics").await.0, 503);
        assert_eq!(ask(&routes, "/other").await.0, 404);
    }

    #[tokio::test]
    async fn metrics_count_by_route_and_status() {
        let mut registry = Registry::default();
        let metrics = HttpMetrics::register(&mut registry);
        let labels = Labels { dialect: "confidant", method: "GET", route: "/v1/services/{id}", status: 200 };
        metrics.answered(&labels, Duration::from_millis(3));
        let (status, page) = ask(&routes(Readiness::default(), Arc::new(OnceLock::from(registry))), "/metrics").await;
        assert_eq!(status, 200);
        let line = r#"http_requests_total{dialect="confidant",method="GET",route="/v1/services/{id}",status="200"} 1"#;
        assert!(page.contains(line), "{page}");
        assert!(page.contains("http_request_duration_seconds_bucket"), "{page}");
    }
}
