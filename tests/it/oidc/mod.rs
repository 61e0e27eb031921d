//! Callers as CredHub knows them: by tokens of an issuer that is believed, and by certificates of an authority that is. All
//! over real TLS, with a real issuer.

mod certificates;
mod forged;
mod outage;
mod served;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use strongroom::adapters::identity::OidcIssuers;
use strongroom::adapters::identity::oidc::{Believed, KeysFrom, Place};
use strongroom::adapters::system::SystemClock;
use strongroom::app::ports::Clock;
use strongroom::domain::oidc::Terms;

use crate::issuer::{Issuer, SCOPES};
use crate::rest::house::{House, Setup};

/// The system's, set forward.
#[derive(Default)]
struct Ahead(AtomicI64);

impl Ahead {
    fn by(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// A house that believes an issuer.
struct Trusting {
    house: House,
    issuer: Issuer,
    clock: Arc<Ahead>,
    _dir: tempfile::TempDir,
}

/// What a caller sees.
#[derive(Debug, PartialEq)]
struct Told {
    status: u16,
    /// The machine word.
    error: Option<String>,
    has_description: bool,
    challenge: Option<String>,
    body: String,
}

impl Trusting {
    async fn open() -> Self {
        Self::with(Issuer::start().await, |believed| believed).await
    }

    async fn with(issuer: Issuer, change: impl FnOnce(Believed) -> Believed) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root.pem");
        std::fs::write(&root, issuer.root()).unwrap();
        let clock = Arc::new(Ahead::default());
        let believed = change(believed(&issuer.url(), Some(root)));
        let issuers = Arc::new(OidcIssuers::new(vec![believed], clock.clone()).unwrap());
        let house = House::set_up(Setup { issuers: Some(issuers), ..Setup::default() }).await;
        Self { house, issuer, clock, _dir: dir }
    }

    fn token(&self) -> String {
        self.issuer.token(&self.issuer.claims("till"))
    }

    async fn get(&self, path: &str, token: &str) -> Told {
        told(self.house.client.get(self.house.url(path)).bearer_auth(token)).await
    }

    async fn status(&self, token: &str) -> u16 {
        self.get("/version", token).await.status
    }

    /// How often the issuer was asked for its keys.
    fn asked(&self) -> usize {
        self.issuer.asked("/token_keys")
    }
}

fn believed(url: &str, ca: Option<PathBuf>) -> Believed {
    let terms = Terms { audiences: Vec::new(), scopes: SCOPES.map(str::to_owned).to_vec(), prefix: "uaa".into() };
    Believed { place: Place { url: url.to_owned(), keys: KeysFrom::Discovery, ca }, name: None, terms }
}

async fn told(request: reqwest::RequestBuilder) -> Told {
    let response = request.send().await.unwrap();
    let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let json: Value = serde_json::from_str(&body).unwrap_or_default();
    let has_description = json["error_description"].is_string();
    Told { status, error: json["error"].as_str().map(str::to_owned), has_description, challenge, body }
}
