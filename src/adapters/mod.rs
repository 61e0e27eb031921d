//! One vendor each; implements the ports of `app` and nothing else. Adapters know neither the edges nor
//! one another; what two of them need (`pool`, `roots`) stands beside them.

pub mod anchor;
pub mod identity;
pub mod journal;
pub mod kms;
pub mod pki;
mod pool;
mod roots;
pub mod store;
pub mod system;
