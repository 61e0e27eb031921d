//! `ClientCredential`: an identity for a caller outside the cluster, by HTTP Basic or mutual TLS.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::SubjectText;
use super::duration::GoDuration;
use super::name::LocalReference;
use super::status::Observed;
use super::target::Target;

/// How the client proves who it is, and whether it may at the moment.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "strongroom.dev",
    version = "v1alpha1",
    kind = "ClientCredential",
    plural = "clientcredentials",
    shortname = "credcli",
    category = "strongroom",
    namespaced,
    status = "ClientCredentialStatus",
    derive = "PartialEq",
    doc = "An identity for a caller outside the cluster: a user name and password (Basic), or a certificate (X509). It reads the Services that list it in spec.clients. What the caller needs is in the Secret.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.notAfter"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Username", type_ = "string", priority = 1, json_path = ".status.username"),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'X509' || has(self.commonName)")
        .message("commonName is required for type X509").field_path(".commonName").reason(Reason::FieldValueRequired),
    validation = Rule::new("self.type != 'X509' || has(self.authorityRef)")
        .message("authorityRef is required for type X509").field_path(".authorityRef").reason(Reason::FieldValueRequired),
    validation = Rule::new("self.type == 'X509' || !has(self.commonName)")
        .message("commonName is for type X509 only").field_path(".commonName").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.type == 'X509' || !has(self.authorityRef)")
        .message("authorityRef is for type X509 only").field_path(".authorityRef").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.type == 'X509' || !has(self.ttl)")
        .message("ttl is for type X509 only").field_path(".ttl").reason(Reason::FieldValueForbidden),
    // Written over the whole spec: a rule on the field itself would not run when somebody removes the field, which
    // would make a revoked client active again.
    validation = Rule::new("oldSelf.?state.orValue('Active') != 'Revoked' || self.?state.orValue('Active') == 'Revoked'")
        .message("state Revoked is final: make a new ClientCredential").field_path(".state"),
    validation = Rule::new("self.?target.?creationPolicy.orValue('Owner') != 'None'")
        .message("target.creationPolicy None is not possible for a ClientCredential: its password or key exists in its Secret only")
        .field_path(".target.creationPolicy"),
)]
pub struct ClientCredentialSpec {
    /// Basic: a user name and a password. X509: a certificate for mutual TLS. It cannot be changed.
    #[x_kube(validation = ("self == oldSelf", "type cannot be changed: make a new ClientCredential"))]
    #[serde(rename = "type")]
    pub kind: ClientType,

    /// X509: common name of the certificate, required. A change of this, of ttl or of authorityRef issues a new
    /// certificate; the one before stays accepted until it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_name: Option<SubjectText<64>>,

    /// X509: how long the certificate is valid, such as `2160h`, from ten minutes to 100 years. Default `8760h` (a year).
    /// When two thirds are over, the next one is issued and put into the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (
        "duration(self) >= duration('10m') && duration(self) <= duration('876000h')",
        "ttl must be between 10m and 876000h"
    ))]
    pub ttl: Option<GoDuration>,

    /// Active (default): it may call. Suspended: not at the moment. Revoked: never again, which cannot be taken back.
    /// A change takes effect on the next request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ClientState>,

    /// X509: the CertificateAuthority that issues the certificate, required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority_ref: Option<LocalReference>,

    /// The Secret for the caller: username and password, or tls.crt, tls.key and ca.crt. There is always one.
    #[serde(default, skip_serializing_if = "Target::is_unset")]
    pub target: Target,

    /// How long the store remembers the client after this resource is deleted, such as `720h`. It cannot call then, but a
    /// ClientCredential of the same name takes it up again. Default: the operator's `--retain-for`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = ("duration(self) <= duration('876000h')", "retainFor must be at most 876000h"))]
    pub retain_for: Option<GoDuration>,
}

impl ClientCredentialSpec {
    #[must_use]
    pub fn state(&self) -> ClientState {
        self.state.unwrap_or_default()
    }
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClientType {
    Basic,
    X509,
}

/// Whether a client may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientState {
    #[default]
    Active,
    Suspended,
    Revoked,
}

/// What Strongroom last did about this client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentialStatus {
    #[serde(flatten)]
    pub observed: Observed,

    /// The user name that the client calls with: `<namespace>/<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,

    /// The Secret for the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,

    /// The state that is in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ClientState>,

    /// X509: when the certificate expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}
