//! What PostgreSQL's errors become. Its messages may quote values of a failed statement in their details, so only the
//! code and the message go on, and only to the log.

use std::time::Duration;

use sqlx::Error as Fault;

use crate::domain::Error;

const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) fn unavailable(detail: impl ToString) -> Error {
    Error::Unavailable { part: "the store", detail: detail.to_string() }
}

/// After an attempt that certainly changed nothing.
pub(super) fn refused(fault: &Fault) -> Error {
    match fault {
        Fault::Database(error) if error.code().is_some_and(|code| is_overload(&code)) => {
            Error::Overloaded { retry_after: RETRY_AFTER }
        }
        other => unavailable(described(other)),
    }
}

/// 57014: the statement took too long; 55P03: it waited too long for a lock; 53300: too many sessions; 40001 and
/// 40P01: it was in the way of another.
fn is_overload(code: &str) -> bool {
    ["57014", "55P03", "53300", "40001", "40P01"].contains(&code)
}

pub(super) fn described(fault: &Fault) -> String {
    match fault {
        Fault::Database(error) => format!("PostgreSQL says {}: {}", error.code().unwrap_or_default(), error.message()),
        Fault::Io(error) => format!("the connection to PostgreSQL failed: {error}"),
        other => other.to_string(),
    }
}

/// Whether the session is over or on the wrong server, so that another one may do better.
pub(super) fn is_lost(fault: &Fault) -> bool {
    match fault {
        Fault::Database(error) => error.code().is_some_and(|code| ends_session(&code)),
        Fault::Io(_) | Fault::Protocol(_) | Fault::Tls(_) | Fault::WorkerCrashed => true,
        _ => false,
    }
}

/// 08: connection; 57P01, 02, 03 and 05: ended, crashed, not up yet, idle too long; 25006: this is a standby;
/// 25P03: idle in a transaction for too long; 53300: too many sessions.
fn ends_session(code: &str) -> bool {
    code.starts_with("08") || ["57P01", "57P02", "57P03", "57P05", "25006", "25P03", "53300"].contains(&code)
}
