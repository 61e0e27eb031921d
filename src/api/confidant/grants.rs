//! Grants of the key of callers' tokens, for the role of a service's name.

use std::sync::Arc;

use crate::api::confidant::Call;
use crate::api::json::Json;
use crate::app::ports::Grants;
use crate::domain::Result;

pub async fn get(call: Arc<Call>) -> Result<Json> {
    let found = call.app.grants.view(&call.actor, id(&call)).await?;
    Ok(shape(id(&call), found))
}

pub async fn put(call: Arc<Call>) -> Result<Json> {
    let found = call.app.grants.ensure(&call.actor, id(&call)).await?;
    Ok(shape(id(&call), found))
}

fn shape(id: &str, found: Grants) -> Json {
    let grants =
        Json::object([("encrypt_grant", Json::Bool(found.encrypt)), ("decrypt_grant", Json::Bool(found.decrypt))]);
    Json::object([("id", Json::text(id)), ("grants", grants)])
}

fn id(call: &Call) -> &str {
    call.parameter("id").unwrap_or_default()
}
