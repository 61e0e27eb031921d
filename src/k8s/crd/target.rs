//! The Secret that a resource is projected into. One struct for every kind that has one.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::ObjectName;

/// Which Secret receives the value, and what may happen to it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.creationPolicy) || self.creationPolicy != 'None' || !(has(self.secretName) || has(self.deletionPolicy) || has(self.conflictPolicy))",
    "creationPolicy None makes no Secret: remove secretName, deletionPolicy and conflictPolicy"
))]
pub struct Target {
    /// Name of the Secret. Default: the name of this resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<ObjectName>,

    /// `Owner` (default): Strongroom makes the Secret, keeps it as it should be and restores it when somebody changes
    /// or deletes it. `None`: no Secret is made, and the value is read over REST only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_policy: Option<CreationPolicy>,

    /// What becomes of the Secret when this resource is deleted. `Delete` (default): it is deleted too.
    /// `Retain`: it stays, and nobody updates it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// What to do when the Secret already exists and is not this resource's. `Fail` (default): leave it untouched and
    /// say so in the condition Ready. `Adopt`: take it over, but only if whoever owns the Secret agreed by putting
    /// the annotation `strongroom.dev/adopt: <Kind>.<name>` of this resource on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict_policy: Option<ConflictPolicy>,
}

impl Target {
    #[must_use]
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    #[must_use]
    pub fn creation_policy(&self) -> CreationPolicy {
        self.creation_policy.unwrap_or_default()
    }

    #[must_use]
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.deletion_policy.unwrap_or_default()
    }

    #[must_use]
    pub fn conflict_policy(&self) -> ConflictPolicy {
        self.conflict_policy.unwrap_or_default()
    }

    /// The Secret's name for a resource of this name; none where no Secret is made.
    #[must_use]
    pub fn secret_name(&self, resource: &str) -> Option<String> {
        match self.creation_policy() {
            CreationPolicy::None => None,
            CreationPolicy::Owner => Some(self.secret_name.as_ref().map_or(resource, ObjectName::as_str).to_owned()),
        }
    }
}

/// Whether there is a Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CreationPolicy {
    #[default]
    Owner,
    None,
}

/// What becomes of the Secret when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The Secret has an owner reference.
    #[default]
    Delete,
    /// The Secret has no owner reference.
    Retain,
}

/// What to do about a Secret that is somebody else's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConflictPolicy {
    #[default]
    Fail,
    Adopt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_called_as_the_resource_unless_named() {
        let named = Target { secret_name: Some("db-app".into()), ..Target::default() };
        assert_eq!(Target::default().secret_name("db").as_deref(), Some("db"));
        assert_eq!(named.secret_name("db").as_deref(), Some("db-app"));
    }

    #[test]
    fn creation_policy_none_has_no_secret() {
        let none = Target { creation_policy: Some(CreationPolicy::None), ..Target::default() };
        assert_eq!(none.secret_name("db"), None);
    }
}
