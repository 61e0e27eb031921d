//! What the program runs with: every setting present, parsed and checked against the others.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use super::confidant::Confidant;
use super::credhub::Credhub;
use super::rest::names;
use super::{Given, KmsKey, LeaderElection, LogFormat, Refused, RestTls, refuse};
use crate::domain::authority::AlternativeName;
use crate::domain::secret::SecretText;

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
    pub confidant: Confidant,
    pub credhub: Credhub,
    pub log_level: String,
    pub log_format: LogFormat,
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
            kms: KmsKey::given(&given)?,
            rest_tls: RestTls::given(&given, listen)?,
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
            confidant: confidant(given.confidant)?,
            credhub: credhub(given.credhub, given.plain_http.unwrap_or(false))?,
            log_level: given.log_level.unwrap_or_else(|| "info".into()),
            log_format: given.log_format.unwrap_or(LogFormat::Text),
            data_dir,
            listen,
        })
    }
}

fn confidant(given: Option<Confidant>) -> Result<Confidant, Refused> {
    let confidant = given.unwrap_or_default();
    confidant.check()?;
    Ok(confidant)
}

fn credhub(given: Option<Credhub>, is_plain: bool) -> Result<Credhub, Refused> {
    let credhub = given.unwrap_or_default();
    credhub.check()?;
    if is_plain && credhub.auth.mutual_tls.is_some() {
        return refuse(
            "--plain-http and credhub.auth.mutualTls contradict each other: without TLS nobody shows a certificate",
        );
    }
    Ok(credhub)
}

/// The API counts whole seconds.
fn lease(given: &str) -> Result<Duration, Refused> {
    let whole = |duration: &SignedDuration| duration.as_secs() >= 1 && duration.subsec_nanos() == 0;
    Ok(duration("--lease-duration", given, "15s", whole)?.unsigned_abs())
}

fn retain_for(given: &str) -> Result<SignedDuration, Refused> {
    duration("--retain-for", given, "720h or 30m", |duration| !duration.is_negative())
}

pub(super) fn duration(
    flag: &str,
    given: &str,
    such_as: &str,
    fits: impl Fn(&SignedDuration) -> bool,
) -> Result<SignedDuration, Refused> {
    match given.parse() {
        Ok(duration) if fits(&duration) => Ok(duration),
        _ => refuse(format!("{flag}: {given:?} is no duration such as {such_as}")),
    }
}
