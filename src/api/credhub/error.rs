//! CredHub's error answers: `{"error": …}`, with `error_description` where it is about who is calling. Clients look at
//! the status and at machine words such as `access_token_expired`; the texts are for people.

use std::time::Duration;

use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::api::credhub::Call;
use crate::api::json::Json;
use crate::api::route::{self, Refusal};
use crate::domain::Error;
use crate::domain::permission::Action;
use crate::server::body::wiped;
use crate::server::identity::Why;

pub const HEADERS: [(&str, &str); 6] = [
    ("content-type", "application/json"),
    ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
    ("pragma", "no-cache"),
    ("expires", "0"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// How long callers wait for a part that is away.
const RETRY: Duration = Duration::from_secs(5);

/// For what is not there and for what the caller may not see: nobody learns which of the two it is.
pub const NO_ACCESS: &str = "the credential does not exist, or you are not permitted to do this to it";
const NO_AUTHORITY: &str = "the certificate authority does not exist, or you are not permitted to read it";

/// Why an operation was not done.
#[derive(Debug)]
pub enum Failure {
    Error(Error),
    /// A status of CredHub's own, with words.
    Told(StatusCode, String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// The body is JSON, but not of this operation's shape.
    pub fn shape(why: impl Into<String>) -> Self {
        Self::Told(StatusCode::UNPROCESSABLE_ENTITY, why.into())
    }

    pub fn bad(why: impl Into<String>) -> Self {
        Self::Told(StatusCode::BAD_REQUEST, why.into())
    }

    pub fn no_access() -> Self {
        Self::Told(StatusCode::NOT_FOUND, NO_ACCESS.into())
    }
}

pub fn json(status: StatusCode, body: &Json) -> Response {
    route::response(status, &HEADERS, wiped(body.bytes()))
}

pub fn bare(status: StatusCode) -> Response {
    route::response(status, &HEADERS[1..], "")
}

/// The answer of an operation that failed.
pub fn render(failure: &Failure, call: &Call) -> Response {
    let error = match failure {
        Failure::Error(error) => error,
        Failure::Told(status, words) => return told(*status, words),
    };
    match error {
        Error::Invalid(_) => told(StatusCode::BAD_REQUEST, &error.to_string()),
        Error::NoAuthority { .. } => told(StatusCode::NOT_FOUND, NO_AUTHORITY),
        Error::NotFound { .. } => told(StatusCode::NOT_FOUND, NO_ACCESS),
        // Only who may not write learns that it is a right that is missing.
        Error::Forbidden { .. } if matches!(call.asks.action, Action::Create | Action::Update) => {
            told(StatusCode::FORBIDDEN, NO_ACCESS)
        }
        Error::Forbidden { .. } => told(StatusCode::NOT_FOUND, NO_ACCESS),
        Error::Conflict(_) | Error::Awaiting { .. } => told(StatusCode::CONFLICT, &error.to_string()),
        Error::OtherAccount | Error::Unauthenticated => told(StatusCode::UNAUTHORIZED, &error.to_string()),
        Error::Overloaded { retry_after } => later(error, *retry_after),
        Error::Unavailable { .. } | Error::KeyReplaced | Error::Fenced => later(error, RETRY),
        Error::Damaged { .. } | Error::Internal { .. } => broken(error),
    }
}

/// What is said before an operation is reached.
pub fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::NoSuchPath => told(StatusCode::NOT_FOUND, "there is no such path"),
        Refusal::WrongMethod => bare(StatusCode::NOT_FOUND),
        Refusal::NotPresented => unknown("access_denied", "Full authentication is required to access this resource"),
        Refusal::Failed(why) => failed(why),
        Refusal::Unscoped => unscoped(),
        Refusal::Forged => told(StatusCode::UNAUTHORIZED, "the page's token is missing or is not this caller's"),
        Refusal::TooLarge => told(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Refusal::Broken => told(StatusCode::BAD_REQUEST, "the body could not be read"),
        Refusal::TooLate => wait(route::TOO_LATE, RETRY),
        Refusal::Error(Error::Overloaded { retry_after }) => later(&Error::Overloaded { retry_after }, retry_after),
        Refusal::Error(error @ Error::Unavailable { .. }) => later(&error, RETRY),
        Refusal::Error(error) => broken(&error),
    }
}

/// Clients fetch a new token when they read `access_token_expired`, and for no other word.
fn failed(why: Why) -> Response {
    match why {
        Why::Expired => unknown("access_token_expired", "the token's time is over"),
        Why::Unaccepted => unknown("invalid_token", "the presented credential was not accepted"),
        Why::Purpose => {
            challenged("the certificate's extended key usage does not let it authenticate a client", "Bearer")
        }
        Why::Subject => challenged("the certificate's subject does not say who is calling", "Bearer"),
    }
}

/// Said in the header alone (RFC 6750, 3.1).
fn unscoped() -> Response {
    let mut response = bare(StatusCode::FORBIDDEN);
    let challenge = "Bearer error=\"insufficient_scope\", error_description=\"the token lacks a scope\"";
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn challenged(words: &str, challenge: &'static str) -> Response {
    let mut response = told(StatusCode::UNAUTHORIZED, words);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// Nobody who is known: in OAuth's words (RFC 6750, 3), which clients compare.
fn unknown(code: &str, description: &str) -> Response {
    let body = [("error", Json::text(code)), ("error_description", Json::text(description))];
    let mut response = json(StatusCode::UNAUTHORIZED, &Json::object(body));
    let challenge = format!("Bearer realm=\"credhub\", error=\"{code}\"");
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

pub fn told(status: StatusCode, words: &str) -> Response {
    json(status, &Json::object([("error", Json::text(words))]))
}

/// Of a process that was told to write nothing.
pub fn read_only() -> Response {
    told(StatusCode::SERVICE_UNAVAILABLE, "this server is in read only mode: nothing can be written")
}

fn later(error: &Error, after: Duration) -> Response {
    tracing::warn!(%error, detail = error.detail(), "a request has to wait");
    wait(&error.to_string(), after)
}

fn wait(words: &str, after: Duration) -> Response {
    let mut response = told(StatusCode::SERVICE_UNAVAILABLE, words);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    response
}

fn broken(error: &Error) -> Response {
    tracing::error!(%error, detail = error.detail(), "a request failed");
    told(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}
