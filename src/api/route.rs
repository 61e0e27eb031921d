//! A dialect as a table of operations. The warp filter, the answers 404, 405 and OPTIONS, the labels of
//! the metrics and the matrix of permissions are all derived from it, so they cannot drift apart.
//!
//! Once a path belongs to a dialect nothing is rejected to the next one: the dialect answers, always.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use futures::Stream;
use futures::future::BoxFuture;
use percent_encoding::percent_decode_str;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;
use zeroize::Zeroizing;

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

type Parameters = Vec<(&'static str, String)>;

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

/// What a path comes to under a table.
struct Place<D: 'static> {
    /// Operations at this path, one for each method, with what stands in the path for each one's names.
    routes: Vec<(&'static Route<D>, Parameters)>,
}

impl<D> Place<D> {
    fn take(&mut self, method: &Method) -> Option<(&'static Route<D>, Parameters)> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let at = self.routes.iter().position(|(route, _)| route.method == *method)?;
        Some(self.routes.swap_remove(at))
    }

    fn allow(&self) -> HeaderValue {
        let mut methods: Vec<&str> = self.routes.iter().map(|(route, _)| route.method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }
}

/// `None`: not under this dialect's mounts. Escapes are undone before the path is split, as the dialects'
/// originals do, so an escaped slash is a slash.
fn find<D: Dialect>(path: &str) -> Option<Place<D>> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let below = |mount: &&str| path.strip_prefix(*mount).filter(|rest| rest.starts_with('/'));
    let is_claimed = |rest: &str| D::CLAIMS.iter().any(|claim| is_in(rest, claim));
    let own = |mount: &&str| below(mount).filter(|rest| !mount.is_empty() || is_claimed(rest));
    let rest = D::MOUNTS.iter().find_map(own)?;
    let rest = rest.strip_suffix('/').filter(|_| D::TRIMS_SLASH).unwrap_or(rest);
    let fitting = D::routes().iter().filter_map(|route| Some((route, fit(route.template, rest)?)));
    Some(Place { routes: fitting.collect() })
}

/// Whether it is this folder, or something below it.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Most templates do not fit, which nearly always shows in their first letters: nothing is kept or looked for before.
fn fit(template: &'static str, path: &str) -> Option<Parameters> {
    let alike =
        template.bytes().zip(path.bytes()).take_while(|(wanted, given)| wanted == given && *wanted != b'{').count();
    if !matches!(template.as_bytes().get(alike), None | Some(b'{')) {
        return None;
    }
    let name = |wanted: &'static str| wanted.strip_prefix('{').and_then(|wanted| wanted.strip_suffix('}'));
    let pairs = || template.split('/').zip(path.split('/'));
    let fits = |(wanted, segment): (&'static str, &str)| match name(wanted) {
        Some(_) => !segment.is_empty(),
        None => wanted == segment,
    };
    let is_as_long = template.split('/').count() == path.split('/').count();
    let named = |(wanted, segment): (&'static str, &str)| Some((name(wanted)?, segment.to_owned()));
    (is_as_long && pairs().all(fits)).then(|| pairs().filter_map(named).collect())
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
    patience: Option<Patience>,
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
        .map(move |place, method, query, headers, peer, patience| {
            let (app, dialect, metrics) = (app.clone(), dialect.clone(), metrics.clone());
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
        Some((route, parameters)) => match run(route, parameters, asked, body).await {
            Ok(response) => response,
            Err(refusal) => D::refuse(refusal),
        },
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
    let (method, body, patience) = (route.method.clone(), Zeroizing::default(), patience.unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Toy;

    static ROUTES: [Route<Toy>; 3] = [
        route(Method::GET, "/v1/things/{id}"),
        route(Method::PUT, "/v1/things/{id}"),
        route(Method::POST, "/v1/things"),
    ];

    const fn route(method: Method, template: &'static str) -> Route<Toy> {
        Route { method, template, handler: Handler::Open(|_| Box::pin(async { Response::default() })) }
    }

    impl Dialect for Toy {
        const NAME: &'static str = "toy";
        const MOUNTS: &'static [&'static str] = &["/toy", ""];

        fn routes() -> &'static [Route<Self>] {
            &ROUTES
        }

        fn refuse(_: Refusal) -> Response {
            Response::default()
        }
    }

    fn found(path: &str) -> (usize, Vec<String>) {
        let place = find::<Toy>(path).expect("a path of the toy");
        let count = place.routes.len();
        let parameters = place.routes.into_iter().last().map(|(_, parameters)| parameters).unwrap_or_default();
        (count, parameters.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn a_path_finds_its_operations_under_every_mount() {
        assert_eq!(found("/v1/things/a%20%C3%BC"), (2, vec!["a ü".into()]));
        assert_eq!(found("/toy/v1/things/x"), (2, vec!["x".into()]));
        assert_eq!(found("/v1/things"), (1, vec![]));
        for nothing in ["/", "/v1/things/", "/v1/things/a/", "/v1/things/a%2Fb", "/toyv1/things", "/toy/toy/v1/things"]
        {
            assert_eq!(found(nothing).0, 0, "{nothing}");
        }
    }

    #[test]
    fn what_is_not_text_is_nobodys_path() {
        assert!(find::<Toy>("/v1/things/%ff").is_none());
    }

    #[test]
    fn head_is_get_and_the_methods_are_listed() {
        let mut place = find::<Toy>("/v1/things/x").unwrap();
        assert_eq!(place.allow(), "GET, PUT, HEAD, OPTIONS");
        assert_eq!(place.take(&Method::HEAD).unwrap().0.method, Method::GET);
        assert!(place.take(&Method::POST).is_none());
    }
}
