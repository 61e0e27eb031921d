//! `/api/v1/certificates`: certificates by the id of their credential, their versions, and how one takes the place of
//! another.

use std::sync::Arc;

use jiff::SignedDuration;
use warp::http::StatusCode;

use crate::api::credhub::data::{add, answer_made, certificate_setting, concatenated, flag, one, shown};
use crate::api::credhub::error::Failure;
use crate::api::credhub::wire::certificate as shape;
use crate::api::credhub::wire::fields::Fields;
use crate::api::credhub::wire::name::{self, slashed};
use crate::api::credhub::wire::value;
use crate::api::credhub::wire::version::Authorities;
use crate::api::credhub::{Answer, Call};
use crate::api::json::Json;
use crate::app::by_path::{Certificate, Facts, Made, Order, Shown, Standing, Wanted};
use crate::domain::authority::credhub::{DAYS_MAX, key_length};
use crate::domain::authority::{CertificateRequest, Issuer};
use crate::domain::credential::Generate;
use crate::domain::name::{Path, RecordId, VersionId};

type Outcome = Result<Answer, Failure>;

pub async fn list(call: Arc<Call>) -> Outcome {
    let found = match call.query("name") {
        Some(name) => vec![call.app.by_path.certificate_named(&call.actor, &slashed(&name)).await?],
        None => call.app.by_path.certificates(&call.actor).await?,
    };
    let mut all = Vec::with_capacity(found.len());
    for certificate in &found {
        all.push(shape::certificate(certificate, &facts(&call, certificate).await?));
    }
    Ok(Json::object([("certificates", Json::List(all))]).into())
}

async fn facts(call: &Call, certificate: &Certificate) -> Result<Vec<Facts>, Failure> {
    let mut all = Vec::with_capacity(certificate.versions.len());
    for version in &certificate.versions {
        all.push(match &*call.app.by_path.shown(version).await? {
            Shown::Certificate(facts) => *facts,
            _ => Facts::default(),
        });
    }
    Ok(all)
}

fn id(call: &Call) -> Result<RecordId, Failure> {
    call.parameter("id").and_then(RecordId::parse).ok_or_else(Failure::no_access)
}

pub async fn versions(call: Arc<Call>) -> Outcome {
    let is_current = flag(&call, "current")?.unwrap_or(false);
    let versions = call.app.by_path.certificate_versions(&call.actor, id(&call)?, is_current).await?;
    Ok(Json::List(shown(&call, &versions, concatenated(&call)).await?).into())
}

const REGENERATE: [&str; 5] =
    ["set_as_transitional", "allow_transitional_parent_to_sign", "key_length", "duration", "metadata"];

pub async fn regenerate(call: Arc<Call>) -> Outcome {
    let id = id(&call)?;
    let body = Fields::of_optional(&call, StatusCode::UNPROCESSABLE_ENTITY)?;
    body.only(&REGENERATE)?;
    let is = |name: &str| Ok::<_, Failure>(body.boolean(name)?.unwrap_or(false));
    let how = Standing { is_transitional: is("set_as_transitional")?, concatenates: is_concatenated(&call) };
    let by_waiting = is("allow_transitional_parent_to_sign")?;
    let metadata = value::metadata(&body)?;
    let (length, days) = (body.integer("key_length")?, body.integer("duration")?);
    let entry = call.app.by_path.writable_certificate(&call.actor, id).await?;
    let mut wish = call.app.by_path.active_again(&entry)?;
    if let Generate::Certificate(request) = &mut wish {
        override_request(request, length, days)?;
    }
    let lasting = add(&call, &mut wish);
    let signer = match &wish {
        Generate::Certificate(request) => match &request.issuer {
            Issuer::Authority(path) => Some(call.app.by_path.signer_again(path, by_waiting).await?),
            Issuer::SelfSigned => None,
        },
        _ => None,
    };
    let order = Order { wish, signer, metadata };
    let version = call.app.by_path.regenerate_certificate(&call.actor, &entry, order, how).await?;
    answer_made(&call, &Made { version, is_new: true }, lasting).await
}

fn override_request(request: &mut CertificateRequest, length: Option<i64>, days: Option<i64>) -> Result<(), Failure> {
    if let Some(length) = length {
        request.key = key_length(length)?;
    }
    if let Some(days) = days {
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(Failure::bad(format!("duration must be 1 to {DAYS_MAX} days")));
        }
        request.validity = SignedDuration::from_hours(24 * days);
    }
    Ok(())
}

fn is_concatenated(call: &Call) -> bool {
    call.dialect.settings.concatenates_cas
}

pub async fn update_transitional_version(call: Arc<Call>) -> Outcome {
    let id = id(&call)?;
    let body = Fields::of(&call, StatusCode::UNPROCESSABLE_ENTITY)?;
    body.only(&["version"])?;
    let wanted = match body.text("version")?.as_deref() {
        None => Wanted::None,
        Some("latest") => Wanted::Newest,
        Some(text) => {
            let wrong = || Failure::bad("version must be the id of a version of this certificate, latest or null");
            Wanted::Version(VersionId::parse(text).ok_or_else(wrong)?)
        }
    };
    let moved = call.app.by_path.move_transitional(&call.actor, id, wanted, is_concatenated(&call)).await?;
    Ok(Json::List(shown(&call, &moved, Authorities::SignerOnly).await?).into())
}

pub async fn add_version(call: Arc<Call>) -> Outcome {
    let id = id(&call)?;
    let body = Fields::of(&call, StatusCode::UNPROCESSABLE_ENTITY)?;
    body.only(&["value", "transitional"])?;
    let missing = || Failure::bad("value must be given and not be empty");
    let given = value::certificate(&body.inside("value")?.ok_or_else(missing)?)?;
    let is_transitional = body.boolean("transitional")?.unwrap_or(false);
    let how = Standing { is_transitional, concatenates: is_concatenated(&call) };
    let entry = call.app.by_path.writable_certificate(&call.actor, id).await?;
    let path = Path::parse(&entry.head.name)?;
    let setting = certificate_setting(&call, &path, given, None).await?;
    let version = call.app.by_path.add_version(&call.actor, id, setting, how).await?;
    one(&call, &version, Authorities::SignerOnly).await
}

pub async fn delete_version(call: Arc<Call>) -> Outcome {
    let version = call.parameter("version").and_then(VersionId::parse).ok_or_else(Failure::no_access)?;
    let gone = call.app.by_path.delete_version(&call.actor, id(&call)?, version, is_concatenated(&call)).await?;
    one(&call, &gone, Authorities::SignerOnly).await
}

/// Everything that an authority has signed.
pub async fn bulk_regenerate(call: Arc<Call>) -> Outcome {
    let body = Fields::of(&call, StatusCode::UNPROCESSABLE_ENTITY)?;
    body.only(&["signed_by"])?;
    let signer = body.text("signed_by")?.filter(|name| !name.is_empty());
    let signer = signer.ok_or_else(|| Failure::bad("signed_by must be given"))?;
    let path = name::path(&signer)?;
    // A thousand keys take longer than any other request may.
    call.patience.grant();
    let prepare = |wish: &mut Generate| _ = add(&call, wish);
    let names = call.app.by_path.regenerate_signed_by(&call.actor, &path, prepare).await?;
    Ok(Json::object([("regenerated_credentials", Json::texts(&names))]).into())
}
