//! Sessions with the primary. Owns which of the hosts that is at present and what a session must prove before it is
//! used: that it may write, that it is encrypted if that was asked for, that its commits are durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions, Executor, Row};

use super::address::Address;
use super::fault;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// For one host: name, TCP, TLS, password and the questions below.
const CONNECT: Duration = Duration::from_secs(4);

/// Statement timeouts live in the server. This one notices that nothing at all comes back any more.
pub(super) const ANSWER: Duration = Duration::from_secs(12);

const OLDEST: i32 = 150_000;

const PROVE: &str = "
    SELECT pg_is_in_recovery(), current_setting('server_version_num')::int4,
           coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
           current_setting('synchronous_commit'), current_setting('fsync') = 'on',
           current_setting('synchronous_standby_names') <> '',
           (SELECT count(*) FROM pg_stat_replication), current_setting('default_transaction_read_only') = 'on'";

pub(super) struct Session {
    pub(super) connection: PgConnection,
    host: usize,
}

/// Makes sessions.
#[derive(Clone)]
pub(super) struct Dialer(Arc<State>);

struct State {
    address: Address,
    /// The host that was last found to be the primary.
    primary: AtomicUsize,
    said: AtomicBool,
}

/// What a server says of itself.
struct Proof {
    in_recovery: bool,
    version: i32,
    encrypted: bool,
    synchronous_commit: String,
    fsync: bool,
    synchronous_standby: bool,
    standbys: i64,
    read_only: bool,
}

impl Dialer {
    pub(super) fn new(url: &SecretText) -> Result<Self> {
        let address = Address::parse(url)?;
        Ok(Self(Arc::new(State { address, primary: AtomicUsize::new(0), said: AtomicBool::new(false) })))
    }

    /// Tries the hosts in turn, the last primary first.
    pub(super) async fn dial(&self) -> Result<Session> {
        let hosts = self.0.address.hosts();
        let first = self.0.primary.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for host in (0..hosts.len()).map(|step| (first + step) % hosts.len()) {
            match self.try_host(host, &hosts[host]).await {
                Ok(connection) => {
                    self.0.primary.store(host, Ordering::Relaxed);
                    return Ok(Session { connection, host });
                }
                Err(Error::Unavailable { detail, .. }) => {
                    failures.push(format!("{}: {detail}", self.0.address.name(host)))
                }
                Err(error) => return Err(error),
            }
        }
        Err(fault::unavailable(failures.join("; ")))
    }

    /// A session with a host that has been found to be primary no longer is worth nothing.
    pub(super) fn is_current(&self, session: &Session) -> bool {
        session.host == self.0.primary.load(Ordering::Relaxed)
    }

    async fn try_host(&self, host: usize, options: &PgConnectOptions) -> Result<PgConnection> {
        let dialled = async {
            let mut connection = options.connect().await.map_err(|error| fault::refused(&error))?;
            let proof = prove(&mut connection).await.map_err(|error| fault::refused(&error))?;
            self.require(host, &proof)?;
            if !is_durable(&proof.synchronous_commit) {
                let durable = connection.execute("SET synchronous_commit = on").await;
                durable.map_err(|error| fault::refused(&error))?;
            }
            Ok(connection)
        };
        let late = |_| fault::unavailable("does not answer in time");
        tokio::time::timeout(CONNECT, dialled).await.map_err(late)?
    }

    fn require(&self, host: usize, proof: &Proof) -> Result<()> {
        if proof.in_recovery {
            return Err(fault::unavailable("is a standby"));
        }
        if proof.read_only {
            return Err(fault::unavailable("only lets this user read"));
        }
        if proof.version < OLDEST {
            let message = format!("PostgreSQL {} is too old: 15 is the oldest that works", proof.version / 10_000);
            return Err(Error::Awaiting { reason: "OldDatabase", message });
        }
        if self.0.address.must_encrypt && !proof.encrypted {
            return Err(fault::unavailable("the session is not encrypted although sslmode asks for it"));
        }
        self.say_once(host, proof);
        Ok(())
    }

    /// What the server does not guarantee is said and not claimed: once, at the first session.
    fn say_once(&self, host: usize, proof: &Proof) {
        if self.0.said.swap(true, Ordering::Relaxed) {
            return;
        }
        let server = self.0.address.name(host);
        if !is_durable(&proof.synchronous_commit) {
            let value = &proof.synchronous_commit;
            tracing::warn!(
                server,
                value,
                "the database's synchronous_commit is weaker than on; Strongroom's own sessions use on"
            );
        }
        if !proof.fsync {
            tracing::warn!(
                server,
                "the database runs with fsync off: a crash of its machine can lose what was acknowledged"
            );
        }
        if !proof.encrypted && self.0.address.is_far(host) {
            tracing::warn!(server, "the session to the database is not encrypted; sslmode=verify-full makes it so");
        }
        match (proof.synchronous_standby, proof.standbys) {
            (true, _) => tracing::info!(server, "the database confirms writes when a synchronous standby has them too"),
            (false, 0) => tracing::info!(server, "the database has no standby"),
            (false, _) => tracing::warn!(
                server,
                "the database's standbys are asynchronous: promoting one can lose what was acknowledged"
            ),
        }
    }
}

async fn prove(connection: &mut PgConnection) -> sqlx::Result<Proof> {
    let row: PgRow = sqlx::query(PROVE).persistent(false).fetch_one(connection).await?;
    Ok(Proof {
        in_recovery: row.try_get(0)?,
        version: row.try_get(1)?,
        encrypted: row.try_get(2)?,
        synchronous_commit: row.try_get(3)?,
        fsync: row.try_get(4)?,
        synchronous_standby: row.try_get(5)?,
        standbys: row.try_get(6)?,
        read_only: row.try_get(7)?,
    })
}

/// With these a commit waits for the disk, and for the synchronous standby's disk if there is one.
fn is_durable(synchronous_commit: &str) -> bool {
    ["on", "remote_apply"].contains(&synchronous_commit)
}
