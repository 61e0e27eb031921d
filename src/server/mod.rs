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
mod patience;
pub mod tls;

pub use listen::{Limits, Peer, serve};
pub use mutual_tls::Authorities;
pub use patience::Patience;
pub use tls::{ClientCertificates, Shown, Tls};
