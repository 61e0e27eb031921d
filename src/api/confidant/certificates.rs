//! Operations on certificate authorities and certificates, in Confidant's order of checks.

use std::sync::Arc;

use crate::api::confidant::{Call, wire};
use crate::api::json::Json;
use crate::app::certificates::Named;
use crate::domain::authority::{AlternativeName, KeyAlgorithm, Wanted};
use crate::domain::credential::Material;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// What Confidant makes and its clients read.
const KEY: KeyAlgorithm = KeyAlgorithm::Rsa2048;

pub async fn list(call: Arc<Call>) -> Result<Json> {
    let all = call.app.certificates.list(&call.actor).await?;
    let all = all.iter().map(authority).collect::<Result<_>>()?;
    Ok(Json::object([("cas", Json::List(all))]))
}

pub async fn view(call: Arc<Call>) -> Result<Json> {
    authority(&call.app.certificates.view(&call.actor, ca(&call)).await?)
}

/// A new key with its certificate.
pub async fn make(call: Arc<Call>) -> Result<Json> {
    let desk = call.app.certificates.desk(&call.actor, ca(&call)).await?;
    let permit = call.app.certificates.permit(&call.actor, desk, call.parameter("cn").unwrap_or_default()).await?;
    let wanted = Wanted {
        alternative_names: call.queries("san").map(|name| alternative_name(&name)).collect::<Result<_>>()?,
        days: call.query("validity").map(|days| read_days(&days)).transpose()?,
        key: KEY,
    };
    let issued = call.app.certificates.issue(&call.actor, &permit, &wanted, None).await?;
    let key = call.app.certificates.as_pkcs1(issued.material.require("private_key")?)?;
    Ok(Json::object(certificate(&issued.material)?.into_iter().chain([("key", Json::Text(key))])))
}

/// A certificate for the key of a signing request. Names in the body besides it count for nothing, as in Confidant.
pub async fn sign(call: Arc<Call>) -> Result<Json> {
    let desk = call.app.certificates.desk(&call.actor, ca(&call)).await?;
    let body = wire::body(&call)?;
    let text = body.get("csr").and_then(Json::as_text).filter(|text| !text.expose().is_empty());
    let text = text.ok_or_else(|| Error::invalid("csr", "must be a text in PEM"))?;
    let request = call.app.certificates.signing_request(text)?;
    let permit = call.app.certificates.permit(&call.actor, desk, &request.common_name).await?;
    let wanted =
        Wanted { alternative_names: request.alternative_names, days: days(&body)?, key: request.key.algorithm };
    let issued = call.app.certificates.issue(&call.actor, &permit, &wanted, Some(&request.key)).await?;
    Ok(Json::object(certificate(&issued.material)?))
}

fn ca(call: &Call) -> &str {
    call.parameter("ca").unwrap_or_default()
}

fn alternative_name(text: &str) -> Result<AlternativeName> {
    let why = "must be host names (international ones in their xn-- form) or IP addresses";
    AlternativeName::parse(text).ok_or_else(|| Error::invalid("alternativeNames", why))
}

fn days(body: &Json) -> Result<Option<u32>> {
    match body.get("validity") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Literal(number)) => read_days(number.expose()).map(Some),
        Some(_) => Err(not_days()),
    }
}

fn read_days(text: &str) -> Result<u32> {
    text.parse().map_err(|_| not_days())
}

fn not_days() -> Error {
    Error::invalid("duration", "must be a number of days")
}

fn authority(named: &Named) -> Result<Json> {
    let body = &named.entry.body;
    let members = [("ca", Json::text(&named.name))].into_iter().chain(certificate(&body.material)?);
    Ok(Json::object(members.chain([("tags", Json::texts(&body.about.tags))])))
}

/// The certificate itself, and those above it with the root as the last; nothing is above a root.
fn certificate(material: &Material) -> Result<[(&'static str, Json); 2]> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = material.require("certificate")?.expose();
    let (own, above) = text.split_at(text.find(END).map_or(text.len(), |at| at + END.len()));
    let root = material.get("ca").map(SecretText::expose).filter(|root| !text.contains(root.trim()));
    let chain = [above.trim_start(), root.unwrap_or_default()].concat();
    Ok([("certificate", Json::text(format!("{own}\n"))), ("certificate_chain", Json::text(chain))])
}
