//! Confidant's API as its clients know it (docs/dialects/confidant.md has the differences).

mod credentials;
mod error;
mod page;
mod services;
mod wire;

use std::sync::Arc;

use futures::future::BoxFuture;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::json::Json;
use crate::api::route::{self, Asks, Call, Dialect, Handler, Refusal, Route};
use crate::domain::Result;
use crate::domain::permission::Action::{self, Create, Get, List, Update};
use crate::domain::record::Class::{self, Credential, Service};

pub struct Confidant;

static ROUTES: [Route; 8] = [
    Route { method: Method::GET, template: "/healthcheck", handler: Handler::Open(healthcheck) },
    known(Method::GET, "/v1/credentials", List, Credential, |call| run(call, credentials::list)),
    known(Method::POST, "/v1/credentials", Create, Credential, |call| run(call, credentials::create)),
    known(Method::GET, "/v1/credentials/{id}", Get, Credential, |call| run(call, credentials::get)),
    known(Method::PUT, "/v1/credentials/{id}", Update, Credential, |call| run(call, credentials::update)),
    known(Method::GET, "/v1/services", List, Service, |call| run(call, services::list)),
    known(Method::GET, "/v1/services/{id}", Get, Service, |call| run(call, services::get)),
    known(Method::PUT, "/v1/services/{id}", Update, Service, |call| run(call, services::put)),
];

const fn known(
    method: Method,
    template: &'static str,
    action: Action,
    class: Class,
    run: fn(Call) -> BoxFuture<'static, Response>,
) -> Route {
    Route { method, template, handler: Handler::Known { asks: Asks { action, class }, run } }
}

/// A handler's result in Confidant's shape.
fn run<F>(call: Call, operation: fn(Arc<Call>) -> F) -> BoxFuture<'static, Response>
where
    F: Future<Output = Result<Json>> + Send + 'static,
{
    let call = Arc::new(call);
    Box::pin(async move {
        match operation(call.clone()).await {
            Ok(json) => error::json(StatusCode::OK, &json),
            Err(error) => error::render(&error, &call),
        }
    })
}

fn healthcheck() -> Response {
    route::response(StatusCode::OK, &[error::POLICY], "")
}

impl Dialect for Confidant {
    const NAME: &'static str = "confidant";
    const MOUNTS: &'static [&'static str] = &["/confidant", ""];

    fn routes() -> &'static [Route] {
        &ROUTES
    }

    fn refuse(refusal: Refusal) -> Response {
        error::refuse(refusal)
    }
}
