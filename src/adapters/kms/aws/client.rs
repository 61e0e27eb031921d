//! The SDK's client: the house's one cryptography, short timeouts, no retries of its own.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::later;
use crate::domain::{Error, Result};

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(5);
/// With the time that it takes to get credentials.
const ALTOGETHER: Duration = Duration::from_secs(15);

pub async fn build(endpoint: Option<String>, region: Option<String>) -> Result<Client> {
    let shared = shared(region).await?;
    let mut config = aws_sdk_kms::config::Builder::from(&shared);
    // Of KMS alone: credentials are fetched from where they always are.
    config.set_endpoint_url(endpoint.or_else(|| shared.endpoint_url().map(str::to_owned)));
    Ok(Client::from_conf(config.build()))
}

/// Credentials and region, from where the AWS SDKs look for them.
pub async fn shared(region: Option<String>) -> Result<SdkConfig> {
    let tls = TlsContext::builder().with_trust_store(roots()).build().map_err(Error::internal)?;
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(ANSWER)
        .operation_attempt_timeout(ANSWER)
        .operation_timeout(ALTOGETHER)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .app_name(AppName::new("strongroom").map_err(Error::internal)?)
        .http_client(http)
        // Its retries come several a second; ours do not.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        // The instance may be asked for it, and may not answer yet.
        return Err(later(
            "no region is known; set one (--kms-region, or region of confidant.kmsauth), or name the key by its ARN",
        ));
    }
    Ok(shared)
}

/// The system's root certificates, or `SSL_CERT_FILE`; where there are none, as in our own image, Mozilla's as
/// they were when this was built.
fn roots() -> TrustStore {
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return TrustStore::empty().with_native_roots(true);
    }
    let mut roots = TrustStore::empty();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let text = STANDARD.encode(certificate);
        roots.add_pem_certificate(format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    }
    roots
}
