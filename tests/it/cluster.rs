//! Real control planes for this test process, etcd and kube-apiserver each: started by the first test that asks, with
//! Strongroom's CRDs in place, and stopped however the process ends. Each test works in a namespace of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, ResourceExt};
use strongroom::k8s::crd::Credential;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::guard;

static CLUSTERS: [Cluster; 3] = [const { Cluster::new() }; 3];
/// Where tests without an operator are, beside one another and beside whoever has its turn there.
pub static SHARED: &Cluster = &CLUSTERS[0];

/// One place for each cluster.
static TURNS: Semaphore = Semaphore::const_new(CLUSTERS.len());
static TAKEN: Mutex<[bool; CLUSTERS.len()]> = Mutex::new([false; CLUSTERS.len()]);

/// A cluster for whoever runs an operator: that looks at every namespace, so on each cluster one at a time does.
pub struct Turn {
    pub cluster: &'static Cluster,
    number: usize,
    _place: SemaphorePermit<'static>,
}

pub async fn turn() -> Turn {
    let place = TURNS.acquire().await.expect("never closed");
    let mut taken = TAKEN.lock().expect("not poisoned");
    let number = taken.iter().position(|taken| !taken).expect("as many clusters as places");
    taken[number] = true;
    Turn { cluster: &CLUSTERS[number], number, _place: place }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.lock().expect("not poisoned")[self.number] = false;
    }
}

pub struct Cluster {
    home: OnceLock<PathBuf>,
    controllers: OnceLock<()>,
    installed: OnceCell<()>,
}

impl Cluster {
    const fn new() -> Self {
        Self { home: OnceLock::new(), controllers: OnceLock::new(), installed: OnceCell::const_new() }
    }

    /// The kubeconfig of the cluster's administrator, for what takes a path.
    pub fn kubeconfig(&self) -> PathBuf {
        self.home().join("state/admin.kubeconfig")
    }

    /// Every request to the API server, a line of JSON each.
    pub fn audit_log(&self) -> PathBuf {
        self.home().join("state/audit.log")
    }

    /// Adds kube-controller-manager, once: for tests of namespace deletion, garbage collection and default accounts.
    /// Takes a client because the CRDs have to be there before it: it looks for new kinds only now and then.
    pub async fn controllers(&'static self, _installed: &Client) {
        let start = || {
            self.controllers.get_or_init(|| {
                let mut script = Command::new(script());
                let answer = script.arg("controllers").env("CLUSTER_HOME", self.home()).stdin(Stdio::null()).output();
                let answer = answer.expect("tests/cluster/cluster");
                assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
            });
        };
        tokio::task::spawn_blocking(start).await.expect("the controllers start");
    }

    /// An administrator's client. A client lives on the runtime of the test that made it, so each test makes its own.
    pub async fn client(&'static self) -> Client {
        self.client_of(|_| ()).await
    }

    /// One that is somebody else, or calls itself otherwise.
    pub async fn client_of(&'static self, who: impl FnOnce(&mut Config)) -> Client {
        let kubeconfig = tokio::task::spawn_blocking(|| self.kubeconfig()).await.expect("the cluster starts");
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a usable kubeconfig");
        let admin = Client::try_from(config.clone()).expect("a client");
        self.installed.get_or_init(|| install_crds(admin)).await;
        who(&mut config);
        Client::try_from(config).expect("a client")
    }

    fn home(&self) -> &Path {
        self.home.get_or_init(start)
    }
}

/// A new namespace whose name starts with what the test is about.
pub async fn namespace(client: &Client, about: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let name = format!("{about}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.clone());
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("a namespace");
    name
}

async fn install_crds(client: Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    for crd in strongroom::k8s::crd::all() {
        let name = crd.name_any();
        api.patch(&name, &PatchParams::apply("tests").force(), &Patch::Apply(&crd))
            .await
            .expect("a CRD that the API server takes");
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(Duration::from_secs(20), established)
            .await
            .expect("established in time")
            .expect("a watch");
    }
}

fn start() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    const BEGIN: &str = r#"
        export CLUSTER_HOME="$2"
        "$1" up < /dev/null > "$2/up.log" 2>&1 && echo up || echo failed
    "#;
    const END: &str = r#""$1" down > /dev/null 2>&1; rm -rf "$2""#;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("CLUSTER_HOME").map_or_else(|| project.join("target/cluster"), PathBuf::from);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let home = shared.join(format!("test-{}-{number}", std::process::id()));
    fs::create_dir_all(&home).expect("a folder for the cluster");
    if guard::beside(BEGIN, END, &[script().as_os_str(), home.as_os_str()]) != "up\n" {
        let said = fs::read_to_string(home.join("up.log")).unwrap_or_default();
        panic!("the test cluster does not start: {said}");
    }
    home
}

/// It starts and stops clusters; the environment tells it which.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cluster")
}

/// What the other tests rely on when they speak of namespaces and of API writes.
#[tokio::test]
async fn the_cluster_deletes_a_namespace_with_resources_and_logs_it() {
    let client = SHARED.client().await;
    SHARED.controllers(&client).await;
    let namespace = namespace(&client, "deleted").await;
    let spec = serde_json::json!({"type": "Value", "source": {"stored": {}}});
    let credential = Credential::new("left", serde_json::from_value(spec).expect("a spec"));
    let credentials: Api<Credential> = Api::namespaced(client.clone(), &namespace);
    credentials.create(&PostParams::default(), &credential).await.expect("a Credential");

    let namespaces: Api<Namespace> = Api::all(client);
    let uid = namespaces.get(&namespace).await.expect("there").uid().expect("a uid");
    namespaces.delete(&namespace, &DeleteParams::default()).await.expect("deleted");
    let gone = await_condition(namespaces, &namespace, conditions::is_deleted(&uid));
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("gone in time").expect("a watch");
    let log = fs::read_to_string(SHARED.audit_log()).expect("an audit log");
    let deleted = |line: &str| line.contains(&namespace) && line.contains("\"verb\":\"delete\"");
    assert!(log.lines().any(deleted), "no deletion of {namespace} in the log");
}
