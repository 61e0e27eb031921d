//! kmsauth as the settings say: where its keys are, and the first look at them.

use std::sync::Arc;

use crate::adapters::kms::aws::tokens::{AwsTokens, TokenPlace};
use crate::adapters::kms::local::tokens::KeyFileTokens;
use crate::app::kmsauth::Kmsauth;
use crate::app::ports::{Clock, TokenService};
use crate::config::confidant::{Kmsauth as Given, TokenKeys};
use crate::domain::entropy::Entropy;
use crate::domain::{Error, Result};

/// Whether a key file that is not there is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Make,
    Refuse,
}

/// AWS is not asked before the first token needs it: whoever calls otherwise does not wait for it.
pub fn tokens(given: &Given, entropy: Arc<dyn Entropy>, missing: Missing) -> Result<Arc<dyn TokenService>> {
    let mut names: Vec<String> = given.terms.keys.iter().map(|known| known.key.clone()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(match &given.keys {
        TokenKeys::File(path) if missing == Missing::Make => {
            Arc::new(KeyFileTokens::open_or_create(path, &names, entropy)?)
        }
        TokenKeys::File(path) => Arc::new(KeyFileTokens::open(path, &names, entropy)?),
        TokenKeys::Aws { endpoint, region } => {
            Arc::new(AwsTokens::new(TokenPlace { keys: names, endpoint: endpoint.clone(), region: region.clone() }))
        }
    })
}

/// For those who answer callers. Says aloud what is wrong with the keys, and lets others call meanwhile.
pub fn open(given: &Given, entropy: Arc<dyn Entropy>, clock: Arc<dyn Clock>) -> Result<Kmsauth> {
    let service = tokens(given, entropy, Missing::Make)?;
    let looked_at = service.clone();
    tokio::spawn(async move {
        if let Err(error) = looked_at.find_keys().await {
            log(&error);
        }
    });
    Ok(Kmsauth::new(service, given.terms.clone(), clock))
}

fn log(error: &Error) {
    let detail = error.detail().unwrap_or_default();
    tracing::error!(%error, %detail, "the keys of confidant.kmsauth cannot be used; callers' tokens answer 503");
}
