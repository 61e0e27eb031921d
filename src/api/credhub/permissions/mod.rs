//! Who may what, as CredHub's callers ask and say it: each permission by its id or by its path and actor, and those of one
//! credential as its first API had them. What the caller may not touch is as if it were not there.

mod wire;

use std::sync::Arc;

use warp::http::StatusCode;

use crate::api::credhub::error::{Failure, NO_ACCESS};
use crate::api::credhub::wire::fields::body;
use crate::api::credhub::{Answer, Call};
use crate::domain::Error;
use crate::domain::name::RecordId;

/// For what is looked for by path and actor, or by what is no id.
const NO_PERMISSION: &str = "the permission does not exist, or you are not permitted to see it";
/// For what is to be changed.
const NO_SUCH_PERMISSION: &str = "there is no such permission, or you are not permitted to change it";

pub async fn find(call: Arc<Call>) -> Result<Answer, Failure> {
    let path = wire::slashed(&required(&call, "path")?);
    let grantee = required(&call, "actor")?;
    let found = call.app.permissions.find(&call.actor, &path, &grantee).await;
    Ok(wire::permission(&hidden(found, NO_PERMISSION)?).into())
}

pub async fn view(call: Arc<Call>) -> Result<Answer, Failure> {
    let id = id(&call, NO_PERMISSION)?;
    let found = call.app.permissions.view(&call.actor, id).await;
    Ok(wire::permission(&hidden(found, NO_ACCESS)?).into())
}

pub async fn create(call: Arc<Call>) -> Result<Answer, Failure> {
    let wanted = wire::wanted(body(&call)?)?;
    let made = call.app.permissions.create(&call.actor, wanted).await;
    Ok(Answer(StatusCode::CREATED, Some(wire::permission(&hidden(made, NO_ACCESS)?))))
}

pub async fn replace(call: Arc<Call>) -> Result<Answer, Failure> {
    let wanted = wire::wanted(body(&call)?)?;
    let id = id(&call, NO_SUCH_PERMISSION)?;
    let claimed = Some((&wanted.path, wanted.actor.as_str()));
    let done = call.app.permissions.replace(&call.actor, id, wanted.operations, claimed).await;
    Ok(wire::permission(&hidden(done, NO_SUCH_PERMISSION)?).into())
}

pub async fn patch(call: Arc<Call>) -> Result<Answer, Failure> {
    let operations = wire::patch(body(&call)?)?;
    let id = id(&call, NO_SUCH_PERMISSION)?;
    let done = call.app.permissions.replace(&call.actor, id, operations, None).await;
    Ok(wire::permission(&hidden(done, NO_SUCH_PERMISSION)?).into())
}

pub async fn delete(call: Arc<Call>) -> Result<Answer, Failure> {
    let id = id(&call, NO_SUCH_PERMISSION)?;
    let done = call.app.permissions.delete(&call.actor, id).await;
    Ok(wire::permission(&hidden(done, NO_SUCH_PERMISSION)?).into())
}

pub async fn of_credential(call: Arc<Call>) -> Result<Answer, Failure> {
    let name = wire::slashed(&required(&call, "credential_name")?);
    let found = call.app.permissions.at_credential(&call.actor, &name).await;
    let (name, all) = hidden(found, NO_ACCESS)?;
    Ok(wire::listed(&name, &all).into())
}

pub async fn grant(call: Arc<Call>) -> Result<Answer, Failure> {
    let wanted = wire::additions(body(&call)?)?;
    hidden(call.app.permissions.grant(&call.actor, &wanted).await, NO_ACCESS)?;
    Ok(Answer(StatusCode::CREATED, None))
}

pub async fn revoke(call: Arc<Call>) -> Result<Answer, Failure> {
    let path = wire::slashed(&required(&call, "credential_name")?);
    let grantee = required(&call, "actor")?;
    hidden(call.app.permissions.revoke(&call.actor, &path, &grantee).await, NO_ACCESS)?;
    Ok(Answer(StatusCode::NO_CONTENT, None))
}

fn required(call: &Call, name: &str) -> Result<String, Failure> {
    let given = call.query(name).filter(|given| !given.is_empty());
    given.ok_or_else(|| Failure::bad(format!("the query parameter {name} must be given")))
}

fn id(call: &Call, otherwise: &str) -> Result<RecordId, Failure> {
    let given = call.parameter("uuid").and_then(RecordId::parse);
    given.ok_or_else(|| Failure::Told(StatusCode::NOT_FOUND, otherwise.into()))
}

/// Whoever lacks a right to permissions is never told so.
fn hidden<T>(done: Result<T, Error>, words: &str) -> Result<T, Failure> {
    done.map_err(|error| match error {
        Error::Forbidden { .. } | Error::NotFound { .. } => Failure::Told(StatusCode::NOT_FOUND, words.into()),
        other => other.into(),
    })
}
