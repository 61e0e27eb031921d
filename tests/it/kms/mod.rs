//! AWS KMS as the root key: against moto, a real HTTP server, behind a proxy that counts and that can fail.

pub mod contract;
pub mod moto;
mod outage;
pub mod proxy;
mod start;
mod trouble;

use std::time::Duration;

use crate::process::{Strongroom, plain_client};
use moto::Moto;
use proxy::Proxy;

/// A key of this test's own, and the way there.
struct Kms {
    moto: Moto,
    proxy: Proxy,
    arn: String,
}

impl Kms {
    async fn new() -> Self {
        let moto = Moto::running().await;
        let proxy = Proxy::before(moto.url()).await;
        let arn = moto.create_key().await;
        Self { moto, proxy, arn }
    }

    /// `strongroom serve` with this key; not started yet.
    fn strongroom(&self) -> Strongroom {
        let mut strongroom = Strongroom::new(None);
        let endpoint = self.proxy.url();
        for (name, value) in [
            ("STRONGROOM_KMS_KEY", self.arn.as_str()),
            ("STRONGROOM_KMS_ENDPOINT", &endpoint),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "a secret for moto"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            strongroom.set(name, Some(value));
        }
        strongroom
    }
}

/// What the admin listener's page says.
async fn page(strongroom: &Strongroom, page: &str) -> Option<(u16, String)> {
    let url = format!("http://127.0.0.1:{}/{page}", strongroom.admin);
    let answer = plain_client().get(url).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again until it is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
