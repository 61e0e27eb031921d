//! Settings of CredHub's API: the part `credhub` of the YAML file. They are structured, so they have no flags.

mod permissions;

use serde::Deserialize;

pub use permissions::Permissions;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Credhub {
    /// What callers may.
    pub permissions: Permissions,
}
