//! Callers' tokens in AWS KMS, as Confidant's clients make them: Encrypt with an encryption context there, Decrypt here.
//! Every call is a caller's, not ours: what fails because of a token is no trouble, and what is trouble must not look like
//! a wrong token.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use tokio::sync::OnceCell;

use super::failure::Failure;
use super::turns::Turns;
use super::{client, later, refuse, region_of, usable};
use crate::app::ports::{OpenedToken, TokenContext, TokenService};
use crate::domain::secret::SecretBytes;
use crate::domain::{Error, Result};

/// Where AWS KMS answers, and the keys that may vouch for callers: ARNs, ids or aliases.
#[derive(Clone, Debug)]
pub struct TokenPlace {
    pub keys: Vec<String>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

pub struct AwsTokens {
    place: TokenPlace,
    client: OnceCell<Client>,
    /// By ARN, what the settings call a key. Asked for once: an alias that is moved counts after a restart.
    keys: OnceCell<BTreeMap<String, Vec<String>>>,
    pub(super) turns: Turns,
}

impl AwsTokens {
    /// Asks nobody yet: other callers do not have to wait until KMS answers.
    pub fn new(place: TokenPlace) -> Self {
        Self { place, client: OnceCell::new(), keys: OnceCell::new(), turns: Turns::default() }
    }

    /// The same through a client that is there already.
    pub fn with(client: Client, keys: Vec<String>) -> Self {
        let place = TokenPlace { keys, endpoint: None, region: None };
        Self { client: OnceCell::new_with(Some(client)), ..Self::new(place) }
    }

    /// Of those that were made with a single key.
    pub(super) async fn only_key(&self) -> Result<&str> {
        let known = self.keys().await?.keys().next();
        known.map(String::as_str).ok_or_else(|| Error::internal("no key was given"))
    }

    pub(super) async fn client(&self) -> Result<&Client> {
        let region = self.place.region.clone();
        let region = region.or_else(|| self.place.keys.iter().find_map(|key| region_of(key)).map(str::to_owned));
        self.client.get_or_try_init(|| client::build(self.place.endpoint.clone(), region)).await
    }

    async fn keys(&self) -> Result<&BTreeMap<String, Vec<String>>> {
        let find = || async {
            let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for name in &self.place.keys {
                found.entry(self.arn(name).await?).or_default().push(name.clone());
            }
            Ok(found)
        };
        self.keys.get_or_try_init(find).await
    }

    async fn arn(&self, name: &str) -> Result<String> {
        if is_key_arn(name) {
            return Ok(name.to_owned());
        }
        let client = self.client().await?;
        let described = self.turns.call(|| client.describe_key().key_id(name).send()).await?;
        match described.map(|described| described.key_metadata) {
            Ok(Some(about)) => usable(about),
            Ok(None) => Err(later("KMS describes a key without saying anything")),
            Err(failure) => Err(trouble(name, failure)),
        }
    }
}

fn owned(context: &TokenContext<'_>) -> HashMap<String, String> {
    context.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn is_key_arn(name: &str) -> bool {
    name.starts_with("arn:") && name.contains(":key/")
}

/// What is no token's fault. Whoever calls has to wait, whether time mends it or somebody must.
pub(super) fn trouble(key: &str, failure: Failure) -> Error {
    let why = match failure {
        Failure::Later(why) | Failure::Denied(why) | Failure::Refused(why) | Failure::Stranger(why) => why,
        Failure::Foreign => "is of another account or context".into(),
    };
    later(format!("KMS key {key}: {why}"))
}

#[async_trait]
impl TokenService for AwsTokens {
    async fn find_keys(&self) -> Result<()> {
        self.keys().await.map(drop)
    }

    async fn open(&self, token: &[u8], context: &TokenContext<'_>) -> Result<Option<OpenedToken>> {
        let (client, known) = (self.client().await?, self.keys().await?);
        let ask = || {
            // No key is named: KMS reads it in the token, and says which it was.
            let request = client.decrypt().ciphertext_blob(Blob::new(token));
            request.set_encryption_context(Some(owned(context))).send()
        };
        let opened = match self.turns.call(ask).await? {
            Ok(opened) => opened,
            Err(failure @ (Failure::Later(_) | Failure::Stranger(_))) => return Err(trouble("of a token", failure)),
            // Of somebody else's key, perhaps, which we may not use: whoever sent it chose that key.
            Err(Failure::Denied(why) | Failure::Refused(why)) => {
                tracing::info!(%why, "KMS does not open a caller's token");
                return Ok(None);
            }
            Err(Failure::Foreign) => return Ok(None),
        };
        let keys = opened.key_id.and_then(|arn| known.get(&arn)).cloned().unwrap_or_default();
        let plain = opened.plaintext.map(|plain| SecretBytes::new(plain.into_inner()));
        Ok(plain.map(|plain| OpenedToken { plain, keys }))
    }

    async fn make(&self, key: &str, plain: &SecretBytes, context: &TokenContext<'_>) -> Result<Vec<u8>> {
        let client = self.client().await?;
        let ask = || {
            let request = client.encrypt().key_id(key).set_encryption_context(Some(owned(context)));
            request.plaintext(Blob::new(plain.expose())).send()
        };
        let made = self.turns.call(ask).await?.map_err(|failure| match failure {
            Failure::Later(_) => trouble(key, failure),
            Failure::Denied(_) => refuse(key, "may not be used with these credentials; allow kms:Encrypt on it"),
            Failure::Refused(why) | Failure::Stranger(why) => refuse(key, why),
            Failure::Foreign => refuse(key, "is no key of this account"),
        })?;
        made.ciphertext_blob.map(Blob::into_inner).ok_or_else(|| later("KMS encrypts without saying anything"))
    }
}
