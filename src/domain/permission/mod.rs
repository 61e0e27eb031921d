//! Who may do what: the one decision point for every dialect and every resource.

pub mod grant;
pub mod granted;
pub mod rule;

use crate::domain::Error;
use crate::domain::actor::{Actor, Standing};
use crate::domain::name::Tenant;
use crate::domain::record::Class;
pub use grant::{Grants, Operation, Operations, Permission, Scope};
pub use granted::{Granted, Readable};
pub use rule::{Acl, Principal};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    List,
    /// What a record is called and how it stands, without its values.
    Metadata,
    Get,
    Create,
    Update,
    /// Back to an earlier revision, as a new one.
    Revert,
    /// Out of sight, not forgotten.
    Archive,
    /// Forgotten, with every revision.
    Delete,
}

impl Action {
    pub const ALL: [Self; 8] =
        [Self::List, Self::Metadata, Self::Get, Self::Create, Self::Update, Self::Revert, Self::Archive, Self::Delete];

    pub fn verb(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Metadata => "see",
            Self::Get => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Revert => "revert",
            Self::Archive => "archive",
            Self::Delete => "delete",
        }
    }
}

/// What permissions are asked for: records, and what is made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Record(Class),
    /// A certificate authority, as those see it who ask it for certificates.
    Authority,
    /// A certificate that is made for the caller; its name is the common name.
    Certificate,
    /// What every known caller may know: who it is, and how this installation is set up.
    Session,
    /// A token that is signed for the caller; its name is the caller's.
    Token,
}

impl Resource {
    pub fn singular(self) -> &'static str {
        match self {
            Self::Record(class) => class.singular(),
            Self::Authority => "certificate authority",
            Self::Certificate => "certificate",
            Self::Session => "session",
            Self::Token => "token",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::Record(class) => class.plural(),
            Self::Authority => "certificate authorities",
            Self::Certificate => "certificates",
            Self::Session => "sessions",
            Self::Token => "tokens",
        }
    }
}

impl From<Class> for Resource {
    fn from(class: Class) -> Self {
        Self::Record(class)
    }
}

/// What the action is done to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub resource: Resource,
    pub tenant: &'a Tenant,
    /// The record's name; empty for a list.
    pub name: &'a str,
    /// User names of the clients that the record's owner opened it to.
    pub readers: &'a [String],
    /// The authority that is to sign, for certificates.
    pub issuer: Option<&'a str>,
}

impl<'a> Target<'a> {
    pub fn new(resource: impl Into<Resource>, tenant: &'a Tenant, name: &'a str) -> Self {
        Self { resource: resource.into(), tenant, name, readers: &[], issuer: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Forbid,
    /// Kubernetes knows the answer.
    Ask,
    /// Whoever is granted this at the target's name.
    IfGranted(Operation),
}

pub fn decide(acl: &Acl, actor: &Actor, action: Action, target: &Target<'_>) -> Decision {
    let only_if = |allowed: bool| if allowed { Decision::Allow } else { Decision::Forbid };
    match &actor.standing {
        Standing::Operator | Standing::Admin => Decision::Allow,
        Standing::Delegated { .. } => Decision::Ask,
        Standing::Grantee => grant::needed(action, target.resource).map_or(Decision::Forbid, Decision::IfGranted),
        Standing::Client => only_if(opened_to_client(actor, action, target)),
        Standing::Principal { kind, .. } => {
            only_if(acl.allows(Principal { kind: *kind, name: &actor.id }, action, target))
        }
    }
}

/// Whether the caller belongs to the account that a record is kept for. Only principals belong to any: who has none by
/// nature is judged by its rights alone.
pub fn shares_account(actor: &Actor, account: Option<&str>) -> bool {
    match (&actor.standing, account) {
        (Standing::Principal { account: own, .. }, Some(account)) => own.as_deref() == Some(account),
        _ => true,
    }
}

/// A client reads its own service (Confidant's rule: the service of its own name) and those that list it.
/// It must not write, list, or read a single credential, whoever owns it.
fn opened_to_client(actor: &Actor, action: Action, target: &Target<'_>) -> bool {
    let reads = matches!(action, Action::Metadata | Action::Get);
    let opened = target.readers.contains(&actor.id);
    let own = target.name == actor.id && *target.tenant == actor.tenant;
    reads && target.resource == Resource::Record(Class::Service) && (opened || own)
}

pub fn refusal(actor: &Actor, action: Action, target: &Target<'_>) -> Error {
    let plural = target.resource.plural();
    let what = match target.name {
        "" => plural.to_owned(),
        name => format!("{} {name}", target.resource.singular()),
    };
    Error::Forbidden { actor: actor.id.clone(), action: action.verb(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::{PrincipalKind, Scheme};

    fn client(id: &str, tenant: Tenant) -> Actor {
        Actor { id: id.into(), tenant, scheme: Scheme::Basic, standing: Standing::Client, from: None }
    }

    #[test]
    fn a_client_reads_what_is_opened_to_it_and_nothing_else() {
        let tenant = Tenant::namespace("shop");
        let till = client("shop/till-17", tenant.clone());
        let readers = ["shop/till-17".to_owned()];
        for class in Class::ALL {
            for action in Action::ALL {
                for readers in [&readers[..], &[]] {
                    let target = Target { readers, ..Target::new(class, &tenant, "shop.till") };
                    let expected = class == Class::Service
                        && !readers.is_empty()
                        && matches!(action, Action::Get | Action::Metadata);
                    assert_eq!(
                        decide(&Acl::default(), &till, action, &target) == Decision::Allow,
                        expected,
                        "{class:?} {action:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_client_reads_the_service_of_its_own_name_in_its_own_tenant() {
        let outside = Tenant::outside();
        let mine = Target::new(Class::Service, &outside, "mail");
        assert_eq!(decide(&Acl::default(), &client("mail", Tenant::outside()), Action::Get, &mine), Decision::Allow);
        assert_eq!(
            decide(&Acl::default(), &client("mail", Tenant::namespace("shop")), Action::Get, &mine),
            Decision::Forbid
        );
        assert_eq!(decide(&Acl::default(), &client("mail-1", Tenant::outside()), Action::Get, &mine), Decision::Forbid);
    }

    #[test]
    fn kubernetes_is_asked_for_its_own_users() {
        let user = Actor {
            id: "system:serviceaccount:shop:till".into(),
            tenant: Tenant::namespace("shop"),
            scheme: Scheme::ServiceAccount,
            standing: Standing::Delegated { groups: vec![], uid: None },
            from: None,
        };
        let tenant = Tenant::outside();
        let target = Target::new(Class::Credential, &tenant, "/a");
        assert_eq!(decide(&Acl::default(), &user, Action::Get, &target), Decision::Ask);
    }

    #[test]
    fn grantees_are_judged_by_what_is_stored_for_them_and_only_at_credentials_and_permissions() {
        let till =
            Actor { standing: Standing::Grantee, scheme: Scheme::Oidc, ..client("uaa-client:till", Tenant::outside()) };
        let tenant = Tenant::outside();
        let others = [Resource::Authority, Resource::Certificate, Resource::Session, Resource::Token];
        for resource in Class::ALL.map(Resource::Record).into_iter().chain(others) {
            for action in Action::ALL {
                let target =
                    Target { readers: &["uaa-client:till".into()], ..Target::new(resource, &tenant, &till.id) };
                let decided = decide(&Acl::default(), &till, action, &target);
                let asked = matches!(resource, Resource::Record(Class::Credential | Class::Permission));
                assert!(asked || decided == Decision::Forbid, "{resource:?} {action:?}");
                assert_ne!(decided, Decision::Allow, "{resource:?} {action:?}");
            }
        }
    }

    #[test]
    fn principals_are_judged_by_the_rules_and_by_their_account() {
        let principal = |account: Option<&str>| Actor {
            scheme: Scheme::Kmsauth,
            standing: Standing::Principal { kind: PrincipalKind::Service, account: account.map(str::to_owned) },
            ..client("mail", Tenant::outside())
        };
        let outside = Tenant::outside();
        let mine = Target::new(Class::Service, &outside, "mail");
        let decided = |acl: &Acl| decide(acl, &principal(None), Action::Get, &mine);
        assert_eq!(decided(&Acl::default()), Decision::Allow);
        assert_eq!(decided(&Acl::new(Vec::new())), Decision::Forbid);
        for (own, account, expected) in
            [(None, None, true), (Some("a"), None, true), (Some("a"), Some("a"), true), (Some("a"), Some("b"), false)]
        {
            assert_eq!(shares_account(&principal(own), account), expected);
        }
        assert!(!shares_account(&principal(None), Some("a")));
        assert!(shares_account(&client("mail", Tenant::outside()), Some("a")));
    }
}
