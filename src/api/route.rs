//! A dialect as a table of operations. The warp filter, the answers 404, 405 and OPTIONS, the labels of
//! the metrics and the matrix of permissions are all derived from it, so they cannot drift apart.
//!
//! Once a path belongs to a dialect nothing is rejected to the next one: the dialect answers, always.

mod place;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use futures::Stream;
use futures::future::BoxFuture;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;
use zeroize::Zeroizing;

use crate::api::route::place::{Parameters, Place, find};
use crate::app::App;
use crate::domain::Error;
use crate::domain::actor::Actor;
use crate::domain::permission::{Action, Resource};
use crate::server::body::{self, Unread};
use crate::server::csrf;
use crate::server::header_login::HeaderLogin;
use crate::server::identity::{Refused, Why, identify};
use crate::server::metrics::{HttpMetrics, Labels};
use crate::server::{Patience, Peer};

/// One operation.
pub struct Route<D> {
    pub method: Method,
    /// Segments after the mount; `{name}` stands for one that is not empty.
    pub template: &'static str,
    pub handler: Handler<D>,
}

pub enum Handler<D> {
    /// For anybody, and about nothing that needs a caller.
    Open(fn(Request<D>) -> BoxFuture<'static, Response>),
    /// For callers that are known.
    Known { asks: Asks, run: fn(Call<D>) -> BoxFuture<'static, Response> },
}

impl<D> Route<D> {
    pub const fn open(
        method: Method,
        template: &'static str,
        run: fn(Request<D>) -> BoxFuture<'static, Response>,
    ) -> Self {
        Self { method, template, handler: Handler::Open(run) }
    }

    pub const fn known(
        method: Method,
        template: &'static str,
        action: Action,
        resource: Resource,
        run: fn(Call<D>) -> BoxFuture<'static, Response>,
    ) -> Self {
        Self { method, template, handler: Handler::Known { asks: Asks { action, resource }, run } }
    }
}

/// What an operation does, and to what.
#[derive(Clone, Copy)]
pub struct Asks {
    pub action: Action,
    pub resource: Resource,
}

/// A request of whomever.
pub struct Request<D> {
    pub app: Arc<App>,
    pub dialect: Arc<D>,
    pub method: Method,
    pub headers: HeaderMap,
    /// Of operations that write; wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
    pub peer: Option<Peer>,
    pub patience: Patience,
    parameters: Parameters,
    query: String,
}

/// A request of a known caller.
pub struct Call<D> {
    pub request: Request<D>,
    pub actor: Actor,
    pub asks: Asks,
}

impl<D> Deref for Call<D> {
    type Target = Request<D>;

    fn deref(&self) -> &Request<D> {
        &self.request
    }
}

impl<D> Request<D> {
    /// What stands in the path for `{name}`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries(name).next()
    }

    /// All values of a query parameter, in their order.
    pub fn queries(&self, name: &str) -> impl Iterator<Item = String> {
        form_urlencoded::parse(self.query.as_bytes())
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.into())
    }
}

/// Why the dialect's operations are not asked at all.
#[derive(Debug)]
pub enum Refusal {
    NoSuchPath,
    WrongMethod,
    NotPresented,
    /// A write that another site may have made the caller's browser send.
    Forged,
    Failed(Why),
    /// A known caller whose token lacks a scope that everything here needs.
    Unscoped,
    TooLarge,
    Broken,
    TooLate,
    Error(Error),
}

/// One of the APIs, with the settings that are its own.
pub trait Dialect: Sized + Send + Sync + 'static {
    /// A label in the metrics.
    const NAME: &'static str;
    /// Prefixes of every template; the first that fits counts.
    const MOUNTS: &'static [&'static str];
    /// Which folders are its own at the root, where it shares that with other dialects; whatever is asked for in them, it
    /// answers. `""` is everything that no dialect before it has claimed.
    const CLAIMS: &'static [&'static str] = &[""];
    /// Whether a slash at the end of a path means nothing.
    const TRIMS_SLASH: bool = false;

    fn routes() -> &'static [Route<Self>];

    fn refuse(refusal: Refusal) -> Response;

    /// The proxy that logs callers in, if there is one.
    fn header_login(&self) -> Option<&HeaderLogin> {
        None
    }

    /// Where pages find the token that their writes must carry.
    fn xsrf_cookie(&self) -> &str {
        "XSRF-TOKEN"
    }
}

/// What the filter reads from a request besides its body.
struct Asked<D: Dialect> {
    app: Arc<App>,
    dialect: Arc<D>,
    metrics: HttpMetrics,
    place: Place<D>,
    method: Method,
    query: String,
    headers: HeaderMap,
    peer: Option<Peer>,
    patience: Patience,
}

/// The dialect as a filter. Rejects only paths outside its mounts.
pub fn filter<D: Dialect>(dialect: Arc<D>, app: Arc<App>, metrics: HttpMetrics) -> BoxedFilter<(Response,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let place = warp::path::full()
        .and_then(|path: FullPath| async move { find::<D>(path.as_str()).ok_or_else(warp::reject::not_found) });
    place
        .and(warp::method())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::ext::optional::<Patience>())
        .map(move |place, method, query, headers, peer, patience: Option<Patience>| {
            let (app, dialect, metrics) = (app.clone(), dialect.clone(), metrics.clone());
            let patience = patience.unwrap_or_default();
            Asked { app, dialect, metrics, place, method, query, headers, peer, patience }
        })
        .and(warp::body::stream())
        .then(|asked: Asked<D>, body| answer(asked, body))
        .boxed()
}

async fn answer<D: Dialect>(mut asked: Asked<D>, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Response {
    let begun = Instant::now();
    let (metrics, head) = (asked.metrics.clone(), asked.method == Method::HEAD);
    let found = asked.place.take(&asked.method);
    let route = found.as_ref().map(|(route, _)| *route);
    let template = route.or(asked.place.routes.first().map(|(route, _)| *route)).map_or("none", |route| route.template);
    let method = route.map_or("other", |route| route.method.as_str());
    let response = match found {
        Some((route, parameters)) => {
            let patience = asked.patience.clone();
            let answered = patience.bound(run(route, parameters, asked, body)).await;
            answered.unwrap_or_else(|| Err(too_late(route))).unwrap_or_else(D::refuse)
        }
        None if asked.place.routes.is_empty() => D::refuse(Refusal::NoSuchPath),
        None => {
            let options = asked.method == Method::OPTIONS;
            let mut response = if options { Response::default() } else { D::refuse(Refusal::WrongMethod) };
            response.headers_mut().insert(header::ALLOW, asked.place.allow());
            response
        }
    };
    let labels = Labels { dialect: D::NAME, method, route: template, status: response.status().as_u16() };
    metrics.answered(&labels, begun.elapsed());
    if head { without_body(response) } else { response }
}

/// Who is asked before what: a caller that is nobody does not make us read its body.
async fn run<D: Dialect>(
    route: &'static Route<D>,
    parameters: Parameters,
    asked: Asked<D>,
    stream: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Response, Refusal> {
    let Asked { app, dialect, query, headers, peer, patience, .. } = asked;
    let (method, body) = (route.method.clone(), Zeroizing::default());
    let mut request = Request { app, dialect, method, headers, body, peer, patience, parameters, query };
    let (asks, handler) = match route.handler {
        Handler::Open(handler) => {
            take_body(&mut request, stream).await?;
            return Ok(handler(request).await);
        }
        Handler::Known { asks, run } => (asks, run),
    };
    let login = request.dialect.header_login();
    let actor = match identify(&request.app, &request.headers, request.peer.as_ref(), login).await {
        Ok(actor) => actor,
        Err(Refused::NotPresented) => return Err(not_presented(&request, asks).await),
        Err(Refused::Failed(why)) => return Err(Refusal::Failed(why)),
        Err(Refused::Unscoped(actor)) => return Err(denied(&request, &actor, asks, Refusal::Unscoped).await),
        Err(Refused::Unknown(error)) => return Err(Refusal::Error(error)),
    };
    let cookie = cookie(&request, &actor).map_err(Refusal::Error)?;
    if let Some(refusal) = forged(&request, &actor, asks).await {
        return Ok(with_cookie(D::refuse(refusal), cookie));
    }
    take_body(&mut request, stream).await?;
    Ok(with_cookie(handler(Call { request, actor, asks }).await, cookie))
}

/// What it waits for is not waited for any more, but a write that is on its way still comes to pass.
pub const TOO_LATE: &str = "this took too long and was given up; it may be done all the same: look, then ask again";

fn too_late<D>(route: &Route<D>) -> Refusal {
    tracing::warn!(method = %route.method, route = route.template, "a request took too long and was given up");
    Refusal::TooLate
}

/// What comes with a GET means nothing.
async fn take_body<D>(
    request: &mut Request<D>,
    stream: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<(), Refusal> {
    if request.method != Method::GET {
        request.body = body::read(stream, declared(&request.headers)).await.map_err(|unread| match unread {
            Unread::TooLarge => Refusal::TooLarge,
            Unread::Broken => Refusal::Broken,
        })?;
    }
    Ok(())
}

/// A new one with every answer to whoever needs one, so that no page runs out of it that goes on.
fn cookie<D: Dialect>(request: &Request<D>, actor: &Actor) -> Result<Option<HeaderValue>, Error> {
    let wanted = csrf::is_exposed(actor).then(|| csrf::cookie(&request.app, request.dialect.xsrf_cookie(), actor));
    wanted.transpose()
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Asked before the body is read and before anything of the caller's rights is.
async fn forged<D>(request: &Request<D>, actor: &Actor, asks: Asks) -> Option<Refusal> {
    let writes = request.method != Method::GET && asks.resource != Resource::Session;
    if !writes || !csrf::is_exposed(actor) || csrf::is_intended(&request.app, &request.headers, actor) {
        return None;
    }
    Some(denied(request, actor, asks, Refusal::Forged).await)
}

/// A known caller may not do this now, whatever its rights are.
async fn denied<D>(request: &Request<D>, actor: &Actor, asks: Asks, refusal: Refusal) -> Refusal {
    let name = request.parameters.first().map_or("", |(_, value)| value.as_str());
    match request.app.record_denied(actor, asks.action, asks.resource, name).await {
        Ok(()) => refusal,
        Err(error) => Refusal::Error(error),
    }
}

/// By the caller's own word for what is asked for: nothing is looked up for nobody.
async fn not_presented<D>(request: &Request<D>, asks: Asks) -> Refusal {
    let from = request.peer.as_ref().map(|peer| peer.addr.ip());
    let name = request.parameters.first().map_or("", |(_, value)| value.as_str());
    match request.app.record_anonymous(asks.action, asks.resource, name, from).await {
        Ok(()) => Refusal::NotPresented,
        Err(error) => Refusal::Error(error),
    }
}

/// Room to take for a body at once; more comes as it is needed.
const ROOM: usize = 64 * 1024;

fn declared(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(0).min(ROOM)
}

/// HEAD is GET without its body, length included.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = hyper::body::Body::size_hint(&body).exact() {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Default::default())
}

/// An answer with this status, headers and body.
pub fn response(
    status: StatusCode,
    headers: &[(&'static str, &'static str)],
    body: impl Into<bytes::Bytes>,
) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    response
}
