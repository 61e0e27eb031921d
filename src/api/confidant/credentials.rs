//! Operations on credentials, in Confidant's order of checks.

use std::sync::Arc;

use crate::api::confidant::wire::credential::{self as shape, Show};
use crate::api::confidant::{Call, page, wire};
use crate::api::json::Json;
use crate::app::ports::Which;
use crate::domain::credential::change::Patch;
use crate::domain::name::{RecordId, Revision};
use crate::domain::record::Entry;
use crate::domain::{Conflict, Error, Result};

type Credential = Entry<crate::domain::credential::Credential>;

pub async fn list(call: Arc<Call>) -> Result<Json> {
    let (all, next) = match page::asked(&call)? {
        None => (call.app.credentials.list(&call.actor).await?, Json::Null),
        Some(page) => newest(&call, &page, Which::Current).await?,
    };
    let rotation = &call.dialect.settings.rotation;
    Ok(page::answer("credentials", all.iter().map(|entry| shape::listed(entry, rotation)).collect(), next))
}

/// All revisions of all credentials.
pub async fn list_archive(call: Arc<Call>) -> Result<Json> {
    let (all, next) = newest(&call, &page::asked_of_archive(&call)?, Which::All).await?;
    let rotation = &call.dialect.settings.rotation;
    Ok(page::answer("credentials", all.iter().map(|entry| shape::archived(entry, rotation)).collect(), next))
}

async fn newest(call: &Call, page: &page::Page, which: Which) -> Result<(Vec<Credential>, Json)> {
    let request = page.request(which);
    let (mut all, next) = page.cut(call.app.credentials.newest(&call.actor, request).await?);
    all.sort_by_cached_key(|entry| entry.body.title.to_lowercase());
    Ok((all, next))
}

/// The permission comes before the body, but where it is asked depends on the name in the body.
pub async fn create(call: Arc<Call>) -> Result<Json> {
    let body = wire::body(&call);
    let title = body.as_ref().ok().and_then(shape::title);
    let place = call.app.credentials.require_creatable(&call.actor, title.as_deref()).await?;
    let settings = &call.dialect.settings;
    let draft = shape::draft(&body?, settings.enforce_documentation)?;
    let entry = call.app.credentials.create(&call.actor, place, draft).await?;
    let permissions = wire::permissions(&[("metadata", true), ("get", true), ("update", true)]);
    Ok(shape::created(&entry, permissions, &settings.rotation))
}

/// Whoever may see it, but not read it, gets it without its values.
pub async fn get(call: Arc<Call>) -> Result<Json> {
    let wanted = !wire::flag(&call, "metadata_only");
    let view = call.app.credentials.view(&call.actor, id(&call), wanted).await?;
    let shown = if view.shows_values { Show::Pairs } else { Show::Keys };
    let permissions = wire::permissions(&[("metadata", true), ("get", view.may_get), ("update", view.may_update)]);
    Ok(shape::credential(&view.entry, shown, permissions, &call.dialect.settings.rotation))
}

/// Who may write, but not read, gets no values: an empty update would show those that are there.
pub async fn update(call: Arc<Call>) -> Result<Json> {
    let entry = call.app.credentials.require_writable(&call.actor, id(&call)).await?;
    let patch = shape::patch(&wire::body(&call)?)?;
    if let Some(title) = patch.words.title.as_deref().filter(|title| *title != entry.body.title) {
        require_free(&call, title).await?;
    }
    require_documentation(&call, &entry, &patch)?;
    let next = call.app.credentials.update(&call.actor, &entry, patch).await?;
    let may_get = call.app.credentials.may_get(&call.actor, &next).await?;
    let shown = if may_get { Show::Pairs } else { Show::Keys };
    let permissions = wire::permissions(&[("metadata", true), ("get", may_get), ("update", true)]);
    Ok(shape::credential(&next, shown, permissions, &call.dialect.settings.rotation))
}

async fn require_free(call: &Call, title: &str) -> Result<()> {
    match call.app.credentials.titled(title).await? {
        Some(id) => Err(Error::Conflict(Conflict::Exists { what: format!("credential {title}"), id })),
        None => Ok(()),
    }
}

fn require_documentation(call: &Call, entry: &Credential, patch: &Patch) -> Result<()> {
    let next = patch.words.documentation.as_ref().unwrap_or(&entry.body.about.documentation);
    match call.dialect.settings.enforce_documentation && next.as_deref().unwrap_or_default().is_empty() {
        true => Err(Error::invalid("documentation", "is a required field")),
        false => Ok(()),
    }
}

pub async fn revert(call: Arc<Call>) -> Result<Json> {
    let next = call.app.credentials.revert(&call.actor, id(&call), revision(&call, "revision")).await?;
    Ok(shape::listed(&next, &call.dialect.settings.rotation))
}

pub async fn history(call: Arc<Call>) -> Result<Json> {
    let all = call.app.credentials.history(&call.actor, id(&call)).await?;
    let rotation = &call.dialect.settings.rotation;
    Ok(page::answer("revisions", all.iter().map(|entry| shape::archived(entry, rotation)).collect(), Json::Null))
}

pub async fn diff(call: Arc<Call>) -> Result<Json> {
    let numbers = ["old", "new"].map(|name| revision(&call, name));
    let pair = call.app.credentials.pair(&call.actor, id(&call), numbers).await?;
    Ok(wire::diff::credential(&pair))
}

pub async fn dependents(call: Arc<Call>) -> Result<Json> {
    Ok(wire::dependents(&call.app.credentials.dependents(&call.actor, id(&call)).await?))
}

/// Without a body, or without `force`, it is only said whether it could be archived.
pub async fn archive(call: Arc<Call>) -> Result<Json> {
    let entry = call.app.credentials.require_archivable(&call.actor, id(&call)).await?;
    let is_meant = !call.body.is_empty() && shape::force(&wire::body(&call)?)?;
    call.app.credentials.archive(&call.actor, &entry, is_meant).await?;
    let result = if is_meant { "success" } else { "dry-run success" };
    Ok(Json::object([("result", Json::text(result))]))
}

/// What is no id is asked for as one that nobody has: the permission is decided first, and then it does
/// not exist.
pub fn id(call: &Call) -> RecordId {
    let id = call.parameter("id").and_then(RecordId::parse_hex);
    id.unwrap_or_else(|| RecordId::from_bytes([0; 16]))
}

/// What is no number is a revision that nothing has.
pub fn revision(call: &Call, name: &str) -> Revision {
    Revision(call.parameter(name).and_then(|number| number.parse().ok()).unwrap_or_default())
}
