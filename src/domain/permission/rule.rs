//! The list of rules by which principals are let in: who, to what, to do what. What no rule allows is forbidden. Without a
//! list of the installation's own it is the one that Confidant comes with, and safer where that one is careless.

use std::iter;

use crate::domain::actor::PrincipalKind;
use crate::domain::permission::{Action, Resource, Target};
use crate::domain::record::Class;

/// Who asks, as rules see it: a name of one sort.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    pub kind: PrincipalKind,
    pub name: &'a str,
}

/// Text with `*` for any letters, none included, and `{actor}` for the name of who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Any,
    /// Compared as it is: a caller's name with a `*` in it fits no more than itself.
    Actor,
}

const ACTOR: &str = "{actor}";

impl Pattern {
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        for (at, piece) in text.split('*').enumerate() {
            if at > 0 && parts.last() != Some(&Part::Any) {
                parts.push(Part::Any);
            }
            for (at, literal) in piece.split(ACTOR).enumerate() {
                if at > 0 {
                    parts.push(Part::Actor);
                }
                if !literal.is_empty() {
                    parts.push(Part::Text(literal.to_owned()));
                }
            }
        }
        Self(parts)
    }

    pub fn fits(&self, text: &str, actor: &str) -> bool {
        fits(&self.0, text, actor)
    }

    pub fn names_actor(&self) -> bool {
        self.0.contains(&Part::Actor)
    }
}

/// Only the last `*` is tried at several places: what was found before it stays, because an earlier find leaves more.
fn fits(parts: &[Part], text: &str, actor: &str) -> bool {
    let segments: Vec<String> = parts.split(|part| *part == Part::Any).map(|segment| literal(segment, actor)).collect();
    let (Some((first, rest)), true) = (segments.split_first(), !segments.is_empty()) else { return text.is_empty() };
    let Some((last, middle)) = rest.split_last() else { return text == first };
    let Some(text) = text.strip_prefix(first.as_str()) else { return false };
    let Some(mut text) = text.strip_suffix(last.as_str()) else { return false };
    for segment in middle {
        match text.find(segment.as_str()) {
            Some(at) => text = &text[at + segment.len()..],
            None => return false,
        }
    }
    true
}

fn literal(parts: &[Part], actor: &str) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Actor => actor.to_owned(),
        Part::Any => String::new(),
    };
    parts.iter().map(part).collect()
}

/// What rules call the things that are asked for, as Confidant's own do where it has them.
pub const RESOURCES: [(&str, Resource); 6] = [
    ("credential", Resource::Record(Class::Credential)),
    ("blind_credential", Resource::Record(Class::BlindCredential)),
    ("service", Resource::Record(Class::Service)),
    ("ca", Resource::Authority),
    ("certificate", Resource::Certificate),
    ("jwt", Resource::Token),
];

pub const ACTIONS: [(&str, Action); 7] = [
    ("list", Action::List),
    ("metadata", Action::Metadata),
    ("get", Action::Get),
    ("create", Action::Create),
    ("update", Action::Update),
    ("revert", Action::Revert),
    ("archive", Action::Archive),
];

/// These callers may do these things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of `service:<name>` or `user:<name>`.
    pub actors: Vec<Pattern>,
    pub resources: Vec<Resource>,
    pub actions: Vec<Action>,
    /// Of what a thing is called: a credential by its id or path, a certificate by its common name. A list has no name.
    pub ids: Vec<Pattern>,
}

impl Rule {
    fn allows(&self, who: Principal<'_>, action: Action, target: &Target<'_>) -> bool {
        let caller = format!("{}:{}", who.kind.as_str(), who.name);
        let any = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.fits(text, who.name));
        self.resources.contains(&target.resource)
            && self.actions.contains(&action)
            && any(&self.actors, &caller)
            && known_as(target).any(|name| any(&self.ids, name))
    }
}

/// Where credentials of Confidant are, and blind ones.
const CONFIDANT: [&str; 2] = ["/confidant/", "/blind/"];

/// The names by which people know it.
fn known_as<'a>(target: &Target<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let is_path = matches!(target.resource, Resource::Record(Class::Credential | Class::BlindCredential));
    let id = CONFIDANT.iter().find_map(|folder| target.name.strip_prefix(folder)).filter(|_| is_path);
    iter::once(target.name).chain(id)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    rules: Vec<Rule>,
}

impl Acl {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    pub fn allows(&self, who: Principal<'_>, action: Action, target: &Target<'_>) -> bool {
        self.rules.iter().any(|rule| rule.allows(who, action, target))
    }
}

/// One row: actors, resources, actions, ids.
type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);

/// Users do everything but make certificates, and get tokens for themselves. A service reads the service of its name, and
/// has certificates made: under which names is the authority's to say, of all of them.
const DEFAULT: [Row; 5] = [
    ("user:*", &["credential", "blind_credential", "service"], &[], "*"),
    ("user:*", &["jwt"], &["get"], ACTOR),
    ("service:*", &["service"], &["metadata", "get"], ACTOR),
    ("service:*", &["ca"], &["list", "get"], "*"),
    ("service:*", &["certificate"], &["get"], "*"),
];

impl Default for Acl {
    fn default() -> Self {
        let rule = |(actors, resources, actions, ids): Row| Rule {
            actors: vec![Pattern::parse(actors)],
            resources: named(&RESOURCES, resources),
            actions: if actions.is_empty() { Action::ALL.to_vec() } else { named(&ACTIONS, actions) },
            ids: vec![Pattern::parse(ids)],
        };
        Self { rules: DEFAULT.map(rule).to_vec() }
    }
}

fn named<T: Copy>(table: &[(&str, T)], names: &[&str]) -> Vec<T> {
    table.iter().filter(|(name, _)| names.contains(name)).map(|(_, value)| *value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::Tenant;
    use PrincipalKind::{Service, User};
    use proptest::prelude::*;

    #[test]
    fn a_pattern_fits_what_it_says() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("till", "till", true),
            ("till", "till-1", false),
            ("till*", "till-1", true),
            ("*till", "the-till", true),
            ("t*l*l", "till", true),
            ("t*l*l", "tl", false),
            ("a*a", "a", false),
            ("a*b*c", "abxbc", true),
            ("a**b", "ab", true),
            ("{actor}", "me", true),
            ("{actor}", "me-1", false),
            ("{actor}.*", "me.shop", true),
            ("x-{actor}-*", "x-me-2", true),
            ("{actor}*{actor}", "meme", true),
            ("{Actor}", "me", false),
            ("TILL", "till", false),
        ] {
            assert_eq!(Pattern::parse(pattern).fits(text, "me"), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_callers_name_is_no_pattern() {
        assert!(!Pattern::parse("{actor}").fits("mail", "*"));
        assert!(Pattern::parse("{actor}").fits("*", "*"));
        assert!(!Pattern::parse("{actor}").fits("mail", "{actor}"));
    }

    proptest! {
        #[test]
        fn a_pattern_agrees_with_the_plain_definition(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|at| plain(rest, &text[at..])),
                    Some((byte, rest)) => text.first() == Some(byte) && plain(rest, &text[1..]),
                }
            }
            prop_assert_eq!(Pattern::parse(&pattern).fits(&text, ""), plain(pattern.as_bytes(), text.as_bytes()));
        }
    }

    fn allows(acl: &Acl, kind: PrincipalKind, resource: Resource, action: Action, name: &str) -> bool {
        acl.allows(Principal { kind, name: "me" }, action, &Target::new(resource, &Tenant::outside(), name))
    }

    #[test]
    fn a_service_reads_itself_and_nothing_else() {
        let acl = Acl::default();
        for (_, resource) in RESOURCES {
            for action in Action::ALL {
                for name in ["me", "me-1", "ME", "other", "", "/confidant/me"] {
                    let expected = match (resource, action) {
                        (Resource::Record(Class::Service), Action::Get | Action::Metadata) => name == "me",
                        (Resource::Certificate, Action::Get) => true,
                        (Resource::Authority, Action::List | Action::Get) => true,
                        _ => false,
                    };
                    assert_eq!(
                        allows(&acl, Service, resource, action, name),
                        expected,
                        "{resource:?} {action:?} {name}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_user_does_everything_but_certificates_and_tokens_of_others() {
        let acl = Acl::default();
        for (_, resource) in RESOURCES {
            for action in Action::ALL {
                for name in ["me", "other", ""] {
                    let expected = match resource {
                        Resource::Record(_) => true,
                        Resource::Token => action == Action::Get && name == "me",
                        _ => false,
                    };
                    assert_eq!(allows(&acl, User, resource, action, name), expected, "{resource:?} {action:?} {name}");
                }
            }
        }
        assert!(!allows(&acl, User, Resource::Record(Class::Client), Action::Get, "ops"));
    }

    #[test]
    fn rules_of_an_installation_stand_alone_and_forbid_what_they_do_not_allow() {
        let acl = Acl::new(vec![Rule {
            actors: vec![Pattern::parse("user:m*")],
            resources: vec![Resource::Record(Class::Credential)],
            actions: vec![Action::Get],
            ids: vec![Pattern::parse("ab*"), Pattern::parse("/kubernetes/shop/*")],
        }]);
        let credential = Resource::Record(Class::Credential);
        for (name, expected) in [
            ("/confidant/abcd", true),
            ("/confidant/cdab", false),
            ("/kubernetes/shop/db", true),
            ("/kubernetes/bank/db", false),
            ("abcd", true),
        ] {
            assert_eq!(allows(&acl, User, credential, Action::Get, name), expected, "{name}");
        }
        assert!(!allows(&acl, Service, credential, Action::Get, "abcd"));
        assert!(!allows(&acl, User, credential, Action::Update, "abcd"));
        assert!(!allows(&acl, User, Resource::Record(Class::Service), Action::Get, "me"));
        let other = Principal { kind: User, name: "ann" };
        assert!(!acl.allows(other, Action::Get, &Target::new(credential, &Tenant::outside(), "abcd")));
        assert!(!allows(&Acl::new(Vec::new()), User, credential, Action::Get, "abcd"));
    }
}
