//! A dialect as a table of operations. The warp filter, the answers 404, 405 and OPTIONS, the labels of
//! the metrics and the matrix of permissions are all derived from it, so they cannot drift apart.
//!
//! Once a path belongs to a dialect nothing is rejected to the next one: the dialect answers, always.

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
use crate::domain::permission::Action;
use crate::domain::record::Class;
use crate::server::Peer;
use crate::server::body::{self, Unread};
use crate::server::identity::{Refused, identify};
use crate::server::metrics::{HttpMetrics, Labels};

/// One operation.
pub struct Route {
    pub method: Method,
    /// Segments after the mount; `{name}` stands for one that is not empty.
    pub template: &'static str,
    pub handler: Handler,
}

pub enum Handler {
    /// For anybody, and about nothing that needs a caller.
    Open(fn() -> Response),
    /// For callers that are known.
    Known { asks: Asks, run: fn(Call) -> BoxFuture<'static, Response> },
}

/// What an operation does, and to records of which class.
#[derive(Clone, Copy)]
pub struct Asks {
    pub action: Action,
    pub class: Class,
}

/// A request of a known caller.
pub struct Call {
    pub app: Arc<App>,
    pub actor: Actor,
    pub asks: Asks,
    pub method: Method,
    pub headers: HeaderMap,
    /// Of operations that write; wiped when dropped.
    pub body: Zeroizing<Vec<u8>>,
    parameters: Parameters,
    query: String,
}

type Parameters = Vec<(&'static str, String)>;

impl Call {
    /// What stands in the path for `{name}`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into())
    }
}

/// Why the dialect's operations are not asked at all.
#[derive(Debug)]
pub enum Refusal {
    NoSuchPath,
    WrongMethod,
    NotPresented,
    Failed,
    TooLarge,
    Broken,
    Error(Error),
}

pub trait Dialect: 'static {
    /// A label in the metrics.
    const NAME: &'static str;
    /// Prefixes of every template; the first that fits counts.
    const MOUNTS: &'static [&'static str];

    fn routes() -> &'static [Route];

    fn refuse(refusal: Refusal) -> Response;
}

/// What a path comes to under a table.
struct Place {
    /// Operations at this path, one for each method.
    routes: Vec<&'static Route>,
    parameters: Parameters,
}

impl Place {
    fn route(&self, method: &Method) -> Option<&'static Route> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.routes.iter().copied().find(|route| route.method == *method)
    }

    fn allow(&self) -> HeaderValue {
        let mut methods: Vec<&str> = self.routes.iter().map(|route| route.method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }
}

/// `None`: not under this dialect's mounts. Escapes are undone before the path is split, as the dialects'
/// originals do, so an escaped slash is a slash.
fn find<D: Dialect>(path: &str) -> Option<Place> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let below = |mount: &&str| path.strip_prefix(*mount).filter(|rest| rest.starts_with('/'));
    let rest = D::MOUNTS.iter().find_map(below)?;
    let mut place = Place { routes: Vec::new(), parameters: Vec::new() };
    for route in D::routes() {
        if let Some(parameters) = fit(route.template, rest) {
            place.routes.push(route);
            place.parameters = parameters;
        }
    }
    Some(place)
}

fn fit(template: &'static str, path: &str) -> Option<Parameters> {
    let mut parameters = Vec::new();
    let mut segments = path.split('/');
    for wanted in template.split('/') {
        let segment = segments.next()?;
        match wanted.strip_prefix('{').and_then(|wanted| wanted.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => parameters.push((name, segment.to_owned())),
            None if wanted == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

/// What the filter reads from a request besides its body.
struct Asked {
    app: Arc<App>,
    metrics: HttpMetrics,
    place: Place,
    method: Method,
    query: String,
    headers: HeaderMap,
    peer: Option<Peer>,
}

/// The dialect as a filter. Rejects only paths outside its mounts.
pub fn filter<D: Dialect>(app: Arc<App>, metrics: HttpMetrics) -> BoxedFilter<(Response,)> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let place = warp::path::full()
        .and_then(|path: FullPath| async move { find::<D>(path.as_str()).ok_or_else(warp::reject::not_found) });
    place
        .and(warp::method())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .map(move |place, method, query, headers, peer| {
            let (app, metrics) = (app.clone(), metrics.clone());
            Asked { app, metrics, place, method, query, headers, peer }
        })
        .and(warp::body::stream())
        .then(|asked: Asked, body| answer::<D>(asked, body))
        .boxed()
}

async fn answer<D: Dialect>(asked: Asked, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Response {
    let begun = Instant::now();
    let (metrics, head) = (asked.metrics.clone(), asked.method == Method::HEAD);
    let route = asked.place.route(&asked.method);
    let template = asked.place.routes.first().map_or("none", |route| route.template);
    let method = route.map_or("other", |route| route.method.as_str());
    let response = match route {
        Some(route) => match run(route, asked, body).await {
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
async fn run(
    route: &'static Route,
    asked: Asked,
    stream: impl Stream<Item = Result<impl Buf, warp::Error>>,
) -> Result<Response, Refusal> {
    let (asks, handler) = match route.handler {
        Handler::Open(handler) => return Ok(handler()),
        Handler::Known { asks, run } => (asks, run),
    };
    let Asked { app, place, query, headers, peer, .. } = asked;
    let actor = match identify(&app, &headers, peer.as_ref()).await {
        Ok(actor) => actor,
        Err(Refused::NotPresented) => {
            // By the caller's own word for it: nothing is looked up for nobody.
            let name = place.parameters.first().map_or("", |(_, value)| value.as_str());
            let from = peer.map(|peer| peer.addr.ip());
            app.record_anonymous(asks.action, asks.class, name, from).await.map_err(Refusal::Error)?;
            return Err(Refusal::NotPresented);
        }
        Err(Refused::Failed) => return Err(Refusal::Failed),
        Err(Refused::Unknown(error)) => return Err(Refusal::Error(error)),
    };
    let body = match route.method {
        Method::GET => Zeroizing::default(),
        _ => body::read(stream, declared(&headers)).await.map_err(|unread| match unread {
            Unread::TooLarge => Refusal::TooLarge,
            Unread::Broken => Refusal::Broken,
        })?,
    };
    let method = route.method.clone();
    Ok(handler(Call { app, actor, asks, method, headers, body, parameters: place.parameters, query }).await)
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

    static ROUTES: [Route; 3] = [
        Route { method: Method::GET, template: "/v1/things/{id}", handler: Handler::Open(Response::default) },
        Route { method: Method::PUT, template: "/v1/things/{id}", handler: Handler::Open(Response::default) },
        Route { method: Method::POST, template: "/v1/things", handler: Handler::Open(Response::default) },
    ];

    impl Dialect for Toy {
        const NAME: &'static str = "toy";
        const MOUNTS: &'static [&'static str] = &["/toy", ""];

        fn routes() -> &'static [Route] {
            &ROUTES
        }

        fn refuse(_: Refusal) -> Response {
            Response::default()
        }
    }

    fn found(path: &str) -> (usize, Vec<String>) {
        let place = find::<Toy>(path).expect("a path of the toy");
        (place.routes.len(), place.parameters.into_iter().map(|(_, value)| value).collect())
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
        let place = find::<Toy>("/v1/things/x").unwrap();
        assert_eq!(place.route(&Method::HEAD).unwrap().method, Method::GET);
        assert!(place.route(&Method::POST).is_none());
        assert_eq!(place.allow(), "GET, PUT, HEAD, OPTIONS");
    }
}
