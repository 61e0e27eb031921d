//! Settings: from flags, the environment and a YAML file, in that order of strength, as parsed types.
//! Reads the file and the environment's names when asked; opens nothing else.

mod command;
pub mod confidant;
pub mod credhub;
mod given;
mod kms;
mod rest;
mod settings;
mod sources;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use command::{ArchiveCommand, AuditCommand, Cli, ClientCommand, Command, ImportCommand, NextRoot, TokenWish};
pub use given::{Given, LeaderElection, LogFormat};
pub use kms::KmsKey;
pub use rest::{CertificateFiles, RestTls};
pub use settings::Settings;

/// How long a stopping process waits for what is under way.
pub const DRAIN: Duration = Duration::from_secs(10);

/// A setting that cannot be used; names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}
