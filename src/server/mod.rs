//! HTTP plumbing without a dialect: the TLS accept loop and its limits, who is calling, health, metrics.
//! Must not know what the routes are about.

mod activity;
pub mod body;
pub mod csrf;
pub mod header_login;
pub mod health;
pub mod identity;
pub mod listen;
pub mod metrics;
pub mod mutual_tls;
pub mod tls;

pub use listen::{Limits, Patience, Peer, serve};
pub use mutual_tls::Authorities;
pub use tls::{ClientCertificates, Shown, Tls};
