//! Values that callers set, type by type.

use warp::http::StatusCode;

use crate::api::credhub::error::Failure;
use crate::api::credhub::wire::fields::Fields;
use crate::api::credhub::wire::name;
use crate::api::json::Json;
use crate::domain::credential::{Field, Form, Kind, Material};
use crate::domain::name::Path;
use crate::domain::secret::SecretText;

/// CredHub's types by their words. Pairs are a sort of json to it.
pub const TYPES: [(&str, Kind); 7] = [
    ("value", Kind::Value),
    ("json", Kind::Json),
    ("password", Kind::Password),
    ("user", Kind::User),
    ("certificate", Kind::Certificate),
    ("ssh", Kind::Ssh),
    ("rsa", Kind::Rsa),
];

pub fn word(kind: Kind) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == kind).map_or("json", |(word, _)| *word)
}

/// Whatever its case.
pub fn kind(word: &str) -> Option<Kind> {
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

/// Bytes of one secret text: what fits into CredHub's column of 65535 with its seal.
const SECRET_LIMIT: usize = 65_519;
/// Of what CredHub keeps in the clear.
const CLEAR_LIMIT: usize = 7_000;

/// A value that is complete, or a certificate that is still to be looked at.
pub enum Given {
    Material(Material),
    Certificate(Certificate),
}

/// As they were given; what is empty is absent.
pub struct Certificate {
    pub ca: Option<SecretText>,
    pub ca_name: Option<Path>,
    pub certificate: Option<SecretText>,
    pub private_key: Option<SecretText>,
}

pub fn given(kind: Kind, body: &Fields<'_>) -> Result<Given, Failure> {
    let missing = || Failure::bad("value must be given and not be empty");
    let material = match kind {
        Kind::Value | Kind::Password => {
            let text = body.filled("value")?.ok_or_else(missing)?;
            texts([(kind.fields()[0].name, Some(text))])?
        }
        Kind::Json => texts([("value", Some(body.compact("value").ok_or_else(missing)?))])?,
        Kind::User => user(&body.inside("value")?.ok_or_else(missing)?)?,
        Kind::Rsa => keys(&body.inside("value")?.ok_or_else(missing)?, &["public_key", "private_key"])?,
        Kind::Ssh => {
            let known = ["public_key", "private_key", "public_key_fingerprint"];
            keys(&body.inside("value")?.ok_or_else(missing)?, &known)?
        }
        Kind::Certificate => return certificate(&body.inside("value")?.ok_or_else(missing)?).map(Given::Certificate),
        Kind::Pairs => pairs(body)?,
    };
    Ok(Given::Material(material))
}

/// What callers send for the hash is theirs to send: it is made anew.
fn user(value: &Fields<'_>) -> Result<Material, Failure> {
    value.only(&["username", "password", "password_hash"])?;
    let password = value.filled("password")?.ok_or_else(|| Failure::bad("value.password must be given"))?;
    let username = value.filled("username")?;
    require_short("username", username.as_ref().map(SecretText::expose))?;
    texts([("username", username), ("password", Some(password))])
}

fn keys(value: &Fields<'_>, known: &[&str]) -> Result<Material, Failure> {
    value.only(known)?;
    let (public, private) = (value.filled("public_key")?, value.filled("private_key")?);
    if public.is_none() && private.is_none() {
        return Err(Failure::bad("value must have a public_key or a private_key"));
    }
    require_short("public_key", public.as_ref().map(SecretText::expose))?;
    texts([("public_key", public), ("private_key", private)])
}

/// The last four say how a certificate stood elsewhere; here it is looked at.
const CERTIFICATE: [&str; 8] = [
    "ca",
    "ca_name",
    "certificate",
    "private_key",
    "transitional",
    "certificate_authority",
    "self_signed",
    "generated",
];

pub fn certificate(value: &Fields<'_>) -> Result<Certificate, Failure> {
    value.only(&CERTIFICATE)?;
    let [ca, certificate, private_key] = ["ca", "certificate", "private_key"].map(|field| value.filled(field));
    let (ca, certificate, private_key) = (ca?, certificate?, private_key?);
    let ca_name = value.filled("ca_name")?;
    if [&ca, &certificate, &private_key].into_iter().all(Option::is_none) {
        return Err(Failure::bad("value must have a certificate, a private_key or a ca"));
    }
    if ca.is_some() && ca_name.is_some() {
        return Err(Failure::bad("value must have ca or ca_name, not both"));
    }
    let is_long = |text: &&SecretText| text.expose().len() > CLEAR_LIMIT;
    if [&ca, &certificate].into_iter().flatten().find(is_long).is_some() {
        return Err(Failure::bad(format!("certificates must not be longer than {CLEAR_LIMIT} bytes")));
    }
    require_size(private_key.as_ref())?;
    let ca_name = ca_name.map(|text| name::path(text.expose())).transpose()?;
    Ok(Certificate { ca, ca_name, certificate, private_key })
}

/// An object of scalars, in place of Confidant's pairs.
pub fn pairs(body: &Fields<'_>) -> Result<Material, Failure> {
    let wrong = || Failure::bad("value must be an object of strings, numbers, true, false or null: pairs stand here");
    let value = body.inside("value")?.ok_or_else(wrong)?;
    let field = |name: &str| {
        let text = value.raw(name).map_or("null", serde_json::value::RawValue::get);
        let (form, value) = match Json::parse(text.as_bytes())? {
            Json::Text(text) => (Form::Text, text),
            Json::Literal(text) => (Form::Literal, text),
            Json::Bool(value) => (Form::Literal, SecretText::new(value.to_string())),
            Json::Null => (Form::Literal, SecretText::from("null")),
            Json::Shared(_) | Json::List(_) | Json::Object(_) => return Err(wrong()),
        };
        Ok(Field { name: name.to_owned(), form, value })
    };
    Ok(Material::new(value.names().map(field).collect::<Result<Vec<_>, Failure>>()?))
}

fn texts<const N: usize>(fields: [(&str, Option<SecretText>); N]) -> Result<Material, Failure> {
    for (_, text) in &fields {
        require_size(text.as_ref())?;
    }
    Ok(Material::texts(fields.into_iter().filter_map(|(name, text)| Some((name, text?)))))
}

fn require_size(text: Option<&SecretText>) -> Result<(), Failure> {
    within(SECRET_LIMIT, "value", text.map(SecretText::expose))
}

pub fn require_short(field: &str, text: Option<&str>) -> Result<(), Failure> {
    within(CLEAR_LIMIT, field, text)
}

fn within(limit: usize, field: &str, text: Option<&str>) -> Result<(), Failure> {
    match text.filter(|text| text.len() > limit) {
        Some(_) => {
            Err(Failure::Told(StatusCode::PAYLOAD_TOO_LARGE, format!("{field} must not be longer than {limit} bytes")))
        }
        None => Ok(()),
    }
}

/// Any JSON, as text.
pub fn metadata(body: &Fields<'_>) -> Result<Option<String>, Failure> {
    let text = body.compact("metadata");
    if text.as_ref().is_some_and(|text| text.expose().chars().count() > CLEAR_LIMIT) {
        return Err(Failure::bad(format!("metadata must not be longer than {CLEAR_LIMIT} characters")));
    }
    Ok(text.map(|text| text.expose().to_owned()))
}
