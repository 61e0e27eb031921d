//! The dialects as the settings want them.

use crate::api::Dialects;
use crate::api::confidant::Confidant;
use crate::api::confidant::settings::{Maintenance, Settings as Dialect};
use crate::config::Settings;

pub fn dialects(settings: &Settings) -> Dialects {
    let given = &settings.confidant;
    let confidant = Dialect {
        enforce_documentation: given.enforce_documentation,
        history_page_limit: given.history_page_limit,
        rotation: given.rotation(),
        maintenance: Maintenance { is_on: given.maintenance_mode, touch_file: given.maintenance_file.clone() },
        client_config: serde_json::Value::from(given.client_config.clone()).to_string(),
        roles: given.roles.clone(),
        accounts: given.kmsauth.as_ref().map(|kmsauth| kmsauth.accounts.clone()).unwrap_or_default(),
        manages_grants: given.kmsauth.as_ref().is_some_and(|kmsauth| kmsauth.manages_grants),
        ..Dialect::default()
    };
    Dialects { confidant: Confidant { settings: confidant } }
}
