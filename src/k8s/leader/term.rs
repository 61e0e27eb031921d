//! One time in office: when it is over, and a client that writes nothing after that.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service};

/// Held by everything that only a leader does.
#[derive(Clone)]
pub struct Term {
    /// Cancelled when work should stop: what is under way may end, as long as the term [`holds`](Self::holds).
    pub end: CancellationToken,
    /// Monotonic, so that no clock that is set changes it; `None`: nobody else can lead.
    until: Option<Arc<Mutex<Instant>>>,
    /// Whether the store has refused a write of this term.
    deposed: watch::Receiver<bool>,
}

impl From<CancellationToken> for Term {
    /// Without an election.
    fn from(end: CancellationToken) -> Self {
        Self { end, until: None, deposed: watch::channel(false).1 }
    }
}

impl Term {
    pub fn new(end: CancellationToken, until: Instant, deposed: watch::Receiver<bool>) -> Self {
        Self { end, until: Some(Arc::new(Mutex::new(until))), deposed }
    }

    /// Can be ended before the term is, and ends with it.
    pub fn part(&self) -> Self {
        Self { end: self.end.child_token(), ..self.clone() }
    }

    /// Whether there are others, who do not lead.
    pub fn has_others(&self) -> bool {
        self.until.is_some()
    }

    pub fn until(&self) -> Option<Instant> {
        self.until.as_ref().map(|until| *until.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn extend(&self, end: Instant) {
        if let Some(until) = &self.until {
            *until.lock().unwrap_or_else(PoisonError::into_inner) = end;
        }
    }

    /// Asked before each effect. A process that was stopped in between learns here that others may lead by now, before
    /// whoever renews the Lease has had its turn to say so.
    pub fn holds(&self) -> bool {
        self.until().is_none_or(|until| Instant::now() < until) && !*self.deposed.borrow()
    }

    /// A client whose writes end with the term. Reading is harmless and goes on.
    pub fn client(&self, client: Client) -> Client {
        match self.until {
            Some(_) => {
                let namespace = client.default_namespace().to_owned();
                Client::new(Guarded { client, term: self.clone() }, namespace)
            }
            None => client,
        }
    }
}

struct Guarded {
    client: Client,
    term: Term,
}

impl Service<Request<Body>> for Guarded {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if writes && !self.term.holds() {
            return futures::future::ready(Err("this process does not lead any more".into())).boxed();
        }
        let client = self.client.clone();
        async move { Ok(client.send(request).await?) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_after_the_last_renewal_has_run_out() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let server = tower::service_fn(move |_: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let body = Body::from(br#"{"metadata": {"name": "x"}}"#.to_vec());
            async { Ok::<_, Infallible>(Response::new(body)) }
        });
        let (depose, deposed) = watch::channel(false);
        let term = Term::new(CancellationToken::new(), Instant::now() + Duration::from_secs(10), deposed);
        let api: Api<ConfigMap> = Api::namespaced(term.client(Client::new(server, "x")), "x");
        let merge = Patch::Merge(serde_json::json!({}));

        tokio::time::advance(Duration::from_secs(9)).await;
        api.create(&PostParams::default(), &ConfigMap::default()).await.expect("in office");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(api.create(&PostParams::default(), &ConfigMap::default()).await.is_err());
        assert!(api.patch("x", &PatchParams::default(), &merge).await.is_err());
        assert!(api.delete("x", &DeleteParams::default()).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        api.get("x").await.expect("reading goes on");
        term.extend(Instant::now() + Duration::from_secs(10));
        api.patch("x", &PatchParams::default(), &merge).await.expect("renewed");
        depose.send_replace(true);
        assert!(api.patch("x", &PatchParams::default(), &merge).await.is_err(), "the store knows a later leader");
    }
}
