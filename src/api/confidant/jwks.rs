//! Operations on tokens and the keys that verify them, in Confidant's order of checks.

use std::sync::Arc;

use warp::http::StatusCode;
use warp::reply::Response;

use crate::api::confidant::{Call, Confidant, error};
use crate::api::json::Json;
use crate::api::route::{Refusal, Request};
use crate::domain::token::VerificationKey;
use crate::domain::{Error, Result};

pub async fn token(call: Arc<Call>) -> Result<Json> {
    let environment = call.query("environment").filter(|environment| !environment.is_empty());
    let environment = environment.ok_or_else(|| Error::invalid("environment", "must be given"))?;
    let seconds = call.parameter("expiry").map(read_seconds).transpose()?;
    let token = call.app.tokens.issue(&call.actor, &environment, call.parameter("id"), seconds).await?;
    Ok(Json::object([("token", Json::Text(token))]))
}

fn read_seconds(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::invalid("expiry", "must be a number of seconds"))
}

/// For anybody: verifiers are strangers.
pub async fn public(request: Request<Confidant>) -> Response {
    match request.app.tokens.published(request.parameter("environment").unwrap_or_default()).await {
        Ok(Some(keys)) => {
            error::json(StatusCode::OK, &Json::object([("keys", Json::List(keys.iter().map(key).collect()))]))
        }
        Ok(None) => error::missing("environment"),
        Err(error) => error::refuse(Refusal::Error(error)),
    }
}

fn key((kid, key): &(String, VerificationKey)) -> Json {
    let members = key.members.iter().map(|(name, value)| (name.clone(), Json::text(value)));
    Json::object([("kid".to_owned(), Json::text(kid))].into_iter().chain(members))
}
