//! The settings as they were given: a flag, a variable and a key of the YAML file for each.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Deserializer};

use super::confidant::Confidant;
use super::credhub::Credhub;
use crate::domain::secret::SecretText;

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

    /// The part of the file for Confidant's API
    #[arg(skip)]
    pub confidant: Option<Confidant>,

    /// The part of the file for CredHub's API
    #[arg(skip)]
    pub credhub: Option<Credhub>,

    /// Form of the log [default: text]
    #[arg(long, env = "STRONGROOM_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
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

/// Takes any text: the parser of the command line would repeat what it refuses.
fn secret(text: &str) -> Result<SecretText, Infallible> {
    Ok(SecretText::from(text))
}

fn read_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretText>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(SecretText::new))
}
