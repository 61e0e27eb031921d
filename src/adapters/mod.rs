//! One vendor each: what stands behind the ports of `app`. Adapters know neither the edges nor one another.

pub mod kms;
pub mod password;
pub mod pki;
mod pool;
pub mod system;
