//! What an installation sets for Confidant's clients alone.

use std::path::PathBuf;

use crate::domain::credential::rotation::Rotation;
use crate::server::header_login::HeaderLogin;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Credentials without documentation are refused.
    pub enforce_documentation: bool,
    /// How many entries of an archive are listed to whoever does not say; `None`: all.
    pub history_page_limit: Option<usize>,
    pub rotation: Rotation,
    pub maintenance: Maintenance,
    /// A JSON object for the web page, as text.
    pub client_config: String,
    /// What a service's account may be.
    pub accounts: Vec<String>,
    /// Whether services get grants of the key that signs callers' tokens.
    pub manages_grants: bool,
    pub xsrf_cookie: String,
    /// The proxy that logs callers in.
    pub header_login: Option<HeaderLogin>,
}

/// When writes are refused.
#[derive(Clone, Debug, Default)]
pub struct Maintenance {
    pub is_on: bool,
    /// Writes are refused while this file exists.
    pub touch_file: Option<PathBuf>,
}

impl Maintenance {
    pub fn refuses_writes(&self) -> bool {
        self.is_on || self.touch_file.as_ref().is_some_and(|file| file.exists())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enforce_documentation: false,
            history_page_limit: None,
            rotation: Rotation::default(),
            maintenance: Maintenance::default(),
            client_config: "{}".into(),
            accounts: Vec::new(),
            manages_grants: false,
            xsrf_cookie: "XSRF-TOKEN".into(),
            header_login: None,
        }
    }
}
