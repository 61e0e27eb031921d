//! The accept loop that every listener shares: TLS, limits, and an end in good order.
//! warp's own server has neither TLS nor limits, so only its filters are used here.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;
use warp::filters::BoxedFilter;
use warp::http::{Method, Request, StatusCode, header};
use warp::reply::Response;

use crate::server::activity::Activity;
use crate::server::patience::Patience;
use crate::server::tls::{Shown, Tls};

/// What one listener bears.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections: usize,
    /// Requests that run at one time, over all connections.
    pub requests: usize,
    /// Bytes of one request's body.
    pub body: usize,
    /// For the TLS handshake, for the headers of a request, and for a new connection's first request.
    pub patience: Duration,
    /// For one request, its body included.
    pub request: Duration,
    /// For one that was granted more time, which its [`Patience`] says.
    pub long_request: Duration,
    /// How long a connection may do nothing between two requests.
    pub idle: Duration,
    /// How long running requests may take to end after the shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            requests: 512,
            body: 1024 * 1024,
            patience: Duration::from_secs(10),
            request: Duration::from_secs(30),
            long_request: Duration::from_secs(20 * 60),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(10),
        }
    }
}

const HEADERS: usize = 64;
const HEADER_BYTES: u32 = 32 * 1024;
const STREAMS: u32 = 256;
/// Streams that the caller reset before we accepted them, and that we reset for its errors: a flood of
/// either costs the caller its connection (CVE-2023-44487, CVE-2025-8671).
const RESETS: usize = 64;
/// What one connection may send before it is read; the default of 1 MiB each is a gigabyte in all.
const WINDOW: u32 = 256 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Who is at the other end, as far as the connection knows.
#[derive(Clone, Debug)]
pub struct Peer {
    pub addr: SocketAddr,
    /// The address of this host that it was reached at.
    pub local: Option<IpAddr>,
    /// The caller's certificate in DER. It has shown to hold the key; nothing else was checked.
    pub certificate: Option<Arc<[u8]>>,
    /// The same, with those above it, for the authorities that are believed.
    pub shown: Option<Arc<Shown>>,
}

struct Listener {
    tls: Option<Arc<Tls>>,
    routes: BoxedFilter<(Response,)>,
    limits: Limits,
    running: Semaphore,
}

/// Serves until `shutdown`, then lets running requests end for `limits.drain`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    routes: BoxedFilter<(Response,)>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let running = Semaphore::new(limits.requests);
    let shared = Arc::new(Listener { tls, routes, limits, running });
    let end = CancellationToken::new();
    // The slot is taken before the accept: callers beyond the limit wait in the kernel's queue, and cost
    // neither a file descriptor nor a handshake.
    while let Some((stream, addr, slot)) = accept(&listener, &slots, &shutdown).await {
        let (shared, shutdown, end) = (shared.clone(), shutdown.clone(), end.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = shared.connection(stream, addr, shutdown) => {}
                () = end.cancelled() => {}
            }
            drop(slot);
        });
    }
    drop(listener);
    let all = u32::try_from(shared.limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(shared.limits.drain, slots.acquire_many(all)).await.is_err() {
        tracing::warn!("connections that did not end in time were cut");
        end.cancel();
        let _ = slots.acquire_many(all).await;
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accepted = async {
        let slot = slots.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, addr)) => return Some((stream, addr, slot)),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // Out of file descriptors, most likely: without a pause this would spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = accepted => accepted,
    }
}

impl Listener {
    async fn connection(self: Arc<Self>, stream: TcpStream, addr: SocketAddr, shutdown: CancellationToken) {
        // Answers are small and whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok().map(|local| local.ip());
        let Some(tls) = &self.tls else {
            return self.speak(stream, Peer { addr, local, certificate: None, shown: None }, false, shutdown).await;
        };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        match tokio::time::timeout(self.limits.patience, handshake).await {
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                let chain = session.peer_certificates().unwrap_or_default();
                let certificate = chain.first().map(|leaf| Arc::from(leaf.as_ref()));
                let shown = (!chain.is_empty()).then(|| Arc::new(Shown::new(tls, chain)));
                let peer = Peer { addr, local, certificate, shown };
                let http2 = session.alpn_protocol() == Some(b"h2");
                self.speak(stream, peer, http2, shutdown).await;
            }
            Ok(Err(error)) => tracing::debug!(%addr, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%addr, "TLS handshake took too long"),
        }
    }

    /// The protocol is what TLS agreed on: guessing it from the first bytes would wait for them forever.
    async fn speak<I>(self: Arc<Self>, io: I, peer: Peer, http2: bool, shutdown: CancellationToken)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new(self.limits.patience, self.limits.idle));
        let addr = peer.addr;
        let service = service_fn(|request| {
            let (listener, peer, busy) = (self.clone(), peer.clone(), activity.clone().begin());
            async move {
                let response = listener.answer(request, peer).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        });
        let builder = builder(&self.limits);
        let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
        let mut closing = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%addr, %error, "connection ended early");
                    }
                    return;
                }
                () = shutdown.cancelled(), if !closing => closing = true,
                () = activity.idle() => {
                    if closing {
                        return;
                    }
                    closing = true;
                    activity.touch();
                }
            }
            connection.as_mut().graceful_shutdown();
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response {
        let Ok(_running) = self.running.try_acquire() else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE);
        };
        // warp's path filters panic on the authority form that CONNECT uses.
        if request.method() == Method::CONNECT {
            return refuse(StatusCode::METHOD_NOT_ALLOWED);
        }
        // What is longer is refused when it has come so far, also where its length is declared: in the words of whoever is
        // asked, which clients read.
        let mut request = request.map(|body| Limited::new(body, self.limits.body));
        request.extensions_mut().insert(peer);
        let patience = Patience::begin(&self.limits);
        request.extensions_mut().insert(patience.clone());
        let mut routes = warp::service(self.routes.clone());
        let answer = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind();
        match patience.with_margin().bound(answer).await {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(never))) => match never {},
            Some(Err(_)) => {
                tracing::error!("a request ended in a panic; this is a bug");
                refuse(StatusCode::INTERNAL_SERVER_ERROR)
            }
            None => refuse(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.patience).max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(limits.patience);
    builder
}

/// An answer of the plumbing itself, before or instead of a dialect's.
fn refuse(status: StatusCode) -> Response {
    let mut response = Response::new(status.canonical_reason().unwrap_or_default().into());
    *response.status_mut() = status;
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            response.headers_mut().insert(header::RETRY_AFTER, 1.into());
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD, POST, PUT"));
        }
        _ => {}
    }
    response
}
