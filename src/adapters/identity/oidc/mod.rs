//! Bearer tokens of issuers that are believed: UAA, or any of OpenID Connect. A token is of the issuer that it names, and
//! of nobody if that issuer's keys have not signed it; what such a token says is `domain::oidc`'s.

mod fetch;
mod issuer;
mod keys;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use crate::adapters::identity::oidc::issuer::Issuer;
use crate::adapters::identity::oidc::keys::Keys;
use crate::adapters::identity::oidc::token::Token;
use crate::app::ports::{Clock, Issuers};
use crate::domain::Result;
use crate::domain::oidc::{Verdict, Vouched};
use crate::domain::secret::SecretText;
pub use fetch::{KeysFrom, Place};
pub use issuer::Believed;

/// Tokens that were right once, by their digest: the next request with one of them verifies no signature.
const KEPT: usize = 16 * 1024;

pub struct OidcIssuers {
    issuers: Vec<Arc<Issuer>>,
    verified: Cache<[u8; 32], Arc<Verified>>,
    clock: Arc<dyn Clock>,
}

/// Holds as long as its issuer has the keys under which it was verified.
struct Verified {
    issuer: Arc<Issuer>,
    keys: Arc<Keys>,
    vouched: Vouched,
}

impl Verified {
    fn holds(&self) -> bool {
        self.issuer.has(&self.keys)
    }
}

impl OidcIssuers {
    /// Asks nobody yet. The error says which of the settings cannot be used.
    pub fn new(all: Vec<Believed>, clock: Arc<dyn Clock>) -> std::result::Result<Self, String> {
        let issuers: Vec<_> = all.into_iter().map(|believed| Arc::new(Issuer::new(believed, clock.clone()))).collect();
        for issuer in &issuers {
            issuer.check().map_err(|why| format!("{}: {why}", issuer.believed.place.url))?;
        }
        Ok(Self { issuers, verified: Cache::new(KEPT), clock })
    }

    /// Reads the keys of all, and reads them again now and then, for as long as this is used.
    pub fn keep_fresh(&self) {
        for issuer in &self.issuers {
            tokio::spawn(Issuer::keep_fresh(Arc::downgrade(issuer)));
        }
    }

    /// `None`: it is wrong, and nobody is told why.
    async fn verify(&self, text: &str, issuer: &Arc<Issuer>) -> Result<Option<Verified>> {
        let Some(token) = Token::read(text) else { return Ok(None) };
        let known = issuer.keys_for(&token).await?;
        if known.name != token.issuer || !known.keys.verify(&token) {
            return Ok(None);
        }
        let vouched = issuer.believed.terms.vouch(&token.claims);
        Ok(vouched.map(|vouched| Verified { issuer: issuer.clone(), keys: known.keys, vouched }))
    }
}

#[async_trait]
impl Issuers for OidcIssuers {
    async fn judge(&self, token: &SecretText) -> Result<Verdict> {
        let text = token.expose();
        let key = key(text);
        if let Some(verified) = self.verified.get(&key).filter(|verified| verified.holds()) {
            return Ok(verified.vouched.at(self.clock.now()));
        }
        let name = Token::issuer(text);
        let Some(issuer) = name.and_then(|name| self.issuers.iter().find(|issuer| issuer.is(&name))) else {
            return Ok(Verdict::Foreign);
        };
        let Some(verified) = self.verify(text, issuer).await? else { return Ok(Verdict::Refused) };
        let verdict = verified.vouched.at(self.clock.now());
        self.verified.insert(key, Arc::new(verified));
        Ok(verdict)
    }
}

/// What stands for a token in memory.
fn key(text: &str) -> [u8; 32] {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().unwrap_or([0; 32])
}
