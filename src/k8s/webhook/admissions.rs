//! How many admissions there were and how they ended.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    webhook: &'static str,
    outcome: &'static str,
}

/// Counts admissions by webhook and outcome.
#[derive(Clone, Debug, Default)]
pub struct Admissions(Family<Labels, Counter>);

impl Admissions {
    pub fn register(&self, registry: &mut Registry) {
        let help = "Answers to the API server, by webhook (pods, resources) and outcome";
        registry.register("admissions", help, self.0.clone());
    }

    /// `webhook` and `outcome` are words of this code and never of a request, so the number of series is fixed.
    pub(super) fn count(&self, webhook: &'static str, outcome: &'static str) {
        self.0.get_or_create(&Labels { webhook, outcome }).inc();
    }
}
