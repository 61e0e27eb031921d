//! What CredHub says of itself: which version it is, whether it is up, and whether it writes.

use std::sync::Arc;

use warp::http::StatusCode;
use warp::reply::Response;

use crate::api::credhub::error::{self, Failure};
use crate::api::credhub::wire::fields::Fields;
use crate::api::credhub::{Answer, Call, Request};
use crate::api::json::Json;
use crate::app::by_path::Usage;

/// The version whose behaviour this is: clients switch features on by it.
const VERSION: &str = "2.15.20";

pub async fn info(request: Request) -> Response {
    let url = Json::text(&request.dialect.settings.auth_server);
    let told =
        [("auth-server", Json::object([("url", url)])), ("app", Json::object([("name", Json::text("CredHub"))]))];
    error::json(StatusCode::OK, &Json::object(told))
}

pub async fn health() -> Response {
    error::json(StatusCode::OK, &Json::object([("status", Json::text("UP"))]))
}

pub async fn version(call: Arc<Call>) -> Result<Answer, Failure> {
    call.app.record_session(&call.actor, "version").await?;
    Ok(Json::object([("version", Json::text(VERSION))]).into())
}

/// Versions by the key that they are sealed under.
pub async fn key_usage(call: Arc<Call>) -> Result<Answer, Failure> {
    let Usage { active, inactive, unknown } = call.app.by_path.usage(&call.actor).await?;
    let counts = [("active_key", active), ("inactive_keys", inactive), ("unknown_keys", unknown)];
    Ok(Json::object(counts.map(|(name, count)| (name, Json::number(count)))).into())
}

pub async fn management(request: Request) -> Response {
    if is_local(&request) { mode(&request) } else { refuse() }
}

pub async fn manage(request: Request) -> Response {
    if !is_local(&request) {
        return refuse();
    }
    match wanted(&request) {
        Ok(on) => {
            request.dialect.settings.read_only.set(on);
            tracing::info!(read_only = on, "CredHub's API was told whether to write");
            mode(&request)
        }
        Err(Failure::Told(status, words)) => error::told(status, &words),
        Err(Failure::Error(error)) => error::told(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn wanted(request: &Request) -> Result<bool, Failure> {
    let body = Fields::of(request, StatusCode::UNPROCESSABLE_ENTITY)?;
    body.only(&["read_only_mode"])?;
    body.boolean("read_only_mode")?.ok_or_else(|| Failure::bad("read_only_mode must be true or false"))
}

fn mode(request: &Request) -> Response {
    let on = request.dialect.settings.read_only.is_on();
    error::json(StatusCode::OK, &Json::object([("read_only_mode", Json::Bool(on))]))
}

/// Whoever is on this host needs no name for this, as with CredHub: the connection begins where it ends.
fn is_local(request: &Request) -> bool {
    request.peer.as_ref().is_some_and(|peer| peer.local == Some(peer.addr.ip()))
}

fn refuse() -> Response {
    error::told(StatusCode::UNAUTHORIZED, "this can be asked and set from the server's own address only")
}
