//! kmsauth: callers that a key service vouches for. Knows what a token must say and remembers those that were right;
//! how a ciphertext is opened is the port's.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::app::ports::{Clock, TokenService};
use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::kmsauth::{Claim, Terms, Window};
use crate::domain::name::Tenant;
use crate::domain::secret::{SecretBytes, SecretText};
use crate::domain::{Error, Result};

/// Tokens that are remembered, so that a caller costs one call of the key service for each of its tokens.
const KEPT: usize = 4096;
/// In base64. KMS encrypts 4 KiB at most, and a token has less than 100 bytes.
const SIZE_LIMIT: usize = 8 * 1024;

pub struct Kmsauth {
    service: Arc<dyn TokenService>,
    terms: Terms,
    clock: Arc<dyn Clock>,
    accepted: Cache<[u8; 32], Arc<Accepted>>,
}

/// What is in a token that was right once. Whether it still counts is asked at each use.
struct Accepted {
    window: Window,
    account: Option<String>,
}

/// The plaintext; what else a client puts into it is not for us.
#[derive(Serialize, Deserialize)]
struct Payload {
    not_before: String,
    not_after: String,
}

/// Why a token was not taken in: not told to its sender, and told apart here only to know what may be tried again.
enum Missed {
    Refused,
    Failed(Error),
}

impl Kmsauth {
    pub fn new(service: Arc<dyn TokenService>, terms: Terms, clock: Arc<dyn Clock>) -> Self {
        Self { service, terms, clock, accepted: Cache::new(KEPT) }
    }

    /// Who this user name and token are. `None` for whatever reason.
    pub async fn authenticate(&self, username: &str, token: &SecretText) -> Result<Option<Actor>> {
        let Some(claim) = Claim::parse(username).filter(|claim| self.terms.admit(claim)) else { return Ok(None) };
        let size = token.expose().len();
        if size == 0 || size > SIZE_LIMIT {
            return Ok(None);
        }
        let key = self.cache_key(&claim, token);
        // Of those who show one token at the same time, one asks and the others wait for its answer.
        let found = self.accepted.get_or_insert_async(&key, self.open(&claim, token)).await;
        let accepted = match found {
            Ok(accepted) => accepted,
            Err(Missed::Refused) => return Ok(None),
            Err(Missed::Failed(error)) => return Err(error),
        };
        let counts = self.terms.accepts(&accepted.window, self.clock.now());
        Ok(counts.then(|| Actor {
            id: claim.from,
            tenant: Tenant::outside(),
            scheme: Scheme::Kmsauth,
            standing: Standing::Principal { kind: claim.kind, account: accepted.account.clone() },
            from: None,
        }))
    }

    async fn open(&self, claim: &Claim, token: &SecretText) -> Result<Arc<Accepted>, Missed> {
        let sealed = BASE64_STANDARD.decode(token.expose().trim()).map_err(|_| Missed::Refused)?;
        let opened = self.service.open(&sealed, &claim.context(&self.terms.to)).await.map_err(Missed::Failed)?;
        let opened = opened.ok_or(Missed::Refused)?;
        let known = self.terms.vouching(claim, &opened.keys).ok_or(Missed::Refused)?;
        let payload: Payload = serde_json::from_slice(opened.plain.expose()).map_err(|_| Missed::Refused)?;
        let window = Window::parse(&payload.not_before, &payload.not_after);
        let window = window.filter(|window| self.terms.accepts(window, self.clock.now())).ok_or(Missed::Refused)?;
        Ok(Arc::new(Accepted { window, account: known.account.clone() }))
    }

    /// A token makes one caller of one version only. Each part after its length: no two claims have one key.
    fn cache_key(&self, claim: &Claim, token: &SecretText) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let version = claim.version.to_string();
        for part in [token.expose(), &claim.from, &self.terms.to, claim.kind.as_str(), &version] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.finish().as_ref().try_into().unwrap_or([0; 32])
    }
}

/// What a caller presents, made by whoever may use the key.
pub async fn make(
    service: &dyn TokenService,
    key: &str,
    claim: &Claim,
    to: &str,
    window: Window,
) -> Result<SecretText> {
    let [not_before, not_after] = window.texts();
    let plain = serde_json::to_vec(&Payload { not_before, not_after }).map_err(Error::internal)?;
    let token = service.make(key, &SecretBytes::new(plain), &claim.context(to)).await?;
    Ok(SecretText::new(BASE64_STANDARD.encode(token)))
}

#[cfg(test)]
mod tests;
