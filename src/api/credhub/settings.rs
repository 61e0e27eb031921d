//! What an installation sets for CredHub's clients alone.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub struct Settings {
    /// Where clients get their tokens: told by `/info`, asked by nobody here.
    pub auth_server: String,
    pub read_only: ReadOnly,
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
