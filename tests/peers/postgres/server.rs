//! Real PostgreSQL servers for this test process: on a loopback port, with their files below target/, ended and removed
//! however the process ends. Knows nothing of Strongroom; the unit tests of the adapter include this file as well.

#![allow(dead_code, reason = "each of the two binaries that include this uses its own part")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// For tests that never take the server down: no sync to the disk, so that hundreds of databases are quick.
const FAST: &[(&str, &str)] = &[("fsync", "off"), ("full_page_writes", "off")];
const EVERY: &[(&str, &str)] = &[
    ("unix_socket_directories", ""),
    ("max_connections", "200"),
    ("shared_buffers", "32MB"),
    ("logging_collector", "off"),
    ("log_min_messages", "warning"),
    ("max_wal_senders", "4"),
    ("wal_keep_size", "256MB"),
];

pub struct Server {
    home: PathBuf,
    port: u16,
    guard: Child,
}

/// The one server that tests share when they do not harm it.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(FAST))
}

impl Server {
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let server = Self::prepare();
        let mut initdb = server.command("initdb");
        initdb.args(["--no-sync", "--username=tests", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        done(initdb.arg("--pgdata").arg(server.data()));
        for (name, value) in EVERY.iter().chain(settings) {
            server.set(name, value);
        }
        server.up();
        server
    }

    /// A copy that follows this server, under the application name `name`. It is not yet a synchronous one.
    pub fn standby(&self, name: &str) -> Self {
        let standby = Self::prepare();
        let mut copy = standby.command("pg_basebackup");
        copy.args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--pgdata"]).arg(standby.data());
        done(copy.arg("--dbname").arg(format!("{} application_name={name}", self.conninfo("postgres"))));
        standby.set("port", &standby.port.to_string());
        standby.set("synchronous_standby_names", "");
        standby.up();
        standby
    }

    /// Commits wait for the standby `name` from here on.
    pub fn await_standby(&self, name: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
        eventually("the standby is synchronous", || {
            self.sql("postgres", "SELECT sync_state FROM pg_stat_replication") == "sync"
        });
    }

    pub fn promote(&self) {
        done(self.command("pg_ctl").args(["promote", "-w", "--pgdata"]).arg(self.data()));
    }

    /// Ends the server as a power cut would: every process of it at once, nothing is tidied up.
    pub fn kill(&self) {
        let first = fs::read_to_string(self.data().join("postmaster.pid")).expect("a running server");
        let postmaster = first.lines().next().expect("its process id").to_owned();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap_or_default();
        let all = std::iter::once(postmaster.as_str()).chain(children.split_whitespace());
        let _ = Command::new("kill").arg("-9").args(all).stderr(Stdio::null()).status();
        eventually("the server is gone", || !Path::new(&format!("/proc/{postmaster}")).exists());
    }

    /// Starts it again after [`kill`](Self::kill).
    pub fn revive(&self) {
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
        self.up();
    }

    /// `fast`: ends every session; `immediate`: as after a crash.
    pub fn restart(&self, mode: &str) {
        done(
            self.command("pg_ctl")
                .args(["restart", "-w", "-s", "-m", mode, "--log"])
                .arg(self.log())
                .arg("--pgdata")
                .arg(self.data()),
        );
    }

    /// Takes effect at the next start.
    pub fn set(&self, name: &str, value: &str) {
        self.add("postgresql.conf", &format!("{name} = '{value}'\n"));
    }

    /// Puts a line before all others of pg_hba.conf; takes effect at the next start.
    pub fn admit_first(&self, line: &str) {
        let path = self.data().join("pg_hba.conf");
        let rest = fs::read_to_string(&path).expect("pg_hba.conf");
        fs::write(path, format!("{line}\n{rest}")).expect("to write pg_hba.conf");
    }

    /// Puts a file into the data folder that only the server may read.
    pub fn place(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::write(&path, content).expect("to write it");
        done(Command::new("chmod").arg("600").arg(&path));
        if let Some(user) = user() {
            done(Command::new("chown").arg(user).arg(&path));
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://tests@127.0.0.1:{}/{database}", self.port)
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// What one statement answers, without headings.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname"]);
        let answer = done(psql.arg(self.conninfo(database)).arg("--command").arg(statement));
        String::from_utf8(answer.stdout).expect("text").trim().to_owned()
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn conninfo(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=tests dbname={database} connect_timeout=10", self.port)
    }

    fn prepare() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/postgres");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = root.join(format!("{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).expect("a folder below target/");
        if let Some(user) = user() {
            done(Command::new("chown").arg(user).arg(&home));
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
        let guard = guard(&home);
        Self { home, port, guard }
    }

    fn up(&self) {
        self.set("port", &self.port.to_string());
        self.set("listen_addresses", "127.0.0.1");
        let mut start = self.command("pg_ctl");
        start.args(["start", "-w", "-s", "-t", "60", "--log"]).arg(self.log()).arg("--pgdata").arg(self.data());
        // The server outlives the command and would hold a pipe open.
        let status = start.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("pg_ctl");
        assert!(status.success(), "PostgreSQL does not start: {}", self.log_text());
    }

    fn add(&self, file: &str, text: &str) {
        let path = self.data().join(file);
        let old = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, old + text).expect("to write a setting");
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = as_user(&binaries().join(name));
        command.current_dir(&self.home).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Reads from a pipe whose other end only this process has. The pipe ends when this process does, by returning,
/// panicking or SIGKILL alike, and then the shell ends the server and removes its files.
fn guard(home: &Path) -> Child {
    const GUARD: &str = r#"
        trap : HUP PIPE INT TERM
        cat > /dev/null
        pid=$(head -1 "$1/data/postmaster.pid" 2>/dev/null) && [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null &&
            for i in $(seq 200); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
        rm -rf "$1"
    "#;
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard"]).arg(home).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut guard, 0);
    guard.spawn().expect("sh")
}

/// PostgreSQL refuses to run as root.
fn as_user(program: &Path) -> Command {
    let Some(user) = user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={user}")).arg(format!("--regid={}", group(user))).arg("--clear-groups").arg("--");
    command.arg(program);
    command
}

/// Who runs the server when this is root.
fn user() -> Option<&'static str> {
    static USER: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        (text(Command::new("id").arg("-u")) == "0").then(|| {
            let known = |name: &&str| Command::new("id").arg(name).output().is_ok_and(|output| output.status.success());
            (*["postgres", "nobody"].iter().find(|name| known(name)).expect("a user other than root")).to_owned()
        })
    };
    USER.get_or_init(find).as_deref()
}

fn group(user: &str) -> String {
    text(Command::new("id").args(["-g", user]))
}

fn binaries() -> &'static Path {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/postgres/find");
        text(&mut Command::new(script)).into()
    })
}

fn text(command: &mut Command) -> String {
    String::from_utf8(done(command).stdout).expect("text").trim().to_owned()
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    output
}

pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not in time: {what}");
        sleep(Duration::from_millis(20));
    }
}
