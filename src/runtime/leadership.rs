//! Who this process is in an election, and where the Lease is.

use std::fs;
use std::path::Path;

use crate::app::App;
use crate::config::Settings;
use crate::k8s::leader::Options;

/// Beside a ServiceAccount's token in every pod.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const DEFAULT_NAMESPACE: &str = "strongroom-system";
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// `None`: this process is the only one on its store.
pub fn options(settings: &Settings, app: &App) -> Option<Options> {
    settings.leader_election.then(|| Options {
        namespace: namespace(settings),
        identity: identity(app),
        lease: settings.lease,
    })
}

/// A pod's own, where it is one.
pub fn namespace(settings: &Settings) -> String {
    let given = settings.lease_namespace.clone();
    given.or_else(|| line(Path::new(NAMESPACE))).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

/// For people the pod's name, which is its host name; and what no other process has, nor this one after a restart.
fn identity(app: &App) -> String {
    let host = line(Path::new(HOSTNAME)).unwrap_or_else(|| "strongroom".to_owned());
    format!("{host}_{}", app.unique())
}

fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
