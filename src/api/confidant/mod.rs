//! Confidant's API as its clients know it (docs/dialects/confidant.md has the differences).

mod about;
mod blind_credentials;
mod certificates;
mod credentials;
mod error;
mod grants;
mod jwks;
mod login;
mod page;
mod roles;
mod schema;
mod services;
pub mod settings;
mod wire;

use std::sync::Arc;

use futures::future::BoxFuture;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::confidant::settings::Settings;
use crate::api::json::Json;
use crate::api::route::{self, Asks, Dialect, Refusal, Route};
use crate::domain::Result;
use crate::domain::permission::Action::{Archive, Create, Get, List, Metadata, Revert, Update};
use crate::domain::permission::Resource;
use crate::domain::record::Class;
use crate::server::header_login::HeaderLogin;

/// The dialect with its settings.
#[derive(Default)]
pub struct Confidant {
    pub settings: Settings,
}

pub(super) type Call = route::Call<Confidant>;

const CREDENTIAL: Resource = Resource::Record(Class::Credential);
const SERVICE: Resource = Resource::Record(Class::Service);
const BLIND: Resource = Resource::Record(Class::BlindCredential);

static ROUTES: &[Route<Confidant>] = &[
    Route::open(Method::GET, "/openapi.json", |_| Box::pin(async { schema::document() })),
    Route::open(Method::GET, "/healthcheck", |_| {
        Box::pin(async { route::response(StatusCode::OK, &[error::POLICY], "") })
    }),
    Route::open(Method::GET, "/v1/value_generator", |request| Box::pin(about::value(request))),
    Route::known(Method::GET, "/v1/login", Get, Resource::Session, |call| Box::pin(login::login(call))),
    Route::known(Method::POST, "/v1/login", Get, Resource::Session, |call| Box::pin(login::login(call))),
    Route::known(Method::GET, "/v1/client_config", Get, Resource::Session, |call| run(call, about::client_config)),
    Route::known(Method::GET, "/v1/user/email", Get, Resource::Session, |call| run(call, about::email)),
    Route::known(Method::POST, "/v1/user/email", Get, Resource::Session, |call| run(call, about::email)),
    Route::known(Method::GET, "/v1/credentials", List, CREDENTIAL, |call| run(call, credentials::list)),
    Route::known(Method::POST, "/v1/credentials", Create, CREDENTIAL, |call| run(call, credentials::create)),
    Route::known(Method::GET, "/v1/credentials/{id}", Get, CREDENTIAL, |call| run(call, credentials::get)),
    Route::known(Method::PUT, "/v1/credentials/{id}", Update, CREDENTIAL, |call| run(call, credentials::update)),
    Route::known(Method::GET, "/v1/credentials/{id}/services", Metadata, CREDENTIAL, |call| {
        run(call, credentials::dependents)
    }),
    Route::known(Method::POST, "/v1/credentials/{id}/archive", Archive, CREDENTIAL, |call| {
        run(call, credentials::archive)
    }),
    Route::known(Method::PUT, "/v1/credentials/{id}/{revision}", Revert, CREDENTIAL, |call| {
        run(call, credentials::revert)
    }),
    Route::known(Method::GET, "/v1/credentials/{id}/{old}/{new}", Metadata, CREDENTIAL, |call| {
        run(call, credentials::diff)
    }),
    Route::known(Method::GET, "/v1/archive/credentials", List, CREDENTIAL, |call| run(call, credentials::list_archive)),
    Route::known(Method::GET, "/v1/archive/credentials/{id}", Metadata, CREDENTIAL, |call| {
        run(call, credentials::history)
    }),
    Route::known(Method::GET, "/v1/services", List, SERVICE, |call| run(call, services::list)),
    Route::known(Method::GET, "/v1/services/{id}", Get, SERVICE, |call| run(call, services::get)),
    Route::known(Method::PUT, "/v1/services/{id}", Update, SERVICE, |call| run(call, services::put)),
    Route::known(Method::PUT, "/v1/services/{id}/{revision}", Revert, SERVICE, |call| run(call, services::revert)),
    Route::known(Method::GET, "/v1/services/{id}/{old}/{new}", Metadata, SERVICE, |call| run(call, services::diff)),
    Route::known(Method::GET, "/v1/archive/services", List, SERVICE, |call| run(call, services::list_archive)),
    Route::known(Method::GET, "/v1/archive/services/{id}", Metadata, SERVICE, |call| run(call, services::history)),
    Route::known(Method::GET, "/v1/roles", List, SERVICE, |call| run(call, roles::list)),
    Route::known(Method::GET, "/v1/grants/{id}", Metadata, SERVICE, |call| run(call, grants::get)),
    Route::known(Method::PUT, "/v1/grants/{id}", Update, SERVICE, |call| run(call, grants::put)),
    Route::known(Method::GET, "/v1/blind_credentials", List, BLIND, |call| run(call, blind_credentials::list)),
    Route::known(Method::POST, "/v1/blind_credentials", Create, BLIND, |call| run(call, blind_credentials::create)),
    Route::known(Method::GET, "/v1/blind_credentials/{id}", Get, BLIND, |call| run(call, blind_credentials::get)),
    Route::known(Method::PUT, "/v1/blind_credentials/{id}", Update, BLIND, |call| run(call, blind_credentials::update)),
    Route::known(Method::GET, "/v1/blind_credentials/{id}/services", Metadata, BLIND, |call| {
        run(call, blind_credentials::dependents)
    }),
    Route::known(Method::PUT, "/v1/blind_credentials/{id}/{revision}", Revert, BLIND, |call| {
        run(call, blind_credentials::revert)
    }),
    Route::known(Method::GET, "/v1/archive/blind_credentials", List, BLIND, |call| {
        run(call, blind_credentials::list_archive)
    }),
    Route::known(Method::GET, "/v1/archive/blind_credentials/{id}", Metadata, BLIND, |call| {
        run(call, blind_credentials::history)
    }),
    Route::known(Method::GET, "/v1/cas", List, Resource::Authority, |call| run(call, certificates::list)),
    Route::known(Method::GET, "/v1/cas/{ca}", Get, Resource::Authority, |call| run(call, certificates::view)),
    Route::known(Method::GET, "/v1/certificates/{ca}/{cn}", Get, Resource::Certificate, |call| {
        run(call, certificates::make)
    }),
    Route::known(Method::POST, "/v1/certificates/{ca}", Get, Resource::Certificate, |call| {
        run(call, certificates::sign)
    }),
    Route::known(Method::GET, "/v1/jwks/token", Get, Resource::Token, |call| run(call, jwks::token)),
    Route::known(Method::GET, "/v1/jwks/token/{id}", Get, Resource::Token, |call| run(call, jwks::token)),
    Route::known(Method::GET, "/v1/jwks/token/{id}/{expiry}", Get, Resource::Token, |call| run(call, jwks::token)),
    Route::open(Method::GET, "/v1/jwks/public/{environment}", |request| Box::pin(jwks::public(request))),
];

/// A handler's result in Confidant's shape.
fn run<F>(call: Call, operation: fn(Arc<Call>) -> F) -> BoxFuture<'static, Response>
where
    F: Future<Output = Result<Json>> + Send + 'static,
{
    let call = Arc::new(call);
    Box::pin(async move {
        let done = match is_in_maintenance(&call) {
            true => match refuse_in_maintenance(&call).await {
                Ok(()) => return error::maintenance(),
                Err(error) => Err(error),
            },
            false => operation(call.clone()).await,
        };
        match done {
            Ok(json) => error::json(StatusCode::OK, &json),
            Err(error) => error::render(&error, &call),
        }
    })
}

/// Certificates are made all the same: nothing is kept of them.
fn is_in_maintenance(call: &Call) -> bool {
    let keeps_nothing = matches!(call.asks.resource, Resource::Certificate | Resource::Session);
    call.method != Method::GET && !keeps_nothing && call.dialect.settings.maintenance.refuses_writes()
}

async fn refuse_in_maintenance(call: &Call) -> Result<()> {
    let Asks { action, resource } = call.asks;
    call.app.record_denied(&call.actor, action, resource, call.parameter("id").unwrap_or_default()).await
}

impl Dialect for Confidant {
    const NAME: &'static str = "confidant";
    const MOUNTS: &'static [&'static str] = &["/confidant", ""];

    fn routes() -> &'static [Route<Self>] {
        ROUTES
    }

    fn refuse(refusal: Refusal) -> Response {
        error::refuse(refusal)
    }

    fn header_login(&self) -> Option<&HeaderLogin> {
        self.settings.header_login.as_ref()
    }

    fn xsrf_cookie(&self) -> &str {
        &self.settings.xsrf_cookie
    }
}
