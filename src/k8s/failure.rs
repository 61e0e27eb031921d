//! Why a resource is not Ready, in the words of its condition. What the API server says is not passed on
//! as it is: its messages may quote what was sent.

use std::time::Duration;

use kube::core::Status;

use crate::domain::{Conflict, Error};

/// Who acts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Somebody edits this resource, or another.
    Edit,
    /// Something else happens, of which we may not be told.
    Wait,
    /// We try again.
    Retry,
    /// Nobody: the namespace goes away.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub next: Next,
    pub reason: &'static str,
    /// For people, in the condition.
    pub message: String,
    /// For the log alone.
    pub detail: Option<String>,
    pub retry_after: Option<Duration>,
}

impl Failure {
    pub fn new(next: Next, reason: &'static str, message: impl Into<String>) -> Self {
        Self { next, reason, message: message.into(), detail: None, retry_after: None }
    }

    pub fn wait(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Next::Wait, reason, message)
    }

    pub fn edit(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Next::Edit, reason, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let next = match &error {
            Error::Awaiting { .. } | Error::NotFound { .. } | Error::NoAuthority { .. } => Next::Wait,
            // Another resource's record is in the way until that one is deleted or purged.
            Error::Conflict(Conflict::Managed { .. } | Conflict::Exists { .. }) => Next::Wait,
            other if other.retryable() => Next::Retry,
            _ => Next::Edit,
        };
        let retry_after = match &error {
            Error::Overloaded { retry_after } => Some(*retry_after),
            _ => None,
        };
        Self {
            next,
            reason: error.reason(),
            message: error.to_string(),
            detail: error.detail().map(str::to_owned),
            retry_after,
        }
    }
}

/// What the API server said to a write or read of `what`, such as `Secret db-app`.
pub fn refused(what: &str, error: kube::Error) -> Failure {
    let kube::Error::Api(status) = error else {
        let failure = Failure::new(Next::Retry, "ApiServerUnavailable", "the API server does not answer");
        return Failure { detail: Some(error.to_string()), ..failure };
    };
    let failure = if is_ending(&status) {
        Failure::new(Next::Nothing, "NamespaceTerminating", "the namespace is being deleted")
    } else if status.is_forbidden() {
        let message = format!("the API server forbids the write of {what}: look at Strongroom's ClusterRole");
        Failure::new(Next::Retry, "Forbidden", message)
    } else if status.is_invalid() || status.code == 413 {
        Failure::edit("Refused", format!("the API server refuses {what}: {}", causes(&status)))
    } else {
        Failure::new(Next::Retry, "ApiServerError", format!("the API server answered {} for {what}", status.code))
    };
    Failure { detail: Some(format!("{} {}", status.code, status.reason)), ..failure }
}

/// Fields and kinds of error without the values that the API server quotes.
fn causes(status: &Status) -> String {
    let details = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = details.map(|cause| format!("{} ({})", cause.field, cause.reason)).collect();
    if causes.is_empty() { "it is too large or not valid".to_owned() } else { causes.join(", ") }
}

fn is_ending(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn answer(code: u16, reason: &str, cause: (&str, &str)) -> kube::Error {
        let cause = StatusCause { reason: cause.0.into(), field: cause.1.into(), message: "quotes hunter2".into() };
        let details = StatusDetails {
            causes: vec![cause],
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            retry_after_seconds: 0,
        };
        let status = Status::failure("quotes hunter2", reason).with_code(code).with_details(details);
        kube::Error::Api(status.boxed())
    }

    #[test]
    fn what_the_api_server_quotes_goes_nowhere() {
        for (code, reason) in [(422, "Invalid"), (403, "Forbidden"), (500, "InternalError")] {
            let failure = refused("Secret db", answer(code, reason, ("FieldValueInvalid", "data[db]")));
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }

    #[test]
    fn a_namespace_that_ends_is_nobodys_failure() {
        let failure = refused("Secret db", answer(403, "Forbidden", ("NamespaceTerminating", "metadata.namespace")));
        assert_eq!(failure.next, Next::Nothing);
    }

    #[test]
    fn an_error_says_who_acts_next() {
        let awaiting = Error::Awaiting { reason: "AwaitingValue", message: "m".into() };
        let overloaded = Error::Overloaded { retry_after: Duration::from_secs(2) };
        assert_eq!(Failure::from(awaiting).next, Next::Wait);
        assert_eq!(Failure::from(overloaded).retry_after, Some(Duration::from_secs(2)));
        assert_eq!(Failure::from(Error::invalid("spec.type", "is wrong")).next, Next::Edit);
        let internal = Failure::from(Error::internal("secret detail"));
        assert_eq!((internal.next, internal.message.as_str()), (Next::Retry, "internal error"));
    }
}
