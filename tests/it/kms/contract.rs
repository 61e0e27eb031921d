//! What every key service promises, shown on both.

use std::sync::Arc;

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use strongroom::adapters::kms::aws::{AwsKms, Place};
use strongroom::adapters::kms::local::KeyFile;
use strongroom::adapters::system::SystemEntropy;
use strongroom::app::ports::KeyService;
use strongroom::domain::Error;
use strongroom::domain::secret::SecretBytes;

use super::Kms;
use super::moto::REGION;

const CONTEXT: &[u8] = b"strongroom data key 1 of store x";

/// With these credentials instead of the environment's.
pub fn client(endpoint: &str) -> aws_sdk_kms::Client {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("AKIAIOSFODNN7EXAMPLE", "a secret for moto", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(aws_sdk_kms::config::retry::RetryConfig::disabled())
        .endpoint_url(endpoint)
        .build();
    aws_sdk_kms::Client::from_conf(config)
}

/// The adapter as it is, on such a client.
pub async fn adapter(endpoint: &str, key: &str) -> strongroom::domain::Result<AwsKms> {
    AwsKms::with(client(endpoint), &Place::new(key, None, None)).await
}

fn is_refused(opened: Result<SecretBytes, Error>) -> bool {
    opened.is_err_and(|error| !error.retryable())
}

async fn keeps_its_promises(service: &dyn KeyService, other: &dyn KeyService) {
    let plain = SecretBytes::new((0..32).collect());
    let wrapped = service.wrap(&plain, CONTEXT).await.expect("wrapped");
    assert_eq!(service.unwrap(&wrapped, CONTEXT).await.expect("unwrapped"), plain);
    assert!(!wrapped.windows(8).any(|part| plain.expose().windows(8).any(|bytes| part == bytes)));

    let again = service.wrap(&plain, CONTEXT).await.expect("wrapped");
    assert_ne!(wrapped, again, "two wraps of one key differ");

    for context in [&b"strongroom data key 2 of store x"[..], b"strongroom data key 1 of store y", b"x"] {
        assert!(is_refused(service.unwrap(&wrapped, context).await), "another context");
    }
    for at in (0..wrapped.len()).step_by(3).chain([wrapped.len() - 1]) {
        let mut changed = wrapped.clone();
        changed[at] ^= 1;
        assert!(is_refused(service.unwrap(&changed, CONTEXT).await), "byte {at} changed");
    }
    for length in [1, 12, wrapped.len() - 1] {
        assert!(is_refused(service.unwrap(&wrapped[..length], CONTEXT).await), "cut at {length}");
    }
    let refused = other.unwrap(&wrapped, CONTEXT).await;
    assert!(is_refused(refused), "another key");
    assert_eq!(service.id(), service.id());
    assert_ne!(service.id(), other.id());
}

#[tokio::test]
async fn a_key_file_keeps_the_promises_of_a_key_service() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = |name: &str| KeyFile::open_or_create(&dir.path().join(name), Arc::new(SystemEntropy::default()));
    keeps_its_promises(&open("one").expect("a key"), &open("other").expect("a key")).await;
}

#[tokio::test]
async fn kms_keeps_the_promises_of_a_key_service() {
    let kms = Kms::new().await;
    let other = kms.moto.create_key().await;
    let service = adapter(&kms.proxy.url(), &kms.arn).await.expect("connected");
    assert_eq!(service.id(), format!("aws-kms:{}", kms.arn));
    keeps_its_promises(&service, &adapter(&kms.proxy.url(), &other).await.expect("connected")).await;
    let asked = kms.proxy.calls();
    let bound = |call: &&super::proxy::Call| {
        let body: serde_json::Value = serde_json::from_slice(&call.request).expect("JSON");
        body["KeyId"] == kms.arn.as_str() && body["EncryptionContext"]["strongroom"].is_string()
    };
    assert!(asked.iter().filter(|call| call.action == "Encrypt").all(|call| bound(&call)));
    assert!(!kms.proxy.actions().contains(&"CreateKey".to_owned()));
}

#[tokio::test]
async fn an_alias_and_an_id_have_the_identity_of_their_key() {
    let kms = Kms::new().await;
    let id = kms.arn.rsplit('/').next().expect("an id").to_owned();
    let alias = format!("alias/strongroom-{id}");
    kms.moto.ask("CreateAlias", serde_json::json!({"AliasName": alias, "TargetKeyId": id})).await;
    let by_arn = adapter(&kms.proxy.url(), &kms.arn).await.expect("connected");
    let wrapped = by_arn.wrap(&SecretBytes::new(vec![7; 32]), CONTEXT).await.expect("wrapped");
    for name in [id, alias] {
        let named = adapter(&kms.proxy.url(), &name).await.expect("connected");
        assert_eq!(named.id(), by_arn.id());
        assert_eq!(named.unwrap(&wrapped, CONTEXT).await.expect("unwrapped").expose(), [7; 32]);
    }
}
