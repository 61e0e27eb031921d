//! Where an issuer's keys come from: its discovery document (OpenID Connect Discovery 1.0), a set at a known address, or a
//! file. An answer is bounded, and redirects lead nowhere.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;

use super::keys::Keys;
use crate::adapters::roots;

const ANSWER: Duration = Duration::from_secs(5);
/// UAA's sets have a few KiB.
const SIZE_MAX: usize = 512 * 1024;
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Where UAA lists its keys, if its document does not say.
const TOKEN_KEYS: &str = "/token_keys";

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    /// Where the issuer's document says.
    Discovery,
    Set(String),
    /// One public key in PEM.
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Without a slash at its end.
    pub url: String,
    pub keys: KeysFrom,
    /// Of the roots by which its servers are known, in PEM; absent: the usual ones.
    pub ca: Option<PathBuf>,
}

/// What was found.
pub struct Found {
    /// The claim `iss` of its tokens, if the document was asked for it.
    pub name: Option<String>,
    pub keys: Keys,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
}

impl Place {
    /// The errors name what was asked, and nothing of the answer.
    pub async fn ask(&self) -> Result<Found, String> {
        match &self.keys {
            KeysFrom::File(path) => Ok(Found { name: None, keys: of_file(path)? }),
            KeysFrom::Set(url) => Ok(Found { name: None, keys: set(&self.client()?, url).await? }),
            KeysFrom::Discovery => self.discover().await,
        }
    }

    async fn discover(&self) -> Result<Found, String> {
        let (http, url) = (self.client()?, format!("{}{DISCOVERY}", self.url));
        let document: Document = serde_json::from_slice(&get(&http, &url).await?)
            .map_err(|_| format!("{url} is no document of an issuer"))?;
        if document.issuer.is_empty() {
            return Err(format!("{url} names no issuer"));
        }
        let keys = document.jwks_uri.unwrap_or_else(|| format!("{}{TOKEN_KEYS}", self.url));
        Ok(Found { name: Some(document.issuer), keys: set(&http, &keys).await? })
    }

    /// Made anew each time, so that roots that were replaced count.
    pub fn client(&self) -> Result<Client, String> {
        let roots = match &self.ca {
            Some(path) => {
                let unusable = |why: &dyn std::fmt::Display| format!("caFile {}: {why}", path.display());
                let text = std::fs::read(path).map_err(|error| unusable(&error))?;
                let roots = Certificate::from_pem_bundle(&text).map_err(|_| unusable(&"is not PEM"))?;
                if roots.is_empty() {
                    return Err(unusable(&"holds no certificate in PEM"));
                }
                roots
            }
            None => roots::certificates().map_err(|error| error.to_string())?,
        };
        let client = Client::builder().tls_certs_only(roots).timeout(ANSWER).redirect(Policy::none());
        client.build().map_err(|error| error.to_string())
    }
}

pub fn of_file(path: &PathBuf) -> Result<Keys, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("keyFile {}: {error}", path.display()))?;
    Keys::of_pem(&text).map_err(|why| format!("keyFile {}: {why}", path.display()))
}

async fn set(http: &Client, url: &str) -> Result<Keys, String> {
    Keys::of_set(&get(http, url).await?).map_err(|why| format!("{url} cannot be used: {why}"))
}

async fn get(http: &Client, url: &str) -> Result<Vec<u8>, String> {
    let parsed = Url::parse(url).ok().filter(is_safe);
    let parsed = parsed.ok_or_else(|| format!("{url:?} is not https, and not on loopback"))?;
    let failed = |error: reqwest::Error| format!("{url}: {}", described(&error));
    let mut answer = http.get(parsed).header("accept", "application/json").send().await.map_err(failed)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("{url} was answered with {}", answer.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > SIZE_MAX {
            return Err(format!("{url}: the answer has no end"));
        }
    }
    Ok(bytes)
}

/// Whoever stands between could give us keys of their own.
fn is_safe(url: &Url) -> bool {
    let is_loopback = match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

/// The innermost reason: the outer ones say that sending has failed.
fn described(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
