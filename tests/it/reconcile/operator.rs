//! An operator that a test starts, stops and starts again, and the namespace that the test looks at.

use crate::ground::parts;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use http::header::USER_AGENT;
use jiff::SignedDuration;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde_json::{Value, json};
use strongroom::adapters::store::SqliteStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::app::alarm::Alarm;
use strongroom::domain::record::Owner;
use strongroom::k8s::crd::{self, Managed};
use strongroom::k8s::rights::RIGHTS;
use strongroom::k8s::{self, Options};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::audit::{AGENT, Asked, asked};
use crate::cluster::{self, Cluster};

const ACCOUNT: &str = "system:serviceaccount:strongroom-system:strongroom";
const PATIENCE: Duration = Duration::from_secs(20);

/// Whatever the controllers said, for those who look for what they must not say.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn of_this_process() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let filter = tracing_subscriber::EnvFilter::new("strongroom=debug,audit=info,kube=info");
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_env_filter(filter)
                .with_writer(move || writer.clone())
                .init();
            log
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("a log")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if std::env::var_os("SHOW_LOG").is_some() {
            std::io::stderr().write_all(bytes)?;
        }
        self.0.lock().expect("a log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A namespace, an administrator's client, and the operator's turn.
pub struct Ground {
    pub client: Client,
    pub namespace: String,
    data: TempDir,
    turn: cluster::Turn,
}

/// Running controllers.
pub struct Operator {
    pub app: Arc<App>,
    shutdown: CancellationToken,
    task: JoinHandle<strongroom::domain::Result<()>>,
}

impl Ground {
    pub async fn new(about: &str) -> Self {
        Log::of_this_process();
        let turn = cluster::turn().await;
        let client = turn.cluster.client().await;
        grant(&client).await;
        // What earlier tests left would be work for this one's operator.
        clear::<crd::Service>(&client).await;
        clear::<crd::Credential>(&client).await;
        clear::<crd::ClientCredential>(&client).await;
        clear::<crd::CertificateAuthority>(&client).await;
        let namespace = cluster::namespace(&client, &format!("op-{about}")).await;
        Self { client, namespace, data: tempfile::tempdir().expect("a folder"), turn }
    }

    pub fn cluster(&self) -> &'static Cluster {
        self.turn.cluster
    }

    /// What the operators under test have asked of the API server, in this namespace.
    pub fn asked(&self) -> Vec<Asked> {
        asked(self.turn.cluster, &self.namespace)
    }

    /// The same of what went to all namespaces.
    pub fn asked_everywhere(&self) -> Vec<Asked> {
        asked(self.turn.cluster, "")
    }

    pub fn writes(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(Asked::is_write).collect()
    }

    pub async fn start(&self) -> Operator {
        self.start_on(self.data.path()).await
    }

    /// On another store: one that knows nothing of what is there.
    pub async fn start_on(&self, data: &Path) -> Operator {
        let app = Arc::new(app(data).await);
        let shutdown = CancellationToken::new();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let client = self.limited_client().await;
        let options = Options { retain_for: SignedDuration::from_hours(1) };
        let ready = move || ready.send(()).expect("somebody waits");
        let task = tokio::spawn(k8s::Operator::default().run(client, app.clone(), options, ready, shutdown.clone()));
        tokio::time::timeout(PATIENCE, is_ready).await.expect("ready in time").expect("ready");
        Operator { app, shutdown, task }
    }

    /// With the rights of the install, and a name in the audit log.
    pub async fn limited_client(&self) -> Client {
        let who = |config: &mut Config| {
            config.auth_info.impersonate = Some(ACCOUNT.to_owned());
            config.headers.push((USER_AGENT, AGENT.parse().expect("a header")));
        };
        self.turn.cluster.client_of(who).await
    }

    pub fn api<K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn owner<K: Managed>(&self, name: &str) -> Owner {
        Owner { kind: K::KIND.into(), namespace: self.namespace.clone(), name: name.into() }
    }

    pub async fn create<K: Managed>(&self, name: &str, spec: Value) -> K {
        let body =
            json!({"apiVersion": K::api_version(&()), "kind": K::KIND, "metadata": {"name": name}, "spec": spec});
        let resource = serde_json::from_value(body).expect("a resource");
        self.api::<K>().create(&PostParams::default(), &resource).await.expect("created")
    }

    pub async fn change<K: Managed>(&self, name: &str, spec: Value) -> K {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api::<K>().patch(name, &PatchParams::default(), &patch).await.expect("changed")
    }

    pub async fn delete<K: Managed>(&self, name: &str) {
        self.api::<K>().delete(name, &DeleteParams::default()).await.expect("deleted");
    }

    /// Waits until the resource is as `is` wants it; says how it is when it does not become so.
    pub async fn until<K: Managed>(&self, name: &str, is: impl Fn(&K) -> bool) -> K {
        let api = self.api::<K>();
        eventually(async || api.get_opt(name).await.expect("an answer"), |found| found.as_ref().is_some_and(&is))
            .await
            .expect("there")
    }

    /// Ready for its current generation.
    pub async fn ready<K: Managed>(&self, name: &str) -> K {
        self.until::<K>(name, |it| {
            it.observed_generation() == it.meta().generation
                && condition(it, "Ready").is_some_and(|it| it.status == "True")
        })
        .await
    }

    /// Not ready for this reason; its message.
    pub async fn failing<K: Managed>(&self, name: &str, reason: &str) -> String {
        let seen = self.until::<K>(name, |it| condition(it, "Ready").is_some_and(|it| it.reason == reason)).await;
        condition(&seen, "Ready").expect("Ready").message.clone()
    }

    /// The keys and values of a Secret, once it is as wanted.
    pub async fn secret_until(&self, name: &str, is: impl Fn(&Secret) -> bool) -> Secret {
        let api = self.api::<Secret>();
        let found =
            eventually(async || api.get_opt(name).await.expect("an answer"), |it| it.as_ref().is_some_and(&is)).await;
        found.expect("there")
    }

    pub async fn secret(&self, name: &str) -> Secret {
        self.api::<Secret>().get(name).await.expect("a Secret")
    }

    /// Makes a Secret as somebody else would.
    pub async fn foreign_secret(&self, name: &str, metadata: Value, data: Value) -> Secret {
        let mut body = json!({"metadata": metadata, "stringData": data});
        body["metadata"]["name"] = json!(name);
        let secret: Secret = serde_json::from_value(body).expect("a Secret");
        self.api::<Secret>().create(&PostParams::default(), &secret).await.expect("created")
    }

    pub async fn edit_secret(&self, name: &str, patch: Value) {
        let parameters = PatchParams { field_manager: Some("somebody".into()), ..PatchParams::default() };
        self.api::<Secret>().patch(name, &parameters, &Patch::Merge(patch)).await.expect("edited");
    }

    /// Type, reason and note of the Events about a resource of this name.
    pub async fn events(&self, name: &str) -> Vec<(String, String, String)> {
        let found = self.api::<Event>().list(&ListParams::default()).await.expect("Events").items;
        let about =
            found.into_iter().filter(|it| it.regarding.as_ref().is_some_and(|it| it.name.as_deref() == Some(name)));
        about
            .map(|it| (it.type_.unwrap_or_default(), it.reason.unwrap_or_default(), it.note.unwrap_or_default()))
            .collect()
    }

    pub async fn event(&self, name: &str, reason: &str) {
        let has = |events: &Vec<(String, String, String)>| events.iter().any(|event| event.1 == reason);
        eventually(async || self.events(name).await, has).await;
    }
}

impl Operator {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic").expect("a clean end");
    }
}

async fn app(data: &Path) -> App {
    let store = SqliteStore::open(&data.join("strongroom.db"), Alarm::default()).expect("a store");
    App::new(parts(Arc::new(store), &data.join("strongroom.key"), Arc::new(SystemClock)).await)
}

/// Looks until it is so.
pub async fn eventually<T: Debug>(look: impl AsyncFn() -> T, is: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let seen = look().await;
        if is(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time; last seen: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn condition<'a, K: Managed>(resource: &'a K, type_: &str) -> Option<&'a Condition> {
    resource.conditions().iter().find(|it| it.type_ == type_)
}

pub fn data(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.clone().unwrap_or_default().into_iter();
    data.map(|(key, value)| (key, String::from_utf8(value.0).expect("text"))).collect()
}

pub fn keys(secret: &Secret) -> Vec<String> {
    data(secret).into_keys().collect()
}

async fn clear<K: Managed>(client: &Client) {
    let all = Api::<K>::all(client.clone()).list(&ListParams::default()).await.expect("a list");
    for resource in all.items.iter().filter(|it| it.namespace().is_some_and(|name| name.starts_with("op-"))) {
        let api: Api<K> = Api::namespaced(client.clone(), &resource.namespace().unwrap_or_default());
        let _ = api.delete(&resource.name_any(), &DeleteParams::default()).await;
    }
}

/// The rights of the install, from the same table.
async fn grant(client: &Client) {
    let rules = RIGHTS.iter().map(|right| PolicyRule {
        api_groups: Some(vec![right.group.into()]),
        resources: Some(vec![match right.subresource {
            Some(part) => format!("{}/{part}", right.resource),
            None => right.resource.into(),
        }]),
        verbs: right.verbs.iter().map(ToString::to_string).collect(),
        resource_names: right.named.then(|| vec!["strongroom".into()]),
        ..PolicyRule::default()
    });
    let role = ClusterRole { rules: Some(rules.collect()), ..named("strongroom-tests") };
    let subject = Subject {
        kind: "User".into(),
        name: ACCOUNT.into(),
        api_group: Some("rbac.authorization.k8s.io".into()),
        ..Subject::default()
    };
    let role_ref = RoleRef {
        api_group: "rbac.authorization.k8s.io".into(),
        kind: "ClusterRole".into(),
        name: "strongroom-tests".into(),
    };
    let binding = ClusterRoleBinding { subjects: Some(vec![subject]), role_ref, ..named("strongroom-tests") };
    apply(client, &role).await;
    apply(client, &binding).await;
    // RBAC is read from a cache of the API server.
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let question = json!({"spec": {"user": ACCOUNT, "resourceAttributes":
        {"group": "strongroom.dev", "resource": "credentials", "verb": "watch"}}});
    let question: SubjectAccessReview = serde_json::from_value(question).expect("a question");
    let ask = async || reviews.create(&PostParams::default(), &question).await.expect("an answer").status;
    eventually(ask, |status| status.as_ref().is_some_and(|status| status.allowed)).await;
}

fn named<K: Resource + Default>(name: &str) -> K {
    let mut object = K::default();
    object.meta_mut().name = Some(name.to_owned());
    object
}

async fn apply<K>(client: &Client, object: &K)
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Clone
        + Debug,
{
    let mut body = serde_json::to_value(object).expect("plain data");
    body["apiVersion"] = json!(K::api_version(&()));
    body["kind"] = json!(K::kind(&()));
    let parameters = PatchParams::apply("tests").force();
    Api::<K>::all(client.clone()).patch(&object.name_any(), &parameters, &Patch::Apply(&body)).await.expect("applied");
}
