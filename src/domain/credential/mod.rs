//! A credential: what it is, what it says about itself, how it changes.

pub mod change;
pub mod generate;
pub mod kind;
pub mod material;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use generate::{Characters, Generate};
pub use kind::Kind;
pub use material::{Field, Form, Material};

use crate::domain::authority::Authority;

/// What people say about a credential; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Advisory: clients decide what to do with a disabled credential (Confidant's rule).
    pub enabled: bool,
    pub documentation: Option<String>,
    /// A JSON object as text.
    pub metadata: Option<String>,
    pub tags: Vec<String>,
}

impl Default for About {
    fn default() -> Self {
        Self { enabled: true, documentation: None, metadata: None, tags: Vec::new() }
    }
}

#[derive(Clone, Debug)]
pub struct Credential {
    /// What people call it (Confidant's name). Unique among credentials.
    pub title: String,
    pub kind: Kind,
    pub about: About,
    /// How the material was generated; `None`: it was given to us.
    pub generated: Option<Generate>,
    /// When the material last changed.
    pub rotated_at: Timestamp,
    /// End of the certificate's life, for certificates.
    pub not_after: Option<Timestamp>,
    /// Set on certificate authorities.
    pub authority: Option<Authority>,
    pub material: Material,
}
