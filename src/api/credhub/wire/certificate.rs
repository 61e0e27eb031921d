//! Certificates as they stand in lists, each with its versions and what it has signed.

use crate::api::credhub::wire::time;
use crate::api::json::Json;
use crate::app::by_path::{Certificate, Facts, Version};

pub fn certificate(certificate: &Certificate, facts: &[Facts]) -> Json {
    let Certificate { entry, versions, signed_by, signs } = certificate;
    let versions = versions.iter().zip(facts).map(|(version, facts)| listed(version, *facts));
    Json::object([
        ("name", Json::text(&entry.head.name)),
        ("id", Json::text(entry.head.id.to_string())),
        ("versions", Json::List(versions.collect())),
        ("signed_by", Json::text(signed_by.as_deref().unwrap_or_default())),
        ("signs", Json::texts(signs)),
    ])
}

/// When it ends is empty where that is not known, and not null.
fn listed(version: &Version, facts: Facts) -> Json {
    Json::object([
        ("id", Json::text(version.id().to_string())),
        ("expiry_date", version.not_after().map_or_else(|| Json::text(""), time)),
        ("transitional", Json::Bool(version.is_transitional())),
        ("certificate_authority", Json::Bool(facts.is_authority)),
        ("self_signed", Json::Bool(facts.is_self_signed)),
        ("generated", Json::Bool(version.generated().is_some())),
    ])
}
