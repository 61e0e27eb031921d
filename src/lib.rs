//! Strongroom: a Kubernetes operator, an admission webhook and a REST server for credentials.
//!
//! `domain` decides, `app` does, everything else translates. The map is docs/architecture.md.

pub mod adapters;
pub mod api;
pub mod app;
pub mod config;
pub mod domain;
pub mod k8s;
pub mod runtime;
pub mod server;
pub mod telemetry;
