//! How an installation wants things that others want otherwise.

use crate::domain::authority::Authorities;
use crate::domain::permission::{Acl, Grants};
use crate::domain::token::Issuance;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// One key may be in several credentials of a service: its readers tell them apart by the credential.
    pub ignore_conflicts: bool,
    /// What principals may.
    pub acl: Acl,
    /// What grantees may.
    pub grants: Grants,
    /// Those that callers of REST can name.
    pub authorities: Authorities,
    pub tokens: Issuance,
}
