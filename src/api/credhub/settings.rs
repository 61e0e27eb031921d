//! What an installation sets for CredHub's clients alone.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::authority::credhub::Additions;

#[derive(Debug)]
pub struct Settings {
    /// Where clients get their tokens: told by `/info`, asked by nobody here.
    pub auth_server: String,
    pub read_only: ReadOnly,
    /// While an authority is rotated, what it signed shows both of its certificates as `ca`.
    pub concatenates_cas: bool,
    /// What every certificate gets beside what is asked for.
    pub additions: Additions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth_server: String::new(),
            read_only: ReadOnly::default(),
            concatenates_cas: true,
            additions: Additions::default(),
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
