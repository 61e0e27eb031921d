//! What an action is called in RBAC: values are the subresource `value` of `credentials`, `services` and
//! `blindcredentials`, certificates the subresource `certificates` of the authority that signs them. In the namespace of
//! the record, or cluster-wide for records outside all namespaces. Permissions are cluster-wide, all or none.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};

use crate::domain::permission::{Action, Resource, Target};
use crate::domain::record::Class;

const GROUP: &str = "strongroom.dev";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    user: String,
    groups: Vec<String>,
    uid: Option<String>,
    verb: &'static str,
    resource: &'static str,
    subresource: Option<&'static str>,
    namespace: String,
    name: String,
}

impl Question {
    /// `None` for what is nobody's by RBAC.
    pub fn new(user: &str, groups: &[String], uid: Option<&str>, action: Action, target: &Target<'_>) -> Option<Self> {
        let (resource, verb, subresource) = match (target.resource, action) {
            (Resource::Record(Class::Credential), _) => record("credentials", action),
            (Resource::Record(Class::Service), _) => record("services", action),
            (Resource::Record(Class::BlindCredential), _) => record("blindcredentials", action),
            (Resource::Authority, Action::List) => ("certificateauthorities", "list", None),
            (Resource::Authority, Action::Get) => ("certificateauthorities", "get", None),
            (Resource::Certificate, Action::Get) => ("certificateauthorities", "create", Some("certificates")),
            (Resource::Token, Action::Get) => ("tokens", "create", None),
            (Resource::Record(Class::Permission), action) => ("permissions", plain(action)?, None),
            (Resource::Record(Class::Client) | Resource::Session, _) => return None,
            (Resource::Authority | Resource::Certificate | Resource::Token, _) => return None,
        };
        Some(Self {
            user: user.to_owned(),
            groups: groups.to_vec(),
            uid: uid.map(str::to_owned),
            verb,
            resource,
            subresource,
            namespace: target.tenant.as_str().to_owned(),
            name: name(target).to_owned(),
        })
    }

    pub fn review(&self) -> SubjectAccessReview {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(self.resource.to_owned()),
            subresource: self.subresource.map(str::to_owned),
            verb: Some(self.verb.to_owned()),
            namespace: text(&self.namespace),
            name: text(&self.name),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(self.user.clone()),
            groups: Some(self.groups.clone()),
            uid: self.uid.clone(),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        SubjectAccessReview { spec, ..SubjectAccessReview::default() }
    }
}

/// What permissions are asked for; nothing else is done to them.
fn plain(action: Action) -> Option<&'static str> {
    match action {
        Action::Metadata | Action::Get => Some("get"),
        Action::Create => Some("create"),
        Action::Update => Some("update"),
        Action::Delete => Some("delete"),
        Action::List | Action::Revert | Action::Archive => None,
    }
}

fn record(resource: &'static str, action: Action) -> (&'static str, &'static str, Option<&'static str>) {
    let (verb, subresource) = match action {
        Action::List => ("list", None),
        Action::Metadata => ("get", None),
        Action::Get => ("get", Some("value")),
        Action::Create => ("create", Some("value")),
        Action::Update | Action::Revert => ("update", Some("value")),
        Action::Archive | Action::Delete => ("delete", Some("value")),
    };
    (resource, verb, subresource)
}

/// As the resource is called that a role's `resourceNames` would name: the end of a path, and a service's id without
/// its namespace.
fn name<'a>(target: &Target<'a>) -> &'a str {
    // A path's last segment says nothing of where it is: no role could mean one permission by it.
    if target.resource == Resource::Record(Class::Permission) {
        return "";
    }
    let name = target.issuer.unwrap_or(target.name);
    let last = name.rsplit('/').next().unwrap_or_default();
    match (target.resource, target.tenant.as_namespace()) {
        (Resource::Record(Class::Service), Some(namespace)) => {
            last.strip_prefix(namespace).and_then(|rest| rest.strip_prefix('.')).unwrap_or(last)
        }
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::Tenant;

    fn asked(resource: impl Into<Resource>, tenant: &Tenant, name: &str, action: Action) -> Option<ResourceAttributes> {
        let target = Target::new(resource, tenant, name);
        Question::new("till", &["g".into()], None, action, &target)?.review().spec.resource_attributes
    }

    #[test]
    fn values_are_a_subresource_in_the_records_namespace() {
        let shop = Tenant::namespace("shop");
        for (action, verb) in [(Action::Get, "get"), (Action::Create, "create"), (Action::Update, "update")] {
            let asked = asked(Class::Credential, &shop, "/kubernetes/shop/db", action).unwrap();
            assert_eq!(asked.verb.as_deref(), Some(verb));
            assert_eq!(asked.subresource.as_deref(), Some("value"));
            assert_eq!((asked.namespace.as_deref(), asked.name.as_deref()), (Some("shop"), Some("db")));
        }
    }

    #[test]
    fn lists_and_looks_are_plain_verbs() {
        let outside = Tenant::outside();
        let list = asked(Class::Service, &outside, "", Action::List).unwrap();
        assert_eq!(
            (list.verb.as_deref(), list.subresource, list.namespace, list.name),
            (Some("list"), None, None, None)
        );
        let look = asked(Class::Credential, &outside, "/confidant/ab", Action::Metadata).unwrap();
        assert_eq!((look.verb.as_deref(), look.subresource, look.name.as_deref()), (Some("get"), None, Some("ab")));
    }

    #[test]
    fn a_service_is_named_as_its_resource() {
        let shop = Tenant::namespace("shop");
        let asked = |name| asked(Class::Service, &shop, name, Action::Get).unwrap().name;
        assert_eq!(asked("shop.till").as_deref(), Some("till"));
        assert_eq!(asked("shopping").as_deref(), Some("shopping"));
    }

    #[test]
    fn a_certificate_is_made_by_whoever_may_make_some_of_its_authority() {
        let shop = Tenant::namespace("shop");
        let target = Target {
            issuer: Some("/kubernetes/shop/root"),
            ..Target::new(Resource::Certificate, &shop, "till.shop.svc")
        };
        let asked = Question::new("till", &[], None, Action::Get, &target).unwrap().review();
        let asked = asked.spec.resource_attributes.unwrap();
        assert_eq!((asked.verb.as_deref(), asked.name.as_deref()), (Some("create"), Some("root")));
        assert_eq!(asked.resource.as_deref(), Some("certificateauthorities"));
        assert_eq!(asked.subresource.as_deref(), Some("certificates"));
    }

    #[test]
    fn permissions_are_plain_verbs_for_all_of_them() {
        let outside = Tenant::outside();
        for (action, verb) in
            [(Action::Get, "get"), (Action::Create, "create"), (Action::Update, "update"), (Action::Delete, "delete")]
        {
            let asked = asked(Class::Permission, &outside, "/team/*", action).unwrap();
            assert_eq!((asked.verb.as_deref(), asked.resource.as_deref()), (Some(verb), Some("permissions")));
            assert_eq!((asked.subresource, asked.namespace, asked.name), (None, None, None));
        }
        assert!(asked(Class::Permission, &outside, "", Action::List).is_none());
    }

    #[test]
    fn client_credentials_are_nobodys() {
        assert!(asked(Class::Client, &Tenant::namespace("shop"), "shop/till", Action::Get).is_none());
    }
}
