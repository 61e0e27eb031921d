//! What callers want made: modes, and the parameters of each type.

use crate::api::credhub::error::Failure;
use crate::api::credhub::wire::fields::Fields;
use crate::api::credhub::wire::name;
use crate::api::credhub::wire::value::require_short;
use crate::app::by_path::Mode;
use crate::domain::authority::DistinguishedName;
use crate::domain::authority::credhub::Parameters;
use crate::domain::credential::generate::{LENGTH_DEFAULT, LENGTH_MAX, LENGTH_MIN, RSA_BITS};
use crate::domain::credential::{Characters, Generate, Kind};

/// Of what stands behind a key in `authorized_keys`.
const COMMENT_LIMIT: usize = 1024;

pub fn mode(body: &Fields<'_>) -> Result<Mode, Failure> {
    let (mode, overwrite) = (body.text("mode")?, body.boolean("overwrite")?);
    match (mode.as_deref(), overwrite) {
        (Some(_), Some(_)) => Err(Failure::bad("mode and overwrite cannot both be given")),
        (None, None) | (Some("converge"), None) => Ok(Mode::Converge),
        (Some("overwrite"), None) | (None, Some(true)) => Ok(Mode::Overwrite),
        (Some("no-overwrite"), None) | (None, Some(false)) => Ok(Mode::NoOverwrite),
        (Some(_), None) => Err(Failure::bad("mode must be converge, overwrite or no-overwrite")),
    }
}

/// `body`: of the whole request.
pub fn wish(kind: Kind, body: &Fields<'_>) -> Result<Generate, Failure> {
    let parameters = body.inside("parameters")?;
    let parameters = parameters.as_ref();
    if kind != Kind::User && body.raw("value").is_some() {
        return Err(Failure::bad("value is not a parameter of this request; leave it out"));
    }
    Ok(match kind {
        Kind::Password => Generate::Password(characters(parameters, &[])?),
        Kind::User => user(parameters, body)?,
        Kind::Rsa => Generate::Rsa { bits: bits(parameters, &[])? },
        Kind::Ssh => Generate::Ssh { bits: bits(parameters, &["ssh_comment"])?, comment: comment(parameters)? },
        Kind::Certificate => {
            let fields = parameters.ok_or_else(|| Failure::bad("parameters must be given"))?;
            Generate::Certificate(Box::new(certificate(fields)?.request()?))
        }
        Kind::Value | Kind::Json | Kind::Pairs => {
            return Err(Failure::bad("type is one that can be set, but not generated"));
        }
    })
}

const CHARACTERS: [&str; 5] = ["length", "include_special", "exclude_number", "exclude_upper", "exclude_lower"];

fn characters(fields: Option<&Fields<'_>>, others: &[&str]) -> Result<Characters, Failure> {
    let Some(fields) = fields else { return Ok(Characters::default()) };
    fields.only(&[&CHARACTERS, others].concat())?;
    let is = |name: &str| Ok::<_, Failure>(fields.boolean(name)?.unwrap_or(false));
    let length = fields.integer("length")?.and_then(|length| u16::try_from(length).ok());
    let characters = Characters {
        // CredHub takes its own length for one that is out of range.
        length: length.filter(|length| (LENGTH_MIN..=LENGTH_MAX).contains(length)).unwrap_or(LENGTH_DEFAULT),
        special: is("include_special")?,
        digits: !is("exclude_number")?,
        upper: !is("exclude_upper")?,
        lower: !is("exclude_lower")?,
    };
    let Characters { special, digits, upper, lower, .. } = characters;
    if !(special || digits || upper || lower) {
        return Err(Failure::bad("parameters leave no characters to choose from: exclude fewer, or include_special"));
    }
    Ok(characters)
}

/// The name may stand in `value`, where it counts first, or in the parameters.
fn user(parameters: Option<&Fields<'_>>, body: &Fields<'_>) -> Result<Generate, Failure> {
    let characters = characters(parameters, &["username"])?;
    let named =
        |fields: Option<&Fields<'_>>| Ok::<_, Failure>(fields.map(|it| it.text("username")).transpose()?.flatten());
    let value = body.inside("value")?;
    value.as_ref().map_or(Ok(()), |value| value.only(&["username"]))?;
    let username = named(value.as_ref())?.or(named(parameters)?).filter(|name| !name.is_empty());
    require_short("username", username.as_deref())?;
    Ok(Generate::User { username, characters })
}

fn bits(fields: Option<&Fields<'_>>, others: &[&str]) -> Result<u16, Failure> {
    let Some(fields) = fields else { return Ok(2048) };
    fields.only(&[&["key_length"], others].concat())?;
    let Some(length) = fields.integer("key_length")? else { return Ok(2048) };
    let known = RSA_BITS.into_iter().find(|bits| i64::from(*bits) == length);
    known.ok_or_else(|| Failure::bad("key_length must be 2048, 3072 or 4096"))
}

/// Whoever makes the key looks at it again, but not where the key that is there will do.
fn comment(fields: Option<&Fields<'_>>) -> Result<Option<String>, Failure> {
    let comment = fields.map(|fields| fields.text("ssh_comment")).transpose()?.flatten();
    let comment = comment.filter(|comment| !comment.is_empty());
    match &comment {
        Some(text) if text.len() > COMMENT_LIMIT || text.chars().any(char::is_control) => {
            Err(Failure::bad(format!("ssh_comment must be one line of at most {COMMENT_LIMIT} bytes")))
        }
        _ => Ok(comment),
    }
}

const CERTIFICATE: [&str; 14] = [
    "common_name",
    "organization",
    "organization_unit",
    "locality",
    "state",
    "country",
    "alternative_names",
    "key_usage",
    "extended_key_usage",
    "key_length",
    "duration",
    "ca",
    "is_ca",
    "self_sign",
];

fn certificate(fields: &Fields<'_>) -> Result<Parameters, Failure> {
    fields.only(&CERTIFICATE)?;
    let ca = fields.text("ca")?.filter(|ca| !ca.is_empty());
    Ok(Parameters {
        subject: DistinguishedName {
            common_name: fields.text("common_name")?,
            organization: fields.text("organization")?,
            organizational_unit: fields.text("organization_unit")?,
            locality: fields.text("locality")?,
            state: fields.text("state")?,
            country: fields.text("country")?,
        },
        alternative_names: fields.texts("alternative_names")?,
        key_usage: fields.texts("key_usage")?,
        extended_key_usage: fields.texts("extended_key_usage")?,
        key_length: fields.integer("key_length")?,
        duration: fields.integer("duration")?,
        ca: ca.as_deref().map(name::path).transpose()?,
        is_ca: fields.boolean("is_ca")?.unwrap_or(false),
        self_sign: fields.boolean("self_sign")?.unwrap_or(false),
    })
}
