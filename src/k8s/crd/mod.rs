//! The custom resources as people write them, and what controllers may assume of all four.
//! The doc comments on fields are the descriptions that `kubectl explain` shows. Defaults live in methods
//! here and never in the schema, where a GitOps tool would see them as drift. Nothing here decides.

// Printer columns repeat the same attribute names in one list, as kube wants them.
#![allow(clippy::duplicated_attributes)]

mod authority;
mod certificate;
mod client;
mod credential;
mod duration;
mod generate;
mod managed;
mod name;
mod rendered;
mod service;
mod status;
mod target;

pub use authority::{
    CertificateAuthority, CertificateAuthoritySpec, CertificateAuthorityStatus, Issuance, Key, ParentReference,
    TrustBundle,
};
pub use certificate::{
    AlternativeName, AuthoritySubject, Country, DnsPattern, ExtendedKeyUsage, KeyAlgorithm, KeyUsage, SubjectText,
};
pub use client::{ClientCredential, ClientCredentialSpec, ClientCredentialStatus, ClientState, ClientType};
pub use credential::{Credential, CredentialSpec, CredentialStatus, CredentialType, SecretReference, Source, Stored};
pub use duration::{GoDuration, MalformedDuration};
pub use generate::Generate;
pub use managed::Managed;
pub use name::{LocalReference, ObjectName, SecretKey};
pub use rendered::{all, manifest};
pub use service::{Service, ServiceCredential, ServiceSpec, ServiceStatus};
pub use status::Observed;
pub use target::{ConflictPolicy, CreationPolicy, DeletionPolicy, Target};

/// The API group of the custom resources.
pub const GROUP: &str = "strongroom.dev";
