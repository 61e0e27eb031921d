//! `credhub.auth.issuers`: whose bearer tokens are believed, where their keys are, and what their tokens must say. Names
//! files; opens none.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::kms::check_endpoint;
use crate::config::{Refused, refuse};
use crate::domain::oidc::Terms;

/// Complete and valid.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Given")]
pub struct Issuer {
    /// Without a slash at its end.
    pub url: String,
    /// The claim `iss`; absent: what its document says.
    pub name: Option<String>,
    pub keys: IssuerKeys,
    pub ca_file: Option<PathBuf>,
    pub terms: Terms,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerKeys {
    Discovery,
    Set(String),
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Given {
    url: String,
    issuer: Option<String>,
    jwks_url: Option<String>,
    key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    audiences: Vec<String>,
    required_scopes: Option<Vec<String>>,
    actor_prefix: Option<String>,
}

/// What CredHub asks of every caller.
const SCOPES: [&str; 2] = ["credhub.read", "credhub.write"];
/// What CredHub calls the callers of its one issuer.
const PREFIX: &str = "uaa";
/// Callers that are known by a certificate begin with it.
const TAKEN: &str = "mtls";
const PREFIX_LIMIT: usize = 32;

impl TryFrom<Given> for Issuer {
    type Error = Refused;

    fn try_from(given: Given) -> Result<Self, Refused> {
        let url = given.url.trim_end_matches('/').to_owned();
        check_url("url", &url)?;
        let keys = match (given.jwks_url, given.key_file) {
            (Some(_), Some(_)) => {
                return refuse("credhub.auth.issuers: jwksUrl and keyFile exclude each other: keys are in one place");
            }
            (None, Some(_)) if given.ca_file.is_some() => {
                return refuse("credhub.auth.issuers: caFile is for asking an issuer, and with keyFile none is asked");
            }
            (Some(url), None) => {
                check_endpoint("credhub.auth.issuers.jwksUrl", &url)?;
                IssuerKeys::Set(url)
            }
            (None, Some(path)) => IssuerKeys::File(path),
            (None, None) => IssuerKeys::Discovery,
        };
        // Without a document nothing else says what stands in its tokens.
        let name = given.issuer.or_else(|| (keys != IssuerKeys::Discovery).then_some(given.url));
        let scopes = given.required_scopes.unwrap_or_else(|| SCOPES.map(str::to_owned).to_vec());
        let prefix = given.actor_prefix.unwrap_or_else(|| PREFIX.to_owned());
        check_words("issuer", name.as_slice(), |_| true)?;
        check_words("audiences", &given.audiences, |_| true)?;
        check_words("requiredScopes", &scopes, |letter| letter.is_ascii_graphic())?;
        check_prefix(&prefix)?;
        Ok(Self {
            url,
            name,
            keys,
            ca_file: given.ca_file,
            terms: Terms { audiences: given.audiences, scopes, prefix },
        })
    }
}

/// Paths are added to it.
fn check_url(field: &str, url: &str) -> Result<(), Refused> {
    let setting = format!("credhub.auth.issuers.{field}");
    check_endpoint(&setting, url)?;
    if url.contains(['?', '#', '@']) {
        return refuse(format!("{setting}: {url:?} has more than a host and a path"));
    }
    Ok(())
}

fn check_words(field: &str, words: &[String], plain: fn(char) -> bool) -> Result<(), Refused> {
    match words.iter().find(|word| word.is_empty() || word.chars().any(|letter| letter.is_control() || !plain(letter)))
    {
        Some(word) => refuse(format!("credhub.auth.issuers.{field}: {word:?} can stand in no token")),
        None => Ok(()),
    }
}

fn check_prefix(prefix: &str) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=PREFIX_LIMIT).contains(&prefix.len()) || !prefix.bytes().all(plain) || prefix == TAKEN {
        return refuse(format!(
            "credhub.auth.issuers.actorPrefix: {prefix:?} must have 1 to {PREFIX_LIMIT} of a-z, 0-9 and -, and not be {TAKEN}"
        ));
    }
    Ok(())
}
