//! Where the roles are that services are called after, and how AWS IAM is reached.

use serde::Deserialize;

use super::Kmsauth;
use crate::config::kms::{check_endpoint, check_region};
use crate::config::{Refused, refuse};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RolesFrom {
    /// The list `roles`.
    #[default]
    Settings,
    /// ServiceAccounts, as `<namespace>.<name>`.
    Cluster,
    Iam,
}

/// Absent: where AWS has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Iam {
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

pub(super) fn check(from: RolesFrom, roles: &[String], iam: &Iam, kmsauth: Option<&Kmsauth>) -> Result<(), Refused> {
    if from != RolesFrom::Settings && !roles.is_empty() {
        return refuse("confidant.roles and confidant.rolesFrom exclude each other: names come from one place");
    }
    let is_used = from == RolesFrom::Iam || kmsauth.is_some_and(|kmsauth| kmsauth.manages_grants);
    if *iam != Iam::default() && !is_used {
        return refuse(
            "confidant.iam needs confidant.rolesFrom: iam or confidant.kmsauth.manageGrants: nothing else asks it",
        );
    }
    if let Some(endpoint) = &iam.endpoint {
        check_endpoint("confidant.iam.endpoint", endpoint)?;
    }
    iam.region.as_deref().map_or(Ok(()), |region| check_region("confidant.iam.region", region))
}

#[cfg(test)]
mod tests {
    use super::super::Confidant;

    fn read(text: &str) -> Result<(), String> {
        let confidant: Confidant = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        confidant.check().map_err(|error| error.to_string())
    }

    #[test]
    fn roles_come_from_one_place() {
        const GRANTS: &str = "kmsauth: {context: v, authKeys: [a], manageGrants: true}";
        for good in [
            "roles: [a, b]",
            "rolesFrom: cluster",
            "rolesFrom: iam\niam: {endpoint: 'https://iam.example', region: us-east-1}",
            &format!("{GRANTS}\niam: {{region: us-gov-west-1}}"),
        ] {
            assert_eq!(read(good), Ok(()), "{good}");
        }
        for (bad, named) in [
            ("roles: [a]\nrolesFrom: iam", "rolesFrom"),
            ("rolesFrom: ldap", "rolesFrom"),
            ("iam: {region: us-east-1}", "confidant.iam"),
            ("rolesFrom: iam\niam: {endpoint: 'http://iam.example'}", "confidant.iam.endpoint"),
            ("rolesFrom: iam\niam: {region: 'A b'}", "confidant.iam.region"),
            ("rolesFrom: iam\niam: {key: a}", "key"),
        ] {
            let refused = read(bad).expect_err(bad);
            assert!(refused.contains(named), "{bad}: {refused}");
        }
    }
}
