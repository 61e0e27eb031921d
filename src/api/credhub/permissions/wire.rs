//! Permissions in CredHub's JSON. A body that is JSON of another shape, or that names an operation that there is none, is
//! 422; everything else that is wrong with it is 400.

use crate::api::credhub::error::Failure;
use crate::api::json::Json;
use crate::domain::Error;
use crate::domain::permission::{Operation, Operations, Permission, Scope};
use crate::domain::record::Entry;

/// A name or path, with the slash before it that callers may leave out.
pub fn slashed(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/{name}") }
}

pub fn permission(entry: &Entry<Permission>) -> Json {
    let Permission { actor, path, operations } = &entry.body;
    Json::object([
        ("path", Json::text(path.as_str())),
        ("operations", told(*operations)),
        ("actor", Json::text(actor)),
        ("uuid", Json::text(entry.head.id.to_string())),
    ])
}

/// As the first version of the API lists those of one credential.
pub fn listed(name: &str, all: &[Entry<Permission>]) -> Json {
    let one = |entry: &Entry<Permission>| {
        let Permission { actor, path, operations } = &entry.body;
        let members =
            [("actor", Json::text(actor)), ("path", Json::text(path.as_str())), ("operations", told(*operations))];
        Json::object(members)
    };
    let permissions = Json::List(all.iter().map(one).collect());
    Json::object([("credential_name", Json::text(name)), ("permissions", permissions)])
}

fn told(operations: Operations) -> Json {
    Json::texts(operations.iter().map(Operation::as_str))
}

/// `{"path", "actor", "operations"}`
pub fn wanted(body: &[u8]) -> Result<Permission, Failure> {
    let json = parsed(body, &["path", "actor", "operations"])?;
    let operations = operations(&json)?;
    let (path, actor) = (text(&json, "path")?, text(&json, "actor")?);
    let path = scope("path", path)?;
    checked(path, actor, operations)
}

/// `{"operations"}`; none at all are as good as others.
pub fn patch(body: &[u8]) -> Result<Operations, Failure> {
    operations(&parsed(body, &["operations"])?)
}

/// `{"credential_name", "permissions": [{"actor", "operations"}, …]}`
pub fn additions(body: &[u8]) -> Result<Vec<Permission>, Failure> {
    let json = parsed(body, &["credential_name", "permissions"])?;
    let entries = match json.get("permissions") {
        None | Some(Json::Null) => &[][..],
        Some(Json::List(entries)) => entries,
        Some(_) => return Err(Failure::bad("permissions must be a list")),
    };
    // Shapes first: a wrong one is told before any wrong value.
    let entries = entries.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let path = scope("credential_name", text(&json, "credential_name")?)?;
    if entries.is_empty() {
        return Err(Failure::bad("permissions must have at least one entry"));
    }
    entries.into_iter().map(|(actor, operations)| checked(path.clone(), actor, operations)).collect()
}

fn entry(json: &Json) -> Result<(&str, Operations), Failure> {
    // Which path it is about is said once, beside them; the one of an entry is known and means nothing.
    known(json, "an entry of permissions", &["actor", "operations", "path"])?;
    text(json, "path")?;
    Ok((text(json, "actor")?, operations(json)?))
}

fn scope(field: &str, text: &str) -> Result<Scope, Failure> {
    Scope::parse(text).map_err(|why| Error::invalid(field, why).into())
}

fn checked(path: Scope, actor: &str, operations: Operations) -> Result<Permission, Failure> {
    Permission::check_actor(actor)?;
    if operations.is_empty() {
        return Err(Failure::bad("operations must have at least one"));
    }
    Ok(Permission { actor: actor.to_owned(), path, operations })
}

fn parsed(body: &[u8], names: &[&str]) -> Result<Json, Failure> {
    let json = Json::parse(body)?;
    known(&json, "the body", names)?;
    Ok(json)
}

fn known(json: &Json, what: &str, names: &[&str]) -> Result<(), Failure> {
    let Json::Object(members) = json else { return Err(Failure::bad(format!("{what} must be a JSON object"))) };
    match members.iter().find(|(name, _)| !names.contains(&name.as_ref())) {
        Some((name, _)) => Err(Failure::shape(format!("{name} is not a parameter of this operation"))),
        None => Ok(()),
    }
}

/// Empty where it is missing.
fn text<'a>(json: &'a Json, name: &str) -> Result<&'a str, Failure> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(""),
        Some(Json::Text(text)) => Ok(text.expose()),
        Some(_) => Err(Failure::bad(format!("{name} must be a text"))),
    }
}

fn operations(json: &Json) -> Result<Operations, Failure> {
    let one = |item: &Json| {
        let found = item.as_text().and_then(|text| Operation::parse(text.expose()));
        found.ok_or_else(|| {
            let names = Operation::ALL.map(Operation::as_str).join(", ");
            Failure::shape(format!("operations has one that is not supported; these are: {names}"))
        })
    };
    match json.get("operations") {
        None | Some(Json::Null) => Ok(Operations::default()),
        Some(Json::List(items)) => items.iter().map(one).collect(),
        Some(_) => Err(Failure::bad("operations must be a list")),
    }
}
