//! Operations on credentials, in Confidant's order of checks.

use std::sync::Arc;

use crate::api::confidant::wire::Show;
use crate::api::confidant::{page, wire};
use crate::api::json::Json;
use crate::api::route::Call;
use crate::domain::name::RecordId;
use crate::domain::{Conflict, Error, Result};

pub async fn list(call: Arc<Call>) -> Result<Json> {
    let all = call.app.credentials.list(&call.actor).await?;
    let (page, next) = page::cut(&call, all)?;
    let nothing = || Json::Object(Vec::new());
    let shown = page.iter().map(|entry| wire::credential(entry, Show::Nothing, nothing())).collect();
    Ok(Json::object([("credentials", Json::List(shown)), ("next_page", next)]))
}

/// The permission comes before the body, but where it is asked depends on the name in the body.
pub async fn create(call: Arc<Call>) -> Result<Json> {
    let body = wire::body(&call);
    let title = body.as_ref().ok().and_then(wire::title);
    let place = call.app.credentials.require_creatable(&call.actor, title.as_deref()).await?;
    let draft = wire::draft(&body?)?;
    let entry = call.app.credentials.create(&call.actor, place, draft).await?;
    Ok(wire::created(&entry, wire::permissions(&[("metadata", true), ("get", true), ("update", true)])))
}

/// Whoever may see it, but not read it, gets it without its values.
pub async fn get(call: Arc<Call>) -> Result<Json> {
    let wanted = !wire::flag(&call, "metadata_only");
    let view = call.app.credentials.view(&call.actor, id(&call), wanted).await?;
    let shown = if view.shows_values { Show::Pairs } else { Show::Keys };
    let permissions = wire::permissions(&[("metadata", true), ("get", view.may_get), ("update", view.may_update)]);
    Ok(wire::credential(&view.entry, shown, permissions))
}

/// Who may write, but not read, gets no values: an empty update would show those that are there.
pub async fn update(call: Arc<Call>) -> Result<Json> {
    let entry = call.app.credentials.require_writable(&call.actor, id(&call)).await?;
    let patch = wire::patch(&wire::body(&call)?)?;
    if let Some(title) = patch.title.as_deref().filter(|title| *title != entry.body.title) {
        require_free(&call, title).await?;
    }
    let next = call.app.credentials.update(&call.actor, &entry, patch).await?;
    let may_get = call.app.credentials.may_get(&call.actor, &next).await?;
    let shown = if may_get { Show::Pairs } else { Show::Keys };
    let permissions = wire::permissions(&[("metadata", true), ("get", may_get), ("update", true)]);
    Ok(wire::credential(&next, shown, permissions))
}

async fn require_free(call: &Call, title: &str) -> Result<()> {
    match call.app.credentials.titled(title).await? {
        Some(id) => Err(Error::Conflict(Conflict::Exists { what: format!("credential {title}"), id })),
        None => Ok(()),
    }
}

/// What is no id is asked for as one that nobody has: the permission is decided first, and then it does
/// not exist.
fn id(call: &Call) -> RecordId {
    let id = call.parameter("id").and_then(RecordId::parse_hex);
    id.unwrap_or_else(|| RecordId::from_bytes([0; 16]))
}
