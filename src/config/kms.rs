//! A root key in AWS KMS: which settings go together, and that data keys cross no network in plain text.

use jiff::SignedDuration;

use super::settings::duration;
use super::{Given, Refused, refuse};

/// A key in AWS KMS as the root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKey {
    pub key: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub outage_limit: SignedDuration,
}

impl KmsKey {
    pub(super) fn given(given: &Given) -> Result<Option<Self>, Refused> {
        let Some(key) = &given.kms_key else {
            let alone = [
                ("--kms-endpoint", given.kms_endpoint.is_some()),
                ("--kms-region", given.kms_region.is_some()),
                ("--kms-outage-limit", given.kms_outage_limit.is_some()),
            ];
            return match alone.into_iter().find(|(_, is_given)| *is_given) {
                Some((flag, _)) => refuse(format!("{flag} needs --kms-key beside it")),
                None => Ok(None),
            };
        };
        if given.key_file.is_some() {
            return refuse("--kms-key and --key-file exclude each other: there is one root key");
        }
        if key.is_empty() || key.len() > 2048 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse(format!("--kms-key: {key:?} is no ARN, id or alias of a key"));
        }
        let region = given.kms_region.clone();
        if let Some(region) = &region {
            check_region("--kms-region", region)?;
        }
        if let Some(endpoint) = &given.kms_endpoint {
            check_endpoint("--kms-endpoint", endpoint)?;
        }
        Ok(Some(Self {
            key: key.clone(),
            endpoint: given.kms_endpoint.clone(),
            region,
            // One check-in a second goes with the shortest.
            outage_limit: duration(
                "--kms-outage-limit",
                given.kms_outage_limit.as_deref().unwrap_or("24h"),
                "24h or 30m, of 4s or more",
                |limit| *limit >= SignedDuration::from_secs(4),
            )?,
        }))
    }
}

pub(super) fn check_region(flag: &str, text: &str) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(plain) {
        return refuse(format!("{flag}: {text:?} is no region such as eu-west-1"));
    }
    Ok(())
}

/// Data keys and callers' tokens cross such a connection in plain text, and an issuer's keys unsigned.
pub(super) fn check_endpoint(flag: &str, text: &str) -> Result<(), Refused> {
    let uri: Option<http::Uri> = text.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).map(|host| host.trim_matches(['[', ']']));
    let is_loopback = host.is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    match (uri.as_ref().and_then(http::Uri::scheme_str), host) {
        (Some("https"), Some(_)) => Ok(()),
        (Some("http"), Some(_)) if is_loopback => Ok(()),
        (Some("http"), Some(_)) => refuse(format!("{flag}: {text:?} is not https, and not on loopback")),
        _ => refuse(format!("{flag}: {text:?} is no address such as https://host.example")),
    }
}
