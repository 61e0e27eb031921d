//! What a call that failed means: wait, change something, or a ciphertext that is not ours. In our own words: what
//! KMS says may hold names and requests that are nobody else's business.

use std::error::Error as StdError;

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// May succeed by itself.
    Later(String),
    /// These credentials may not do it.
    Denied(String),
    /// Somebody must change something; says what.
    Refused(String),
    /// AWS does not take these credentials for anybody's.
    Stranger(String),
    /// The ciphertext is of another key or context, or was changed.
    Foreign,
}

pub const DISABLED: &str = "is disabled; enable it in KMS";
const THROTTLED: &str = "KMS throttles the account's calls";
const BROKEN: &str = "KMS has a failure of its own";
const EXPIRED: &str = "the AWS credentials have expired and were not renewed yet";
const UNKNOWN: &str = "AWS does not know these credentials, or they are of another partition";

type Make = fn(&str) -> Failure;
const LATER: Make = |why| Failure::Later(why.to_owned());
const DENIED: Make = |why| Failure::Denied(why.to_owned());
const REFUSED: Make = |why| Failure::Refused(why.to_owned());
const STRANGER: Make = |why| Failure::Stranger(why.to_owned());
const FOREIGN: Make = |_| Failure::Foreign;

/// By the code in the answer.
const CODES: &[(&str, Make, &str)] = &[
    ("ThrottlingException", LATER, THROTTLED),
    ("Throttling", LATER, THROTTLED),
    ("TooManyRequestsException", LATER, THROTTLED),
    ("RequestLimitExceeded", LATER, THROTTLED),
    ("LimitExceededException", LATER, THROTTLED),
    ("DependencyTimeoutException", LATER, BROKEN),
    ("KMSInternalException", LATER, BROKEN),
    ("InternalFailure", LATER, BROKEN),
    ("ServiceUnavailable", LATER, BROKEN),
    ("KeyUnavailableException", LATER, "KMS cannot reach the key just now"),
    ("RequestExpired", LATER, "the request came too late; is this machine's clock right?"),
    ("ExpiredTokenException", LATER, EXPIRED),
    ("ExpiredToken", LATER, EXPIRED),
    ("DisabledException", REFUSED, DISABLED),
    (
        "KMSInvalidStateException",
        REFUSED,
        "is in no state to be used: to be deleted, without material, or in a key store that is not connected; \
         see its state in KMS and mend that",
    ),
    (
        "NotFoundException",
        REFUSED,
        "does not exist in this account and region; check --kms-key and --kms-region. Strongroom never makes one",
    ),
    ("InvalidArnException", REFUSED, "is no ARN of a key in this region; check --kms-key and --kms-region"),
    ("ValidationException", REFUSED, "is no name of a key; give an ARN, an id or an alias as --kms-key"),
    ("InvalidKeyUsageException", REFUSED, "is not a symmetric key for encryption; choose one that is"),
    (
        "AccessDeniedException",
        DENIED,
        "may not be used with these credentials, or did not wrap what is in this store; allow kms:Encrypt, \
         kms:Decrypt and kms:DescribeKey on it, and check account and region",
    ),
    ("UnrecognizedClientException", STRANGER, UNKNOWN),
    ("InvalidClientTokenId", STRANGER, UNKNOWN),
    ("IncompleteSignature", STRANGER, UNKNOWN),
    ("InvalidSignatureException", STRANGER, "the AWS credentials are wrong, or this machine's clock is"),
    ("IncorrectKeyException", FOREIGN, ""),
    ("InvalidCiphertextException", FOREIGN, ""),
];

impl Failure {
    pub fn of<E: ProvideErrorMetadata + StdError + 'static>(error: &SdkError<E, HttpResponse>) -> Self {
        match error {
            SdkError::ServiceError(answer) => {
                Self::answered(answer.err().code().unwrap_or_default(), answer.raw().status().as_u16())
            }
            SdkError::ResponseError(answer) => Self::answered("", answer.raw().status().as_u16()),
            SdkError::TimeoutError(_) => LATER("KMS does not answer in time"),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => LATER("KMS does not answer in time"),
            SdkError::DispatchFailure(failure) if failure.is_io() => LATER("KMS cannot be reached"),
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => LATER(
                "no request could be made; are there AWS credentials (environment, web identity, container or \
                 instance role), and is --kms-endpoint right?",
            ),
            _ => LATER("the call failed"),
        }
    }

    fn answered(code: &str, status: u16) -> Self {
        if let Some((_, make, why)) = CODES.iter().find(|(known, ..)| *known == code) {
            return make(why);
        }
        match status {
            429 => LATER(THROTTLED),
            500.. => Self::Later(format!("KMS answers {status}")),
            // A page of a proxy, or of something that is not KMS.
            200..400 => Self::Later(format!("what answers {status} is not KMS; check --kms-endpoint")),
            _ => Self::Refused(format!("was refused by KMS with {}", word(code, status))),
        }
    }
}

/// A code that is not known is shown only if it is one word.
fn word(code: &str, status: u16) -> String {
    let shown = !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if shown { code.to_owned() } else { format!("status {status}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_time_mends_is_told_from_what_somebody_must_mend() {
        for code in ["ThrottlingException", "KMSInternalException", "DependencyTimeoutException"] {
            assert!(matches!(Failure::answered(code, 400), Failure::Later(_)), "{code}");
        }
        for code in ["DisabledException", "KMSInvalidStateException", "NotFoundException"] {
            assert!(matches!(Failure::answered(code, 400), Failure::Refused(_)), "{code}");
        }
        assert!(matches!(Failure::answered("AccessDeniedException", 400), Failure::Denied(_)));
        for code in ["IncorrectKeyException", "InvalidCiphertextException"] {
            assert_eq!(Failure::answered(code, 400), Failure::Foreign);
        }
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        for status in [429, 500, 503, 200, 302] {
            assert!(matches!(Failure::answered("", status), Failure::Later(_)), "{status}");
        }
        assert_eq!(Failure::answered("Odd", 400), Failure::Refused("was refused by KMS with Odd".into()));
    }

    #[test]
    fn an_answer_brings_no_text_of_its_own_into_our_errors() {
        for code in ["two words", "a\nline", &"x".repeat(65), "<script>"] {
            assert_eq!(Failure::answered(code, 400), Failure::Refused("was refused by KMS with status 400".into()));
        }
    }
}
