//! Operations on services, in Confidant's order of checks.

use std::sync::Arc;

use crate::api::confidant::credentials::revision;
use crate::api::confidant::wire::credential::Show;
use crate::api::confidant::wire::service as shape;
use crate::api::confidant::{Call, page, wire};
use crate::api::json::Json;
use crate::app::ports::Which;
use crate::domain::Result;
use crate::domain::name::Revision;
use crate::domain::permission::Action;
use crate::domain::record::Entry;
use crate::domain::service::Service;

pub async fn list(call: Arc<Call>) -> Result<Json> {
    let (all, next) = match page::asked(&call)? {
        None => (call.app.services.list(&call.actor).await?, Json::Null),
        Some(page) => newest(&call, &page, Which::Current).await?,
    };
    Ok(page::answer("services", all.iter().map(shape::listed).collect(), next))
}

/// All revisions of all services.
pub async fn list_archive(call: Arc<Call>) -> Result<Json> {
    let (all, next) = newest(&call, &page::asked_of_archive(&call)?, Which::All).await?;
    Ok(page::answer("services", all.iter().map(shape::archived).collect(), next))
}

async fn newest(call: &Call, page: &page::Page, which: Which) -> Result<(Vec<Entry<Service>>, Json)> {
    let request = page.request(which);
    let (mut all, next) = page.cut(call.app.services.newest(&call.actor, request).await?);
    all.sort_by_cached_key(|entry| entry.head.name.to_lowercase());
    Ok((all, next))
}

/// Only the right that this answer used is shown as granted, besides the one to update.
pub async fn get(call: Arc<Call>) -> Result<Json> {
    let metadata_only = wire::flag(&call, "metadata_only");
    let (action, shown) = if metadata_only { (Action::Metadata, Show::Keys) } else { (Action::Get, Show::Pairs) };
    let view = call.app.services.view(&call.actor, id(&call), action).await?;
    let may_update = call.app.services.may_update(&call.actor, &view).await?;
    let permissions = [("metadata", metadata_only), ("get", !metadata_only), ("update", may_update)];
    Ok(shape::service(&view, shown, wire::permissions(&permissions), &call.dialect.settings.rotation))
}

/// Never shows values: whoever may map credentials need not be who reads them.
pub async fn put(call: Arc<Call>) -> Result<Json> {
    let slot = call.app.services.require_writable(&call.actor, id(&call)).await?;
    let settings = &call.dialect.settings;
    let draft = shape::draft(&wire::body(&call)?, &settings.accounts)?;
    let view = call.app.services.put(&call.actor, slot, draft).await?;
    if view.entry.stamp.number == Revision::FIRST {
        call.app.grants.give_to_new(id(&call)).await;
    }
    let all = ["create", "metadata", "get", "update"].map(|right| (right, true));
    Ok(shape::service(&view, Show::Keys, wire::permissions(&all), &settings.rotation))
}

pub async fn revert(call: Arc<Call>) -> Result<Json> {
    let view = call.app.services.revert(&call.actor, id(&call), revision(&call, "revision")).await?;
    Ok(shape::service(&view, Show::Keys, wire::empty(), &call.dialect.settings.rotation))
}

pub async fn history(call: Arc<Call>) -> Result<Json> {
    let all = call.app.services.history(&call.actor, id(&call)).await?;
    Ok(page::answer("revisions", all.iter().map(shape::archived).collect(), Json::Null))
}

pub async fn diff(call: Arc<Call>) -> Result<Json> {
    let numbers = ["old", "new"].map(|name| revision(&call, name));
    let pair = call.app.services.pair(&call.actor, id(&call), numbers).await?;
    Ok(wire::diff::service(&pair))
}

fn id(call: &Call) -> &str {
    call.parameter("id").unwrap_or_default()
}
