//! Where the database is: `postgres://user:password@host:port,host:port/name?sslmode=…`. Several hosts are one
//! database with standbys. The password comes in here and goes nowhere but to the server: no error repeats the URL.

use std::fmt;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const SETTING: &str = "--database";

/// Anything else would be ignored in silence, a misspelt `sslmode` among it.
const PARAMETERS: [&str; 9] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "application_name"];
const ROLE: &str = "target_session_attrs";

/// A vanished client must not hold the ledger's lock for longer than this, nor a statement run on for nobody.
const SESSION: [(&str, &str); 7] = [
    ("statement_timeout", "10s"),
    ("lock_timeout", "8s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("client_connection_check_interval", "2s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

/// More statements than we have, so that none is ever parsed twice on a connection.
const STATEMENTS: usize = 64;

pub(super) struct Address {
    hosts: Vec<PgConnectOptions>,
    pub(super) must_encrypt: bool,
}

impl Address {
    pub(super) fn parse(url: &SecretText) -> Result<Self> {
        let url = url.expose();
        let scheme = SCHEMES.iter().find(|scheme| url.starts_with(**scheme));
        let scheme = scheme.ok_or_else(|| refused("must start with postgres://"))?;
        let (authority, path, parameters) = parts(&url[scheme.len()..]);
        let parameters = admitted(parameters)?;
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let at = if authority.contains('@') { "@" } else { "" };
        let hosts: Result<Vec<_>> =
            hosts.split(',').map(|host| options(&format!("{scheme}{user}{at}{host}{path}?{parameters}"))).collect();
        let hosts = hosts?;
        let must_encrypt = hosts.iter().any(|host| {
            matches!(host.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull)
        });
        Ok(Self { hosts, must_encrypt })
    }

    pub(super) fn hosts(&self) -> &[PgConnectOptions] {
        &self.hosts
    }

    /// Host and port, as the log may say them.
    pub(super) fn name(&self, host: usize) -> String {
        name(&self.hosts[host])
    }

    /// Whether what is sent leaves this machine.
    pub(super) fn is_far(&self, host: usize) -> bool {
        let host = &self.hosts[host];
        let near = ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host.get_host());
        host.get_socket().is_none() && !near
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(name).collect();
        f.write_str(&hosts.join(", "))
    }
}

fn name(host: &PgConnectOptions) -> String {
    let socket = host.get_socket().map(|path| path.display().to_string());
    format!("{}:{}", socket.as_deref().unwrap_or(host.get_host()), host.get_port())
}

/// User and hosts, the path with its slash, and the parameters.
fn parts(rest: &str) -> (&str, &str, &str) {
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let slash = rest.find('/').unwrap_or(rest.len());
    (&rest[..slash], &rest[slash..], parameters)
}

fn admitted(parameters: &str) -> Result<String> {
    let mut kept = Vec::new();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            (ROLE, "read-write" | "primary" | "any") => {} // only a primary is used in any case
            (ROLE, _) => return Err(refused("target_session_attrs can only be read-write: Strongroom writes")),
            (name, _) if PARAMETERS.contains(&name) => kept.push(parameter),
            ("password", _) => return Err(refused("the password belongs before the host, or into PGPASSWORD")),
            (name, _) => return Err(refused(&format!("does not know the parameter {name:?}"))),
        }
    }
    Ok(kept.join("&"))
}

fn options(url: &str) -> Result<PgConnectOptions> {
    // What the parser says may quote the URL.
    let options: PgConnectOptions = url.parse().map_err(|_| refused("is no URL of a PostgreSQL database"))?;
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("strongroom") };
    Ok(options.options(SESSION).statement_cache_capacity(STATEMENTS).disable_statement_logging())
}

fn refused(why: &str) -> Error {
    Error::invalid(SETTING, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address> {
        Address::parse(&SecretText::from(url))
    }

    #[test]
    fn several_hosts_share_user_database_and_parameters() {
        let address =
            parse("postgresql://u:p%40@a:1,b,[::1]:3/vault?sslmode=verify-full&target_session_attrs=read-write");
        let address = address.unwrap();
        assert_eq!(address.to_string(), "a:1, b:5432, [::1]:3");
        assert!(address.must_encrypt && address.is_far(0) && !address.is_far(2));
        for host in address.hosts() {
            assert_eq!((host.get_username(), host.get_database()), ("u", Some("vault")));
        }
        let socket = parse("postgres:///vault?host=/run/postgresql&user=u").unwrap();
        assert!(!socket.is_far(0) && !socket.must_encrypt);
    }

    #[test]
    fn what_is_refused_is_named_and_never_quoted() {
        for (url, said) in [
            ("mysql://u:hunter2@a/b", "postgres://"),
            ("postgres://u:hunter2@a/b?sslmodus=require", "sslmodus"),
            ("postgres://u@a/b?password=hunter2", "before the host"),
            ("postgres://u:hunter2@a/b?target_session_attrs=standby", "read-write"),
            ("postgres://u:hunter2@a:hunter2/b", "no URL"),
            ("postgres://u:hunter2@a/b?sslmode=hunter2", "no URL"),
        ] {
            let error = parse(url).err().unwrap();
            let text = format!("{error} {error:?} {:?}", error.detail());
            assert!(text.contains(said) && !text.contains("hunter2"), "{text}");
        }
    }
}
