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
use crate::api::route::{self, Call, Dialect, Handler, Refusal, Route};
use crate::domain::Result;
use crate::domain::record::Class;

pub struct Confidant;

static ROUTES: [Route; 8] = [
    Route { method: Method::GET, template: "/healthcheck", handler: Handler::Open(healthcheck) },
    known(Method::GET, "/v1/credentials", |call| run(call, Class::Credential, credentials::list)),
    known(Method::POST, "/v1/credentials", |call| run(call, Class::Credential, credentials::create)),
    known(Method::GET, "/v1/credentials/{id}", |call| run(call, Class::Credential, credentials::get)),
    known(Method::PUT, "/v1/credentials/{id}", |call| run(call, Class::Credential, credentials::update)),
    known(Method::GET, "/v1/services", |call| run(call, Class::Service, services::list)),
    known(Method::GET, "/v1/services/{id}", |call| run(call, Class::Service, services::get)),
    known(Method::PUT, "/v1/services/{id}", |call| run(call, Class::Service, services::put)),
];

const fn known(method: Method, template: &'static str, handler: fn(Call) -> BoxFuture<'static, Response>) -> Route {
    Route { method, template, handler: Handler::Known(handler) }
}

/// A handler's result in Confidant's shape.
fn run<F>(call: Call, class: Class, operation: fn(Arc<Call>) -> F) -> BoxFuture<'static, Response>
where
    F: Future<Output = Result<Json>> + Send + 'static,
{
    let call = Arc::new(call);
    Box::pin(async move {
        match operation(call.clone()).await {
            Ok(json) => error::json(StatusCode::OK, &json),
            Err(error) => error::render(&error, class, &call),
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
