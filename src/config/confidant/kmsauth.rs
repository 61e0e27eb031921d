//! kmsauth: which keys vouch for whom, and what a token must be like. Contradictions are refused by the names of both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::SignedDuration;
use serde::Deserialize;

use crate::config::kms::{check_endpoint, check_region};
use crate::config::settings::duration;
use crate::config::{Refused, refuse};
use crate::domain::actor::PrincipalKind::{self, Service, User};
use crate::domain::kmsauth::{KeyUse, Terms};

/// Complete and valid.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Given")]
pub struct Kmsauth {
    pub terms: Terms,
    pub keys: TokenKeys,
    /// Every account that a service may be kept for.
    pub accounts: Vec<String>,
    pub manages_grants: bool,
}

/// Where the keys are that make tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKeys {
    File(PathBuf),
    Aws { endpoint: Option<String>, region: Option<String> },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Given {
    context: String,
    auth_keys: Vec<String>,
    user_auth_keys: Vec<String>,
    scoped_keys: BTreeMap<String, String>,
    key_file: Option<PathBuf>,
    endpoint: Option<String>,
    region: Option<String>,
    max_lifetime: Option<String>,
    minimum_version: Option<u8>,
    maximum_version: Option<u8>,
    user_types: Option<Vec<String>>,
    manage_grants: bool,
}

/// What one value may be at most: names of keys and contexts in AWS KMS are no longer.
const LENGTH: usize = 253;

impl TryFrom<Given> for Kmsauth {
    type Error = Refused;

    fn try_from(given: Given) -> Result<Self, Refused> {
        let given = given.with_keys_of_file();
        given.check_names()?;
        given.check_place()?;
        let kinds = given.kinds()?;
        let terms = Terms {
            versions: given.versions()?,
            max_lifetime: given.max_lifetime()?,
            keys: given.keys(&kinds)?,
            kinds,
            to: given.context,
        };
        let keys = match given.key_file {
            Some(path) => TokenKeys::File(path),
            None => TokenKeys::Aws { endpoint: given.endpoint, region: given.region },
        };
        let accounts = given.scoped_keys.into_values().collect();
        Ok(Self { terms, keys, accounts, manages_grants: given.manage_grants })
    }
}

impl Given {
    /// A file stands for keys of any name, so that one need not be given.
    fn with_keys_of_file(mut self) -> Self {
        if self.key_file.is_some() && self.auth_keys.is_empty() && self.scoped_keys.is_empty() {
            self.auth_keys.push(Service.as_str().into());
        }
        let wants_users = self.user_types.as_ref().is_some_and(|types| types.iter().any(|name| name == User.as_str()));
        if self.key_file.is_some() && self.user_auth_keys.is_empty() && wants_users {
            self.user_auth_keys.push(User.as_str().into());
        }
        self
    }

    fn check_names(&self) -> Result<(), Refused> {
        if self.context.is_empty() {
            return refuse("confidant.kmsauth.context is missing: the name that clients make their tokens for");
        }
        let keys = self.auth_keys.iter().chain(&self.user_auth_keys).map(|key| ("authKeys or userAuthKeys", key));
        let scoped = self.scoped_keys.iter().flat_map(|(key, account)| [key, account].map(|name| ("scopedKeys", name)));
        for (field, name) in keys.chain(scoped).chain([("context", &self.context)]) {
            let fits = (1..=LENGTH).contains(&name.len()) && name.chars().all(|c| !c.is_control());
            if !fits {
                return refuse(format!("confidant.kmsauth.{field}: {name:?} is no name of 1 to {LENGTH} bytes"));
            }
        }
        Ok(())
    }

    fn check_place(&self) -> Result<(), Refused> {
        let of_aws = [
            ("endpoint", self.endpoint.is_some()),
            ("region", self.region.is_some()),
            ("manageGrants", self.manage_grants),
        ];
        if let (Some(_), Some((field, _))) = (&self.key_file, of_aws.into_iter().find(|(_, is_given)| *is_given)) {
            return refuse(format!(
                "confidant.kmsauth.keyFile and confidant.kmsauth.{field} exclude each other: a file is not in AWS"
            ));
        }
        if let Some(endpoint) = &self.endpoint {
            check_endpoint("confidant.kmsauth.endpoint", endpoint)?;
        }
        if let Some(region) = &self.region {
            check_region("confidant.kmsauth.region", region)?;
        }
        if self.manage_grants && self.auth_keys.is_empty() {
            return refuse(
                "confidant.kmsauth.manageGrants needs confidant.kmsauth.authKeys: grants are given of the first",
            );
        }
        Ok(())
    }

    fn kinds(&self) -> Result<Vec<PrincipalKind>, Refused> {
        let has_users = !self.user_auth_keys.is_empty();
        let Some(given) = &self.user_types else {
            return Ok(if has_users { vec![Service, User] } else { vec![Service] });
        };
        let parse = |name: &String| {
            PrincipalKind::parse(name)
                .ok_or_else(|| Refused(format!("confidant.kmsauth.userTypes: {name:?} is neither service nor user")))
        };
        let kinds = given.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        match kinds.contains(&User) {
            _ if kinds.is_empty() => refuse("confidant.kmsauth.userTypes needs at least one: service or user"),
            true if !has_users => {
                refuse("confidant.kmsauth.userTypes has user, and confidant.kmsauth.userAuthKeys names no key of users")
            }
            false if has_users => {
                refuse("confidant.kmsauth.userAuthKeys is given, and confidant.kmsauth.userTypes lacks user")
            }
            _ => Ok(kinds),
        }
    }

    fn keys(&self, kinds: &[PrincipalKind]) -> Result<Vec<KeyUse>, Refused> {
        if let Some(key) = self.auth_keys.iter().find(|key| self.scoped_keys.contains_key(*key)) {
            return refuse(format!(
                "confidant.kmsauth.authKeys and confidant.kmsauth.scopedKeys both name {key}: has it an account or not?"
            ));
        }
        let accounts: BTreeSet<&String> = self.scoped_keys.values().collect();
        if accounts.len() < self.scoped_keys.len() {
            return refuse("confidant.kmsauth.scopedKeys gives two keys to one account");
        }
        let account = |key: &String| self.scoped_keys.get(key).cloned();
        // A key of users in scopedKeys says of which account its users are, and is none of services.
        let scoped = self.scoped_keys.keys().filter(|key| !self.user_auth_keys.contains(key));
        let services = self.auth_keys.iter().chain(scoped).map(|key| (Service, key));
        let users = self.user_auth_keys.iter().map(|key| (User, key));
        let uses: Vec<KeyUse> =
            services.chain(users).map(|(kind, key)| KeyUse { key: key.clone(), kind, account: account(key) }).collect();
        match kinds.iter().find(|kind| !uses.iter().any(|known| known.kind == **kind)) {
            Some(_) => refuse(
                "confidant.kmsauth.authKeys (or scopedKeys, or keyFile) is missing: which keys vouch for services",
            ),
            None => Ok(uses),
        }
    }

    fn versions(&self) -> Result<std::ops::RangeInclusive<u8>, Refused> {
        let (least, most) = (self.minimum_version.unwrap_or(1), self.maximum_version.unwrap_or(2));
        for (field, version) in [("minimumVersion", least), ("maximumVersion", most)] {
            if !(1..=2).contains(&version) {
                return refuse(format!(
                    "confidant.kmsauth.{field}: {version} is no version of tokens; there are 1 and 2"
                ));
            }
        }
        if least > most {
            return refuse("confidant.kmsauth.minimumVersion is greater than confidant.kmsauth.maximumVersion");
        }
        // Version 1 is of services only.
        Ok(least..=most)
    }

    fn max_lifetime(&self) -> Result<SignedDuration, Refused> {
        let given = self.max_lifetime.as_deref().unwrap_or("60m");
        let fits = |lasts: &SignedDuration| *lasts >= SignedDuration::from_secs(1);
        duration("confidant.kmsauth.maxLifetime", given, "60m, of 1s or more", fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Kmsauth, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_context_and_a_key_are_enough() {
        let kmsauth = read("context: vault\nauthKeys: [alias/auth]\n").unwrap();
        let Terms { to, versions, kinds, keys, max_lifetime } = kmsauth.terms;
        assert_eq!((to.as_str(), versions, kinds), ("vault", 1..=2, vec![Service]));
        assert_eq!(keys, [KeyUse { key: "alias/auth".into(), kind: Service, account: None }]);
        assert_eq!(max_lifetime, SignedDuration::from_mins(60));
        assert_eq!(kmsauth.keys, TokenKeys::Aws { endpoint: None, region: None });
        assert!(!kmsauth.manages_grants);
    }

    #[test]
    fn a_file_has_keys_of_its_own() {
        let kmsauth = read("context: vault\nkeyFile: /k\nuserTypes: [service, user]\n").unwrap();
        assert_eq!(kmsauth.keys, TokenKeys::File("/k".into()));
        let names: Vec<_> = kmsauth.terms.keys.iter().map(|known| (known.key.as_str(), known.kind)).collect();
        assert_eq!(names, [("service", Service), ("user", User)]);
    }

    #[test]
    fn scoped_keys_have_accounts_and_users_may_be_of_one() {
        let kmsauth = read(
            "context: v\nauthKeys: [a]\nuserAuthKeys: [p, q]\nscopedKeys: {e: east, p: people}\nmaxLifetime: 15m\n",
        );
        let Kmsauth { terms, accounts, .. } = kmsauth.unwrap();
        let uses: Vec<_> =
            terms.keys.iter().map(|known| (known.key.as_str(), known.kind, known.account.as_deref())).collect();
        let expected =
            [("a", Service, None), ("e", Service, Some("east")), ("p", User, Some("people")), ("q", User, None)];
        assert_eq!(uses, expected);
        assert_eq!((terms.kinds, accounts), (vec![Service, User], vec!["east".to_owned(), "people".to_owned()]));
        assert_eq!(terms.max_lifetime, SignedDuration::from_mins(15));
    }

    #[test]
    fn what_is_unknown_missing_or_contradictory_is_refused_by_its_name() {
        const GOOD: &str = "context: v\nauthKeys: [a]\n";
        for (text, named) in [
            ("authKeys: [a]", "context"),
            ("context: v", "authKeys"),
            ("context: v\nauthKey: a", "authKey"),
            ("context: v\nauthKeys: ['']", "authKeys"),
            ("context: v\nkeyFile: /k\nregion: eu-west-1", "region"),
            ("context: v\nkeyFile: /k\nendpoint: https://kms.example", "endpoint"),
            ("context: v\nkeyFile: /k\nmanageGrants: true", "manageGrants"),
            ("context: v\nscopedKeys: {e: east}\nmanageGrants: true", "manageGrants"),
            (&format!("{GOOD}endpoint: http://kms.example"), "confidant.kmsauth.endpoint"),
            (&format!("{GOOD}region: Evil/"), "confidant.kmsauth.region"),
            (&format!("{GOOD}scopedKeys: {{a: east}}"), "scopedKeys"),
            (&format!("{GOOD}scopedKeys: {{e: east, f: east}}"), "scopedKeys"),
            (&format!("{GOOD}userTypes: [robot]"), "robot"),
            (&format!("{GOOD}userTypes: []"), "userTypes"),
            (&format!("{GOOD}userTypes: [service, user]"), "userAuthKeys"),
            (&format!("{GOOD}userAuthKeys: [p]\nuserTypes: [service]"), "userAuthKeys"),
            (&format!("{GOOD}minimumVersion: 0"), "minimumVersion"),
            (&format!("{GOOD}maximumVersion: 3"), "maximumVersion"),
            (&format!("{GOOD}minimumVersion: 2\nmaximumVersion: 1"), "minimumVersion"),
            (&format!("{GOOD}maxLifetime: 0s"), "maxLifetime"),
            (&format!("{GOOD}maxLifetime: soon"), "maxLifetime"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
