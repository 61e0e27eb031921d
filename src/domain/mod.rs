//! Values and decisions: what a credential is, who may touch it, what a certificate may say.
//!
//! Pure: no async, no I/O, no clock and no randomness of its own (both are arguments).
//! Must not know HTTP, Kubernetes, SQL or any serialisation format; serde's derives stand on
//! values that hold no secret, the format is `app`'s.

pub mod actor;
pub mod authority;
pub mod blind;
pub mod client;
pub mod credential;
pub mod entropy;
pub mod error;
pub mod kmsauth;
pub mod name;
pub mod oidc;
pub mod permission;
pub mod record;
pub mod rules;
pub mod secret;
pub mod service;
pub mod subject;
pub mod token;

pub use error::{Conflict, Error, Result, Violation};
