//! `CertificateAuthority`: signs certificates. Its private key never leaves the store, so it has no Secret.
//! What is in its certificate cannot be changed: rotation of authorities is not there yet, and a second certificate
//! under the same name would break every chain that the first one signed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::{AuthoritySubject, DnsPattern, KeyAlgorithm};
use super::duration::GoDuration;
use super::name::ObjectName;
use super::status::Observed;

/// Who the authority is, who signs it, and what it may sign.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "strongroom.dev",
    version = "v1alpha1",
    kind = "CertificateAuthority",
    plural = "certificateauthorities",
    shortname = "credca",
    category = "strongroom",
    namespaced,
    status = "CertificateAuthorityStatus",
    derive = "PartialEq",
    doc = "A certificate authority: self-signed, or signed by another. It signs the certificates of Credentials and ClientCredentials in its namespace. Its private key stays in Strongroom's store.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Parent", type_ = "string", json_path = ".spec.parentRef['name','path']"),
    printcolumn(name = "Bundle", type_ = "string", json_path = ".status.configMapName"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.notAfter"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Subject", type_ = "string", priority = 1, json_path = ".spec.subject.commonName"),
    printcolumn(name = "Message", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type==\"Ready\")].message"),
    validation = Rule::new("!has(self.spec.parentRef) || !has(self.spec.parentRef.name) || self.spec.parentRef.name != self.metadata.name")
        .message("parentRef.name is this CertificateAuthority itself: remove parentRef to make it self-signed")
        .field_path(".spec.parentRef.name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.parentRef) == has(oldSelf.parentRef) && (!has(self.parentRef) || (has(self.parentRef.name) == has(oldSelf.parentRef.name) && has(self.parentRef.path) == has(oldSelf.parentRef.path) && (!has(self.parentRef.name) || self.parentRef.name == oldSelf.parentRef.name) && (!has(self.parentRef.path) || self.parentRef.path == oldSelf.parentRef.path)))")
        .message("parentRef cannot be changed, because certificates signed by this authority would stop being valid: make a new CertificateAuthority")
        .field_path(".parentRef"),
    validation = Rule::new("has(self.key) && has(self.key.algorithm) && has(oldSelf.key) && has(oldSelf.key.algorithm) ? self.key.algorithm == oldSelf.key.algorithm : self.?key.?algorithm.orValue('EcdsaP256') == 'EcdsaP256' && oldSelf.?key.?algorithm.orValue('EcdsaP256') == 'EcdsaP256'")
        .message("key cannot be changed, because certificates signed by this authority would stop being valid: make a new CertificateAuthority")
        .field_path(".key"),
    validation = Rule::new("self.?pathLength.orValue(-1) == oldSelf.?pathLength.orValue(-1)")
        .message("pathLength cannot be changed, because it is in the authority's certificate: make a new CertificateAuthority")
        .field_path(".pathLength"),
)]
pub struct CertificateAuthoritySpec {
    /// The name in its certificate. It cannot be changed.
    #[x_kube(validation = (
        "self == oldSelf",
        "subject cannot be changed, because certificates signed by this authority would stop being valid: make a new CertificateAuthority"
    ))]
    pub subject: AuthoritySubject,

    /// The authority that signs this one. Absent: it signs itself. It cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<ParentReference>,

    /// Its key. It cannot be changed.
    #[serde(default, skip_serializing_if = "Key::is_unset")]
    pub key: Key,

    /// How long its certificate is valid, such as `43800h` (five years), from one hour to 100 years. It cannot be changed.
    #[x_kube(
        validation = (
            "duration(self) >= duration('1h') && duration(self) <= duration('876000h')",
            "validity must be between 1h and 876000h"
        ),
        validation = (
            "duration(self) == duration(oldSelf)",
            "validity cannot be changed, because it is in the authority's certificate: make a new CertificateAuthority"
        )
    )]
    pub validity: GoDuration,

    /// How many authorities may stand between this one and the certificate of a server or client. `0`: it signs no
    /// authority. Absent: no limit of its own. It cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub path_length: Option<i64>,

    /// What it may sign. Absent: anything that a resource in its namespace asks for.
    #[serde(default, skip_serializing_if = "Issuance::is_unset")]
    pub issuance: Issuance,

    /// Publishes the roots that a client of this authority should trust, as key `ca.crt` of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_bundle: Option<TrustBundle>,

    /// How long the store keeps the authority's key after this resource is deleted, such as `720h`. A
    /// CertificateAuthority of the same name takes it up again until then. Default: the operator's `--retain-for`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) <= duration('876000h')", "retainFor must be at most 876000h"))]
    pub retain_for: Option<GoDuration>,
}

/// An authority of this namespace by its name, or any other by its path in the store.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = (
    "has(self.name) != has(self.path)",
    "parentRef needs either name, of a CertificateAuthority in this namespace, or path, of another authority in Strongroom's store, and not both"
))]
pub struct ParentReference {
    /// Name of a CertificateAuthority, in the same namespace. Either this or `path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ObjectName>,

    /// Path of a certificate in Strongroom's store that may sign others, such as `/team/root-ca`: one that was generated
    /// over CredHub's API, or a CertificateAuthority of another namespace. Takes a stored permission: actor
    /// `system:serviceaccounts:<namespace>`, operation `read`, at this path or a folder above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1024))]
    #[x_kube(validation = (
        "self.matches('^(/[][A-Za-z0-9_.:,()+-]+)+$') && !self.matches('/[.][.]?(/|$)')",
        "path must be a path such as /team/root-ca: each segment after one slash, none of them . or .., with letters, digits and -_.:,()[]+"
    ))]
    pub path: Option<String>,
}

/// The authority's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// EcdsaP256 (default), EcdsaP384, Rsa2048, Rsa3072, Rsa4096 or Ed25519.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
}

impl Key {
    #[must_use]
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm.unwrap_or_default()
    }
}

/// What an authority may sign.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuance {
    /// The longest validity that it signs; a request for more is refused. Absent: until it expires itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (
        "duration(self) >= duration('1m') && duration(self) <= duration('876000h')",
        "maxValidity must be between 1m and 876000h"
    ))]
    pub max_validity: Option<GoDuration>,

    /// The names that it signs: `orders.shop.svc`, or `*.shop.svc`, where the star stands for exactly one label. A request
    /// with any other name, or with an IP address, is refused. Absent: any name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_dns_names: Vec<DnsPattern>,
}

impl Issuance {
    #[must_use]
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the roots are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustBundle {
    /// Name of the ConfigMap, in the same namespace.
    pub config_map_name: ObjectName,
}

/// What Strongroom last did about this authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthorityStatus {
    #[serde(flatten)]
    pub observed: Observed,

    /// Number of the current revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,

    /// When its certificate expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,

    /// Serial number of its certificate, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,

    /// The ConfigMap with the trust bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
}
