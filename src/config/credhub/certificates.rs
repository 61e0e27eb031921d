//! How certificates are made and shown, by CredHub's own words for it.

use serde::Deserialize;

use crate::config::{Refused, refuse};
use crate::domain::authority::credhub::{Additions, DAYS_MAX};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Certificates {
    /// While an authority is rotated, what it signed shows both of its certificates.
    pub concatenate_cas: bool,
    ca_minimum_duration_in_days: u32,
    leaf_minimum_duration_in_days: u32,
    /// For authorities that ask for none.
    enable_default_ca_key_usages: bool,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            concatenate_cas: true,
            ca_minimum_duration_in_days: 0,
            leaf_minimum_duration_in_days: 0,
            enable_default_ca_key_usages: false,
        }
    }
}

impl Certificates {
    pub(super) fn check(&self) -> Result<(), Refused> {
        let days = [
            ("caMinimumDurationInDays", self.ca_minimum_duration_in_days),
            ("leafMinimumDurationInDays", self.leaf_minimum_duration_in_days),
        ];
        match days.into_iter().find(|(_, days)| i64::from(*days) > DAYS_MAX) {
            Some((name, _)) => refuse(format!("credhub.certificates.{name} must be {DAYS_MAX} at most")),
            None => Ok(()),
        }
    }

    /// What is added to what callers ask for.
    pub fn additions(&self) -> Additions {
        Additions {
            leaf_minimum_days: self.leaf_minimum_duration_in_days,
            authority_minimum_days: self.ca_minimum_duration_in_days,
            authority_key_usages: self.enable_default_ca_key_usages,
        }
    }
}
