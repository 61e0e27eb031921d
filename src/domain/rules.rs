//! How an installation wants things that others want otherwise.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// One key may be in several credentials of a service: its readers tell them apart by the credential.
    pub ignore_conflicts: bool,
}
