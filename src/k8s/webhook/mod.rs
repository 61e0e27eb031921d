//! The admission webhook: pods get references to the Secrets of the Services they name, and resources that contradict
//! others are refused while somebody is still looking. It answers from memory, holds no right on Secrets, and decides
//! nothing that the reconciler does not decide again.

pub mod admissions;
mod answer;
mod bundle;
pub mod certificate;
mod configuration;
pub mod inject;
mod place;
pub mod routes;
pub mod validate;
mod volumes;
pub mod wish;

use std::fmt;

use crate::k8s::crd::Managed;

pub use admissions::Admissions;
pub use answer::Known;
pub use certificate::{Callbacks, Keeper, Options, Readiness};
pub use routes::{limits, routes};

/// Why an object is not admitted, in the form in which the API server itself complains about fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub field: String,
    /// What is wrong and what to write instead.
    pub why: String,
}

impl Refusal {
    fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// Text of the caller's in a message of ours: quoted, and no longer than a name can be.
fn shown(text: &str) -> String {
    const LIMIT: usize = 63;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The status, if it speaks of the object as it is now and of something that works.
fn settled_status<K: Managed>(object: &K) -> Option<&K::Status> {
    let ready = object.conditions().iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let current = object.observed_generation() == object.meta().generation;
    object.status().filter(|_| ready && current)
}
