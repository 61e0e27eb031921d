//! Who may do what: the one decision point for every dialect and every resource.

use crate::domain::actor::{Actor, Standing};
use crate::domain::name::Tenant;
use crate::domain::record::Class;
use crate::domain::{Error, Result};

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
}

impl Action {
    pub const ALL: [Self; 7] =
        [Self::List, Self::Metadata, Self::Get, Self::Create, Self::Update, Self::Revert, Self::Archive];

    pub fn verb(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Metadata => "see",
            Self::Get => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Revert => "revert",
            Self::Archive => "archive",
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
}

pub fn decide(actor: &Actor, action: Action, target: &Target<'_>) -> Decision {
    match &actor.standing {
        Standing::Operator | Standing::Admin => Decision::Allow,
        Standing::Delegated { .. } => Decision::Ask,
        Standing::Client => decide_for_client(actor, action, target),
    }
}

/// A client reads its own service (Confidant's rule: the service of its own name) and those that list it.
/// It must not write, list, or read a single credential, whoever owns it.
fn decide_for_client(actor: &Actor, action: Action, target: &Target<'_>) -> Decision {
    let reads = matches!(action, Action::Metadata | Action::Get);
    let opened = target.readers.contains(&actor.id);
    let own = target.name == actor.id && *target.tenant == actor.tenant;
    match reads && target.resource == Resource::Record(Class::Service) && (opened || own) {
        true => Decision::Allow,
        false => Decision::Forbid,
    }
}

pub fn refusal(actor: &Actor, action: Action, target: &Target<'_>) -> Error {
    let plural = target.resource.plural();
    let what = match target.name {
        "" => plural.to_owned(),
        name => format!("{} {name}", target.resource.singular()),
    };
    Error::Forbidden { actor: actor.id.clone(), action: action.verb(), what }
}

/// The answer of [`decide`] as a result, for callers that have no Kubernetes to ask.
pub fn require(actor: &Actor, action: Action, target: &Target<'_>) -> Result<()> {
    match decide(actor, action, target) {
        Decision::Allow => Ok(()),
        Decision::Forbid | Decision::Ask => Err(refusal(actor, action, target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Scheme;

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
                    assert_eq!(decide(&till, action, &target) == Decision::Allow, expected, "{class:?} {action:?}");
                }
            }
        }
    }

    #[test]
    fn a_client_reads_the_service_of_its_own_name_in_its_own_tenant() {
        let outside = Tenant::outside();
        let mine = Target::new(Class::Service, &outside, "mail");
        assert_eq!(decide(&client("mail", Tenant::outside()), Action::Get, &mine), Decision::Allow);
        assert_eq!(decide(&client("mail", Tenant::namespace("shop")), Action::Get, &mine), Decision::Forbid);
        assert_eq!(decide(&client("mail-1", Tenant::outside()), Action::Get, &mine), Decision::Forbid);
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
        assert_eq!(decide(&user, Action::Get, &target), Decision::Ask);
        assert!(require(&user, Action::Get, &target).is_err());
    }
}
