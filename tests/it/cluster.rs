//! A real etcd and kube-apiserver for this test process: started by the first test that asks, with Strongroom's CRDs
//! in place, and stopped however the process ends. Each test works in a namespace of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, ResourceExt};
use tokio::sync::OnceCell;

static KUBECONFIG: OnceLock<PathBuf> = OnceLock::new();
static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// The kubeconfig of the cluster's administrator, for what takes a path.
pub fn kubeconfig() -> &'static Path {
    KUBECONFIG.get_or_init(start)
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
    let bin = std::env::var_os("CLUSTER_BIN").map_or_else(|| shared.join("bin"), PathBuf::from);
    let home = shared.join(format!("test-{}", std::process::id()));
    fs::create_dir_all(&home).expect("a folder for the cluster");
    fs::create_dir_all(&bin).expect("a folder for the binaries");
    symlink(&bin, home.join("bin")).expect("a link to the binaries");
    if up(&project.join("tests/cluster/cluster"), &home, &bin) {
        return home.join("state/admin.kubeconfig");
    }
    let said = fs::read_to_string(home.join("up.log")).unwrap_or_default();
    panic!("the test cluster does not start: {said}");
}

/// Starts the cluster from a shell that then reads from a pipe. Only this process has the other end, and never writes:
/// the pipe ends when this process does, by returning, panicking or SIGKILL alike, and the shell takes the cluster down.
/// It stands in a process group of its own, so that Ctrl-C on the tests does not end it before it has done so.
fn up(script: &Path, home: &Path, bin: &Path) -> bool {
    const GUARD: &str = r#"
        trap '' HUP
        "$0" up < /dev/null > "$1/up.log" 2>&1 && echo up || echo failed
        cat > /dev/null
        "$0" down > /dev/null 2>&1
        rm -rf "$1"
    "#;
    let [etcd, peer, apiserver] = free_ports().map(|port| port.to_string());
    let mut guard = Command::new("sh")
        .args(["-c", GUARD])
        .args([script, home])
        .env("CLUSTER_HOME", home)
        .env("CLUSTER_BIN", bin)
        .envs([("ETCD_PORT", etcd), ("ETCD_PEER_PORT", peer), ("APISERVER_PORT", apiserver)])
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

/// Ports that were free a moment ago: the listeners are held together so that the three differ.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
