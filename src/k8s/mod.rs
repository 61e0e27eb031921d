//! The Kubernetes edge. It translates between the API server and `app`, and never names a REST dialect or an adapter.

/// The four custom resources.
pub mod crd;
pub mod rights;
/// What the API server asks before it accepts a pod or a custom resource.
pub mod webhook;
