//! Whether the API server serves the custom resources yet.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::k8s::crd::{CertificateAuthority, ClientCredential, Credential, GROUP, Managed, Service};

const VERSION: &str = "v1alpha1";

/// The operator may be started before its CRDs are installed. False: shut down meanwhile.
pub async fn wait_for_crds(client: &Client, shutdown: &CancellationToken) -> bool {
    let mut told = None;
    loop {
        let missing = tokio::select! {
            missing = missing_kinds(client) => missing,
            () = shutdown.cancelled() => return false,
        };
        if missing.is_empty() {
            return true;
        }
        let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
        if told.as_ref() != Some(&missing) {
            tracing::warn!(%missing, "waiting for the custom resource definitions: install those that `strongroom crds` prints");
            told = Some(missing);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = shutdown.cancelled() => return false,
        }
    }
}

async fn missing_kinds(client: &Client) -> BTreeSet<String> {
    let kinds = [Credential::KIND, Service::KIND, CertificateAuthority::KIND, ClientCredential::KIND];
    let served = match client.list_api_group_resources(&format!("{GROUP}/{VERSION}")).await {
        Ok(list) => list.resources.into_iter().map(|resource| resource.kind).collect(),
        Err(error) => {
            tracing::debug!(%error, "the API server does not serve {GROUP}/{VERSION}");
            BTreeSet::new()
        }
    };
    kinds.map(str::to_owned).into_iter().filter(|kind| !served.contains(kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use serde_json::json;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// An API server that serves the CRDs from its `n`th answer on.
    fn serves_from(n: usize, asked: Arc<AtomicUsize>) -> Client {
        let answer = move |_: Request<kube::client::Body>| {
            let served = asked.fetch_add(1, Ordering::Relaxed) + 1 >= n;
            async move {
                let kinds = [Credential::KIND, Service::KIND, CertificateAuthority::KIND, ClientCredential::KIND];
                let resource = |kind: &str| json!({"name": kind, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list"]});
                let (status, body) = match served {
                    true => {
                        let resources: Vec<_> = kinds.into_iter().map(resource).collect();
                        let group = format!("{GROUP}/{VERSION}");
                        (200, json!({"kind": "APIResourceList", "groupVersion": group, "resources": resources}))
                    }
                    false => (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})),
                };
                let body = kube::client::Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).expect("an answer"))
            }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn the_operator_waits_for_its_crds() {
        let asked = Arc::new(AtomicUsize::new(0));
        assert!(wait_for_crds(&serves_from(2, asked.clone()), &CancellationToken::new()).await);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_shutdown_ends_the_wait() {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        assert!(!wait_for_crds(&serves_from(usize::MAX, Arc::default()), &shutdown).await);
    }
}
