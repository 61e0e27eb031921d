//! What the process may do at the API server, as a table: `strongroom check` asks for each row, and a test
//! holds the chart's RBAC to it. Nothing else is ever needed.

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    pub group: &'static str,
    pub resource: &'static str,
    pub subresource: Option<&'static str>,
    pub verbs: &'static [&'static str],
    /// Only on the object of this name: the webhook configurations, whose name is a setting, and the Lease.
    pub named: bool,
}

const fn right(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Right {
    Right { group, resource, subresource: None, verbs, named: false }
}

const fn status(resource: &'static str) -> Right {
    Right { group: super::crd::GROUP, resource, subresource: Some("status"), verbs: &["patch"], named: false }
}

const fn named(resource: &'static str) -> Right {
    let verbs = &["get", "list", "watch", "patch"];
    Right { group: "admissionregistration.k8s.io", resource, subresource: None, verbs, named: true }
}

const WATCH: &[&str] = &["list", "watch"];
const PROJECT: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

const RESTART: &[&str] = &["list", "watch", "patch"];

pub const RIGHTS: &[Right] = &[
    right(super::crd::GROUP, "credentials", WATCH),
    right(super::crd::GROUP, "services", WATCH),
    right(super::crd::GROUP, "certificateauthorities", WATCH),
    right(super::crd::GROUP, "clientcredentials", WATCH),
    status("credentials"),
    status("services"),
    status("certificateauthorities"),
    status("clientcredentials"),
    right("", "secrets", PROJECT),
    right("", "configmaps", PROJECT),
    right("apps", "deployments", RESTART),
    right("apps", "statefulsets", RESTART),
    right("apps", "daemonsets", RESTART),
    right("events.k8s.io", "events", &["create", "patch"]),
    right("authentication.k8s.io", "tokenreviews", &["create"]),
    right("authorization.k8s.io", "subjectaccessreviews", &["create"]),
    named("mutatingwebhookconfigurations"),
    named("validatingwebhookconfigurations"),
];

/// In its own namespace, where several processes on one store agree on one that leads. Never needed without an election.
pub const LEADING: &[Right] = &[
    right(LEASES, "leases", &["create"]),
    Right { named: true, ..right(LEASES, "leases", &["get", "list", "watch", "patch"]) },
];

const LEASES: &str = "coordination.k8s.io";
