//! `/api/v1/data`: credentials are set, generated, read, found and deleted by their names.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use warp::http::StatusCode;

use crate::api::credhub::error::Failure;
use crate::api::credhub::wire::fields::Fields;
use crate::api::credhub::wire::name::{self, slashed};
use crate::api::credhub::wire::value::{self, Given};
use crate::api::credhub::wire::version::{self as shape, Authorities};
use crate::api::credhub::wire::{generation, time};
use crate::api::credhub::{Answer, Call};
use crate::api::json::Json;
use crate::app::by_path::{Found, Made, Mode, Setting, Shown, Signer, Version};
use crate::app::ports::Names;
use crate::domain::Error;
use crate::domain::authority::Issuer;
use crate::domain::authority::credhub::Lasting;
use crate::domain::credential::lineage::Signed;
use crate::domain::credential::{Generate, Kind, Material};
use crate::domain::name::{Path, VersionId};

type Outcome = Result<Answer, Failure>;

/// By name, or a search. What cannot be is refused in either, though each looks at its own parameters only.
pub async fn get(call: Arc<Call>) -> Outcome {
    let (current, versions, days) = (flag(&call, "current")?, versions(&call)?, days(&call)?);
    let is_search = ["path", "name-like", "expires-within-days"].into_iter().any(|name| call.query(name).is_some());
    match call.query("name").filter(|name| !name.is_empty()) {
        Some(name) => by_name(&call, &slashed(&name), current, versions).await,
        None if is_search => find(&call, days).await,
        None => Err(Failure::bad("the query parameter name must be given")),
    }
}

/// A query parameter that is true or false; `None` where it is absent or empty.
pub fn flag(call: &Call, name: &str) -> Result<Option<bool>, Failure> {
    let wrong = || Failure::bad(format!("the query parameter {name} must be true or false"));
    let given = call.query(name).filter(|word| !word.is_empty());
    given.map(|word| word.to_ascii_lowercase().parse().map_err(|_| wrong())).transpose()
}

fn versions(call: &Call) -> Result<Option<u32>, Failure> {
    let wrong = || Failure::bad("the query parameter versions must be a whole number that is not negative");
    let given = call.query("versions").filter(|count| !count.is_empty());
    given.map(|count| count.parse().map_err(|_| wrong())).transpose()
}

fn days(call: &Call) -> Result<Option<i64>, Failure> {
    let wrong = || Failure::bad("the query parameter expires-within-days must be a whole number");
    let given = call.query("expires-within-days").filter(|days| !days.is_empty());
    given.map(|days| days.parse().map_err(|_| wrong())).transpose()
}

async fn by_name(call: &Call, name: &str, current: Option<bool>, versions: Option<u32>) -> Outcome {
    let found = match (current, versions) {
        (Some(true), Some(_)) => {
            return Err(Failure::bad("the query parameters current and versions exclude each other"));
        }
        (Some(true), None) => call.app.by_path.current(&call.actor, name).await?,
        (_, limit) => call.app.by_path.versions(&call.actor, name, limit.map(|limit| limit as usize)).await?,
    };
    if found.is_empty() {
        return Err(Failure::no_access());
    }
    Ok(Json::object([("data", Json::List(shown(call, &found, concatenated(call)).await?))]).into())
}

pub async fn shown(call: &Call, versions: &[Version], authorities: Authorities) -> Result<Vec<Json>, Failure> {
    let mut all = Vec::with_capacity(versions.len());
    for version in versions {
        all.push(shape::version(version, &*call.app.by_path.shown(version).await?, authorities));
    }
    Ok(all)
}

pub fn concatenated(call: &Call) -> Authorities {
    match call.dialect.settings.concatenates_cas {
        true => Authorities::Concatenated,
        false => Authorities::SignerOnly,
    }
}

pub async fn by_id(call: Arc<Call>) -> Outcome {
    let id = call.parameter("id").and_then(VersionId::parse).ok_or_else(Failure::no_access)?;
    let version = call.app.by_path.version(&call.actor, id).await?;
    one(&call, &version, concatenated(&call)).await
}

pub async fn one(call: &Call, version: &Version, authorities: Authorities) -> Outcome {
    Ok(shape::version(version, &*call.app.by_path.shown(version).await?, authorities).into())
}

/// Days from now that a time can be asked for, and no more.
const DAYS_LIMIT: i64 = 400_000;

async fn find(call: &Call, days: Option<i64>) -> Outcome {
    let (path, part) = (call.query("path"), call.query("name-like").unwrap_or_default());
    let prefix = path.as_deref().map(folder).unwrap_or_default();
    let names = Names { prefix: &prefix, part: &part };
    let found = match days {
        None => call.app.by_path.find(&call.actor, names).await?,
        Some(days) => {
            let by = SignedDuration::from_hours(24 * days.clamp(-DAYS_LIMIT, DAYS_LIMIT));
            let by = call.app.now().checked_add(by).unwrap_or(Timestamp::MAX);
            call.app.by_path.find_expiring(&call.actor, names, by).await?
        }
    };
    let entry = |found: &Found| {
        let own = [("version_created_at", time(found.at)), ("name", Json::text(&found.name))];
        let expiry = found.not_after.map(|at| ("expiry_date", time(at)));
        Json::object(own.into_iter().chain(expiry))
    };
    Ok(Json::object([("credentials", Json::List(found.iter().map(entry).collect()))]).into())
}

/// `/team` and `team/` are the same folder, and the empty one is all of them.
fn folder(path: &str) -> String {
    let path = slashed(path);
    if path.ends_with('/') { path } else { format!("{path}/") }
}

pub async fn delete(call: Arc<Call>) -> Outcome {
    let name = call.query("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Failure::bad("the query parameter name must be given"))?;
    call.app.by_path.delete(&call.actor, &slashed(&name)).await?;
    Ok(Answer(StatusCode::NO_CONTENT, None))
}

const SET: [&str; 4] = ["name", "type", "value", "metadata"];

pub async fn set(call: Arc<Call>) -> Outcome {
    let body = Fields::of(&call, StatusCode::UNPROCESSABLE_ENTITY)?;
    body.only(&SET)?;
    let kind = body
        .text("type")?
        .as_deref()
        .and_then(value::kind)
        .ok_or_else(|| Failure::shape("type must be value, json, password, user, certificate, ssh or rsa"))?;
    let path = name::path(&body.text("name")?.unwrap_or_default())?;
    let metadata = value::metadata(&body)?;
    let given = value::given(kind, &body)?;
    let slot = call.app.by_path.require_writable(&call.actor, &path).await?;
    let setting = match given {
        // Confidant's pairs are a json to CredHub, and stay pairs.
        Given::Material(_) if kind == Kind::Json && slot.kind() == Some(Kind::Pairs) => {
            plain(Kind::Pairs, value::pairs(&body)?, metadata)
        }
        Given::Material(material) => plain(kind, material, metadata),
        Given::Certificate(certificate) => certificate_setting(&call, &path, certificate, metadata).await?,
    };
    let version = call.app.by_path.set(&call.actor, slot, setting).await?;
    one(&call, &version, Authorities::SignerOnly).await
}

fn plain(kind: Kind, material: Material, metadata: Option<String>) -> Setting {
    Setting { kind, material, metadata, not_after: None, signed: Signed::default() }
}

pub async fn certificate_setting(
    call: &Call,
    path: &Path,
    given: value::Certificate,
    metadata: Option<String>,
) -> Result<Setting, Failure> {
    let value::Certificate { ca, ca_name, certificate, private_key } = given;
    let signer = match &ca_name {
        Some(name) => Some(call.app.by_path.signer(&call.actor, name).await?),
        None => None,
    };
    Ok(call.app.by_path.certificate(path, signer.as_ref(), ca, certificate, private_key, metadata)?)
}

const GENERATE: [&str; 8] = ["name", "type", "mode", "overwrite", "parameters", "value", "metadata", "regenerate"];
const REGENERATE: [&str; 4] = ["name", "type", "metadata", "regenerate"];

/// Generates, or generates again.
pub async fn generate(call: Arc<Call>) -> Outcome {
    let body = Fields::of(&call, StatusCode::BAD_REQUEST)?;
    if body.boolean("regenerate")?.unwrap_or(false) {
        body.only(&REGENERATE)?;
        let path = name::path(&body.text("name")?.unwrap_or_default())?;
        return regenerate_at(&call, &path, value::metadata(&body)?).await;
    }
    body.only(&GENERATE)?;
    let kind = body
        .text("type")?
        .as_deref()
        .and_then(value::kind)
        .ok_or_else(|| Failure::bad("type must be password, user, certificate, ssh or rsa"))?;
    let mode = generation::mode(&body)?;
    let path = name::path(&body.text("name")?.unwrap_or_default())?;
    let metadata = value::metadata(&body)?;
    let mut wish = generation::wish(kind, &body)?;
    let lasting = add(&call, &mut wish);
    let slot = call.app.by_path.require_writable(&call.actor, &path).await?;
    let signer = signer(&call, &wish).await?;
    let made = call.app.by_path.generate(&call.actor, slot, mode, wish, signer, metadata).await?;
    answer_made(&call, &made, lasting).await
}

pub async fn answer_made(call: &Call, Made { version, is_new }: &Made, lasting: Lasting) -> Outcome {
    let shown = call.app.by_path.shown(version).await?;
    let json = shape::version(version, &shown, concatenated(call));
    Ok(match &*shown {
        Shown::Certificate(facts) => shape::made(json, *is_new, lasting, facts.key_bits).into(),
        _ => json.into(),
    })
}

async fn signer(call: &Call, wish: &Generate) -> Result<Option<Signer>, Failure> {
    match wish {
        Generate::Certificate(request) => match &request.issuer {
            Issuer::Authority(path) => Ok(Some(call.app.by_path.signer(&call.actor, path).await?)),
            Issuer::SelfSigned => Ok(None),
        },
        _ => Ok(None),
    }
}

/// As this installation wants it.
pub fn add(call: &Call, wish: &mut Generate) -> Lasting {
    match wish {
        Generate::Certificate(request) => call.dialect.settings.additions.apply(request),
        _ => Lasting::default(),
    }
}

const BY_NAME: [&str; 2] = ["name", "metadata"];

/// The name as it is: without its first slash it is nobody's.
pub async fn regenerate(call: Arc<Call>) -> Outcome {
    let body = Fields::of(&call, StatusCode::UNPROCESSABLE_ENTITY)?;
    body.only(&BY_NAME)?;
    let text = body.text("name")?.filter(|name| !name.is_empty());
    let text = text.ok_or_else(|| Failure::bad("name must be given"))?;
    let metadata = value::metadata(&body)?;
    if !text.starts_with('/') {
        return Err(Failure::no_access());
    }
    regenerate_at(&call, &name::path(&text)?, metadata).await
}

async fn regenerate_at(call: &Call, path: &Path, metadata: Option<String>) -> Outcome {
    let slot = call.app.by_path.require_writable(&call.actor, path).await?;
    if slot.kind() != Some(Kind::Certificate) {
        let version = call.app.by_path.regenerate(&call.actor, slot, metadata).await?;
        return one(call, &version, concatenated(call)).await;
    }
    let mut again = call.app.by_path.certificate_again(&slot)?;
    let lasting = add(call, &mut again);
    let signer = signer(call, &again).await.map_err(|failure| match failure {
        // Here it is as if the certificate were not there.
        Failure::Error(Error::NoAuthority { .. }) => Failure::no_access(),
        failure => failure,
    })?;
    // Overwriting what is there: it is made anew whatever it is.
    let made = call.app.by_path.generate(&call.actor, slot, Mode::Overwrite, again, signer, metadata).await?;
    answer_made(call, &made, lasting).await
}
