//! Everything that resources bring in or make: values from Secrets, generated ones, private keys, passwords.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Managed, Service};

use super::Canaries;
use super::rest_doors::Street;
use crate::cluster::{self, Cluster};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Town {
    client: Client,
    pub namespace: String,
}

impl Town {
    pub async fn new(cluster: &'static Cluster) -> Self {
        let client = cluster.client().await;
        let namespace = cluster::namespace(&client, "canary").await;
        Self { client, namespace }
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn create<K: Managed>(&self, name: &str, spec: Value) {
        let body =
            json!({"apiVersion": K::api_version(&()), "kind": K::KIND, "metadata": {"name": name}, "spec": spec});
        let resource: K = serde_json::from_value(body).expect("a resource");
        self.api::<K>().create(&PostParams::default(), &resource).await.expect("created");
    }

    async fn foreign_secret(&self, name: &str, data: Value) {
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": name}, "stringData": data})).expect("a Secret");
        self.api::<Secret>().create(&PostParams::default(), &secret).await.expect("created");
    }

    async fn until<K: Managed>(&self, name: &str, is_ready: bool) {
        let (begun, wanted) = (Instant::now(), if is_ready { "True" } else { "False" });
        loop {
            let found = self.api::<K>().get(name).await.expect("a resource");
            if found.conditions().iter().any(|it| it.type_ == "Ready" && it.status == wanted) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{} {name}: {:?}", K::KIND, found.conditions());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn data(&self, name: &str) -> BTreeMap<String, String> {
        let data = self.api::<Secret>().get(name).await.expect("a Secret").data.unwrap_or_default();
        data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).expect("text"))).collect()
    }

    pub async fn populate(&self, canaries: &mut Canaries) {
        let json_value = json!({"a": canaries.text("imported in JSON")}).to_string();
        let legacy = json!({"password": canaries.text("imported"), "json": json_value});
        self.foreign_secret("legacy", legacy).await;
        let import =
            |kind: &str, key: &str| json!({"type": kind, "source": {"secretRef": {"name": "legacy", "key": key}}});
        self.create::<Credential>("imported", import("Password", "password")).await;
        self.create::<Credential>("document", import("Json", "json")).await;
        let broken = json!({"tls.crt": canaries.text("no certificate"), "tls.key": canaries.text("no key")});
        self.foreign_secret("broken", broken).await;
        let broken = json!({"type": "Certificate", "source": {"secretRef": {"name": "broken"}}});
        self.create::<Credential>("broken-import", broken).await;
        self.foreign_secret("taken", json!({"password": canaries.text("in a Secret of somebody else")})).await;
        self.create::<Credential>("taken", json!({"type": "Password", "source": {"generate": {}}})).await;
        for (name, kind) in [("password", "Password"), ("user", "User"), ("rsa", "Rsa"), ("ssh", "Ssh")] {
            self.create::<Credential>(name, json!({"type": kind, "source": {"generate": {}}})).await;
        }
        self.create::<Credential>("mail", json!({"type": "Pairs", "source": {"stored": {}}})).await;
        self.create::<CertificateAuthority>("ca", json!({"subject": {"commonName": "ca"}, "validity": "900h"})).await;
        self.create::<ClientCredential>("basic", json!({"type": "Basic"})).await;
        let x509 = json!({"type": "X509", "commonName": "x", "ttl": "24h", "authorityRef": {"name": "ca"}});
        self.create::<ClientCredential>("x509", x509).await;
        self.create::<Service>("bundle", json!({"credentials": [{"name": "user"}, {"name": "ssh"}]})).await;
        for name in ["imported", "document", "password", "user", "rsa", "ssh", "mail"] {
            self.until::<Credential>(name, true).await;
        }
        self.until::<ClientCredential>("basic", true).await;
        self.until::<ClientCredential>("x509", true).await;
        self.until::<Service>("bundle", true).await;
        for name in ["broken-import", "taken"] {
            self.until::<Credential>(name, false).await;
        }
    }

    /// What was made here; and a password that somebody writes over ours.
    pub async fn collect(&self, canaries: &mut Canaries) {
        canaries.known("a generated password", &self.data("password").await["password"]);
        canaries.known("a generated password of a user", &self.data("user").await["password"]);
        canaries.private_key("a generated RSA key", &self.data("rsa").await["private_key"]);
        canaries.private_key("a generated SSH key", &self.data("ssh").await["ssh-privatekey"]);
        canaries.private_key("a client's key", &self.data("x509").await["tls.key"]);
        let before = self.data("basic").await["password"].clone();
        canaries.known("a client's password", &before);
        let edited = canaries.text("written over a password");
        let patch = Patch::Merge(json!({"stringData": {"password": edited}}));
        self.api::<Secret>().patch("basic", &PatchParams::default(), &patch).await.expect("edited");
        let begun = Instant::now();
        loop {
            let now = self.data("basic").await["password"].clone();
            if now != edited && now != before {
                return canaries.known("a client's next password", &now);
            }
            assert!(begun.elapsed() < PATIENCE, "the edit was not undone");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A token that the API server accepts.
    pub async fn call_with_token(&self, canaries: &mut Canaries, street: &Street) {
        let mut account = ServiceAccount::default();
        account.metadata.name = Some("reader".into());
        let accounts = self.api::<ServiceAccount>();
        accounts.create(&PostParams::default(), &account).await.expect("an account");
        let request = TokenRequest {
            spec: TokenRequestSpec { audiences: vec!["strongroom.dev".into()], ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request("reader", &PostParams::default(), &request).await.expect("a token");
        let token = answer.status.expect("a status").token;
        // Its signature is what makes it one.
        canaries.known("a valid token", token.rsplit('.').next().expect("a signature"));
        let path = format!("/v1/services/{}.bundle", self.namespace);
        let answer = street.request(Method::GET, &path).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 403, "no role lets it");
    }

    pub async fn delete_one(&self) {
        self.api::<Credential>().delete("imported", &DeleteParams::default()).await.expect("deleted");
    }

    /// Everything but Secrets that Strongroom writes into the cluster.
    pub async fn said(&self) -> Vec<(String, Vec<u8>)> {
        vec![
            self.list::<Credential>("Credentials").await,
            self.list::<Service>("Services").await,
            self.list::<CertificateAuthority>("CertificateAuthorities").await,
            self.list::<ClientCredential>("ClientCredentials").await,
            self.list::<Event>("Events").await,
        ]
    }

    async fn list<K>(&self, name: &str) -> (String, Vec<u8>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let all = self.api::<K>().list(&ListParams::default()).await.expect("a list").items;
        assert!(!all.is_empty(), "there are no {name}");
        (name.to_owned(), serde_json::to_vec(&all).expect("JSON"))
    }
}
