//! `Credential`: one value with its history, and the Secret that shows it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::GoDuration;
use super::generate::{Generate, tie_source_to_type};
use super::name::{ObjectName, SecretKey};
use super::status::Observed;
use super::target::Target;

/// What the credential is, where its value comes from and which Secret shows it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "strongroom.dev",
    version = "v1alpha1",
    kind = "Credential",
    plural = "credentials",
    shortname = "cred",
    category = "strongroom",
    namespaced,
    status = "CredentialStatus",
    derive = "PartialEq",
    doc = "A credential: generated once, imported from a Secret, or written over REST. Its value and history are in Strongroom's encrypted store; a Secret shows the current value.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Revision", type_ = "integer", json_path = ".status.revision"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.notAfter"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type==\"Ready\")].message"),
    validation = Rule::new(
        "!has(self.spec.source.secretRef) || self.spec.?target.?creationPolicy.orValue('Owner') == 'None' || self.spec.source.secretRef.name != self.spec.?target.?secretName.orValue(self.metadata.name)"
    )
    .message("source.secretRef.name is the Secret that this Credential itself would write: choose another target.secretName")
    .field_path(".spec.source.secretRef.name")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = tie_source_to_type)]
pub struct CredentialSpec {
    /// What the value is: Value, Json, Password, User, Rsa, Ssh, Certificate or Pairs. It decides the Secret's type and
    /// keys: User makes a kubernetes.io/basic-auth Secret, Ssh kubernetes.io/ssh-auth, Certificate kubernetes.io/tls with
    /// ca.crt, the others Opaque. It cannot be changed.
    #[x_kube(validation = ("self == oldSelf", "type cannot be changed: make a new Credential"))]
    #[serde(rename = "type")]
    pub kind: CredentialType,

    /// Where the value comes from: exactly one of generate, secretRef and stored.
    pub source: Source,

    /// The Secret that shows the value.
    #[serde(default, skip_serializing_if = "Target::is_unset")]
    pub target: Target,

    /// What people should know: who issues it, how it is changed. Not secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub documentation: Option<String>,

    /// Notes for programs, as names and values. Not secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 128))]
    pub metadata: BTreeMap<String, String>,

    /// Words to find it by; each only once. Not secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,

    /// Advisory: clients see it and decide what to do with a disabled credential. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// How long the store keeps value and history after this resource is deleted, such as `720h`. A Credential of the
    /// same name takes them up again until then. Default: the operator's `--retain-for`. `0s`: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) <= duration('876000h')", "retainFor must be at most 876000h"))]
    pub retain_for: Option<GoDuration>,
}

impl CredentialSpec {
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled.unwrap_or(true)
    }
}

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CredentialType {
    Value,
    Json,
    Password,
    User,
    Rsa,
    Ssh,
    Certificate,
    Pairs,
}

/// Where the value comes from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.generate), has(self.secretRef), has(self.stored)].filter(set, set).size() == 1",
    "source must have exactly one of generate, secretRef and stored"
))]
pub struct Source {
    /// Generated by Strongroom, once. Not for Value, Json and Pairs. A later change of what is written here makes a new
    /// revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,

    /// Imported from a Secret in the same namespace, which stays as it is. A change of that Secret makes a new revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,

    /// Written over REST, at this credential's path: `/kubernetes/<namespace>/<name>`. Write `stored: {}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// A Secret to import from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Name of the Secret, in the same namespace.
    pub name: ObjectName,

    /// Value, Json, Password: the key that holds it. Default: `value`, or `password` for a Password. The other types are
    /// read under the keys that their own Secrets have, such as tls.crt, tls.key and ca.crt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretKey>,
}

/// Written over REST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {}

/// What Strongroom last did about this credential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    #[serde(flatten)]
    pub observed: Observed,

    /// Number of the current revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,

    /// Keys of the Secret, without their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,

    /// The Secret that shows the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,

    /// Certificate: when it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,

    /// When the value last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_changed: Option<Time>,
}
