//! Use cases: authorise, load, decide, seal, store, record. Knows the domain and the ports it declares,
//! and neither who calls it (HTTP, Kubernetes) nor what stands behind a port.

pub mod body;
pub mod ports;
pub mod sealing;
