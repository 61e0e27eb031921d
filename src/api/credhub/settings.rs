//! What an installation sets for CredHub's clients alone.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub struct Settings {
    /// Where clients get their tokens: told by `/info`, asked by nobody here.
    pub auth_server: String,
    pub read_only: ReadOnly,
    pub certificates: Certificates,
}

/// How certificates are made and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// While an authority is rotated, what it signed shows both of its certificates as `ca`.
    pub concatenates_cas: bool,
    /// Days; what is asked to end earlier ends then.
    pub minimum_duration_of_cas: u32,
    pub minimum_duration_of_leaves: u32,
    /// Authorities that ask for no key usages may sign certificates and lists of revoked ones.
    pub gives_cas_usages: bool,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            concatenates_cas: true,
            minimum_duration_of_cas: 0,
            minimum_duration_of_leaves: 0,
            gives_cas_usages: false,
        }
    }
}

/// Refuses writes of this process while it is on. Off after a start, as CredHub's is.
#[derive(Debug, Default)]
pub struct ReadOnly(AtomicBool);

impl ReadOnly {
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
}
