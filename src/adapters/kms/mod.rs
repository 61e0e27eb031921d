//! Where the root of trust is kept. Each implements `KeyService`.

pub mod local;
