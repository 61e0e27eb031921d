//! An issuer of tokens as Cloud Foundry's UAA is one, with keys, accounts and endpoints of its own: callers get real tokens
//! from it, and a server that believes it reads its keys. What it answers, when, and by which clock is the test's choice.

mod grants;
mod judged;
mod keys;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use strongroom::adapters::system::{SystemClock, SystemEntropy};
use strongroom::app::ports::Clock;
use strongroom::domain::entropy::Entropy;
use strongroom::domain::secret::SecretText;
use strongroom::server::{ClientCertificates, Tls};
use warp::Filter;
use warp::http::{HeaderMap, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;

use crate::door::Door;

pub use keys::{Key, encoded, message};

/// Both that CredHub asks of every caller.
pub const SCOPES: [&str; 2] = ["credhub.read", "credhub.write"];
/// As long as UAA's.
const LIFETIME: i64 = 43_200;

/// What it does at one path instead of answering.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status with this body.
    Answer(u16, String),
    /// The connection is taken, and nothing comes.
    Silence,
}

struct Inside {
    url: Mutex<String>,
    /// All that it lists; the last one signs.
    keys: Mutex<Vec<Arc<Key>>>,
    accounts: Mutex<grants::Accounts>,
    /// Seconds by which its clock is ahead, and how long its tokens live.
    clock: Mutex<(i64, i64)>,
    faults: Mutex<BTreeMap<String, Fault>>,
    asked: Mutex<BTreeMap<String, usize>>,
}

pub struct Issuer {
    door: Door,
    inside: Arc<Inside>,
    /// What it shows, and the root that signed it.
    tls: Option<(Arc<Tls>, String)>,
}

impl Issuer {
    /// Over TLS, with a root of its own.
    pub async fn start() -> Self {
        Self::open(Some(certified())).await
    }

    /// Without TLS.
    pub async fn plain() -> Self {
        Self::open(None).await
    }

    async fn open(tls: Option<(Arc<Tls>, String)>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let inside = Arc::new(Inside {
            url: Mutex::default(),
            keys: Mutex::new(vec![Arc::new(Key::rsa("key-1"))]),
            accounts: Mutex::default(),
            clock: Mutex::new((0, LIFETIME)),
            faults: Mutex::default(),
            asked: Mutex::default(),
        });
        let mut issuer = Self { door: Door::default(), inside, tls };
        issuer.up().await;
        let scheme = if issuer.tls.is_some() { "https" } else { "http" };
        *issuer.inside.url.lock().expect("a URL") = format!("{scheme}://localhost:{}", issuer.door.port());
        issuer
    }

    /// Where its endpoints are, and what `/info` of a server that believes it names.
    pub fn url(&self) -> String {
        self.inside.url()
    }

    /// The claim `iss` of its tokens.
    pub fn name(&self) -> String {
        self.inside.name()
    }

    /// The certificate of the root that its own is signed by.
    pub fn root(&self) -> &str {
        self.tls.as_ref().map_or_else(|| panic!("it has no certificate"), |(_, root)| root)
    }

    /// From here on connections are refused.
    pub async fn down(&mut self) {
        self.door.close().await;
    }

    /// Back on the same port.
    pub async fn up(&mut self) {
        let inside = self.inside.clone();
        let routes =
            warp::method().and(warp::path::full()).and(warp::header::headers_cloned()).and(warp::body::bytes());
        let routes = routes.then(move |method: Method, path: FullPath, headers: HeaderMap, body: Bytes| {
            let inside = inside.clone();
            async move { inside.answer(&method, path.as_str(), &headers, &body).await }
        });
        let tls = self.tls.as_ref().map(|(tls, _)| tls.clone());
        self.door.open(tls, routes.boxed()).await;
    }

    pub fn fail(&self, path: &str, fault: Option<Fault>) {
        let mut faults = self.inside.faults.lock().expect("faults");
        faults.remove(path);
        faults.extend(fault.map(|fault| (path.to_owned(), fault)));
    }

    /// How often this path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.inside.asked.lock().expect("numbers").get(path).copied().unwrap_or_default()
    }

    /// The key that signs.
    pub fn key(&self) -> Arc<Key> {
        self.inside.key()
    }

    /// From here on this key signs; those before it are still listed.
    pub fn rotate(&self, key: Key) {
        self.inside.keys.lock().expect("keys").push(Arc::new(key));
    }

    /// Lists only the key that signs.
    pub fn forget_old_keys(&self) {
        let mut keys = self.inside.keys.lock().expect("keys");
        let old = keys.len() - 1;
        keys.drain(..old);
    }

    /// By how many seconds its clock is ahead.
    pub fn set_clock(&self, ahead: i64) {
        self.inside.clock.lock().expect("a clock").0 = ahead;
    }

    /// How many seconds its tokens are good for: none, if negative.
    pub fn set_lifetime(&self, seconds: i64) {
        self.inside.clock.lock().expect("a clock").1 = seconds;
    }

    /// A client with these scopes; its secret.
    pub fn add_client(&self, id: &str, scopes: &[&str]) -> String {
        self.inside.accounts.lock().expect("accounts").add_client(id, scopes)
    }

    /// A user, who comes by way of the client `credhub_cli`; the id and the password.
    pub fn add_user(&self, name: &str, scopes: &[&str]) -> (String, String) {
        self.inside.accounts.lock().expect("accounts").add_user(name, scopes)
    }

    /// The claims that a token of this client has, to be changed at will.
    pub fn claims(&self, client: &str) -> Value {
        let scopes = SCOPES.map(str::to_owned);
        self.inside.claims(&grants::Caller { client: client.to_owned(), user: None, scopes: scopes.to_vec() })
    }

    /// A token with these claims, as this issuer signs it.
    pub fn token(&self, claims: &Value) -> String {
        self.inside.token(claims)
    }
}

impl Inside {
    fn url(&self) -> String {
        self.url.lock().expect("a URL").clone()
    }

    /// UAA's is the address of its token endpoint.
    fn name(&self) -> String {
        format!("{}/oauth/token", self.url())
    }

    fn key(&self) -> Arc<Key> {
        self.keys.lock().expect("keys").last().expect("a key").clone()
    }

    fn token(&self, claims: &Value) -> String {
        let key = self.key();
        let place = format!("{}/token_keys", self.url());
        key.token(&json!({ "alg": key.algorithm(), "jku": place, "kid": key.kid, "typ": "JWT" }), claims)
    }

    fn claims(&self, caller: &grants::Caller) -> Value {
        let (ahead, lifetime) = *self.clock.lock().expect("a clock");
        caller.claims(&self.name(), SystemClock.now().as_second() + ahead, lifetime)
    }

    async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        *self.asked.lock().expect("numbers").entry(path.to_owned()).or_default() += 1;
        let fault = self.faults.lock().expect("faults").get(path).cloned();
        match fault {
            Some(Fault::Answer(status, body)) => response(status, body),
            Some(Fault::Silence) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                response(503, String::new())
            }
            None => {
                let (status, answer) = self.answered(method, path, headers, body);
                response(status, answer.to_string())
            }
        }
    }

    fn answered(&self, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> (u16, Value) {
        let is_revocation = path.starts_with("/oauth/token/revoke/");
        match (method.as_str(), path) {
            ("GET", "/.well-known/openid-configuration") => (200, self.configuration()),
            ("GET", "/token_keys") => (200, json!({ "keys": self.listed() })),
            ("GET", "/info") => (200, self.info()),
            ("POST", "/oauth/token") => self.granted(headers, body),
            ("DELETE", _) if is_revocation => (200, json!({})),
            _ => (404, json!({ "error": "not_found", "error_description": "There is no such endpoint." })),
        }
    }

    fn listed(&self) -> Vec<Value> {
        self.keys.lock().expect("keys").iter().map(|key| key.jwk()).collect()
    }

    fn configuration(&self) -> Value {
        let url = self.url();
        json!({
            "issuer": self.name(), "token_endpoint": format!("{url}/oauth/token"), "jwks_uri": format!("{url}/token_keys"),
            "authorization_endpoint": format!("{url}/oauth/authorize"), "userinfo_endpoint": format!("{url}/userinfo"),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"], "scopes_supported": SCOPES,
            "response_types_supported": ["code", "token"], "subject_types_supported": ["public"],
        })
    }

    fn info(&self) -> Value {
        let url = self.url();
        json!({ "app": { "version": "77.0.0" }, "links": { "uaa": url, "login": url }, "zone_name": "uaa", "prompts": {} })
    }
}

fn response(status: u16, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert("content-type", "application/json".parse().expect("a header"));
    response
}

/// A root, and a certificate for `localhost` that it signed.
fn certified() -> (Arc<Tls>, String) {
    let named = |name: &str| {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut root = named("Root of the issuer");
    root.subject_alt_names.clear();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (root_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let root_pem = root.self_signed(&root_key).expect("a root").pem();
    let leaf = named("localhost").signed_by(&key, &rcgen::Issuer::new(root, root_key)).expect("a certificate");
    let key = SecretText::new(key.serialize_pem());
    let tls = Tls::new(&leaf.pem(), &key, ClientCertificates::Ignored).expect("TLS");
    (Arc::new(tls), root_pem)
}

/// Sixteen bytes that nobody else has, in hex.
fn random() -> String {
    let entropy = SystemEntropy::default();
    let entropy: &dyn Entropy = &entropy;
    hex::encode(entropy.bytes::<16>())
}
