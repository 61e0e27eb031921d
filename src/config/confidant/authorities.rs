//! `confidant.authorities`: how callers name certificate authorities, and on what terms these sign for them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{Refused, refuse};
use crate::domain::authority::terms::DAY;
use crate::domain::authority::{Authorities, DomainPattern, Terms};
use crate::domain::name::Path;

pub(super) type Given = BTreeMap<String, Named>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Named {
    /// Where the authority is in the store; absent for `<namespace>.<name>`, which says it.
    path: Option<String>,
    /// Longer ones are cut.
    max_validity_days: Option<u32>,
    /// Names that a service may have certificates for, such as `{service}.example.com`; absent: none.
    domain_pattern: Option<String>,
}

/// Another API has operations at these names below the same path.
const RESERVED: [&str; 4] = ["all", "preferred", "global-preferred", "unset-global-preferred"];
const NAME_LIMIT: usize = 253;
/// Ten years: no leaf needs more.
const DAYS_LIMIT: u32 = 3660;

pub(super) fn authorities(given: &Given) -> Result<Authorities, Refused> {
    let named =
        given.iter().map(|(name, authority)| Ok((name.clone(), path(name, authority)?, terms(name, authority)?)));
    Ok(Authorities::new(named.collect::<Result<Vec<_>, Refused>>()?))
}

/// A name with a dot is that of a resource, and so means that resource here too.
fn path(name: &str, given: &Named) -> Result<Path, Refused> {
    let setting = format!("confidant.authorities.{name}");
    if name.is_empty() || name.len() > NAME_LIMIT || name.contains('/') || name.chars().any(char::is_control) {
        return refuse(format!("{setting}: a name has 1 to {NAME_LIMIT} bytes without slashes and control characters"));
    }
    if RESERVED.contains(&name) || uuid::Uuid::try_parse(name).is_ok() {
        return refuse(format!("{setting}: another API uses this name, or the form of a UUID, at the same path"));
    }
    match &given.path {
        None => match Authorities::default().find(name) {
            Some((path, _)) => Ok(path),
            None => refuse(format!("{setting}.path is missing: only <namespace>.<name> says where it is")),
        },
        Some(_) if name.contains('.') => {
            refuse(format!("{setting}.path: a name with a dot is that of the resource <namespace>.<name>"))
        }
        Some(path) => match Path::parse(path) {
            Ok(path) if !path.as_str().starts_with(Path::own("").as_str()) => Ok(path),
            Ok(_) => refuse(format!("{setting}.path: Strongroom's own authorities sign for nobody else")),
            Err(error) => refuse(format!("{setting}.path: {error}")),
        },
    }
}

fn terms(name: &str, given: &Named) -> Result<Terms, Refused> {
    let setting = format!("confidant.authorities.{name}");
    let mut terms = Terms::default();
    if let Some(days) = given.max_validity_days {
        if !(1..=DAYS_LIMIT).contains(&days) {
            return refuse(format!("{setting}.maxValidityDays must be between 1 and {DAYS_LIMIT}"));
        }
        terms.max_validity = DAY * i32::try_from(days).unwrap_or(i32::MAX);
    }
    if let Some(pattern) = &given.domain_pattern {
        terms.domain = DomainPattern::parse(pattern);
        if terms.domain.is_none() {
            return refuse(format!("{setting}.domainPattern must be a host name with {{service}} in it, once"));
        }
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Authorities, String> {
        let given: Given = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        authorities(&given).map_err(|error| error.to_string())
    }

    #[test]
    fn an_authority_is_named_with_its_terms() {
        let text = "internal: {path: /kubernetes/shop/below, maxValidityDays: 30}\n\
                    shop.root: {domainPattern: '{service}.example.com'}\n";
        let named = read(text).unwrap();
        let (path, terms) = named.find("internal").unwrap();
        assert_eq!((path, terms.max_validity), (Path::kubernetes("shop", "below"), DAY * 30));
        let (path, terms) = named.find("shop.root").unwrap();
        assert_eq!(
            (path, terms.domain),
            (Path::kubernetes("shop", "root"), DomainPattern::parse("{service}.example.com"))
        );
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        for (text, named) in [
            ("a: {}", "confidant.authorities.a.path"),
            ("Shop.root: {}", "confidant.authorities.Shop.root.path"),
            ("a: {path: relative}", "confidant.authorities.a.path"),
            ("a: {path: /strongroom/rest-root}", "confidant.authorities.a.path"),
            ("shop.root: {path: /a}", "confidant.authorities.shop.root.path"),
            ("preferred: {path: /a}", "confidant.authorities.preferred"),
            ("6F9619FF-8B86-D011-B42D-00CF4FC964FF: {path: /a}", "confidant.authorities.6F96"),
            ("a/b: {path: /a}", "confidant.authorities.a/b"),
            ("a: {path: /a, maxValidityDays: 0}", "confidant.authorities.a.maxValidityDays"),
            ("a: {path: /a, maxValidityDays: 4000}", "confidant.authorities.a.maxValidityDays"),
            ("a: {path: /a, domainPattern: example.com}", "confidant.authorities.a.domainPattern"),
            ("a: {path: /a, pattern: x}", "pattern"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
