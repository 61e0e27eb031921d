//! Operations on blind credentials, in Confidant's order of checks.

use std::sync::Arc;

use crate::api::confidant::credentials::{id, revision};
use crate::api::confidant::wire::blind as shape;
use crate::api::confidant::{Call, page, wire};
use crate::api::json::Json;
use crate::app::ports::Which;
use crate::domain::{Error, Result};

pub async fn list(call: Arc<Call>) -> Result<Json> {
    let all = call.app.blind_credentials.list(&call.actor).await?;
    Ok(Json::object([("blind_credentials", Json::List(all.iter().map(shape::listed).collect()))]))
}

/// All revisions of all blind credentials.
pub async fn list_archive(call: Arc<Call>) -> Result<Json> {
    let page = page::asked_of_archive(&call)?;
    let request = page.request(Which::All);
    let (mut all, next) = page.cut(call.app.blind_credentials.newest(&call.actor, request).await?);
    all.sort_by_cached_key(|entry| entry.body.title.to_lowercase());
    Ok(page::answer("blind_credentials", all.iter().map(shape::archived).collect(), next))
}

pub async fn create(call: Arc<Call>) -> Result<Json> {
    call.app.blind_credentials.require_creatable(&call.actor).await?;
    let draft = shape::draft(&wire::body(&call)?, call.dialect.settings.enforce_documentation)?;
    Ok(shape::blind(&call.app.blind_credentials.create(&call.actor, draft).await?))
}

pub async fn get(call: Arc<Call>) -> Result<Json> {
    Ok(shape::blind(&call.app.blind_credentials.view(&call.actor, id(&call)).await?))
}

pub async fn update(call: Arc<Call>) -> Result<Json> {
    let entry = call.app.blind_credentials.require_writable(&call.actor, id(&call)).await?;
    let patch = shape::patch(&wire::body(&call)?)?;
    let next = patch.words.documentation.as_ref().unwrap_or(&entry.body.about.documentation);
    if call.dialect.settings.enforce_documentation && next.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::invalid("documentation", "is a required field"));
    }
    Ok(shape::blind(&call.app.blind_credentials.update(&call.actor, &entry, patch).await?))
}

pub async fn revert(call: Arc<Call>) -> Result<Json> {
    let number = revision(&call, "revision");
    Ok(shape::blind(&call.app.blind_credentials.revert(&call.actor, id(&call), number).await?))
}

/// The last one first, other than everywhere else.
pub async fn history(call: Arc<Call>) -> Result<Json> {
    let all = call.app.blind_credentials.history(&call.actor, id(&call)).await?;
    Ok(Json::object([("revisions", Json::List(all.iter().rev().map(shape::archived).collect()))]))
}

pub async fn dependents(call: Arc<Call>) -> Result<Json> {
    Ok(wire::dependents(&call.app.blind_credentials.dependents(&call.actor, id(&call)).await?))
}
