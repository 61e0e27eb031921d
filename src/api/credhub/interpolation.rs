//! References to credentials in an application's environment (`VCAP_SERVICES`), replaced by what they refer to.
//! Everything else goes through letter by letter: clients compare texts.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::value::RawValue;
use warp::http::StatusCode;
use zeroize::Zeroizing;

use crate::api::credhub::error::Failure;
use crate::api::credhub::wire::fields::{Fields, compact};
use crate::api::credhub::wire::version::json_text;
use crate::api::credhub::{Answer, Call};
use crate::api::json::Json;
use crate::domain::secret::SecretText;

const REFERENCES: [&str; 2] = ["credhub_ref", "credhub-ref"];

pub async fn interpolate(call: Arc<Call>) -> Result<Answer, Failure> {
    let body = Fields::of(&call, StatusCode::UNPROCESSABLE_ENTITY)?;
    let mut members = Vec::new();
    for (name, raw) in body.members() {
        members.push((name, service(&call, raw).await?));
    }
    Ok(Json::Literal(object(&members)).into())
}

/// One kind of services: a list of bindings, or something that is none of ours.
async fn service(call: &Call, raw: &RawValue) -> Result<SecretText, Failure> {
    let Ok(bindings) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else { return Ok(compact(raw.get())) };
    let mut written = Zeroizing::new(String::from("["));
    for (at, raw) in bindings.into_iter().enumerate() {
        let binding = binding(call, raw).await?;
        let comma = if at > 0 { "," } else { "" };
        push(&mut written, &[comma, binding.expose()]);
    }
    push(&mut written, &["]"]);
    Ok(SecretText::from(written.as_str()))
}

async fn binding(call: &Call, raw: &RawValue) -> Result<SecretText, Failure> {
    let Some(fields) = Fields::inner(raw) else { return Ok(compact(raw.get())) };
    let inner = fields.raw("credentials").and_then(Fields::inner);
    let Some(reference) = inner.as_ref().and_then(reference) else { return Ok(compact(raw.get())) };
    let mut members = Vec::new();
    for (name, raw) in fields.members() {
        let is_replaced = name == "credentials";
        members.push((name, if is_replaced { referred(call, &reference).await? } else { compact(raw.get()) }));
    }
    Ok(object(&members))
}

fn reference(credentials: &Fields<'_>) -> Option<String> {
    REFERENCES.iter().find_map(|name| serde_json::from_str::<String>(credentials.raw(name)?.get()).ok())
}

/// Without the brackets that may be around it. Its first slash has to be there.
async fn referred(call: &Call, reference: &str) -> Result<SecretText, Failure> {
    let name = reference.strip_prefix("((").unwrap_or(reference);
    let name = name.strip_suffix("))").unwrap_or(name);
    if !name.starts_with('/') {
        return Err(Failure::no_access());
    }
    let found = call.app.by_path.current(&call.actor, name).await?;
    let version = found.first().ok_or_else(Failure::no_access)?;
    let is_other = || Failure::bad(format!("{} must be of type json to be referred to", version.name()));
    json_text(version).ok_or_else(is_other)
}

fn object(members: &[(&str, SecretText)]) -> SecretText {
    let mut written = Zeroizing::new(String::from("{"));
    for (at, (name, value)) in members.iter().enumerate() {
        let name = serde_json::Value::from(*name).to_string();
        push(&mut written, &[if at > 0 { "," } else { "" }, &name, ":", value.expose()]);
    }
    push(&mut written, &["}"]);
    SecretText::from(written.as_str())
}

/// A text that grows by itself leaves its old content in freed memory.
fn push(written: &mut Zeroizing<String>, parts: &[&str]) {
    let more: usize = parts.iter().map(|part| part.len()).sum();
    if written.capacity() - written.len() < more {
        let mut larger = Zeroizing::new(String::with_capacity((written.len() + more) * 2));
        larger.push_str(written);
        *written = larger;
    }
    for part in parts {
        let _ = written.write_str(part);
    }
}
