//! How the REST server and the webhook show who they are: plain HTTP, files, or a certificate of Strongroom's own.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Given, Refused, refuse};
use crate::domain::authority::AlternativeName;

/// A pair of PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// How REST callers are met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestTls {
    Plain,
    Files(CertificateFiles),
    Own(Vec<AlternativeName>),
}

impl RestTls {
    pub(super) fn given(given: &Given, listen: SocketAddr) -> Result<Self, Refused> {
        let files = match (&given.tls_cert, &given.tls_key) {
            (Some(chain), Some(key)) => Some(CertificateFiles { chain: chain.clone(), key: key.clone() }),
            (None, None) => None,
            (Some(_), None) => return refuse("--tls-cert needs --tls-key beside it"),
            (None, Some(_)) => return refuse("--tls-key needs --tls-cert beside it"),
        };
        match (given.plain_http.unwrap_or(false), files) {
            (true, Some(_)) => refuse("--plain-http and --tls-cert contradict each other"),
            (true, None) if !listen.ip().is_loopback() => {
                refuse(format!("--plain-http is for loopback addresses only, and --listen is {listen}"))
            }
            (true, None) => Ok(Self::Plain),
            (false, Some(files)) => Ok(Self::Files(files)),
            (false, None) => {
                names("--tls-name", given.tls_name.as_deref(), &["localhost", "127.0.0.1", "::1"]).map(Self::Own)
            }
        }
    }
}

pub(super) fn names(flag: &str, given: Option<&[String]>, default: &[&str]) -> Result<Vec<AlternativeName>, Refused> {
    let texts = given.map_or_else(|| default.iter().map(ToString::to_string).collect(), <[String]>::to_vec);
    if texts.is_empty() {
        return refuse(format!("{flag} needs at least one name"));
    }
    let parse = |text: &String| {
        AlternativeName::parse(text).ok_or_else(|| Refused(format!("{flag}: {text:?} is no host name or address")))
    };
    texts.iter().map(parse).collect()
}
