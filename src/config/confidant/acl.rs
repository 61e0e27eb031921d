//! The list of rules by which principals are let in, as people write it.

use serde::{Deserialize, Deserializer};

use crate::config::{Refused, refuse};
use crate::domain::actor::PrincipalKind;
use crate::domain::permission::rule::{ACTIONS, Pattern, RESOURCES, Rule};
use crate::domain::permission::{Acl, Action, Resource};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Given {
    actors: Vec<String>,
    resources: Vec<String>,
    actions: Vec<String>,
    #[serde(default = "all")]
    ids: Vec<String>,
}

const ALL: &str = "*";

fn all() -> Vec<String> {
    vec![ALL.into()]
}

/// An empty list lets no principal do anything; one that is not there is Confidant's own.
pub fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Acl, D::Error> {
    let given = Option::<Vec<Given>>::deserialize(from)?;
    let Some(given) = given else { return Ok(Acl::default()) };
    let rules = given.into_iter().enumerate().map(|(at, given)| given.rule(at)).collect::<Result<_, _>>();
    Ok(Acl::new(rules.map_err(serde::de::Error::custom)?))
}

impl Given {
    fn rule(self, at: usize) -> Result<Rule, Refused> {
        let lists =
            [("actors", &self.actors), ("resources", &self.resources), ("actions", &self.actions), ("ids", &self.ids)];
        if let Some((field, _)) = lists.into_iter().find(|(_, list)| list.is_empty()) {
            return refuse(format!("confidant.acl[{at}].{field} is empty: a rule that lets nobody do anything"));
        }
        if let Some(actor) = self.actors.iter().find(|actor| !is_actor(actor)) {
            return refuse(format!("confidant.acl[{at}].actors: {actor:?} is not service:… or user:…, or * for all"));
        }
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::parse(text)).collect();
        Ok(Rule {
            actors: patterns(&self.actors),
            resources: chosen::<Resource>(&format!("confidant.acl[{at}].resources"), &self.resources, &RESOURCES)?,
            actions: chosen::<Action>(&format!("confidant.acl[{at}].actions"), &self.actions, &ACTIONS)?,
            ids: patterns(&self.ids),
        })
    }
}

/// What names no sort of caller would silently fit nobody.
fn is_actor(text: &str) -> bool {
    let names_sort = |(kind, _): (&str, &str)| PrincipalKind::parse(kind).is_some();
    text == ALL || (!Pattern::parse(text).names_actor() && text.split_once(':').is_some_and(names_sort))
}

fn chosen<T: Copy>(field: &str, given: &[String], known: &[(&str, T)]) -> Result<Vec<T>, Refused> {
    let mut all = Vec::new();
    for name in given {
        let before = all.len();
        all.extend(known.iter().filter(|(known, _)| name == ALL || name == known).map(|(_, value)| *value));
        if all.len() == before {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return refuse(format!("{field}: {name:?} is none of {}, or * for all", names.join(", ")));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::Tenant;
    use crate::domain::permission::{Principal, Target};
    use crate::domain::record::Class;

    fn acl(text: &str) -> Result<Acl, String> {
        read(serde_yaml::Deserializer::from_str(text)).map_err(|error| error.to_string())
    }

    fn allows(acl: &Acl, kind: PrincipalKind, name: &str, action: Action, id: &str) -> bool {
        acl.allows(Principal { kind, name }, action, &Target::new(Class::Service, &Tenant::outside(), id))
    }

    #[test]
    fn rules_say_what_they_say() {
        let acl = acl(r#"
            - {actors: ["service:*"], resources: [service], actions: [get, metadata], ids: ["{actor}"]}
            - {actors: ["user:*@example.com"], resources: ["*"], actions: ["*"]}
        "#)
        .unwrap();
        use PrincipalKind::{Service, User};
        assert!(allows(&acl, Service, "till", Action::Get, "till"));
        assert!(!allows(&acl, Service, "till", Action::Update, "till"));
        assert!(!allows(&acl, Service, "till", Action::Get, "mail"));
        assert!(allows(&acl, User, "ann@example.com", Action::Update, "till"));
        assert!(!allows(&acl, User, "ann@example.org", Action::Get, "till"));
    }

    #[test]
    fn no_list_is_confidants_and_an_empty_one_forbids_everything() {
        assert_eq!(acl("null").unwrap(), Acl::default());
        assert_eq!(acl("[]").unwrap(), Acl::new(vec![]));
    }

    #[test]
    fn what_would_let_nobody_in_by_mistake_is_refused_by_its_place() {
        for (rule, named) in [
            ("{actors: [till], resources: [service], actions: [get]}", "acl[0].actors"),
            ("{actors: ['robot:*'], resources: [service], actions: [get]}", "acl[0].actors"),
            ("{actors: ['user:{actor}'], resources: [service], actions: [get]}", "acl[0].actors"),
            ("{actors: ['*'], resources: [services], actions: [get]}", "acl[0].resources"),
            ("{actors: ['*'], resources: [service], actions: [read]}", "acl[0].actions"),
            ("{actors: ['*'], resources: [service], actions: []}", "acl[0].actions"),
            ("{actors: ['*'], resources: [service], actions: [get], ids: []}", "acl[0].ids"),
            ("{actors: ['*'], resources: [service]}", "actions"),
            ("{actors: ['*'], resources: [service], actions: [get], who: me}", "who"),
        ] {
            let refused = acl(&format!("- {rule}\n")).expect_err(rule);
            assert!(refused.contains(named), "{rule}: {refused}");
        }
    }
}
