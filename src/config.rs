//! Settings: from flags, the environment and a YAML file, in that order of strength, as parsed types.
//! Reads the file and the environment's names when asked; opens nothing else.

use std::convert::Infallible;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};

use crate::domain::authority::AlternativeName;
use crate::domain::secret::SecretText;

const ENVIRONMENT: &str = "STRONGROOM_";

/// Credentials for everything that runs on, beside and outside a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Every flag can also be given as an environment variable (STRONGROOM_ and the flag in \
capitals) or in the YAML file of --config (the flag in camelCase). Flags are strongest, the file is weakest.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator, the admission webhook and the REST server against a Kubernetes cluster
    Run(Given),
    /// Run the REST server alone; no cluster is needed
    Serve(Given),
    /// Make client credentials without a cluster
    Client {
        #[command(subcommand)]
        command: ClientCommand,
    },
    /// Look at the record of every read, write and denial
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Replace the data keys, or the root key, while servers run on the store; may be ended and run again
    Rekey {
        #[command(flatten)]
        to: NextRoot,
        /// Let no root key but the configured one open the store any more; replaces no data key
        #[arg(long, conflicts_with_all = ["to_key_file", "to_kms_key"])]
        retire_other_roots: bool,
        #[command(flatten)]
        given: Given,
    },
    /// Write a copy of the whole store into one file, also while a server runs on it; needs no key
    Backup {
        /// Where to; - is standard output. A file that is there is replaced by the complete new one
        #[arg(long, short, value_name = "FILE", default_value = "strongroom.backup")]
        output: PathBuf,
        #[command(flatten)]
        given: Given,
    },
    /// Put a backup into an empty store, with the root key that it was made under
    Restore {
        /// What `strongroom backup` wrote
        file: PathBuf,
        #[command(flatten)]
        given: Given,
    },
    /// Take a store that is older than its anchor for the right one: says what is missing, and lets writes go on
    #[command(
        after_help = "A store that was put back to an older state, or whose log was damaged, ends before what its \
anchor saw. Servers on it then answer reads and refuse writes. If you can, put the right store back: they go on by \
themselves. If you cannot, or have put an older one there on purpose, accept it here; what is missing is then lost, and \
the audit says that you accepted that. With --database each replica that refuses writes has an anchor of its own: run \
this once for each of them."
    )]
    AcceptRollback {
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        given: Given,
    },
    /// Print the custom resource definitions as YAML
    Crds,
    /// Check settings, store, key, API server, rights and webhook, and say what to do about what fails
    Check(Given),
    /// Print the version
    Version,
}

/// A root key that is to open the store besides the configured one.
#[derive(Debug, Args)]
pub struct NextRoot {
    /// Wrap the data keys with this key file as well, made if it is not there
    #[arg(long, value_name = "FILE")]
    pub to_key_file: Option<PathBuf>,
    /// Wrap the data keys with this AWS KMS key as well: ARN, id or alias
    #[arg(long, value_name = "KEY", conflicts_with = "to_key_file")]
    to_kms_key: Option<String>,
    /// Where AWS KMS answers for --to-kms-key [default: the region's]
    #[arg(long, value_name = "URL", requires = "to_kms_key")]
    to_kms_endpoint: Option<String>,
    /// Region of --to-kms-key [default: the one in its ARN, else the AWS configuration's]
    #[arg(long, value_name = "REGION", requires = "to_kms_key")]
    to_kms_region: Option<String>,
}

impl NextRoot {
    pub fn kms(&self) -> Result<Option<KmsKey>, Refused> {
        let [kms_key, kms_endpoint, kms_region] =
            [&self.to_kms_key, &self.to_kms_endpoint, &self.to_kms_region].map(Clone::clone);
        kms(&Given { kms_key, kms_endpoint, kms_region, ..Given::default() })
    }
}

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Make one, print its password once, and never again
    Create {
        /// Its user name: 1 to 64 letters, digits and -_.@
        name: String,
        /// It may do everything over REST, not only read the service of its own name
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        given: Given,
    },
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Find what was removed, changed or reordered; also while a server runs
    Verify(Given),
    /// Print the last records as JSON lines
    Tail {
        /// How many
        #[arg(long, short = 'n', default_value_t = 10)]
        lines: usize,
        /// Go on with what is recorded from now on
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        given: Given,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaderElection {
    Auto,
    On,
    Off,
}

/// What was given, on the command line, in the environment or in the file. Nothing is required.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Given {
    /// YAML file with settings
    #[arg(long, env = "STRONGROOM_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Folder of the store, the key and the REST server's root certificate [default: /var/lib/strongroom]
    #[arg(long, env = "STRONGROOM_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// PostgreSQL database instead of a file in --data-dir, for several replicas:
    /// postgres://user:password@host/name?sslmode=verify-full; several hosts with commas between them. A password is
    /// better given in the environment or in PGPASSWORD than on the command line
    #[arg(long, env = "STRONGROOM_DATABASE", hide_env_values = true, value_name = "URL", value_parser = secret)]
    #[serde(deserialize_with = "read_secret")]
    pub database: Option<SecretText>,

    /// Local root key, made with mode 0400 on first start [default: <data-dir>/strongroom.key]
    #[arg(long, env = "STRONGROOM_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Folder of the journals of reads and denials [default: <data-dir>/audit]
    #[arg(long, env = "STRONGROOM_AUDIT_DIR", value_name = "DIR")]
    pub audit_dir: Option<PathBuf>,

    /// File that knows how new the store was, so that an older copy put in its place is noticed; best on another volume
    /// than the store [default: <data-dir>/strongroom.anchor]
    #[arg(long, env = "STRONGROOM_ANCHOR_FILE", value_name = "FILE")]
    pub anchor_file: Option<PathBuf>,

    /// AWS KMS key instead of a key file: ARN, id or alias. Never made, only used
    #[arg(long, env = "STRONGROOM_KMS_KEY", value_name = "KEY")]
    pub kms_key: Option<String>,

    /// Where AWS KMS answers, such as a VPC endpoint; https unless it is on loopback [default: the region's]
    #[arg(long, env = "STRONGROOM_KMS_ENDPOINT", value_name = "URL")]
    pub kms_endpoint: Option<String>,

    /// Region of --kms-key [default: the one in its ARN, else the AWS configuration's]
    #[arg(long, env = "STRONGROOM_KMS_REGION", value_name = "REGION")]
    pub kms_region: Option<String>,

    /// How long a running server goes on without an answer of AWS KMS, before it locks what is sealed, such
    /// as 24h [default: 24h]
    #[arg(long, env = "STRONGROOM_KMS_OUTAGE_LIMIT", value_name = "DURATION")]
    pub kms_outage_limit: Option<String>,

    /// Address of the REST server [default: 127.0.0.1:8443]
    #[arg(long, env = "STRONGROOM_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Serve REST without TLS; refused unless --listen is a loopback address
    #[arg(long, env = "STRONGROOM_PLAIN_HTTP", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub plain_http: Option<bool>,

    /// REST server's certificate chain, PEM, read again when it changes [default: one that Strongroom makes]
    #[arg(long, env = "STRONGROOM_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Key of --tls-cert, PEM
    #[arg(long, env = "STRONGROOM_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Host name or address in the REST certificate that Strongroom makes; may be repeated
    /// [default: localhost, 127.0.0.1, ::1]
    #[arg(long, env = "STRONGROOM_TLS_NAME", value_name = "NAME", value_delimiter = ',')]
    pub tls_name: Option<Vec<String>>,

    /// Address of the admission webhook [default: 0.0.0.0:9443]
    #[arg(long, env = "STRONGROOM_WEBHOOK_LISTEN", value_name = "ADDRESS")]
    pub webhook_listen: Option<SocketAddr>,

    /// Host name or address by which the API server calls the webhook; may be repeated
    /// [default: strongroom-webhook.strongroom-system.svc]
    #[arg(long, env = "STRONGROOM_WEBHOOK_NAME", value_name = "NAME", value_delimiter = ',')]
    pub webhook_name: Option<Vec<String>>,

    /// Name of the webhook configurations whose caBundle Strongroom keeps [default: strongroom]
    #[arg(long, env = "STRONGROOM_WEBHOOK_CONFIG", value_name = "NAME")]
    pub webhook_config: Option<String>,

    /// Address of /healthz, /readyz and /metrics: plain HTTP, nothing secret [default: 127.0.0.1:8081]
    #[arg(long, env = "STRONGROOM_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,

    /// Context of the kubeconfig [default: the current one; in a cluster, the ServiceAccount]
    #[arg(long, env = "STRONGROOM_KUBE_CONTEXT", value_name = "NAME")]
    pub kube_context: Option<String>,

    /// Audience that ServiceAccount tokens of REST callers must carry [default: strongroom.dev]
    #[arg(long, env = "STRONGROOM_TOKEN_AUDIENCE", value_name = "NAME")]
    pub token_audience: Option<String>,

    /// Whether the processes on one store agree on one that runs the controllers, by a Lease in the cluster; auto: if they
    /// can be on several machines [default: auto]
    #[arg(long, env = "STRONGROOM_LEADER_ELECTION", value_name = "WHEN")]
    pub leader_election: Option<LeaderElection>,

    /// Namespace of that Lease [default: the pod's own, else strongroom-system]
    #[arg(long, env = "STRONGROOM_LEASE_NAMESPACE", value_name = "NAME")]
    pub lease_namespace: Option<String>,

    /// How long others wait after a leader's last sign of life. Shorter ones are for tests: they cost the API server more
    #[arg(long, env = "STRONGROOM_LEASE_DURATION", value_name = "DURATION", hide = true)]
    pub lease_duration: Option<String>,

    /// How long the record of a deleted resource is kept, unless the resource says so itself, such as
    /// 720h [default: 720h]
    #[arg(long, env = "STRONGROOM_RETAIN_FOR", value_name = "DURATION")]
    pub retain_for: Option<String>,

    /// Filter of the log: error, warn, info, debug, trace, or directives such as strongroom=debug [default: info]
    #[arg(long, env = "STRONGROOM_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,

    /// Form of the log [default: text]
    #[arg(long, env = "STRONGROOM_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Takes any text: the parser of the command line would repeat what it refuses.
fn secret(text: &str) -> Result<SecretText, Infallible> {
    Ok(SecretText::from(text))
}

fn read_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretText>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(SecretText::new))
}

/// A pair of PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// How REST callers are met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestTls {
    Plain,
    Files(CertificateFiles),
    Own(Vec<AlternativeName>),
}

/// A key in AWS KMS as the root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKey {
    pub key: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub outage_limit: SignedDuration,
}

/// Complete and valid.
#[derive(Clone, Debug)]
pub struct Settings {
    pub data_dir: PathBuf,
    /// Absent: a file in the data folder.
    pub database: Option<SecretText>,
    pub key_file: PathBuf,
    pub audit_dir: PathBuf,
    pub anchor_file: PathBuf,
    /// In place of the key file.
    pub kms: Option<KmsKey>,
    pub listen: SocketAddr,
    pub rest_tls: RestTls,
    pub webhook_listen: SocketAddr,
    pub webhook_names: Vec<AlternativeName>,
    pub webhook_config: String,
    pub admin_listen: SocketAddr,
    pub kube_context: Option<String>,
    pub token_audience: String,
    pub leader_election: bool,
    pub lease_namespace: Option<String>,
    pub lease: Duration,
    pub retain_for: SignedDuration,
    pub log_level: String,
    pub log_format: LogFormat,
}

/// A setting that cannot be used; names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

impl Given {
    /// Adds the file's settings below these, applies defaults and checks everything.
    pub fn settle(self, environment: impl Iterator<Item = OsString>) -> Result<Settings, Refused> {
        refuse_unknown(environment)?;
        let file = self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        Settings::try_from(self.over(file))
    }

    fn over(self, file: Self) -> Self {
        macro_rules! stronger {
            ($($field:ident)+) => { Self { config: self.config, $($field: self.$field.or(file.$field)),+ } };
        }
        stronger!(
            data_dir database key_file audit_dir anchor_file kms_key kms_endpoint kms_region kms_outage_limit listen plain_http tls_cert
            tls_key tls_name webhook_listen webhook_name
            webhook_config admin_listen kube_context token_audience leader_election lease_namespace lease_duration
            retain_for log_level log_format
        )
    }
}

fn read(path: &Path) -> Result<Given, Refused> {
    let said = |why: &dyn std::fmt::Display| Refused(format!("--config {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| said(&error))?;
    // An empty file is a valid file without settings.
    let given: Option<Given> = serde_yaml::from_str(&text).map_err(|error| said(&error))?;
    Ok(given.unwrap_or_default())
}

/// A misspelt variable would otherwise be ignored in silence.
fn refuse_unknown(names: impl Iterator<Item = OsString>) -> Result<(), Refused> {
    let command = Given::augment_args(clap::Command::new("strongroom"));
    let known: Vec<&str> = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    for name in names {
        let Some(name) = name.to_str().filter(|name| name.starts_with(ENVIRONMENT)) else { continue };
        if !known.contains(&name) && !is_service_link(name) {
            return refuse(format!("{name} is not a setting; `strongroom run --help` lists them"));
        }
    }
    Ok(())
}

/// Kubernetes puts such variables into every pod beside a Service that is called strongroom.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || name.ends_with("_PORT")
}

impl TryFrom<Given> for Settings {
    type Error = Refused;

    fn try_from(given: Given) -> Result<Self, Refused> {
        let data_dir = given.data_dir.clone().unwrap_or_else(|| PathBuf::from("/var/lib/strongroom"));
        let listen = given.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8443)));
        Ok(Self {
            database: given.database.clone(),
            key_file: given.key_file.clone().unwrap_or_else(|| data_dir.join("strongroom.key")),
            audit_dir: given.audit_dir.clone().unwrap_or_else(|| data_dir.join("audit")),
            anchor_file: given.anchor_file.clone().unwrap_or_else(|| data_dir.join("strongroom.anchor")),
            kms: kms(&given)?,
            rest_tls: rest_tls(&given, listen)?,
            webhook_listen: given.webhook_listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 9443))),
            webhook_names: names(
                "--webhook-name",
                given.webhook_name.as_deref(),
                &["strongroom-webhook.strongroom-system.svc"],
            )?,
            webhook_config: given.webhook_config.unwrap_or_else(|| "strongroom".into()),
            admin_listen: given.admin_listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8081))),
            kube_context: given.kube_context,
            token_audience: given.token_audience.unwrap_or_else(|| "strongroom.dev".into()),
            // The embedded store is one machine's: its single process need not write anything to be the leader.
            leader_election: match given.leader_election.unwrap_or(LeaderElection::Auto) {
                LeaderElection::Auto => given.database.is_some(),
                LeaderElection::On => true,
                LeaderElection::Off => false,
            },
            lease_namespace: given.lease_namespace,
            lease: lease(given.lease_duration.as_deref().unwrap_or("15s"))?,
            retain_for: retain_for(given.retain_for.as_deref().unwrap_or("720h"))?,
            log_level: given.log_level.unwrap_or_else(|| "info".into()),
            log_format: given.log_format.unwrap_or(LogFormat::Text),
            data_dir,
            listen,
        })
    }
}

fn kms(given: &Given) -> Result<Option<KmsKey>, Refused> {
    let Some(key) = &given.kms_key else {
        let alone = [
            ("--kms-endpoint", given.kms_endpoint.is_some()),
            ("--kms-region", given.kms_region.is_some()),
            ("--kms-outage-limit", given.kms_outage_limit.is_some()),
        ];
        return match alone.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => refuse(format!("{flag} needs --kms-key beside it")),
            None => Ok(None),
        };
    };
    if given.key_file.is_some() {
        return refuse("--kms-key and --key-file exclude each other: there is one root key");
    }
    if key.is_empty() || key.len() > 2048 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(format!("--kms-key: {key:?} is no ARN, id or alias of a key"));
    }
    let region = given.kms_region.clone();
    if let Some(region) = region.as_ref().filter(|region| !is_region(region)) {
        return refuse(format!("--kms-region: {region:?} is no region such as eu-west-1"));
    }
    Ok(Some(KmsKey {
        key: key.clone(),
        endpoint: given.kms_endpoint.as_deref().map(kms_endpoint).transpose()?,
        region,
        outage_limit: outage_limit(given.kms_outage_limit.as_deref().unwrap_or("24h"))?,
    }))
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Data keys cross this connection in plain text.
fn kms_endpoint(text: &str) -> Result<String, Refused> {
    let uri: Option<http::Uri> = text.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).map(|host| host.trim_matches(['[', ']']));
    let is_loopback = host.is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    match (uri.as_ref().and_then(http::Uri::scheme_str), host) {
        (Some("https"), Some(_)) => Ok(text.to_owned()),
        (Some("http"), Some(_)) if is_loopback => Ok(text.to_owned()),
        (Some("http"), Some(_)) => refuse(format!("--kms-endpoint: {text:?} is not https, and not on loopback")),
        _ => refuse(format!("--kms-endpoint: {text:?} is no address such as https://kms.eu-west-1.amazonaws.com")),
    }
}

/// One check-in a second goes with the shortest.
fn outage_limit(text: &str) -> Result<SignedDuration, Refused> {
    match text.parse::<SignedDuration>() {
        Ok(limit) if limit >= SignedDuration::from_secs(4) => Ok(limit),
        _ => refuse(format!("--kms-outage-limit: {text:?} is no duration such as 24h or 30m, of 4s or more")),
    }
}

fn rest_tls(given: &Given, listen: SocketAddr) -> Result<RestTls, Refused> {
    let files = match (&given.tls_cert, &given.tls_key) {
        (Some(chain), Some(key)) => Some(CertificateFiles { chain: chain.clone(), key: key.clone() }),
        (None, None) => None,
        (Some(_), None) => return refuse("--tls-cert needs --tls-key beside it"),
        (None, Some(_)) => return refuse("--tls-key needs --tls-cert beside it"),
    };
    match (given.plain_http.unwrap_or(false), files) {
        (true, Some(_)) => refuse("--plain-http and --tls-cert contradict each other"),
        (true, None) if !listen.ip().is_loopback() => {
            refuse(format!("--plain-http is for loopback addresses only, and --listen is {listen}"))
        }
        (true, None) => Ok(RestTls::Plain),
        (false, Some(files)) => Ok(RestTls::Files(files)),
        (false, None) => {
            names("--tls-name", given.tls_name.as_deref(), &["localhost", "127.0.0.1", "::1"]).map(RestTls::Own)
        }
    }
}

fn names(flag: &str, given: Option<&[String]>, default: &[&str]) -> Result<Vec<AlternativeName>, Refused> {
    let texts = given.map_or_else(|| default.iter().map(ToString::to_string).collect(), <[String]>::to_vec);
    if texts.is_empty() {
        return refuse(format!("{flag} needs at least one name"));
    }
    let parse = |text: &String| {
        AlternativeName::parse(text).ok_or_else(|| Refused(format!("{flag}: {text:?} is no host name or address")))
    };
    texts.iter().map(parse).collect()
}

/// The API counts whole seconds.
fn lease(text: &str) -> Result<Duration, Refused> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    match parsed {
        Some(duration) if duration.as_secs() >= 1 && duration.subsec_nanos() == 0 => Ok(duration),
        _ => refuse(format!("--lease-duration: {text:?} is no duration such as 15s")),
    }
}

fn retain_for(text: &str) -> Result<SignedDuration, Refused> {
    match text.parse::<SignedDuration>() {
        Ok(duration) if !duration.is_negative() => Ok(duration),
        _ => refuse(format!("--retain-for: {text:?} is no duration such as 720h or 30m")),
    }
}

/// How long a stopping process waits for what is under way.
pub const DRAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn given(arguments: &[&str]) -> Given {
        let line = ["strongroom", "serve"].into_iter().chain(arguments.iter().copied());
        match Cli::try_parse_from(line).expect("a command line").command {
            Command::Serve(given) => given,
            _ => unreachable!("serve was asked for"),
        }
    }

    fn settle(arguments: &[&str]) -> Result<Settings, String> {
        given(arguments).settle(std::iter::empty()).map_err(|error| error.to_string())
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("strongroom.yaml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (dir, path)
    }

    #[test]
    fn everything_has_a_default() {
        let settings = settle(&[]).unwrap();
        assert_eq!(settings.key_file, Path::new("/var/lib/strongroom/strongroom.key"));
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8443");
        assert!(matches!(settings.rest_tls, RestTls::Own(names) if names.len() == 3));
    }

    #[test]
    fn flags_are_stronger_than_the_file() {
        let (_dir, path) = file("listen: 127.0.0.1:1\nadminListen: 127.0.0.1:2\ndataDir: /d\n");
        let settings = settle(&["--config", &path, "--listen", "127.0.0.1:3"]).unwrap();
        assert_eq!(settings.listen.port(), 3);
        assert_eq!(settings.admin_listen.port(), 2);
        assert_eq!(settings.key_file, Path::new("/d/strongroom.key"));
    }

    #[test]
    fn the_database_is_never_shown() {
        let (_dir, path) = file("database: postgres://u:hunter2@a/b\n");
        let settings = settle(&["--config", &path]).unwrap();
        assert_eq!(settings.database.as_ref().unwrap().expose(), "postgres://u:hunter2@a/b");
        let given = given(&["--database", "postgres://u:hunter2@c/d"]);
        let shown = format!("{settings:?} {given:?}");
        assert!(shown.contains("database") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused_by_its_name() {
        let (_dir, unknown) = file("lisen: 127.0.0.1:1\n");
        assert!(settle(&["--config", &unknown]).unwrap_err().contains("lisen"));
        let (_dir, malformed) = file("listen: nowhere\n");
        assert!(settle(&["--config", &malformed]).unwrap_err().contains("listen"));
        let (_dir, empty) = file("");
        assert!(settle(&["--config", &empty]).is_ok());
        assert!(settle(&["--retain-for", "soon"]).unwrap_err().contains("--retain-for"));
        assert!(settle(&["--tls-name", "a b"]).unwrap_err().contains("--tls-name"));
        assert!(settle(&["--tls-cert", "x"]).unwrap_err().contains("--tls-key"));
        assert!(settle(&["--config", "/nowhere.yaml"]).unwrap_err().contains("/nowhere.yaml"));
        let names = ["STRONGROOM_LISEN".into(), "HOME".into()];
        let error = given(&[]).settle(names.into_iter()).unwrap_err();
        assert!(error.to_string().contains("STRONGROOM_LISEN"));
        let flag = Cli::try_parse_from(["strongroom", "serve", "--listen", "nowhere"]).unwrap_err();
        assert!(flag.to_string().contains("--listen"));
    }

    #[test]
    fn known_variables_and_those_of_kubernetes_are_accepted() {
        let names = ["STRONGROOM_LISTEN", "STRONGROOM_PORT", "STRONGROOM_PORT_443_TCP", "STRONGROOM_SERVICE_HOST"];
        assert!(given(&[]).settle(names.into_iter().map(OsString::from)).is_ok());
    }

    const KEY: &str = "alias/strongroom";

    #[test]
    fn a_key_in_kms_takes_the_place_of_the_key_file() {
        let kms = settle(&["--kms-key", KEY]).unwrap().kms.unwrap();
        assert_eq!((kms.key.as_str(), kms.outage_limit), (KEY, SignedDuration::from_hours(24)));
        assert_eq!(settle(&[]).unwrap().kms, None);
        let (_dir, path) = file("kmsKey: alias/a\nkmsRegion: eu-west-1\nkmsOutageLimit: 4s\n");
        let kms = settle(&["--config", &path, "--kms-key", KEY]).unwrap().kms.unwrap();
        assert_eq!((kms.key.as_str(), kms.region.as_deref()), (KEY, Some("eu-west-1")));
        assert_eq!(kms.outage_limit, SignedDuration::from_secs(4));
    }

    #[test]
    fn what_does_not_go_with_kms_is_refused_by_its_name() {
        for (arguments, named) in [
            (&["--kms-key", KEY, "--key-file", "/k"][..], "--key-file"),
            (&["--kms-key", ""], "--kms-key"),
            (&["--kms-key", "two words"], "--kms-key"),
            (&["--kms-region", "eu-west-1"], "--kms-region"),
            (&["--kms-outage-limit", "1h"], "--kms-outage-limit"),
            (&["--kms-key", KEY, "--kms-region", "evil.example/"], "--kms-region"),
            (&["--kms-key", KEY, "--kms-outage-limit", "3s"], "--kms-outage-limit"),
            (&["--kms-key", KEY, "--kms-endpoint", "kms.example"], "--kms-endpoint"),
            (&["--kms-key", KEY, "--kms-endpoint", "ftp://kms.example"], "--kms-endpoint"),
        ] {
            assert!(settle(arguments).unwrap_err().contains(named), "{arguments:?}");
        }
    }

    #[test]
    fn data_keys_do_not_cross_a_network_in_plain_text() {
        for endpoint in ["https://kms.example", "http://127.0.0.1:5000", "http://[::1]:5000", "http://localhost:1"] {
            let kms = settle(&["--kms-key", KEY, "--kms-endpoint", endpoint]).unwrap().kms.unwrap();
            assert_eq!(kms.endpoint.as_deref(), Some(endpoint));
        }
        let refused = settle(&["--kms-key", KEY, "--kms-endpoint", "http://kms.example"]).unwrap_err();
        assert!(refused.contains("not https"), "{refused}");
    }

    #[test]
    fn plain_http_stays_on_loopback() {
        assert!(matches!(settle(&["--plain-http"]).unwrap().rest_tls, RestTls::Plain));
        let error = settle(&["--plain-http", "--listen", "0.0.0.0:80"]).unwrap_err();
        assert!(error.contains("--plain-http") && error.contains("0.0.0.0:80"));
    }
}
