//! Tokens that say who asked for them: what is in one, how long it lives, and which keys sign in which environment.
//! Knows nothing of signatures.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::name::Path;
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// How an installation issues tokens; without environments it issues none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuance {
    /// Who the tokens say made them; `None`: they do not say.
    pub issuer: Option<String>,
    /// Of tokens whose caller wants no other.
    pub lifetime: SignedDuration,
    pub maximum: SignedDuration,
    /// `None`: every request gets a new one.
    pub kept: Option<Kept>,
    pub environments: BTreeMap<String, Environment>,
}

/// How many tokens are given to their caller again, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub count: usize,
    pub age: SignedDuration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The key that signs; the others verify what they have signed before.
    pub active: String,
    pub keys: BTreeMap<String, KeySource>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A private key in PEM; its id is its name in the settings.
    Given(SecretText),
    /// The private key of a credential, whatever it is at the time. Its id is a digest of the public half, so that each
    /// of the keys that it has been has an id of its own.
    Credential(Path),
}

impl Default for Issuance {
    fn default() -> Self {
        let hour = SignedDuration::from_hours(1);
        Self { issuer: None, lifetime: hour, maximum: hour, kept: None, environments: BTreeMap::new() }
    }
}

impl Issuance {
    /// Longer ones are refused and not cut: who asks for a lifetime counts on it.
    pub fn lifetime(&self, seconds: Option<u64>) -> Result<SignedDuration> {
        let Some(seconds) = seconds else { return Ok(self.lifetime) };
        let maximum = self.maximum.as_secs();
        match i64::try_from(seconds) {
            Ok(seconds) if (1..=maximum).contains(&seconds) => Ok(SignedDuration::from_secs(seconds)),
            _ => Err(Error::invalid("expiry", format!("must be between 1 and {maximum} seconds"))),
        }
    }
}

/// Names of callers are shorter.
const USER_LIMIT: usize = 253;

pub fn check_user(user: &str) -> Result<()> {
    if user.is_empty() || user.len() > USER_LIMIT || user.chars().any(char::is_control) {
        return Err(Error::invalid("id", format!("must have 1 to {USER_LIMIT} bytes without control characters")));
    }
    Ok(())
}

/// In Confidant's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<&'a str>,
    /// Whether a program asked, and no person.
    pub is_service: bool,
    pub requester: &'a str,
    pub user: &'a str,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
}

impl<'a> Claims<'a> {
    /// Valid at once.
    pub fn new(
        issuance: &'a Issuance,
        requester: &'a str,
        user: &'a str,
        now: Timestamp,
        life: SignedDuration,
    ) -> Self {
        let iat = now.as_second();
        let (iss, exp) = (issuance.issuer.as_deref(), iat.saturating_add(life.as_secs()));
        Self { iss, is_service: true, requester, user, iat, nbf: iat, exp }
    }
}

/// What verifies a key's signatures: the members of a JSON Web Key, without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    pub members: Vec<(String, String)>,
    /// RFC 7638.
    pub thumbprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_bounded_and_never_cut() {
        let issuance = Issuance { maximum: SignedDuration::from_secs(7200), ..Issuance::default() };
        assert_eq!(issuance.lifetime(None).unwrap(), SignedDuration::from_hours(1));
        for good in [1, 60, 7200] {
            assert_eq!(issuance.lifetime(Some(good)).unwrap(), SignedDuration::from_secs(good as i64));
        }
        for bad in [0, 7201, u64::MAX] {
            assert!(issuance.lifetime(Some(bad)).unwrap_err().to_string().starts_with("expiry"), "{bad}");
        }
    }

    #[test]
    fn a_user_is_a_name() {
        assert!(check_user("system:serviceaccount:shop:till").is_ok());
        for bad in ["", "a\nb", &"x".repeat(254)] {
            assert!(check_user(bad).is_err(), "{bad:?}");
        }
    }
}
