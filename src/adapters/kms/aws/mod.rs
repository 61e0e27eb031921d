//! The root key in AWS KMS: it never leaves there, and every wrap and unwrap is a call.
//!
//! The context becomes the encryption context, which KMS authenticates and writes into CloudTrail as it is.
//! Never makes, enables or changes a key. Every call names the key by its ARN, and an answer that names another
//! is not believed.

mod client;
mod failure;
pub mod grants;
pub mod iam;
mod pace;
pub mod tokens;
mod turns;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::operation::describe_key::DescribeKeyOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType};

use crate::app::custody::KEY_SERVICE;
use crate::app::ports::KeyService;
use crate::domain::secret::SecretBytes;
use crate::domain::{Error, Result};
use failure::Failure;
use pace::Pace;

/// The one entry of the encryption context. Part of what is wrapped: it can never change.
const CONTEXT: &str = "strongroom";

/// Which key, and where. Credentials come from where the AWS SDKs look for them.
pub struct Place {
    key: String,
    endpoint: Option<String>,
    region: Option<String>,
    /// Of everybody who goes there, however often they begin again.
    pace: Arc<Pace>,
}

impl Place {
    /// `key` is an ARN, an id or an alias; without a region it is the one that an ARN names, else the SDK's.
    pub fn new(key: impl Into<String>, endpoint: Option<String>, region: Option<String>) -> Self {
        Self { key: key.into(), endpoint, region, pace: Arc::default() }
    }

    fn region(&self) -> Result<Option<String>> {
        let named = region_of(&self.key);
        match (&self.region, named) {
            (Some(given), Some(named)) if given != named => {
                Err(refuse(&self.key, format!("is in region {named}, and --kms-region says {given}")))
            }
            (given, named) => Ok(given.clone().or_else(|| named.map(str::to_owned))),
        }
    }

    fn is_key_arn(&self) -> bool {
        self.key.starts_with("arn:") && self.key.contains(":key/")
    }
}

/// `arn:aws:kms:REGION:ACCOUNT:key/ID`, or the same of an alias.
fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
}

pub struct AwsKms {
    client: Client,
    arn: String,
    pace: Arc<Pace>,
}

impl AwsKms {
    /// Finds the key and makes sure that it can be used: one call. What only time can mend is
    /// `Error::Unavailable`, what somebody must mend is `Error::Invalid` and names the key.
    pub async fn connect(place: &Place) -> Result<Self> {
        let region = place.region()?;
        Self::with(client::build(place.endpoint.clone(), region).await?, place).await
    }

    /// The same through a client that is there already.
    pub async fn with(client: Client, place: &Place) -> Result<Self> {
        let pace = place.pace.clone();
        let asked = pace.call(|| client.describe_key().key_id(&place.key).send()).await;
        let arn = match asked {
            Ok(DescribeKeyOutput { key_metadata: Some(about), .. }) => usable(about)?,
            // To describe a key is a right of its own, and not needed where the ARN is known.
            Err(Failure::Denied(_)) if place.is_key_arn() => place.key.clone(),
            Ok(_) => return Err(later("KMS describes the key without saying anything")),
            Err(failure) => return Err(said(failure, &place.key)),
        };
        Ok(Self { client, arn, pace })
    }

    /// The text that KMS is to bind the ciphertext to.
    fn context(context: &[u8]) -> Result<&str> {
        match std::str::from_utf8(context) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(Error::internal("a key service's context is text that is not empty")),
        }
    }
}

fn usable(about: KeyMetadata) -> Result<String> {
    let arn = about.arn.unwrap_or(about.key_id);
    let asymmetric = about.key_spec.is_some_and(|spec| spec != KeySpec::SymmetricDefault);
    if asymmetric || about.key_usage.is_some_and(|usage| usage != KeyUsageType::EncryptDecrypt) {
        return Err(refuse(&arn, "is not a symmetric key for encryption; choose one that is"));
    }
    match about.key_state {
        None | Some(KeyState::Enabled) => Ok(arn),
        Some(KeyState::Disabled) => Err(refuse(&arn, failure::DISABLED)),
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => Err(refuse(
            &arn,
            "is to be deleted, and with it everything in this store; cancel its deletion and enable it in KMS",
        )),
        Some(KeyState::PendingImport) => Err(refuse(&arn, "has no key material; import it in KMS")),
        // Being made, updated, or in a key store that is not connected just now.
        Some(state) => Err(later(format!("key {arn} is in state {}", state.as_str()))),
    }
}

fn refuse(key: &str, why: impl Into<String>) -> Error {
    Error::invalid(format!("KMS key {key}"), why)
}

fn later(detail: impl Into<String>) -> Error {
    Error::Unavailable { part: KEY_SERVICE, detail: detail.into() }
}

fn foreign(arn: &str) -> Error {
    let detail = format!("KMS key {arn} did not wrap it for this store, or it was changed since");
    Error::Damaged { what: "data key".into(), detail }
}

fn said(failure: Failure, key: &str) -> Error {
    match failure {
        Failure::Later(detail) => later(format!("KMS key {key}: {detail}")),
        Failure::Denied(why) | Failure::Refused(why) | Failure::Stranger(why) => refuse(key, why),
        Failure::Foreign => foreign(key),
    }
}

#[async_trait]
impl KeyService for AwsKms {
    async fn wrap(&self, plain: &SecretBytes, context: &[u8]) -> Result<Vec<u8>> {
        let context = Self::context(context)?;
        let ask = || {
            let request = self.client.encrypt().key_id(&self.arn).encryption_context(CONTEXT, context);
            request.plaintext(Blob::new(plain.expose())).send()
        };
        let answer = self.pace.call(ask).await.map_err(|failure| said(failure, &self.arn))?;
        match (answer.key_id, answer.ciphertext_blob) {
            (Some(arn), Some(wrapped)) if arn == self.arn && !wrapped.as_ref().is_empty() => Ok(wrapped.into_inner()),
            _ => Err(Error::internal(format!("KMS did not wrap under key {}", self.arn))),
        }
    }

    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<SecretBytes> {
        let context = Self::context(context)?;
        let ask = || {
            let request = self.client.decrypt().key_id(&self.arn).encryption_context(CONTEXT, context);
            request.ciphertext_blob(Blob::new(wrapped)).send()
        };
        let answer = self.pace.call(ask).await.map_err(|failure| said(failure, &self.arn))?;
        let plain = answer.plaintext.map(|plain| SecretBytes::new(plain.into_inner()));
        match (answer.key_id, plain) {
            (Some(arn), Some(plain)) if arn == self.arn => Ok(plain),
            _ => Err(foreign(&self.arn)),
        }
    }

    fn id(&self) -> String {
        format!("aws-kms:{}", self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn place(key: &str, region: Option<&str>) -> Place {
        Place::new(key, None, region.map(str::to_owned))
    }

    #[test]
    fn the_region_is_the_one_given_or_the_one_in_the_arn_and_they_agree() {
        let region = |key, region| place(key, region).region();
        assert_eq!(region(ARN, None).unwrap().as_deref(), Some("eu-west-1"));
        assert_eq!(region(ARN, Some("eu-west-1")).unwrap().as_deref(), Some("eu-west-1"));
        assert_eq!(region("alias/strongroom", Some("us-east-2")).unwrap().as_deref(), Some("us-east-2"));
        assert_eq!(region("alias/strongroom", None).unwrap(), None);
        let refused = region(ARN, Some("us-east-1")).unwrap_err();
        assert!(refused.to_string().contains(ARN) && !refused.retryable(), "{refused}");
    }

    #[test]
    fn what_is_no_key_arn_has_no_region_of_its_own() {
        for key in ["", "arn", "arn:", "arn:aws:kms", "arn:aws:kms::1:key/x", "1234abcd", "alias/arn"] {
            assert_eq!(region_of(key), None, "{key}");
        }
        assert!(place(ARN, None).is_key_arn());
        assert!(!place("arn:aws:kms:eu-west-1:111122223333:alias/x", None).is_key_arn());
    }

    fn about(state: KeyState) -> KeyMetadata {
        KeyMetadata::builder().key_id("1234abcd").arn(ARN).key_state(state).build().unwrap()
    }

    #[test]
    fn only_an_enabled_key_is_used_and_the_others_say_what_to_do() {
        assert_eq!(usable(about(KeyState::Enabled)).unwrap(), ARN);
        for (state, said) in [
            (KeyState::Disabled, "enable it"),
            (KeyState::PendingDeletion, "cancel its deletion"),
            (KeyState::PendingReplicaDeletion, "cancel its deletion"),
            (KeyState::PendingImport, "import it"),
        ] {
            let error = usable(about(state)).unwrap_err();
            assert!(!error.retryable());
            assert!(error.to_string().contains(ARN) && error.to_string().contains(said), "{error}");
        }
        for state in [KeyState::Creating, KeyState::Updating, KeyState::Unavailable] {
            assert!(usable(about(state)).unwrap_err().retryable());
        }
    }

    #[test]
    fn a_key_for_signatures_is_refused() {
        let mut signing = about(KeyState::Enabled);
        signing.key_usage = Some(KeyUsageType::SignVerify);
        assert!(usable(signing).unwrap_err().to_string().contains("symmetric"));
        let mut asymmetric = about(KeyState::Enabled);
        asymmetric.key_spec = Some(KeySpec::Rsa2048);
        assert!(usable(asymmetric).is_err());
    }
}
