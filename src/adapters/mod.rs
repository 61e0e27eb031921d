//! One vendor each; implements the ports of `app` and nothing else. Adapters do not know each other
//! nor the edges.

pub mod store;
