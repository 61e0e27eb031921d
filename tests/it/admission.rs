//! The webhook as the API server calls it: its routes behind its own TLS on a real port, the keeper of its certificate,
//! reflectors, and the configurations of `manifests/webhook-local.yaml`. Each test has all of it for itself: its
//! configurations select its own namespaces only, so that one test's silence is not another's failure.

mod absence;
mod configuration;
mod injection;
mod refusals;
mod rotation;

use crate::ground::parts;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::{Timestamp, ToSpan};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use kube_runtime::reflector::{Store, reflector, store};
use kube_runtime::watcher;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom::adapters::store::MemoryStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::app::own::Lifetimes;
use strongroom::app::ports::Clock;
use strongroom::domain::authority::AlternativeName;
use strongroom::k8s::crd::{CertificateAuthority, ClientCredential, Credential, Service};
use strongroom::k8s::webhook::certificate::{Callbacks, Keeper, Options, Readiness, current};
use strongroom::k8s::webhook::{Admissions, Known, limits, routes};
use strongroom::server::{ClientCertificates, Limits, Tls, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster;

const PATIENCE: Duration = Duration::from_secs(20);

/// The time in whole seconds, rounded up. Certificates know no smaller unit: with lives of seconds, what is cut off
/// would otherwise be a good part of the third that is left for renewal.
struct WholeSeconds;

impl Clock for WholeSeconds {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now() + 1.second();
        Timestamp::from_second(now.as_second()).expect("a time")
    }
}

/// A store with its key: what outlives a process.
pub struct Vault {
    pub app: Arc<App>,
    _key: tempfile::TempDir,
}

impl Vault {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Arc::new(MemoryStore::default());
        let parts = parts(store, &dir.path().join("key"), Arc::new(WholeSeconds)).await;
        Self { app: Arc::new(App::new(parts)), _key: dir }
    }
}

/// The process: everything that ends with it.
pub struct Webhook {
    pub port: u16,
    pub readiness: watch::Receiver<Readiness>,
    /// Every certificate that was shown, PEM.
    pub shown: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
    end: CancellationToken,
}

impl Webhook {
    /// Starts on `port`, or on a free one.
    pub async fn start(vault: &Vault, client: &Client, options: Options, port: Option<u16>) -> Self {
        let first = current(&vault.app, &options).await.expect("a certificate");
        let tls = Tls::new(&first.chain, &first.private_key, ClientCertificates::Ignored).expect("TLS");
        let tls = Arc::new(tls);
        let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut tasks = JoinSet::new();
        let known = Known {
            credentials: reflect::<Credential>(client, &mut tasks),
            services: reflect::<Service>(client, &mut tasks),
            authorities: reflect::<CertificateAuthority>(client, &mut tasks),
            clients: reflect::<ClientCredential>(client, &mut tasks),
        };
        let routes = routes(watch::channel(known).1, Admissions::default());
        let (limits, end) = (Limits { drain: Duration::ZERO, ..limits() }, CancellationToken::new());
        tasks.spawn(serve(listener, Some(tls.clone()), routes, limits, end.clone()));
        let (said, readiness) = watch::channel(Readiness::NotReady("nothing was said yet".into()));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = shown.clone();
        let callbacks = Callbacks {
            install: Box::new(move |certificate| {
                kept.lock().expect("not poisoned").push(certificate.chain.clone());
                tls.replace(&certificate.chain, &certificate.private_key)
            }),
            readiness: Box::new(move |readiness| drop(said.send(readiness.clone()))),
        };
        let keeper = Keeper::new(vault.app.clone(), client, options, callbacks);
        tasks.spawn(async move {
            keeper.keep().await;
        });
        Self { port, readiness, shown, tasks, end }
    }

    pub async fn until(&mut self, about: &str, wanted: impl FnMut(&Readiness) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, self.readiness.wait_for(wanted));
        let reached = waited.await.is_ok_and(|said| said.is_ok());
        assert!(reached, "{about}: {:?}", *self.readiness.borrow());
    }

    pub async fn until_ready(&mut self) {
        self.until("ready", |readiness| *readiness == Readiness::Ready).await;
    }

    /// As a killed process ends: its connections too.
    pub async fn kill(mut self) {
        self.end.cancel();
        // The first to end is the listener; the others go on for ever.
        self.tasks.join_next().await;
        self.tasks.shutdown().await;
    }
}

fn reflect<K>(client: &Client, tasks: &mut JoinSet<()>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = store();
    let stream = reflector(writer, watcher(Api::<K>::all(client.clone()), watcher::Config::default()));
    tasks.spawn(stream.for_each(|_| async {}));
    reader
}

/// A test's place: a namespace for its labelled pods, and configurations that see this namespace only.
pub struct Place {
    pub client: Client,
    pub namespace: String,
}

impl Place {
    pub async fn new(about: &str) -> Self {
        let client = cluster::SHARED.client().await;
        let namespace = cluster::namespace(&client, about).await;
        let place = Self { client, namespace };
        place.label(&json!({"strongroom.dev/injection": "enabled"})).await;
        place
    }

    /// Labels the namespace, and gives it the account that every pod runs as.
    async fn label(&self, more: &Value) {
        let mut labels = json!({"test": self.namespace});
        labels.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
        let labels = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.patch(&self.namespace, &PatchParams::default(), &labels).await.expect("labelled");
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        accounts.create(&PostParams::default(), &serde_json::from_value(account).expect("an account")).await.ok();
    }

    pub fn options(&self) -> Options {
        let lifetimes = Lifetimes::default();
        let grace = Duration::from_millis(300);
        let names = vec![AlternativeName::parse("127.0.0.1").expect("an address")];
        Options { lifetimes, grace, ..Options::new(names, self.namespace.clone()) }
    }

    /// Installs the configurations and starts the webhook on a store of its own.
    pub async fn webhook(&self) -> (Vault, Webhook) {
        let vault = Vault::new().await;
        let mut webhook = Webhook::start(&vault, &self.client, self.options(), None).await;
        self.install(webhook.port).await;
        webhook.until_ready().await;
        self.until_called().await;
        (vault, webhook)
    }

    /// As `kubectl apply -f manifests/webhook-local.yaml` would, but for the port and for whom they see.
    pub async fn install(&self, port: u16) {
        let (mut mutating, mut validating) = manifests();
        let only_here = [("test".to_owned(), self.namespace.clone())];
        for hook in mutating.webhooks.iter_mut().flatten() {
            let labels = hook.namespace_selector.get_or_insert_default().match_labels.get_or_insert_default();
            labels.extend(only_here.clone());
            point_to(&mut hook.client_config, port);
        }
        for hook in validating.webhooks.iter_mut().flatten() {
            let match_labels = Some(BTreeMap::from(only_here.clone()));
            hook.namespace_selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
            point_to(&mut hook.client_config, port);
        }
        mutating.metadata.name = Some(self.namespace.clone());
        validating.metadata.name = Some(self.namespace.clone());
        let create = PostParams::default();
        Api::all(self.client.clone()).create(&create, &mutating).await.expect("a mutating configuration");
        Api::all(self.client.clone()).create(&create, &validating).await.expect("a validating configuration");
    }

    /// The API server learns of configurations by a watch, which may take it a moment.
    async fn until_called(&self) {
        let probe = self.small_pod("probe", json!({}));
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let called = async {
            while self.pods().create(&dry, &probe).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, called).await.expect("the API server calls the webhook");
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A labelled pod with one container and these annotations.
    pub fn small_pod(&self, name: &str, annotations: Value) -> Pod {
        self.pod(name, annotations, json!({"containers": [{"name": "app", "image": "none"}]}))
    }

    /// One that asks for the Service `shop`.
    pub fn shop_pod(&self) -> Pod {
        self.small_pod("web", json!({"strongroom.dev/services": "shop"}))
    }

    /// A labelled pod with these annotations.
    pub fn pod(&self, name: &str, annotations: Value, spec: Value) -> Pod {
        let labels = json!({"strongroom.dev/inject": "true"});
        let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a pod")
    }

    pub async fn create<K>(&self, name: &str, spec: Value) -> kube::Result<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let object =
            json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec});
        let object: K = serde_json::from_value(object).expect("an object");
        Api::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &object).await
    }

    pub async fn service(&self, name: &str, secret: Option<&str>) -> Service {
        let target = secret.map_or(json!({}), |secret| json!({"secretName": secret}));
        let members = json!([{"name": format!("{name}-credential")}]);
        self.create(name, json!({"credentials": members, "target": target})).await.expect("a Service")
    }

    pub async fn mutating(&self) -> MutatingWebhookConfiguration {
        Api::all(self.client.clone()).get(&self.namespace).await.expect("a mutating configuration")
    }

    pub async fn validating(&self) -> ValidatingWebhookConfiguration {
        Api::all(self.client.clone()).get(&self.namespace).await.expect("a validating configuration")
    }

    /// The bundle by which the API server trusts the pods' webhook.
    pub async fn bundle(&self) -> String {
        let hooks = self.mutating().await.webhooks.expect("webhooks");
        let bundle = hooks[0].client_config.ca_bundle.as_ref().map(|bundle| bundle.0.clone()).unwrap_or_default();
        String::from_utf8(bundle).expect("PEM")
    }

    /// What kubectl says when somebody applies this.
    pub async fn kubectl_apply(&self, yaml: impl Into<String>) -> String {
        let (namespace, yaml) = (self.namespace.clone(), yaml.into());
        tokio::task::spawn_blocking(move || kubectl_apply(&namespace, &yaml)).await.expect("kubectl")
    }
}

fn kubectl_apply(namespace: &str, yaml: &str) -> String {
    let kubeconfig = cluster::SHARED.kubeconfig();
    let home = kubeconfig.ancestors().nth(2).expect("the cluster's folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cluster");
    let mut child = Command::new(script)
        .args(["kubectl", "--namespace", namespace, "apply", "-f", "-"])
        .env("CLUSTER_HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl");
    child.stdin.take().expect("piped").write_all(yaml.as_bytes()).expect("read by kubectl");
    let output = child.wait_with_output().expect("an end");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn manifests() -> (MutatingWebhookConfiguration, ValidatingWebhookConfiguration) {
    let mut documents = serde_yaml::Deserializer::from_str(include_str!("../../manifests/webhook-local.yaml"));
    let mut next = || documents.next().expect("a document");
    let mutating = MutatingWebhookConfiguration::deserialize(next()).expect("a mutating configuration");
    (mutating, ValidatingWebhookConfiguration::deserialize(next()).expect("a validating configuration"))
}

fn point_to(client: &mut WebhookClientConfig, port: u16) {
    let url = client.url.as_mut().expect("a url");
    *url = url.replace("9443", &port.to_string());
}
