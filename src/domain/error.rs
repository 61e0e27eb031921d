//! The one error that crosses rooms. Each edge renders it with an exhaustive match.
//!
//! What Display says may be shown to the caller and names fields, never values; `detail` is for the log.

use std::time::Duration;

use crate::domain::name::RecordId;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One field of the caller's input that cannot be accepted, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Violation {
    pub field: String,
    pub why: String,
}

/// What stands in the way of a write that is well-formed and allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("someone else changed {what} meanwhile; read it again")]
    Stale { what: String },
    #[error("{what} exists already")]
    Exists { what: String, id: RecordId },
    /// The record has one writer, and it is not the caller.
    #[error("{what} is managed by {owner}; change it there")]
    Managed { what: String, owner: String, id: RecordId },
    #[error("{what} is written over REST, not by this resource")]
    WrittenElsewhere { what: String },
    #[error("{}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Keys { keys: Vec<KeyConflict> },
}

/// One key that two or more credentials of a service hold, blind ones among them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {key} is in {}", holders.iter().map(|holder| holder.name.as_str()).collect::<Vec<_>>().join(" and "))]
pub struct KeyConflict {
    pub key: String,
    pub holders: Vec<Holder>,
    /// The services in which they meet, where it is not the one being written.
    pub services: Vec<String>,
}

/// A credential that holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub id: RecordId,
    pub is_blind: bool,
    /// For people.
    pub name: String,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    #[error("{what} does not exist")]
    NotFound { what: String },
    /// Who was to sign a certificate: to callers another matter than a certificate that they ask for.
    #[error("the certificate authority {path} does not exist")]
    NoAuthority { path: String },
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Who is calling is not known.
    #[error("the presented credential was not accepted")]
    Unauthenticated,
    /// A known caller of another account than the record's.
    #[error("the caller belongs to another account")]
    OtherAccount,
    #[error("{actor} may not {action} {what}")]
    Forbidden { actor: String, action: &'static str, what: String },
    /// Something else must happen first; the message says what.
    #[error("{message}")]
    Awaiting { reason: &'static str, message: String },
    /// The data key was replaced while this was under way: the same call with the new one succeeds.
    #[error("the data key was replaced meanwhile; try again")]
    KeyReplaced,
    /// Another process leads since: what this one wanted to write for a resource is not its to write.
    #[error("another replica leads now")]
    Fenced,
    /// A bounded queue is full.
    #[error("too much is waiting; try again in {} s", retry_after.as_secs().max(1))]
    Overloaded { retry_after: Duration },
    /// A part that we need does not answer.
    #[error("{part} is not available")]
    Unavailable { part: &'static str, detail: String },
    /// A stored record does not open: it was changed outside Strongroom, or its key is missing.
    #[error("{what} cannot be read: it is damaged or was changed outside Strongroom")]
    Damaged { what: String, detail: String },
    #[error("internal error")]
    Internal { detail: String },
}

impl Error {
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { field: field.into(), why: why.into() }])
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    pub fn no_authority(path: impl Into<String>) -> Self {
        Self::NoAuthority { path: path.into() }
    }

    pub fn internal(detail: impl ToString) -> Self {
        Self::Internal { detail: detail.to_string() }
    }

    /// Whether the same call may succeed later without anybody changing its input.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Conflict(Conflict::Stale { .. })
                | Self::KeyReplaced
                | Self::Fenced
                | Self::Overloaded { .. }
                | Self::Unavailable { .. }
                | Self::Internal { .. }
        )
    }

    /// One CamelCase word for a condition, an Event or a metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "Invalid",
            Self::NotFound { .. } | Self::NoAuthority { .. } => "NotFound",
            Self::Conflict(Conflict::Keys { .. }) => "KeyConflict",
            Self::Conflict(_) => "Conflict",
            Self::Unauthenticated => "Unauthenticated",
            Self::OtherAccount => "OtherAccount",
            Self::Forbidden { .. } => "Forbidden",
            Self::Awaiting { reason, .. } => reason,
            Self::KeyReplaced => "KeyReplaced",
            Self::Fenced => "Fenced",
            Self::Overloaded { .. } => "Overloaded",
            Self::Unavailable { .. } => "Unavailable",
            Self::Damaged { .. } => "Damaged",
            Self::Internal { .. } => "InternalError",
        }
    }

    /// What only the log may say.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Unavailable { detail, .. } | Self::Damaged { detail, .. } | Self::Internal { detail } => Some(detail),
            _ => None,
        }
    }
}
