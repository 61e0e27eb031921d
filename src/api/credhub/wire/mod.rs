//! CredHub's JSON, exactly: from bodies to what is asked for, and from versions to objects.

pub mod certificate;
pub mod fields;
pub mod generation;
pub mod name;
pub mod value;
pub mod version;

use jiff::Timestamp;

use crate::api::json::Json;

/// Whole seconds, always in UTC.
pub fn time(at: Timestamp) -> Json {
    Json::text(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
