//! A service: what one consumer gets. Many credentials, no key twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::error::{Holder, KeyConflict};
use crate::domain::name::RecordId;
use crate::domain::{Conflict, Error, Result};

/// What a name in a request may be long at most, in bytes: Kubernetes' limit for names too.
const NAME_LIMIT: usize = 253;
const CREDENTIAL_COUNT_LIMIT: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub enabled: bool,
    /// Confidant's account, which scopes who may read.
    pub account: Option<String>,
    pub credentials: Vec<RecordId>,
    #[serde(default)]
    pub blind_credentials: Vec<RecordId>,
    /// User names of the client credentials that may read it over REST.
    pub clients: Vec<String>,
}

/// The REST id of a `Service` resource. A namespace has no dot, so the first dot separates.
pub fn resource_id(namespace: &str, name: &str) -> String {
    format!("{namespace}.{name}")
}

/// A service's id is its caller's choice within this.
pub fn check_id(id: &str) -> Result<()> {
    match () {
        () if id.is_empty() => Err(Error::invalid("id", "must not be empty")),
        () if id.len() > NAME_LIMIT => Err(Error::invalid("id", format!("is longer than {NAME_LIMIT} bytes"))),
        () if id.chars().any(char::is_control) => Err(Error::invalid("id", "has a control character")),
        () => Ok(()),
    }
}

pub fn check_count(credentials: &[RecordId], blind: &[RecordId]) -> Result<()> {
    for (field, ids) in [("credentials", credentials), ("blind_credentials", blind)] {
        if ids.len() > CREDENTIAL_COUNT_LIMIT {
            return Err(Error::invalid(field, format!("names more than {CREDENTIAL_COUNT_LIMIT}")));
        }
    }
    Ok(())
}

/// One credential of a service, as the rule sees it.
#[derive(Clone, Debug)]
pub struct Member {
    pub holder: Holder,
    pub keys: Vec<String>,
}

/// Refuses a service in which two credentials hold one key, naming the key and every holder.
pub fn require_distinct_keys(members: &[Member]) -> Result<()> {
    let mut holders: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in members {
        for key in &member.keys {
            holders.entry(key).or_default().push(member);
        }
    }
    let keys: Vec<KeyConflict> = holders
        .into_iter()
        .filter(|(_, members)| members.len() > 1)
        .map(|(key, members)| KeyConflict {
            key: key.to_owned(),
            holders: members.iter().map(|member| member.holder.clone()).collect(),
            services: Vec::new(),
        })
        .collect();
    if keys.is_empty() { Ok(()) } else { Err(Error::Conflict(Conflict::Keys { keys })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u8, name: &str, keys: &[&str]) -> Member {
        let holder = Holder { id: RecordId::from_random([n; 16]), is_blind: false, name: name.into() };
        Member { holder, keys: keys.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_key_in_two_credentials_names_both() {
        let members =
            [member(1, "db", &["password", "user"]), member(2, "mail", &["password"]), member(3, "x", &["y"])];
        let error = require_distinct_keys(&members).unwrap_err();
        assert_eq!(error.to_string(), "key password is in db and mail");
        assert!(require_distinct_keys(&members[1..]).is_ok());
    }
}
