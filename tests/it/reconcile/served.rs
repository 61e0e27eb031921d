//! CredHub's API beside a running operator, on the same use cases, and an admin who calls it.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use strongroom::api::{self, Dialects};
use strongroom::app::App;
use strongroom::domain::secret::SecretText;
use strongroom::server::metrics::HttpMetrics;
use strongroom::server::{ClientCertificates, Limits, Tls, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rest::house::{answer, certificate, client};

pub struct Served {
    url: String,
    client: Client,
    password: SecretText,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl Served {
    pub async fn of(app: &Arc<App>) -> Self {
        let (chain, key, roots) = certificate(app, "strongroom.example").await;
        let tls = Arc::new(Tls::new(&chain, &key, ClientCertificates::Accepted).expect("TLS"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://127.0.0.1:{}", listener.local_addr().expect("an address").port());
        let routes = api::routes(Dialects::default(), app.clone(), HttpMetrics::register(&mut Registry::default()));
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Some(tls), routes, Limits::default(), shutdown.clone()));
        let password = app.clients.create("ops", true).await.expect("an admin");
        Self { url, client: client(&roots, None), password, shutdown, server }
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url));
        answer(request.basic_auth("ops", Some(self.password.expose())).json(body)).await
    }

    async fn done(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, made) = self.send(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {made}");
        made
    }

    pub async fn generate(&self, name: &str, kind: &str, parameters: Value) -> Value {
        let body = json!({"name": name, "type": kind, "parameters": parameters, "mode": "overwrite"});
        self.done(Method::POST, "/api/v1/data", &body).await["value"].clone()
    }

    /// An authority as strict verifiers want it.
    pub async fn authority(&self, name: &str, more: Value) -> Value {
        let mut parameters = json!({"common_name": name, "is_ca": true, "key_usage": ["key_cert_sign", "crl_sign"]});
        parameters.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
        self.generate(name, "certificate", parameters).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.done(Method::POST, path, &body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.done(Method::PUT, path, &body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.done(Method::GET, path, &Value::Null).await
    }

    pub async fn delete(&self, path: &str) {
        self.done(Method::DELETE, path, &Value::Null).await;
    }

    /// Opens the path to a namespace; where the permission is.
    pub async fn open(&self, path: &str, namespace: &str) -> String {
        let actor = format!("system:serviceaccounts:{namespace}");
        let made =
            self.post("/api/v2/permissions", json!({"path": path, "actor": actor, "operations": ["read"]})).await;
        format!("/api/v2/permissions/{}", made["uuid"].as_str().expect("an id"))
    }

    /// The certificate among the others.
    pub async fn certificate(&self, name: &str) -> Value {
        self.get(&format!("/api/v1/certificates?name={name}")).await["certificates"][0].clone()
    }

    pub async fn close(self) {
        self.shutdown.cancel();
        self.server.await.expect("a clean end");
    }
}
