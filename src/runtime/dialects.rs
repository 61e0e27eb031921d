//! The dialects as the settings want them.

use std::fs;
use std::path::PathBuf;

use crate::adapters::pki::Workshop;
use crate::api::Dialects;
use crate::api::confidant::Confidant;
use crate::api::confidant::settings::{Maintenance, Settings as Dialect};
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
    Ok(Rules { tokens, ..settings.confidant.rules() })
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
    Dialects { confidant: Confidant { settings: confidant } }
}

fn header_login(given: Given) -> HeaderLogin {
    let Given { user, email, addresses, certificates } = given;
    HeaderLogin { user, email, addresses, certificates }
}
