//! Where the root of trust is kept. Each implements `KeyService`, and `TokenService` for callers' tokens.

pub mod aws;
pub mod local;
