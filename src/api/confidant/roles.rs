//! Names that a new service may be given, because a role has them.

use std::sync::Arc;

use crate::api::confidant::Call;
use crate::api::json::Json;
use crate::domain::Result;

pub async fn list(call: Arc<Call>) -> Result<Json> {
    let names = call.app.roles.list(&call.actor).await?;
    Ok(Json::object([("roles", Json::texts(names))]))
}
