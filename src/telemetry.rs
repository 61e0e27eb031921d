//! Logs. Knows nothing of what is logged.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Logs go to standard error: standard output belongs to what a subcommand prints.
///
/// # Errors
/// When `filter` is not a filter; the text says which part.
pub fn start_logging(filter: &str, json: bool) -> Result<(), String> {
    // The runtime's own spans would stand before every line of a reconcile; what is asked for explicitly is stronger.
    let filter = EnvFilter::try_new(format!("kube_runtime=warn,{filter}"));
    let filter = filter.map_err(|error| format!("--log-level: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match json {
        true => registry.with(layer.json().flatten_event(true)).try_init(),
        false => registry.with(layer).try_init(),
    };
    started.map_err(|error| error.to_string())
}
