//! `credhub.permissions`: whether callers may only what stored permissions say, and which there are from the start.

use serde::Deserialize;

use crate::config::{Refused, refuse};
use crate::domain::permission::{Grants, Operation, Operations, Permission, Scope};

/// Complete and valid.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Given")]
pub struct Permissions(pub Grants);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Given {
    enforced: bool,
    seeds: Vec<Seed>,
}

impl Default for Given {
    fn default() -> Self {
        Self { enforced: true, seeds: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    path: String,
    actors: Vec<String>,
    operations: Vec<String>,
}

impl TryFrom<Given> for Permissions {
    type Error = Refused;

    fn try_from(given: Given) -> Result<Self, Refused> {
        let mut seeds = Vec::new();
        for (at, seed) in given.seeds.iter().enumerate() {
            seed.add_to(&mut seeds).or_else(|why| refuse(format!("credhub.permissions.seeds[{at}].{why}")))?;
        }
        Ok(Self(Grants { are_enforced: given.enforced, seeds }))
    }
}

impl Seed {
    /// What is wrong with it begins with the name of a field.
    fn add_to(&self, seeds: &mut Vec<Permission>) -> Result<(), String> {
        let path = Scope::parse(&self.path).map_err(|why| format!("path {why}"))?;
        let operations = self.operations.iter().map(|name| {
            Operation::parse(name).ok_or_else(|| {
                let known = Operation::ALL.map(Operation::as_str).join(", ");
                format!("operations: {name:?} is none of {known}")
            })
        });
        let operations = operations.collect::<Result<Operations, _>>()?;
        if operations.is_empty() || self.actors.is_empty() {
            let field = if operations.is_empty() { "operations" } else { "actors" };
            return Err(format!("{field} is empty: nobody would be allowed anything"));
        }
        for actor in &self.actors {
            Permission::check_actor(actor).map_err(|error| format!("actors: {error}"))?;
            seeds.push(Permission { actor: actor.clone(), path: path.clone(), operations });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Grants, String> {
        serde_yaml::from_str(text).map(|Permissions(grants)| grants).map_err(|error| error.to_string())
    }

    #[test]
    fn permissions_are_enforced_unless_it_is_said_otherwise() {
        assert_eq!(read("{}").unwrap(), Grants::default());
        assert!(Permissions::default().0.are_enforced);
        assert!(!read("{enforced: false}").unwrap().are_enforced);
    }

    #[test]
    fn a_seed_is_one_permission_for_each_actor() {
        let grants = read("{seeds: [{path: team/*, actors: [a, 'uaa-client:b'], operations: [write, read]}]}").unwrap();
        assert!(grants.are_enforced);
        let seen: Vec<_> = grants
            .seeds
            .iter()
            .map(|seed| (seed.actor.as_str(), seed.path.as_str(), Vec::from(seed.operations)))
            .collect();
        let both = vec![Operation::Read, Operation::Write];
        assert_eq!(seen, [("a", "/team/*", both.clone()), ("uaa-client:b", "/team/*", both)]);
    }

    #[test]
    fn what_would_allow_nothing_or_something_else_is_refused_by_its_place() {
        for (text, named) in [
            ("enforce: true", "enforce"),
            ("enforced: perhaps", "perhaps"),
            ("seeds: [{path: /a, actors: [b]}]", "operations"),
            ("seeds: [{path: /a, actors: [b], operations: [read], more: 1}]", "more"),
            ("seeds: [{path: '/a*', actors: [b], operations: [read]}]", "seeds[0].path"),
            ("seeds: [{path: '', actors: [b], operations: [read]}]", "seeds[0].path"),
            ("seeds: [{path: /a, actors: [], operations: [read]}]", "seeds[0].actors"),
            ("seeds: [{path: /a, actors: [''], operations: [read]}]", "seeds[0].actors"),
            ("seeds: [{path: /a, actors: [b], operations: []}]", "seeds[0].operations"),
            ("seeds: [{path: /a, actors: [b], operations: [Read]}]", "seeds[0].operations"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
