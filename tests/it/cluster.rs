//! A real etcd and kube-apiserver for this test process: started by the first test that asks, with Strongroom's CRDs
//! in place, and stopped however the process ends. Each test works in a namespace of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, ResourceExt};
use strongroom::k8s::crd::Credential;
use tokio::sync::OnceCell;

/// Held by whoever runs an operator: it looks at every namespace, so one at a time does.
pub static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

static HOME: OnceLock<PathBuf> = OnceLock::new();
static CONTROLLERS: OnceLock<()> = OnceLock::new();
static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// The kubeconfig of the cluster's administrator, for what takes a path.
pub fn kubeconfig() -> PathBuf {
    HOME.get_or_init(start).join("state/admin.kubeconfig")
}

/// Every request to the API server, a line of JSON each.
pub fn audit_log() -> PathBuf {
    HOME.get_or_init(start).join("state/audit.log")
}

/// Adds kube-controller-manager, once: for tests of namespace deletion, garbage collection and default accounts.
/// Takes a client because the CRDs have to be there before it: it looks for new kinds only now and then.
pub async fn controllers(_installed: &Client) {
    let start = || {
        CONTROLLERS.get_or_init(|| {
            let answer = script("controllers", HOME.get_or_init(start)).output().expect("tests/cluster/cluster");
            assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        });
    };
    tokio::task::spawn_blocking(start).await.expect("the controllers start");
}

/// An administrator's client. A client lives on the runtime of the test that made it, so each test makes its own.
pub async fn client() -> Client {
    let kubeconfig = tokio::task::spawn_blocking(kubeconfig).await.expect("the cluster starts");
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a usable kubeconfig");
    let client = Client::try_from(config).expect("a client");
    INSTALLED.get_or_init(|| install_crds(client.clone())).await;
    client
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
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("CLUSTER_HOME").map_or_else(|| project.join("target/cluster"), PathBuf::from);
    let home = shared.join(format!("test-{}", std::process::id()));
    fs::create_dir_all(&home).expect("a folder for the cluster");
    if !up(&home) {
        let said = fs::read_to_string(home.join("up.log")).unwrap_or_default();
        panic!("the test cluster does not start: {said}");
    }
    home
}

/// The script that starts and stops clusters, told which of them.
fn script(action: &str, home: &Path) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cluster"));
    command.arg(action).env("CLUSTER_HOME", home).stdin(Stdio::null());
    command
}

/// Starts the cluster from a shell that then reads from a pipe. Only this process has the other end, and never writes:
/// the pipe ends when this process does, by returning, panicking or SIGKILL alike, and the shell takes the cluster down.
/// It stands in a process group of its own, so that Ctrl-C on the tests does not end it before it has done so.
fn up(home: &Path) -> bool {
    const GUARD: &str = r#"
        trap : HUP PIPE
        "$0" up < /dev/null > "$1/up.log" 2>&1 && echo up || echo failed
        cat > /dev/null
        "$0" down > /dev/null 2>&1
        rm -rf "$1"
    "#;
    let mut guard = Command::new("sh")
        .args(["-c", GUARD])
        .args([script("up", home).get_program(), home.as_os_str()])
        .env("CLUSTER_HOME", home)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    let mut answer = String::new();
    let said = BufReader::new(guard.stdout.take().expect("piped")).read_line(&mut answer);
    std::mem::forget(guard);
    said.is_ok() && answer == "up\n"
}

/// What the other tests rely on when they speak of namespaces and of API writes.
#[tokio::test]
async fn the_cluster_deletes_a_namespace_with_resources_and_logs_it() {
    let client = client().await;
    controllers(&client).await;
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
    let log = fs::read_to_string(audit_log()).expect("an audit log");
    let deleted = |line: &str| line.contains(&namespace) && line.contains("\"verb\":\"delete\"");
    assert!(log.lines().any(deleted), "no deletion of {namespace} in the log");
}
