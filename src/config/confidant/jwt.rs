//! `confidant.jwt`: which keys sign tokens in which environment, and how long tokens live. Names files; opens none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use serde::Deserialize;

use crate::config::settings::duration;
use crate::config::{Refused, refuse};
use crate::domain::name::Path;
use crate::domain::secret::SecretText;
use crate::domain::token::{Environment, Issuance, Kept, KeySource};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Jwt {
    /// The claim `iss`; absent: tokens have none, as Confidant's.
    issuer: Option<String>,
    lifetime: Option<String>,
    maximum_lifetime: Option<String>,
    cache: Option<Cache>,
    environments: BTreeMap<String, Keys>,
}

/// Callers that ask for the same get the same token for this long.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Cache {
    size: Option<usize>,
    ttl: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    active: String,
    keys: BTreeMap<String, Source>,
}

/// One of the two.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Source {
    /// A private key in PEM; its name here is the `kid`.
    file: Option<PathBuf>,
    /// Path of a credential with a private key; the `kid` is a digest of its public half.
    credential: Option<String>,
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// Nobody can take a token back.
const LIFETIME_MAX: SignedDuration = SignedDuration::from_hours(24 * 30);
const CACHE_SIZES: std::ops::RangeInclusive<usize> = 1..=100_000;

impl Jwt {
    /// `read` opens a file and holds its key to what can sign, or says why it does not.
    pub fn issuance(&self, read: impl Fn(&PathBuf) -> Result<SecretText, String>) -> Result<Issuance, Refused> {
        let defaults = Issuance::default();
        let lifetime = time("lifetime", self.lifetime.as_deref())?.unwrap_or(defaults.lifetime);
        let maximum = time("maximumLifetime", self.maximum_lifetime.as_deref())?;
        let maximum = maximum.unwrap_or_else(|| defaults.maximum.max(lifetime));
        if lifetime > maximum {
            return refuse("confidant.jwt.lifetime is longer than confidant.jwt.maximumLifetime");
        }
        let environment = |(name, keys): (&String, &Keys)| Ok((name.clone(), keys.environment(name, &read)?));
        Ok(Issuance {
            issuer: self.issuer.clone(),
            lifetime,
            maximum,
            kept: self.cache.as_ref().map(Cache::kept).transpose()?,
            environments: self.environments.iter().map(environment).collect::<Result<_, Refused>>()?,
        })
    }
}

impl Cache {
    fn kept(&self) -> Result<Kept, Refused> {
        let count = self.size.unwrap_or(1000);
        if !CACHE_SIZES.contains(&count) {
            return refuse("confidant.jwt.cache.size must be between 1 and 100000");
        }
        let age = time("cache.ttl", self.ttl.as_deref())?.unwrap_or(SignedDuration::from_mins(15));
        Ok(Kept { count, age })
    }
}

impl Keys {
    fn environment(
        &self,
        name: &str,
        read: impl Fn(&PathBuf) -> Result<SecretText, String>,
    ) -> Result<Environment, Refused> {
        let setting = format!("confidant.jwt.environments.{name}");
        if name.is_empty() || name.contains('/') || self.keys.keys().any(String::is_empty) {
            return refuse(format!("{setting}: names must not be empty, nor an environment's have a slash"));
        }
        if !self.keys.contains_key(&self.active) {
            return refuse(format!("{setting}.active is none of its keys"));
        }
        let source = |(kid, source): (&String, &Source)| {
            let of = source.read(&read).map_err(|why| Refused(format!("{setting}.keys.{kid}: {why}")))?;
            Ok((kid.clone(), of))
        };
        let keys = self.keys.iter().map(source).collect::<Result<_, Refused>>()?;
        Ok(Environment { active: self.active.clone(), keys })
    }
}

impl Source {
    fn read(&self, read: impl Fn(&PathBuf) -> Result<SecretText, String>) -> Result<KeySource, String> {
        match (&self.file, &self.credential) {
            (Some(file), None) => read(file).map(KeySource::Given).map_err(|why| format!("{} {why}", file.display())),
            (None, Some(path)) => Path::parse(path).map(KeySource::Credential).map_err(|error| error.to_string()),
            _ => Err("needs either file or credential".into()),
        }
    }
}

fn time(name: &str, given: Option<&str>) -> Result<Option<SignedDuration>, Refused> {
    let fits = |time: &SignedDuration| (SECOND..=LIFETIME_MAX).contains(time) && time.subsec_nanos() == 0;
    given.map(|given| duration(&format!("confidant.jwt.{name}"), given, "1h", fits)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuance(text: &str) -> Result<Issuance, String> {
        let jwt: Jwt = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let read = |path: &PathBuf| match path.to_str() {
            Some("/good.pem") => Ok(SecretText::from("a key")),
            _ => Err("is no key".to_owned()),
        };
        jwt.issuance(read).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_come_from_files_and_credentials() {
        let text = "issuer: https://tokens.example\nlifetime: 10m\nmaximumLifetime: 2h\ncache: {ttl: 1m}\n\
                    environments: {prod: {active: new, keys: {new: {credential: /kubernetes/ops/jwt}, old: {file: /good.pem}}}}";
        let issuance = issuance(text).unwrap();
        let prod = &issuance.environments["prod"];
        assert_eq!(prod.keys["new"], KeySource::Credential(Path::kubernetes("ops", "jwt")));
        assert_eq!(prod.keys["old"], KeySource::Given("a key".into()));
        assert_eq!((prod.active.as_str(), issuance.issuer.as_deref()), ("new", Some("https://tokens.example")));
        assert_eq!(issuance.kept, Some(Kept { count: 1000, age: SignedDuration::from_mins(1) }));
        assert_eq!(
            (issuance.lifetime, issuance.maximum),
            (SignedDuration::from_mins(10), SignedDuration::from_hours(2))
        );
    }

    #[test]
    fn by_default_there_are_none() {
        assert_eq!(issuance("{}").unwrap(), Issuance::default());
        let long = issuance("lifetime: 3h").unwrap();
        assert_eq!(long.maximum, SignedDuration::from_hours(3));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        for (text, named) in [
            ("lifetime: soon", "confidant.jwt.lifetime"),
            ("lifetime: 0s", "confidant.jwt.lifetime"),
            ("maximumLifetime: 10m", "confidant.jwt.maximumLifetime"),
            ("maximumLifetime: 9999h", "confidant.jwt.maximumLifetime"),
            ("cache: {size: 0}", "confidant.jwt.cache.size"),
            ("cache: {ttl: 1.5s}", "confidant.jwt.cache.ttl"),
            ("environments: {prod: {active: a, keys: {}}}", "confidant.jwt.environments.prod.active"),
            ("environments: {prod: {active: a, keys: {a: {}}}}", "confidant.jwt.environments.prod.keys.a"),
            ("environments: {prod: {active: a, keys: {a: {file: /bad.pem}}}}", "/bad.pem"),
            ("environments: {prod: {active: a, keys: {a: {credential: x}}}}", "confidant.jwt.environments.prod.keys.a"),
            ("environments: {a/b: {active: a, keys: {a: {file: /good.pem}}}}", "confidant.jwt.environments.a/b"),
            ("keys: {}", "keys"),
        ] {
            let refused = issuance(text).unwrap_err();
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
