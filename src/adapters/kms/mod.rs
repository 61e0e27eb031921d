//! Where the root of trust is kept. Each implements `KeyService`.

pub mod aws;
pub mod local;
