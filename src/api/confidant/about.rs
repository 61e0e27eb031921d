//! What callers are told about themselves and about this installation, and values drawn for them.

use std::sync::Arc;

use warp::http::StatusCode;
use warp::reply::Response;

use crate::api::confidant::{Call, Confidant, error};
use crate::api::json::Json;
use crate::api::route::Request;
use crate::domain::Result;
use crate::domain::credential::Characters;
use crate::domain::permission::{Action, Resource};
use crate::domain::record::Class;

/// Letters and digits: as many as Confidant draws.
const LENGTH: u16 = 50;

/// Nothing of it is kept.
pub async fn value(request: Request<Confidant>) -> Response {
    match request.app.draw(&Characters { length: LENGTH, ..Characters::default() }) {
        Ok(value) => error::json(StatusCode::OK, &Json::object([("value", Json::Text(value))])),
        Err(error) => error::failed(&error),
    }
}

pub async fn email(call: Arc<Call>) -> Result<Json> {
    call.app.record_session(&call.actor, "email").await?;
    Ok(Json::object([("email", Json::text(&call.actor.id))]))
}

pub async fn client_config(call: Arc<Call>) -> Result<Json> {
    let settings = &call.dialect.settings;
    let mut permissions = Vec::new();
    for (name, class) in [
        ("credentials", Class::Credential),
        ("blind_credentials", Class::BlindCredential),
        ("services", Class::Service),
    ] {
        let resource = Resource::Record(class);
        let list = call.app.allows(&call.actor, Action::List, resource).await?;
        let create = call.app.allows(&call.actor, Action::Create, resource).await?;
        permissions.push((name, Json::object([("list", Json::Bool(list)), ("create", Json::Bool(create))])));
    }
    call.app.record_session(&call.actor, "client_config").await?;
    let limit = settings.history_page_limit.map(|limit| Json::number(limit as u64));
    let generated = Json::object([
        ("kms_auth_manage_grants", Json::Bool(settings.manages_grants)),
        ("aws_accounts", Json::texts(&settings.accounts)),
        ("xsrf_cookie_name", Json::text(&settings.xsrf_cookie)),
        ("maintenance_mode", Json::Bool(settings.maintenance.is_on)),
        ("history_page_limit", limit.unwrap_or(Json::Null)),
        ("defined_tags", Json::texts(settings.rotation.tags())),
        ("permissions", Json::object(permissions)),
    ]);
    Ok(Json::object([("defined", Json::Literal(settings.client_config.as_str().into())), ("generated", generated)]))
}
