//! CredHub's API as its clients know it (docs/dialects/credhub.md has the differences).

mod about;
mod certificates;
mod data;
mod error;
pub mod exported;
mod interpolation;
mod permissions;
mod schema;
pub mod settings;
mod wire;

use std::sync::Arc;

use futures::future::BoxFuture;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::credhub::error::Failure;
use crate::api::credhub::settings::Settings;
use crate::api::json::Json;
use crate::api::route::{self, Asks, Dialect, Refusal, Route};
use crate::domain::permission::Action::{Create, Delete, Get, Update};
use crate::domain::permission::Resource;
use crate::domain::record::Class;

/// The dialect with its settings.
#[derive(Default)]
pub struct Credhub {
    pub settings: Settings,
}

type Call = route::Call<Credhub>;
type Request = route::Request<Credhub>;

/// What an operation answers: a status with JSON, or with nothing.
struct Answer(StatusCode, Option<Json>);

impl From<Json> for Answer {
    fn from(json: Json) -> Self {
        Self(StatusCode::OK, Some(json))
    }
}

const CREDENTIAL: Resource = Resource::Record(Class::Credential);
const PERMISSION: Resource = Resource::Record(Class::Permission);

static ROUTES: &[Route<Credhub>] = &[
    Route::known(Method::GET, "/api/v1/data", Get, CREDENTIAL, |call| run(call, data::get)),
    Route::known(Method::PUT, "/api/v1/data", Update, CREDENTIAL, |call| run(call, data::set)),
    Route::known(Method::POST, "/api/v1/data", Create, CREDENTIAL, |call| run(call, data::generate)),
    Route::known(Method::DELETE, "/api/v1/data", Delete, CREDENTIAL, |call| run(call, data::delete)),
    Route::known(Method::GET, "/api/v1/data/{id}", Get, CREDENTIAL, |call| run(call, data::by_id)),
    Route::known(Method::POST, "/api/v1/regenerate", Update, CREDENTIAL, |call| run(call, data::regenerate)),
    Route::known(Method::POST, "/api/v1/bulk-regenerate", Update, CREDENTIAL, |call| {
        run(call, certificates::bulk_regenerate)
    }),
    Route::known(Method::POST, "/api/v1/interpolate", Get, CREDENTIAL, |call| run(call, interpolation::interpolate)),
    Route::known(Method::GET, "/api/v1/certificates", Get, CREDENTIAL, |call| run(call, certificates::list)),
    Route::known(Method::POST, "/api/v1/certificates/{id}/regenerate", Update, CREDENTIAL, |call| {
        run(call, certificates::regenerate)
    }),
    Route::known(Method::PUT, "/api/v1/certificates/{id}/update_transitional_version", Update, CREDENTIAL, |call| {
        run(call, certificates::update_transitional_version)
    }),
    Route::known(Method::GET, "/api/v1/certificates/{id}/versions", Get, CREDENTIAL, |call| {
        run(call, certificates::versions)
    }),
    Route::known(Method::POST, "/api/v1/certificates/{id}/versions", Update, CREDENTIAL, |call| {
        run(call, certificates::add_version)
    }),
    Route::known(Method::DELETE, "/api/v1/certificates/{id}/versions/{version}", Delete, CREDENTIAL, |call| {
        run(call, certificates::delete_version)
    }),
    Route::known(Method::GET, "/api/v1/key-usage", Get, Resource::Session, |call| run(call, about::key_usage)),
    Route::open(Method::GET, "/openapi.json", |_| Box::pin(async { schema::document() })),
    Route::open(Method::GET, "/info", |request| Box::pin(about::info(request))),
    Route::open(Method::GET, "/health", |_| Box::pin(about::health())),
    Route::known(Method::GET, "/version", Get, Resource::Session, |call| run(call, about::version)),
    Route::open(Method::GET, "/management", |request| Box::pin(about::management(request))),
    Route::open(Method::POST, "/management", |request| Box::pin(about::manage(request))),
    Route::known(Method::GET, "/api/v2/permissions", Get, PERMISSION, |call| run(call, permissions::find)),
    Route::known(Method::POST, "/api/v2/permissions", Create, PERMISSION, |call| run(call, permissions::create)),
    Route::known(Method::GET, "/api/v2/permissions/{uuid}", Get, PERMISSION, |call| run(call, permissions::view)),
    Route::known(Method::PUT, "/api/v2/permissions/{uuid}", Update, PERMISSION, |call| run(call, permissions::replace)),
    Route::known(Method::PATCH, "/api/v2/permissions/{uuid}", Update, PERMISSION, |call| run(call, permissions::patch)),
    Route::known(Method::DELETE, "/api/v2/permissions/{uuid}", Delete, PERMISSION, |call| {
        run(call, permissions::delete)
    }),
    Route::known(Method::GET, "/api/v1/permissions", Get, PERMISSION, |call| run(call, permissions::of_credential)),
    Route::known(Method::POST, "/api/v1/permissions", Create, PERMISSION, |call| run(call, permissions::grant)),
    Route::known(Method::DELETE, "/api/v1/permissions", Delete, PERMISSION, |call| run(call, permissions::revoke)),
];

/// An operation's result in CredHub's shape.
fn run<F>(call: Call, operation: fn(Arc<Call>) -> F) -> BoxFuture<'static, Response>
where
    F: Future<Output = Result<Answer, Failure>> + Send + 'static,
{
    let call = Arc::new(call);
    Box::pin(async move {
        if is_refused(&call) {
            let Asks { action, resource } = call.asks;
            return match call.app.record_denied(&call.actor, action, resource, "").await {
                Ok(()) => error::read_only(),
                Err(error) => error::render(&error.into(), &call),
            };
        }
        match operation(call.clone()).await {
            Ok(Answer(status, Some(json))) => error::json(status, &json),
            Ok(Answer(status, None)) => error::bare(status),
            Err(failure) => error::render(&failure, &call),
        }
    })
}

/// Interpolation only reads, though it is a POST.
fn is_refused(call: &Call) -> bool {
    call.method != Method::GET && call.asks.action != Get && call.dialect.settings.read_only.is_on()
}

impl Dialect for Credhub {
    const NAME: &'static str = "credhub";
    const MOUNTS: &'static [&'static str] = &["/credhub", ""];
    const CLAIMS: &'static [&'static str] =
        &["/api/v1", "/api/v2", "/info", "/health", "/version", "/management", "/docs"];
    const TRIMS_SLASH: bool = true;

    fn routes() -> &'static [Route<Self>] {
        ROUTES
    }

    fn refuse(refusal: Refusal) -> Response {
        error::refuse(refusal)
    }
}
