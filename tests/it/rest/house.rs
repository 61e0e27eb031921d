//! A server with one of each sort of caller and of record. Only Kubernetes is played.

use crate::ground::parts;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use prometheus_client::registry::Registry;
use reqwest::{Certificate, Client, Identity, Method, RequestBuilder};
use serde_json::{Value, json};
use strongroom::adapters::store::{MemoryJournal, SqliteStore};
use strongroom::adapters::system::SystemClock;
use strongroom::api::confidant::Confidant;
use strongroom::api::confidant::settings::Settings;
use strongroom::api::{self, Dialects};
use strongroom::app::alarm::Alarm;
use strongroom::app::kmsauth::Kmsauth;
use strongroom::app::own::Lifetimes;
use strongroom::app::ports::{Identify, Issuers, Review, Store};
use strongroom::app::{App, Parts, Rolls, services};
use strongroom::domain::Result;
use strongroom::domain::actor::{Actor, Scheme, Standing};
use strongroom::domain::authority::{
    AlternativeName, Authority, CertificateRequest, Conventions, DistinguishedName, Issuer, KeyAlgorithm, Policy, Role,
};
use strongroom::domain::client::{Proof, State};
use strongroom::domain::credential::change::{Source, Wish};
use strongroom::domain::credential::{About, Generate, Kind, Material};
use strongroom::domain::name::{Path, Tenant};
use strongroom::domain::permission::{Action, Resource, Target};
use strongroom::domain::record::Owner;
use strongroom::domain::rules::Rules;
use strongroom::domain::secret::SecretText;
use strongroom::server::metrics::HttpMetrics;
use strongroom::server::{ClientCertificates, Limits, Tls, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const KEEP: SignedDuration = SignedDuration::from_hours(1);

/// Kubernetes, as far as REST asks it: which token is who, and who may what.
struct Kubernetes;

/// A token and what its ServiceAccount may do anywhere.
const TOKENS: [(&str, &[Action]); 5] = [
    ("all", &Action::ALL),
    // With what is stored, and nothing that is made of it.
    ("stores", &Action::ALL),
    ("none", &[]),
    ("sees", &[Action::List, Action::Metadata]),
    ("writes", &[Action::Create, Action::Update]),
];

#[async_trait]
impl Identify for Kubernetes {
    async fn identify(&self, token: &SecretText) -> Result<Option<Actor>> {
        // Who CredHub's callers are is played by tokens that say it.
        if let Some(client) = token.expose().strip_prefix("uaa-client:") {
            return Ok(Some(grantee(client)));
        }
        let known = TOKENS.iter().find(|(name, _)| *name == token.expose());
        Ok(known.map(|(name, _)| Actor {
            id: format!("system:serviceaccount:shop:{name}"),
            tenant: Tenant::namespace("shop"),
            scheme: Scheme::ServiceAccount,
            standing: Standing::Delegated { groups: vec![], uid: None },
            from: None,
        }))
    }
}

/// A caller as CredHub knows it.
pub fn grantee(client: &str) -> Actor {
    Actor {
        id: format!("uaa-client:{client}"),
        tenant: Tenant::outside(),
        scheme: Scheme::Oidc,
        standing: Standing::Grantee,
        from: None,
    }
}

#[async_trait]
impl Review for Kubernetes {
    async fn allows(&self, actor: &Actor, action: Action, target: &Target<'_>) -> Result<bool> {
        let name = actor.id.rsplit(':').next().unwrap_or_default();
        if name == "stores" && !matches!(target.resource, Resource::Record(_)) {
            return Ok(false);
        }
        Ok(TOKENS.iter().any(|(known, actions)| *known == name && actions.contains(&action)))
    }
}

pub struct House {
    pub app: Arc<App>,
    store: Arc<SqliteStore>,
    journal: Arc<MemoryJournal>,
    pub address: SocketAddr,
    pub roots: String,
    pub tls: Arc<Tls>,
    pub shutdown: CancellationToken,
    pub server: JoinHandle<()>,
    pub registry: Registry,
    /// Knows the server's root and shows no certificate.
    pub client: Client,
    pub passwords: Vec<(&'static str, SecretText)>,
    _dir: tempfile::TempDir,
}

/// What differs from house to house.
#[derive(Default)]
pub struct Setup {
    pub limits: Limits,
    pub issuers: Option<Arc<dyn Issuers>>,
    pub kmsauth: Option<Kmsauth>,
    pub rolls: Rolls,
    pub rules: Rules,
    pub dialects: Dialects,
}

pub fn owner(kind: &str, namespace: &str, name: &str) -> Owner {
    Owner { kind: kind.into(), namespace: namespace.into(), name: name.into() }
}

pub async fn certificate(app: &App, name: &str) -> (String, SecretText, String) {
    let roots = app.own.roots("rest", Lifetimes::default()).await.unwrap();
    let names = ["localhost", "127.0.0.1", name].map(|name| AlternativeName::parse(name).unwrap());
    let leaf = app.own.leaf("rest", &names, Lifetimes::default()).await.unwrap();
    (leaf.chain, leaf.private_key, roots)
}

pub fn client(roots: &str, identity: Option<&str>) -> Client {
    builder(roots, identity).build().unwrap()
}

pub fn builder(roots: &str, identity: Option<&str>) -> reqwest::ClientBuilder {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let roots = Certificate::from_pem_bundle(roots.as_bytes()).unwrap();
    let builder = Client::builder().tls_certs_only(roots).no_proxy().timeout(Duration::from_secs(20));
    // A redirect is an answer.
    let builder = builder.redirect(reqwest::redirect::Policy::none());
    match identity {
        Some(pem) => builder.identity(Identity::from_pem(pem.as_bytes()).unwrap()),
        None => builder,
    }
}

impl House {
    pub async fn open() -> Self {
        Self::limited(Limits::default()).await
    }

    pub async fn limited(limits: Limits) -> Self {
        Self::set_up(Setup { limits, ..Setup::default() }).await
    }

    pub async fn with(settings: Settings, rules: Rules) -> Self {
        let dialects = Dialects { confidant: Confidant { settings }, ..Dialects::default() };
        Self::set_up(Setup { rules, dialects, ..Setup::default() }).await
    }

    pub async fn set_up(setup: Setup) -> Self {
        let Setup { limits, issuers, kmsauth, rolls, rules, dialects } = setup;
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("store.db"), Alarm::default()).unwrap());
        let journal = Arc::new(MemoryJournal::default());
        let parts = parts(store.clone(), &dir.path().join("key"), Arc::new(SystemClock)).await;
        let (review, identify) = (Some(Arc::new(Kubernetes) as _), Some(Arc::new(Kubernetes) as _));
        let parts = Parts { journal: journal.clone(), review, identify, issuers, kmsauth, rolls, rules, ..parts };
        let app = Arc::new(App::new(parts));
        let (chain, key, roots) = certificate(&app, "strongroom.example").await;
        let tls = Arc::new(Tls::new(&chain, &key, ClientCertificates::Accepted).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut registry = Registry::default();
        let routes = api::routes(dialects, app.clone(), HttpMetrics::register(&mut registry));
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Some(tls.clone()), routes, limits, shutdown.clone()));
        let client = client(&roots, None);
        let ops = app.clients.create("ops", true).await.unwrap();
        let passwords = vec![("ops", ops)];
        Self { app, store, journal, address, roots, tls, shutdown, server, registry, client, passwords, _dir: dir }
    }

    /// How many records of audit there are.
    pub async fn recorded(&self) -> u64 {
        let ledger = self.store.snapshot().await.unwrap().ledger().await.unwrap().unwrap();
        ledger.position.number + self.journal.notes().len() as u64
    }

    /// How many writes there are.
    pub async fn position(&self) -> u64 {
        self.store.snapshot().await.unwrap().ledger().await.unwrap().map_or(0, |ledger| ledger.position.number)
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.address.port())
    }

    pub fn password(&self, name: &str) -> &str {
        let known = self.passwords.iter().find(|(known, _)| *known == name);
        known.unwrap_or_else(|| panic!("no client {name}")).1.expose()
    }

    /// A request of the admin.
    pub fn ops(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).basic_auth("ops", Some(self.password("ops")))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.ops(Method::GET, path)).await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        answer(self.ops(method, path).json(body)).await
    }

    /// Makes a credential over REST and returns its id.
    pub async fn credential(&self, name: &str, pairs: Value) -> String {
        let body = json!({"name": name, "credential_pairs": pairs, "enabled": true});
        let (status, made) = self.send(Method::POST, "/v1/credentials", &body).await;
        assert_eq!(status, 200, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// A credential that a resource manages.
    pub async fn managed(&self, namespace: &str, name: &str, fields: &[(&str, &str)]) -> String {
        self.managed_as(namespace, name, Kind::Pairs, fields).await
    }

    pub async fn managed_as(&self, namespace: &str, name: &str, kind: Kind, fields: &[(&str, &str)]) -> String {
        let material = Material::texts(fields.iter().map(|(name, value)| (*name, (*value).into())));
        let wish = Wish { kind, about: About::default(), source: Source::Import(material) };
        let owner = owner("Credential", namespace, name);
        self.app.credentials.converge(&owner, wish, None, KEEP).await.unwrap().head.id.hex()
    }

    pub async fn service(&self, namespace: &str, name: &str, credentials: &[&str], clients: &[&str]) {
        let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let wish = services::Wish { credentials: texts(credentials), clients: texts(clients) };
        self.app.services.converge(&owner("Service", namespace, name), wish, KEEP).await.unwrap();
    }

    /// A client of a resource, called `<namespace>/<name>`.
    pub async fn basic(&mut self, username: &'static str, state: State) {
        let (namespace, name) = username.split_once('/').unwrap();
        let owner = owner("ClientCredential", namespace, name);
        let (password, mark) = self.app.clients.draw_password().unwrap();
        let entry = self.app.clients.enroll(&owner, &password, &mark, State::Active, KEEP).await.unwrap();
        self.app.clients.converge_basic(&owner, entry, state, KEEP).await.unwrap();
        self.passwords.push((username, password));
    }

    pub async fn authority(&self) {
        let role = Role::Authority { path_length: None };
        self.authority_of("shop", request("root", role, Issuer::SelfSigned), Policy::default()).await;
    }

    /// An authority of a resource that is called as its certificate is.
    pub async fn authority_of(&self, namespace: &str, request: CertificateRequest, policy: Policy) {
        let owner = owner("CertificateAuthority", namespace, request.subject.common_name.as_deref().unwrap());
        let parent = match &request.issuer {
            Issuer::SelfSigned => None,
            Issuer::Authority(path) => Some(path.clone()),
        };
        let wish = Generate::Certificate(Box::new(request));
        let wish = Wish { kind: Kind::Certificate, about: About::default(), source: Source::Generate(wish) };
        self.app.credentials.converge(&owner, wish, Some(Authority { parent, policy }), KEEP).await.unwrap();
    }

    /// Audit records of what was read and denied, from this one on.
    pub fn reads(&self, from: usize) -> Vec<Value> {
        let notes = self.journal.notes();
        notes[from..].iter().map(|note| serde_json::from_str(note.as_str()).unwrap()).collect()
    }

    /// Audit records of what was written.
    pub async fn writes(&self) -> Vec<Value> {
        let notes = self.store.snapshot().await.unwrap().audit(0, usize::MAX).await.unwrap();
        notes.iter().map(|(_, note)| serde_json::from_str(note.as_str()).unwrap()).collect()
    }

    /// A client that is known by its certificate; certificate and key in PEM.
    pub async fn x509(&self, name: &str, state: State) -> String {
        let owner = owner("ClientCredential", "shop", name);
        let request = request(name, Role::Leaf, Issuer::Authority(Path::kubernetes("shop", "root")));
        let entry = self.app.clients.converge_x509(&owner, request, state, KEEP).await.unwrap();
        let Proof::X509(issued) = entry.body.proof else { panic!("an X.509 client") };
        let part = |name| issued.material.require(name).unwrap().expose().to_owned();
        part("certificate") + &part("private_key")
    }

    pub async fn close(self) {
        self.shutdown.cancel();
        self.server.await.unwrap();
    }
}

pub fn request(name: &str, role: Role, issuer: Issuer) -> CertificateRequest {
    CertificateRequest {
        subject: DistinguishedName::named(name),
        alternative_names: vec![],
        key: KeyAlgorithm::EcdsaP256,
        key_usages: vec![],
        extended_key_usages: vec![],
        role,
        validity: if role == Role::Leaf { KEEP } else { KEEP * 10 },
        issuer,
        conventions: Conventions::Own,
    }
}

/// Status and JSON; null when it is none.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}
