//! Who a caller is, and what it may, where the answer is somebody else's.

pub mod kubernetes;
pub mod oidc;

pub use kubernetes::KubernetesIdentity;
pub use kubernetes::roles::ServiceAccounts;
pub use oidc::OidcIssuers;
