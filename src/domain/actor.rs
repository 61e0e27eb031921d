//! Who is asking. Made only by authentication; every use case takes one first.

use std::net::IpAddr;

use serde::Serialize;

use crate::domain::name::Tenant;

/// How the caller proved who it is, or tried to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    ServiceAccount,
    Basic,
    MutualTls,
    /// A token that a key service has made, with a name.
    Kmsauth,
    /// The word of a proxy that is believed.
    Header,
    /// A token of an issuer that is believed (OpenID Connect, UAA).
    Oidc,
    /// Nothing was presented.
    None,
    /// Something was presented that no scheme can read.
    Unreadable,
    /// Strongroom itself.
    Internal,
}

/// The two sorts of callers that Confidant knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    Service,
    User,
}

impl PrincipalKind {
    pub const ALL: [Self; 2] = [Self::Service, Self::User];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::User => "user",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What decides for this caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The operator, acting for resources.
    Operator,
    /// May do everything over REST.
    Admin,
    /// A client credential: reads the services that are open to it.
    Client,
    /// Kubernetes decides, by SubjectAccessReview for this user.
    Delegated { groups: Vec<String>, uid: Option<String> },
    /// The list of rules decides. `account`: whom the key was given to that vouches for it.
    Principal { kind: PrincipalKind, account: Option<String> },
    /// Stored permissions decide, path by path: a caller as CredHub knows it.
    Grantee,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The name that Strongroom or Kubernetes knows the caller by.
    pub id: String,
    pub tenant: Tenant,
    pub scheme: Scheme,
    pub standing: Standing,
    /// Where the request came from, if it came from somewhere.
    pub from: Option<IpAddr>,
}

impl Actor {
    pub fn operator() -> Self {
        Self {
            id: "strongroom".into(),
            tenant: Tenant::outside(),
            scheme: Scheme::Internal,
            standing: Standing::Operator,
            from: None,
        }
    }
}
