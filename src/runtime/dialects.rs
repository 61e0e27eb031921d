//! The dialects as the settings want them.

use std::fs;
use std::path::PathBuf;

use crate::adapters::pki::Workshop;
use crate::api::Dialects;
use crate::api::confidant::Confidant;
use crate::api::confidant::settings::{Maintenance, Settings as Dialect};
use crate::api::credhub::Credhub;
use crate::app::ports::SignTokens;
use crate::config::Settings;
use crate::config::confidant::HeaderLogin as Given;
use crate::domain::rules::Rules;
use crate::domain::secret::SecretText;
use crate::server::header_login::HeaderLogin;

/// How this installation wants its use cases, with the keys that the settings name.
pub fn rules(settings: &Settings) -> anyhow::Result<Rules> {
    let workshop = Workshop::new();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).map(SecretText::new).map_err(|error| error.to_string())?;
        workshop.verification_key(&text).map_err(|error| error.to_string())?;
        Ok(text)
    };
    let tokens = settings.confidant.jwt.issuance(read)?;
    let grants = settings.credhub.permissions.0.clone();
    Ok(Rules { tokens, grants, ..settings.confidant.rules() })
}

pub fn dialects(settings: &Settings) -> Dialects {
    let (given, default) = (&settings.confidant, Dialect::default());
    let confidant = Dialect {
        enforce_documentation: given.enforce_documentation,
        history_page_limit: given.history_page_limit,
        rotation: given.rotation(),
        maintenance: Maintenance { is_on: given.maintenance_mode, touch_file: given.maintenance_file.clone() },
        client_config: serde_json::Value::from(given.client_config.clone()).to_string(),
        accounts: given.kmsauth.as_ref().map(|kmsauth| kmsauth.accounts.clone()).unwrap_or_default(),
        manages_grants: given.kmsauth.as_ref().is_some_and(|kmsauth| kmsauth.manages_grants),
        xsrf_cookie: given.xsrf_cookie.clone().unwrap_or(default.xsrf_cookie),
        header_login: given.header_login.clone().map(header_login),
    };
    let mut credhub = Credhub::default();
    credhub.settings.auth_server = settings.credhub.auth_server().to_owned();
    credhub.settings.concatenates_cas = settings.credhub.certificates.concatenate_cas;
    credhub.settings.additions = settings.credhub.certificates.additions();
    Dialects { confidant: Confidant { settings: confidant }, credhub }
}

fn header_login(given: Given) -> HeaderLogin {
    let Given { user, email, addresses, certificates } = given;
    HeaderLogin { user, email, addresses, certificates }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::config::{Cli, Command};
    use crate::domain::token::KeySource;

    fn settings(file: &Path) -> Settings {
        let line = ["strongroom", "serve", "--config", file.to_str().unwrap()];
        match Cli::try_parse_from(line).unwrap().command {
            Command::Serve(given) => given.settle(std::iter::empty()).unwrap(),
            _ => unreachable!("serve was asked for"),
        }
    }

    #[test]
    fn a_key_that_signs_no_tokens_is_refused_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let [config, pem] = ["config.yaml", "jwt.pem"].map(|name| dir.path().join(name));
        let keys = format!("{{k: {{file: {}}}}}", pem.display());
        let text = format!("confidant: {{jwt: {{environments: {{test: {{active: k, keys: {keys}}}}}}}}}\n");
        fs::write(&config, text).unwrap();
        let settings = settings(&config);
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        for bad in [None, Some(""), Some("no key"), Some(p384.as_str())] {
            if let Some(bad) = bad {
                fs::write(&pem, bad).unwrap();
            }
            let refused = rules(&settings).unwrap_err().to_string();
            assert!(
                refused.contains("confidant.jwt.environments.test.keys.k: ") && refused.contains("jwt.pem"),
                "{refused}"
            );
        }
        let good = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        fs::write(&pem, &good).unwrap();
        let keys = &rules(&settings).unwrap().tokens.environments["test"].keys;
        assert_eq!(keys["k"], KeySource::Given(SecretText::new(good)));
    }
}
