//! Issuers of tokens as the settings say, and the tasks that keep their keys fresh.

use std::sync::Arc;

use anyhow::anyhow;

use crate::adapters::identity::OidcIssuers;
use crate::adapters::identity::oidc::{Believed, KeysFrom, Place};
use crate::app::ports::{Clock, Issuers};
use crate::config::credhub::{Issuer, IssuerKeys};

/// `None`: nobody's tokens are believed. An issuer that is away does not keep the server from its start.
pub fn open(given: &[Issuer], clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Arc<dyn Issuers>>> {
    if given.is_empty() {
        return Ok(None);
    }
    let issuers = OidcIssuers::new(given.iter().map(believed).collect(), clock.clone());
    let issuers = issuers.map_err(|why| anyhow!("credhub.auth.issuers: {why}"))?;
    issuers.keep_fresh();
    Ok(Some(Arc::new(issuers)))
}

fn believed(given: &Issuer) -> Believed {
    let Issuer { url, name, keys, ca_file, terms } = given.clone();
    let keys = match keys {
        IssuerKeys::Discovery => KeysFrom::Discovery,
        IssuerKeys::Set(url) => KeysFrom::Set(url),
        IssuerKeys::File(path) => KeysFrom::File(path),
    };
    Believed { place: Place { url, keys, ca: ca_file }, name, terms }
}
