//! What is ready to sign, by the digest of its texts: to open it takes longer than several signatures. Bounded; what goes is
//! dropped, and wiped by that. Must not know what it holds.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use quick_cache::sync::Cache;

use crate::domain::Result;

/// More than most installations sign with at a time.
const OPEN: usize = 64;

pub(super) struct Held<T>(Cache<[u8; 32], Arc<T>>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(Cache::new(OPEN))
    }
}

impl<T> Held<T> {
    pub(super) fn get(&self, texts: &[&str]) -> Option<Arc<T>> {
        self.0.get(&digest(texts))
    }

    /// What cannot be opened is not held.
    pub(super) fn get_or_open(&self, texts: &[&str], open: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        self.0.get_or_insert_with(&digest(texts), || open().map(Arc::new))
    }
}

/// Over the lengths too: no text can be moved from one place into the next.
fn digest(texts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&text.len().to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
