//! Confidant's JSON, exactly: from bodies to drafts and patches, and from records to objects.

pub mod blind;
pub mod credential;
pub mod diff;
mod reader;
pub mod service;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;
use warp::http::header;

use crate::api::confidant::Call;
use crate::api::json::Json;
use crate::domain::name::Revision;
use crate::domain::record::{Entry, Stamp};
use crate::domain::service::Service;
use crate::domain::{Error, Result};

/// The body of a call as a JSON object.
pub fn body(call: &Call) -> Result<Json> {
    let kind = call.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
        return Err(Error::invalid("body", "must have the Content-Type application/json"));
    }
    match Json::parse(&call.body)? {
        json @ Json::Object(_) => Ok(json),
        _ => Err(Error::invalid("body", "must be a JSON object")),
    }
}

/// `metadata_only` and its like: these spellings mean yes, all others no.
pub fn flag(call: &Call, name: &str) -> bool {
    call.query(name).is_some_and(|value| matches!(value.as_str(), "True" | "true" | "1"))
}

pub fn empty() -> Json {
    Json::Object(Vec::new())
}

pub fn permissions(granted: &[(&'static str, bool)]) -> Json {
    Json::object(granted.iter().map(|(name, granted)| (*name, Json::Bool(*granted))))
}

/// What something is mapped into.
pub fn dependents(services: &[Entry<Service>]) -> Json {
    let one = |entry: &Entry<Service>| {
        Json::object([("id", Json::text(&entry.head.name)), ("enabled", Json::Bool(entry.body.enabled))])
    };
    Json::object([("services", Json::List(services.iter().map(one).collect()))])
}

/// There are forty of them in a service of twenty credentials: this printer is several times as fast as one with a form.
const MICROSECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// Confidant writes dates in two forms, each in its place.
#[derive(Clone, Copy)]
pub enum Dates {
    /// `2026-11-21T19:33:01.802630+00:00`
    Iso,
    /// `Sat, 21 Nov 2026 19:33:01 GMT`: in differences and in blind credentials' own answers.
    Http,
}

impl Dates {
    fn text(self, at: Timestamp) -> Json {
        Json::text(match self {
            Self::Iso => MICROSECONDS.timestamp_with_offset_to_string(&at, Offset::UTC),
            Self::Http => at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        })
    }

    fn stamp(self, stamp: &Stamp) -> [(&'static str, Json); 3] {
        [
            ("revision", Json::number(stamp.number.0)),
            ("modified_date", self.text(stamp.at)),
            ("modified_by", Json::text(&stamp.by)),
        ]
    }
}

/// An object as it stands in an archive, where each revision has an id of its own.
fn archived(mut json: Json, number: Revision) -> Json {
    if let Json::Object(members) = &mut json {
        for (_, value) in members.iter_mut().filter(|(name, _)| name == "id") {
            if let Json::Text(id) = value {
                *value = Json::text(format!("{}-{number}", id.expose()));
            }
        }
    }
    json
}
