//! `Service`: what one consumer gets: many credentials, one Secret, no two with the same key.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::{LocalReference, ObjectName, SecretKey};
use super::status::Observed;
use super::target::Target;

/// Which credentials the consumer gets, in which Secret, and who may read them over REST.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "strongroom.dev",
    version = "v1alpha1",
    kind = "Service",
    plural = "services",
    shortname = "credsvc",
    category = "strongroom",
    namespaced,
    status = "ServiceStatus",
    derive = "PartialEq",
    doc = "What one consumer gets: several Credentials in one Secret, and over REST for the clients listed. `kubectl get services` means Kubernetes' own; use credsvc or services.strongroom.dev.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Keys", type_ = "string", json_path = ".status.keys"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Service-Id", type_ = "string", priority = 1, json_path = ".status.serviceId"),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// The Credentials that it consists of, each once. Two that bring the same key are a conflict, until `keys` gives
    /// one of them another name.
    #[schemars(
        length(min = 1, max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub credentials: Vec<ServiceCredential>,

    /// The Secret that holds them all.
    #[serde(default, skip_serializing_if = "Target::is_unset")]
    pub target: Target,

    /// The ClientCredentials that may read this Service over REST. Nobody else outside the cluster may, except a client
    /// whose user name is the Service's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub clients: Vec<LocalReference>,
}

/// One Credential of a Service.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCredential {
    /// Name of the Credential, in the same namespace.
    pub name: ObjectName,

    /// Which keys of the Credential to take, and the name that each gets in the Service's Secret: `password: DB_PASSWORD`.
    /// Default: all, under their own names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 32))]
    #[x_kube(validation = (
        "self.all(a, self.exists_one(b, self[a] == self[b]))",
        "keys gives two keys the same name: make the names different"
    ))]
    pub keys: BTreeMap<String, SecretKey>,
}

/// What Strongroom last did about this service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    #[serde(flatten)]
    pub observed: Observed,

    /// Keys of the Secret, without their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,

    /// The Secret that holds the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,

    /// The id under which REST callers ask for it: `<namespace>.<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
}
