//! Counts and durations of requests. Labels come from tables in the code: no name, no id and nothing
//! else that a caller chose.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labels {
    pub dialect: &'static str,
    pub method: &'static str,
    /// The template that matched.
    pub route: &'static str,
    pub status: u16,
}

#[derive(Clone)]
pub struct HttpMetrics {
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
}

/// From a cached read to a password hash behind a queue.
const SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 2.0, 10.0];

impl HttpMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics =
            Self { requests: Family::default(), durations: Family::new_with_constructor(|| Histogram::new(SECONDS)) };
        registry.register("http_requests", "Requests that were answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's headers to its answer",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        metrics
    }

    pub fn answered(&self, labels: &Labels, took: Duration) {
        self.requests.get_or_create(labels).inc();
        self.durations.get_or_create(labels).observe(took.as_secs_f64());
    }
}
