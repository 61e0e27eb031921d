//! Operations on services, in Confidant's order of checks.

use std::sync::Arc;

use crate::api::confidant::wire::Show;
use crate::api::confidant::{page, wire};
use crate::api::json::Json;
use crate::api::route::Call;
use crate::domain::Result;
use crate::domain::permission::Action;

pub async fn list(call: Arc<Call>) -> Result<Json> {
    let all = call.app.services.list(&call.actor).await?;
    let (page, next) = page::cut(&call, all)?;
    let shown = page.iter().map(wire::listed_service).collect();
    Ok(Json::object([("services", Json::List(shown)), ("next_page", next)]))
}

/// Only the right that this answer used is shown as granted, besides the one to update.
pub async fn get(call: Arc<Call>) -> Result<Json> {
    let metadata_only = wire::flag(&call, "metadata_only");
    let (action, shown) = if metadata_only { (Action::Metadata, Show::Keys) } else { (Action::Get, Show::Pairs) };
    let view = call.app.services.view(&call.actor, id(&call), action).await?;
    let may_update = call.app.services.may_update(&call.actor, &view).await?;
    let permissions = [("metadata", metadata_only), ("get", !metadata_only), ("update", may_update)];
    Ok(wire::service(&view, shown, wire::permissions(&permissions)))
}

/// Never shows values: whoever may map credentials need not be who reads them.
pub async fn put(call: Arc<Call>) -> Result<Json> {
    let slot = call.app.services.require_writable(&call.actor, id(&call)).await?;
    let draft = wire::service_draft(&wire::body(&call)?)?;
    let view = call.app.services.put(&call.actor, slot, draft).await?;
    let all = ["create", "metadata", "get", "update"].map(|right| (right, true));
    Ok(wire::service(&view, Show::Keys, wire::permissions(&all)))
}

fn id(call: &Call) -> &str {
    call.parameter("id").unwrap_or_default()
}
