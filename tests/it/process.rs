//! The real binary as a child: started on free ports and a folder of its own, and ended with the test.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Identity};

const START: Duration = Duration::from_secs(20);

pub struct Strongroom {
    pub data: PathBuf,
    pub rest: u16,
    pub admin: u16,
    pub webhook: u16,
    command: &'static str,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    log: PathBuf,
    dir: Arc<tempfile::TempDir>,
}

/// The binary without anything of the test's environment that it would take as a setting.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STRONGROOM_") {
            command.env_remove(name);
        }
    }
    command
}

/// Below the range from which outgoing connections take theirs, and none of them twice: a server may wait for something
/// else before it listens.
fn free_ports() -> [u16; 3] {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 10_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    [(); 3].map(|()| {
        loop {
            let next = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
            let port = u16::try_from(FIRST + next).expect("a port");
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}

impl Strongroom {
    /// `strongroom serve`, or `run` against the cluster of `kubeconfig`; not started yet.
    pub fn new(kubeconfig: Option<&Path>) -> Self {
        let environment = kubeconfig.map(|path| ("KUBECONFIG".to_owned(), path.display().to_string()));
        let command = if kubeconfig.is_some() { "run" } else { "serve" };
        let dir = Arc::new(tempfile::tempdir().expect("a folder"));
        Self::on(dir, command, environment.into_iter().collect())
    }

    /// Another process on the same store, with ports of its own.
    pub fn beside(&self) -> Self {
        Self::on(self.dir.clone(), self.command, self.environment.clone())
    }

    fn on(dir: Arc<tempfile::TempDir>, command: &'static str, environment: Vec<(String, String)>) -> Self {
        let [rest, admin, webhook] = free_ports();
        let (data, log) = (dir.path().join("data"), dir.path().join(format!("{rest}.log")));
        Self { data, rest, admin, webhook, command, environment, child: None, log, dir }
    }

    /// Takes effect at the next start.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    pub fn spawn(&mut self) {
        let log = fs::File::options().create(true).append(true).open(&self.log).expect("a log");
        let child = binary()
            .arg(self.command)
            .args(["--data-dir", &self.data.display().to_string()])
            .args(["--listen", &format!("127.0.0.1:{}", self.rest)])
            .args(["--admin-listen", &format!("127.0.0.1:{}", self.admin)])
            .args(["--webhook-listen", &format!("127.0.0.1:{}", self.webhook), "--webhook-name", "127.0.0.1"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the binary");
        self.child = Some(child);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Starts it and waits until it answers that it is ready.
    pub async fn start(&mut self) {
        self.spawn();
        self.wait_until("readyz").await;
    }

    /// Waits until this page of the admin listener answers 200.
    pub async fn wait_until(&mut self, page: &str) {
        self.wait_for(page, |status, _| status == 200).await;
    }

    async fn wait_for(&mut self, page: &str, is_it: impl Fn(u16, &str) -> bool) {
        let url = format!("http://127.0.0.1:{}/{page}", self.admin);
        let client = plain_client();
        let begun = Instant::now();
        loop {
            if let Ok(answer) = client.get(&url).send().await {
                let status = answer.status().as_u16();
                if is_it(status, &answer.text().await.unwrap_or_default()) {
                    return;
                }
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "it ended by itself: {}", self.log());
            assert!(begun.elapsed() < START, "not ready in time: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts it and waits until it serves REST: for clusters without its webhook configurations, where it is never ready.
    pub async fn start_without_webhook(&mut self) {
        self.spawn();
        self.wait_for("readyz", |status, said| status == 200 || (status == 503 && !said.contains("rest"))).await;
    }

    pub fn has_ended(&mut self) -> bool {
        let ended = self.child.as_mut().is_none_or(|child| child.try_wait().expect("a child").is_some());
        if ended {
            self.child = None;
        }
        ended
    }

    /// Waits for an end that comes by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            let child = self.child.as_mut().expect("a started process");
            if let Some(status) = child.try_wait().expect("a child") {
                self.child = None;
                return status;
            }
            assert!(begun.elapsed() < START, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGKILL: nothing is tidied up.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("a started process").id()
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().expect("kill");
        assert!(done.success());
    }

    /// SIGTERM, and its exit status.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Not a thread of it runs until it is resumed.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Whether its metrics say that it runs the controllers. One that is paused or has ended says nothing.
    pub async fn leads(&self) -> bool {
        let page = plain_client().get(format!("http://127.0.0.1:{}/metrics", self.admin)).send().await;
        let Ok(page) = page else { return false };
        page.text().await.is_ok_and(|page| page.lines().any(|line| line == "strongroom_leader 1"))
    }

    /// What `strongroom check` prints, with the settings of this one.
    pub fn check(&self) -> String {
        let mut command = binary();
        command.args(["check", "--data-dir", &self.data.display().to_string()]);
        let settings = self.environment.iter().filter(|(name, _)| name != "FAILPOINTS");
        let answer = command.envs(settings.map(|(name, value)| (name, value))).output().expect("the binary");
        String::from_utf8_lossy(&answer.stdout).into_owned()
    }

    /// `strongroom client create` on the same folder; the password.
    pub fn create_client(&self, name: &str, admin: bool) -> String {
        let mut command = binary();
        command.args(["client", "create", name, "--data-dir", &self.data.display().to_string()]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if admin {
            command.arg("--admin");
        }
        let Output { status, stdout, stderr } = command.output().expect("the binary");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("text").trim().to_owned()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.rest)
    }

    /// A caller that knows the root certificate, with a certificate of its own if it has one (PEM, key behind it).
    pub fn caller(&self, identity: Option<&str>) -> Client {
        let mut root = Vec::new();
        fs::File::open(self.data.join("ca.crt")).expect("ca.crt").read_to_end(&mut root).expect("ca.crt");
        let roots = Certificate::from_pem_bundle(&root).expect("certificates");
        let mut builder = Client::builder().tls_certs_only(roots).timeout(Duration::from_secs(10));
        if let Some(pem) = identity {
            builder = builder.identity(Identity::from_pem(pem.as_bytes()).expect("an identity"));
        }
        builder.build().expect("a client")
    }
}

impl Drop for Strongroom {
    fn drop(&mut self) {
        self.kill();
    }
}

/// For HTTP without TLS: reads no root certificates, which takes longer than most answers. Keeps no connection either: the
/// runtime of one test would end that of another.
pub fn plain_client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0);
        builder.timeout(Duration::from_secs(5)).build().expect("a client")
    })
}
