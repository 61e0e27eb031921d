//! The three sources of settings: which is stronger, and that nothing in any of them is ignored in silence.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use super::{Given, Refused, Settings, refuse};

const ENVIRONMENT: &str = "STRONGROOM_";

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
            data_dir database key_file audit_dir anchor_file kms_key kms_endpoint kms_region kms_outage_limit listen
            plain_http tls_cert tls_key tls_name webhook_listen webhook_name webhook_config admin_listen kube_context
            token_audience leader_election lease_namespace lease_duration retain_for confidant credhub log_level
            log_format
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
