//! Settings of the Confidant dialect: the part `confidant` of the YAML file. They are structured, so they have no flags.

mod acl;
mod authorities;
pub mod header;
pub mod jwt;
pub mod kmsauth;
pub mod roles;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Refused, refuse};
use crate::domain::credential::rotation::Rotation;
use crate::domain::permission::Acl;
use crate::domain::rules::Rules;
use crate::domain::secret::SecretText;
pub use header::HeaderLogin;
pub use kmsauth::{Kmsauth, TokenKeys};
pub use roles::{Iam, RolesFrom};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Confidant {
    /// Services may have one key in several credentials.
    pub ignore_conflicts: bool,
    /// Credentials must be documented.
    pub enforce_documentation: bool,
    /// How many entries of an archive are listed to whoever does not say; absent: all.
    pub history_page_limit: Option<usize>,
    /// Refuses writes.
    pub maintenance_mode: bool,
    /// Refuses writes while this file exists.
    pub maintenance_file: Option<PathBuf>,
    rotation: RotationDays,
    /// Given to the web page as it is.
    pub client_config: serde_json::Map<String, serde_json::Value>,
    /// Names of roles that services are offered.
    pub roles: Vec<String>,
    pub roles_from: RolesFrom,
    pub iam: Iam,
    /// Callers that a key service vouches for; absent: none.
    pub kmsauth: Option<Kmsauth>,
    /// Callers that a proxy logs in; absent: none.
    pub header_login: Option<HeaderLogin>,
    /// Name of the cookie in which pages find the token that writes must carry; absent: `XSRF-TOKEN`.
    pub xsrf_cookie: Option<String>,
    /// What principals may.
    #[serde(deserialize_with = "acl::read")]
    acl: Acl,
    authorities: authorities::Given,
    pub jwt: jwt::Jwt,
}

/// After how many days a credential is due for another value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct RotationDays {
    maximum: Option<u32>,
    by_tag: BTreeMap<String, u32>,
    excluded_tags: Vec<String>,
}

impl Confidant {
    pub(super) fn check(&self) -> Result<(), Refused> {
        if self.history_page_limit == Some(0) {
            return refuse("confidant.historyPageLimit must be at least 1");
        }
        roles::check(self.roles_from, &self.roles, &self.iam, self.kmsauth.as_ref())?;
        authorities::authorities(&self.authorities)?;
        // Files are read when the server starts.
        self.jwt.issuance(|_| Ok(SecretText::default()))?;
        self.xsrf_cookie.as_deref().map_or(Ok(()), header::check_cookie)
    }

    /// Without keys for tokens: their files are not read here.
    pub fn rules(&self) -> Rules {
        // Checked when the settings were read.
        let authorities = authorities::authorities(&self.authorities).unwrap_or_default();
        Rules { ignore_conflicts: self.ignore_conflicts, authorities, acl: self.acl.clone(), ..Rules::default() }
    }

    pub fn rotation(&self) -> Rotation {
        let RotationDays { maximum, by_tag, excluded_tags } = self.rotation.clone();
        Rotation { maximum_days: maximum, days_by_tag: by_tag, excluded_tags }
    }
}
