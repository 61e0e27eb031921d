//! Who a caller is, and what it may, where the answer is somebody else's.

pub mod kubernetes;

pub use kubernetes::KubernetesIdentity;
pub use kubernetes::roles::ServiceAccounts;
