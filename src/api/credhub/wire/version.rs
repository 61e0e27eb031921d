//! A version as CredHub's clients see it.

use crate::api::credhub::wire::{time, value};
use crate::api::json::Json;
use crate::app::by_path::{Shown, Version};
use crate::domain::authority::credhub::Lasting;
use crate::domain::credential::{Form, Kind, Material};
use crate::domain::secret::SecretText;

/// Whether a certificate's `ca` is followed by the signer's other one while that is being rotated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authorities {
    SignerOnly,
    Concatenated,
}

/// All of its members, always: what is absent is null.
pub fn version(version: &Version, shown: &Shown, authorities: Authorities) -> Json {
    let common = [
        ("type", Json::text(value::word(version.kind()))),
        ("version_created_at", time(version.at())),
        ("id", Json::text(version.id().to_string())),
        ("name", Json::text(version.name())),
        ("metadata", Json::or_null(version.metadata(), |text| Json::Literal(text.into()))),
        ("value", shape(version, shown, authorities)),
    ];
    let facts = match shown {
        Shown::Certificate(facts) => vec![
            ("expiry_date", Json::or_null(version.not_after(), time)),
            ("certificate_authority", Json::Bool(facts.is_authority)),
            ("self_signed", Json::Bool(facts.is_self_signed)),
            ("generated", Json::Bool(version.generated().is_some())),
            ("transitional", Json::Bool(version.is_transitional())),
        ],
        Shown::Plain | Shown::User { .. } | Shown::Ssh { .. } => Vec::new(),
    };
    Json::object(common.into_iter().chain(facts))
}

fn shape(version: &Version, shown: &Shown, authorities: Authorities) -> Json {
    let material = version.material();
    let field = |name: &str| Json::or_null(material.get(name).cloned(), Json::Text);
    let fields = |names: &[&'static str]| names.iter().map(|name| (*name, field(name))).collect::<Vec<_>>();
    match version.kind() {
        Kind::Value => field("value"),
        Kind::Password => field("password"),
        Kind::Json => json(material),
        Kind::Pairs => pairs(material),
        Kind::Rsa => Json::object(fields(&["public_key", "private_key"])),
        Kind::Ssh => {
            let fingerprint = match shown {
                Shown::Ssh { fingerprint } => Json::or_null(fingerprint.as_ref(), Json::text),
                _ => Json::Null,
            };
            let keys = fields(&["public_key", "private_key"]);
            Json::object(keys.into_iter().chain([("public_key_fingerprint", fingerprint)]))
        }
        Kind::User => {
            let hash = match shown {
                Shown::User { hash } => Json::or_null(hash.clone(), Json::Text),
                _ => Json::Null,
            };
            Json::object(fields(&["username", "password"]).into_iter().chain([("password_hash", hash)]))
        }
        Kind::Certificate => {
            let key = if version.shows_key() { field("private_key") } else { Json::Null };
            Json::object([
                ("ca", ca(version, authorities)),
                ("certificate", field("certificate")),
                ("private_key", key),
            ])
        }
    }
}

/// One that came by another way may be no JSON at all; it is a text then.
fn json(material: &Material) -> Json {
    let Some(text) = material.get("value") else { return Json::Null };
    match serde_json::from_str::<serde::de::IgnoredAny>(text.expose()) {
        Ok(_) => Json::Literal(text.clone()),
        Err(_) => Json::Text(text.clone()),
    }
}

fn pairs(material: &Material) -> Json {
    let scalar = |form: Form, text: &SecretText| match form {
        Form::Text => Json::Text(text.clone()),
        Form::Literal => Json::Literal(text.clone()),
    };
    Json::object(material.fields().iter().map(|field| (field.name.clone(), scalar(field.form, &field.value))))
}

/// What is a json to CredHub, as JSON text; `None`: it is none.
pub fn json_text(version: &Version) -> Option<SecretText> {
    let value = match version.kind() {
        Kind::Json => json(version.material()),
        Kind::Pairs => pairs(version.material()),
        _ => return None,
    };
    Some(SecretText::from(String::from_utf8_lossy(&value.bytes()).as_ref()))
}

/// The signer's first: whoever takes one takes that one.
fn ca(version: &Version, authorities: Authorities) -> Json {
    let own = version.material().get("ca");
    let other = version.signed().and_then(|signed| signed.trusted.as_deref());
    match (own, other, authorities) {
        (Some(own), Some(other), Authorities::Concatenated) => {
            Json::text(format!("{}\n{}\n", own.expose().trim(), other.trim()))
        }
        (own, _, _) => Json::or_null(own.cloned(), Json::Text),
    }
}

/// What answers a generation of a certificate says more.
pub fn made(json: Json, is_new: bool, lasting: Lasting, key_length: Option<u32>) -> Json {
    let Json::Object(mut members) = json else { return json };
    // Of one that was there already it is not known.
    let Lasting { days, is_overridden } = if is_new { lasting } else { Lasting::default() };
    let more = [
        ("duration_overridden", Json::Bool(is_overridden)),
        ("duration_used", Json::number(days.unsigned_abs())),
        ("key_length", Json::or_null(key_length, |bits| Json::number(bits.into()))),
    ];
    members.extend(more.map(|(name, value)| (name.into(), value)));
    Json::Object(members)
}
