//! Confidant's two families of error answers: JSON from its operations, HTML pages from around them.
//! Clients look at the status of either, and at `error`, `reference` and `conflicts` of the JSON.

use std::time::Duration;

use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::api::confidant::Call;
use crate::api::json::Json;
use crate::api::route::{self, Refusal};
use crate::domain::Conflict;
use crate::domain::error::{Error, KeyConflict, Violation};
use crate::domain::name::RecordId;
use crate::domain::permission::Resource;
use crate::domain::record::Class;
use crate::server::body::wiped;

pub const POLICY: (&str, &str) = ("content-security-policy", "default-src 'self'; style-src 'self' 'unsafe-inline'");
pub const NO_STORE: (&str, &str) = ("cache-control", "no-store");

pub const JSON_HEADERS: [(&str, &str); 6] = [
    ("content-type", "application/json"),
    ("x-xss-protection", "1; mode=block"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    POLICY,
    NO_STORE,
];

/// How long callers wait for a part that is away.
const RETRY: Duration = Duration::from_secs(5);

pub fn json(status: StatusCode, body: &Json) -> Response {
    route::response(status, &JSON_HEADERS, wiped(body.bytes()))
}

/// The answer of an operation.
pub fn render(error: &Error, call: &Call) -> Response {
    let resource = call.asks.resource;
    let id = ["id", "cn"].into_iter().find_map(|name| call.parameter(name));
    let id = id.or_else(|| call.parameter("ca").filter(|_| resource == Resource::Authority));
    // Of records that are read, Confidant says no more than that.
    let is_bare = call.method == warp::http::Method::GET && matches!(resource, Resource::Record(_));
    let about = |id: &str| vec![("reference", Json::text(id))];
    let own = || id.map(about).unwrap_or_default();
    match error {
        Error::Invalid(violations) => told(StatusCode::BAD_REQUEST, named(violations), Vec::new()),
        Error::NotFound { .. } if is_bare => json(StatusCode::NOT_FOUND, &Json::Object(Vec::new())),
        Error::NotFound { .. } | Error::NoAuthority { .. } => {
            told(StatusCode::NOT_FOUND, error.to_string(), Vec::new())
        }
        Error::Conflict(conflict) => self::conflict(conflict, resource, id),
        Error::Forbidden { actor, action, .. } => {
            // By the caller's own word for it: the record's name is not for those who may not see it.
            let what = id.map_or_else(|| resource.plural().to_owned(), |id| format!("{} {id}", resource.singular()));
            // Nor whether there is one to update.
            let action = if id.is_some() && matches!(*action, "create" | "update") { "write" } else { action };
            told(StatusCode::FORBIDDEN, format!("{actor} may not {action} {what}"), own())
        }
        Error::OtherAccount => told(StatusCode::UNAUTHORIZED, error.to_string(), Vec::new()),
        Error::Unauthenticated => told(StatusCode::FORBIDDEN, error.to_string(), Vec::new()),
        Error::Awaiting { .. } => told(StatusCode::CONFLICT, error.to_string(), own()),
        Error::Overloaded { retry_after } => later(error, *retry_after),
        Error::Unavailable { .. } | Error::KeyReplaced | Error::Fenced => later(error, RETRY),
        Error::Damaged { .. } | Error::Internal { .. } => {
            log(error);
            told(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), own())
        }
    }
}

fn conflict(conflict: &Conflict, resource: Resource, id: Option<&str>) -> Response {
    let referred = |record: &RecordId| {
        let reference = match (resource, id) {
            (Resource::Record(Class::Service), Some(id)) => id.to_owned(),
            _ => record.hex(),
        };
        vec![("reference", Json::text(reference))]
    };
    match conflict {
        Conflict::Exists { id, .. } if resource != Resource::Record(Class::Service) => {
            told(StatusCode::CONFLICT, format!("name is taken already, see id: {}", id.hex()), referred(id))
        }
        Conflict::Exists { id, .. } | Conflict::Managed { id, .. } => {
            told(StatusCode::CONFLICT, conflict.to_string(), referred(id))
        }
        Conflict::Stale { .. } | Conflict::WrittenElsewhere { .. } => {
            let reference = id.map(|id| vec![("reference", Json::text(id))]).unwrap_or_default();
            told(StatusCode::CONFLICT, conflict.to_string(), reference)
        }
        Conflict::Keys { keys } => {
            let conflicts = Json::object(keys.iter().map(|key| (key.key.clone(), holders(key, resource, id))));
            told(StatusCode::BAD_REQUEST, conflict.to_string(), vec![("conflicts", conflicts)])
        }
    }
}

/// Writing a service, clients get every holder of the key; writing a credential, the others and where.
fn holders(conflict: &KeyConflict, resource: Resource, id: Option<&str>) -> Json {
    let of = |is_blind: bool| -> Vec<String> {
        let holders = conflict.holders.iter().filter(|holder| holder.is_blind == is_blind);
        holders.map(|holder| holder.id.hex()).collect()
    };
    let (credentials, blind) = (of(false), of(true));
    if resource == Resource::Record(Class::Service) {
        return Json::object([("credentials", Json::texts(credentials)), ("blind_credentials", Json::texts(blind))]);
    }
    let others = |ids: Vec<String>| ids.into_iter().filter(|holder| Some(holder.as_str()) != id).collect::<Vec<_>>();
    let sorts = [("credentials", others(credentials)), ("blind_credentials", others(blind))];
    let sorts = sorts.into_iter().filter(|(_, ids)| !ids.is_empty()).map(|(name, ids)| (name, Json::texts(ids)));
    Json::object(sorts.chain([("services", Json::texts(&conflict.services))]))
}

/// Fields by the names that they have in Confidant.
fn named(violations: &[Violation]) -> String {
    let field = |violation: &Violation| match violation.field.as_str() {
        "pairs" | "value" => format!("credential_pairs {}", violation.why),
        "commonName" => format!("cn {}", violation.why),
        "alternativeNames" => format!("san {}", violation.why),
        "duration" => format!("validity {}", violation.why),
        _ => violation.to_string(),
    };
    violations.iter().map(field).collect::<Vec<_>>().join("; ")
}

fn told(status: StatusCode, error: String, more: Vec<(&'static str, Json)>) -> Response {
    json(status, &Json::object([("error", Json::text(error))].into_iter().chain(more)))
}

fn later(error: &Error, after: Duration) -> Response {
    log(error);
    wait(error.to_string(), after)
}

fn wait(words: String, after: Duration) -> Response {
    let mut response = told(StatusCode::SERVICE_UNAVAILABLE, words, Vec::new());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    response
}

fn log(error: &Error) {
    match (error, error.detail()) {
        (Error::Damaged { .. } | Error::Internal { .. }, detail) => tracing::error!(%error, detail, "a request failed"),
        (_, detail) => tracing::warn!(%error, detail, "a request has to wait"),
    }
}

pub fn maintenance() -> Response {
    told(StatusCode::FORBIDDEN, "maintenance is under way: nothing can be written until it is over".into(), Vec::new())
}

/// Of an operation that anybody may call.
pub fn missing(what: &str) -> Response {
    told(StatusCode::NOT_FOUND, format!("there is no such {what}"), Vec::new())
}

/// An error of an operation that anybody may call.
pub fn failed(error: &Error) -> Response {
    log(error);
    told(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), Vec::new())
}

/// What is said before an operation is reached.
pub fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::NoSuchPath => page(StatusCode::NOT_FOUND),
        Refusal::WrongMethod => page(StatusCode::METHOD_NOT_ALLOWED),
        Refusal::NotPresented => {
            let mut response = page(StatusCode::UNAUTHORIZED);
            let challenge = HeaderValue::from_static("Basic realm=\"strongroom\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        Refusal::Forged => page(StatusCode::UNAUTHORIZED),
        Refusal::Failed(_) | Refusal::Unscoped => page(StatusCode::FORBIDDEN),
        Refusal::TooLarge => told(StatusCode::PAYLOAD_TOO_LARGE, "body is too large".into(), Vec::new()),
        Refusal::Broken => told(StatusCode::BAD_REQUEST, "body could not be read".into(), Vec::new()),
        Refusal::TooLate => wait(route::TOO_LATE.into(), RETRY),
        Refusal::Error(Error::Overloaded { retry_after }) => later(&Error::Overloaded { retry_after }, retry_after),
        Refusal::Error(error @ Error::Unavailable { .. }) => later(&error, RETRY),
        Refusal::Error(error) => {
            log(&error);
            page(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn page(status: StatusCode) -> Response {
    const HEADERS: [(&str, &str); 3] = [("content-type", "text/html; charset=utf-8"), POLICY, NO_STORE];
    let body = format!("<!doctype html>\n<html lang=en>\n<title>{status}</title>\n<h1>{status}</h1>\n");
    route::response(status, &HEADERS, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_wait_says_how_long() {
        let overloaded = Error::Overloaded { retry_after: Duration::from_millis(2500) };
        let unavailable = Error::Unavailable { part: "the API server", detail: "10.0.0.1 refused".into() };
        for (error, seconds) in [(overloaded, "2"), (unavailable, "5")] {
            let response = refuse(Refusal::Error(error));
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn fields_have_their_names_in_confidant() {
        let violation = |field: &str| Violation { field: field.into(), why: "is wrong".into() };
        let told = named(&[violation("pairs"), violation("name")]);
        assert_eq!(told, "credential_pairs is wrong; name is wrong");
    }
}
