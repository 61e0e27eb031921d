//! Decides, from what the pods of a workload were started with and what is shown now. Made of the words that stand on
//! projections, which say nothing about values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_lc_rs::digest;

use crate::domain::record::Owner;
use crate::k8s::projection::Shelf;
use crate::k8s::projection::held::{Held, Place, Projections};
use crate::k8s::restart::template::Want;

/// For each thing that pods are started with, such as `Secret/db` or `Service/till`, a word for what it shows. As text it is
/// the annotation `strongroom.dev/started-with`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown(BTreeMap<String, String>);

impl<const N: usize> From<[(String, String); N]> for Shown {
    fn from(pairs: [(String, String); N]) -> Self {
        Self(BTreeMap::from(pairs))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, word)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={word}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Shown {
    /// What somebody else wrote there is as if nothing were: the next look writes it anew.
    pub fn read(text: &str) -> Self {
        Self(text.split(',').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect())
    }

    /// One word for all.
    pub fn digest(&self) -> String {
        word(&[&self.to_string()])
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    Keep,
    /// Something is used that was not before: whoever changed the template for it has started the pods.
    Note(Shown),
    Restart {
        shown: Shown,
        /// Such as `Secret/db`.
        changed: Vec<String>,
    },
}

pub fn plan(started_with: &Option<Shown>, shown: Shown) -> Plan {
    let nothing = Shown::default();
    let before = started_with.as_ref().unwrap_or(&nothing);
    if *before == shown {
        return Plan::Keep;
    }
    let changed = |(name, word): (&String, &String)| {
        let differs = before.0.get(name).is_some_and(|before| before != word);
        differs.then(|| name.clone())
    };
    let changed: Vec<String> = shown.0.iter().filter_map(changed).collect();
    if changed.is_empty() { Plan::Note(shown) } else { Plan::Restart { shown, changed } }
}

/// What is shown now of what a workload wants. Of something that is not there at the moment the last word counts: it may
/// come back as it was.
pub fn shown(
    projections: &Projections,
    namespace: &str,
    wants: &BTreeSet<Want>,
    started_with: &Option<Shown>,
) -> Shown {
    let word = |want: &Want| {
        let name = want.to_string();
        let before = || started_with.as_ref()?.0.get(&name).cloned();
        let word = look(projections, namespace, want).or_else(before)?;
        Some((name, word))
    };
    Shown(wants.iter().filter_map(word).collect())
}

fn look(projections: &Projections, namespace: &str, want: &Want) -> Option<String> {
    let (place, held) = match want {
        Want::Service(name) => {
            let owner = Owner { kind: "Service".into(), namespace: namespace.into(), name: name.clone() };
            the_only(projections.of(&owner))?
        }
        Want::Object(shelf, name) => {
            let place = Place { namespace: namespace.into(), shelf: *shelf, name: name.clone() };
            let held = projections.get(&place)?;
            (place, held)
        }
    };
    // The name counts: pods refer to it.
    Some(word(&[&place.name, &held.content?]))
}

/// While a Service's Secret is renamed there are two.
fn the_only(found: Vec<(Place, Held)>) -> Option<(Place, Held)> {
    let mut secrets = found.into_iter().filter(|(place, _)| place.shelf == Shelf::Secrets);
    secrets.next().filter(|_| secrets.next().is_none())
}

fn word(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex::encode(&context.finish().as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Shown {
        Shown(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
    }

    #[test]
    fn what_is_used_for_the_first_time_is_noted_and_restarts_nobody() {
        assert_eq!(plan(&None, of(&[])), Plan::Keep);
        let first = of(&[("Secret/db", "1")]);
        assert_eq!(plan(&None, first.clone()), Plan::Note(first.clone()));
        assert_eq!(plan(&Some(first.clone()), first.clone()), Plan::Keep);
        let more = of(&[("Secret/db", "1"), ("Service/till", "2")]);
        assert_eq!(plan(&Some(first.clone()), more.clone()), Plan::Note(more.clone()));
        assert_eq!(plan(&Some(more), first.clone()), Plan::Note(first));
    }

    #[test]
    fn what_changed_restarts_once_for_all_of_it() {
        let before = of(&[("Secret/a", "1"), ("Secret/b", "1"), ("Secret/c", "1")]);
        let shown = of(&[("Secret/a", "2"), ("Secret/b", "1"), ("Secret/c", "2"), ("Secret/d", "1")]);
        let changed = vec!["Secret/a".to_owned(), "Secret/c".to_owned()];
        assert_eq!(plan(&Some(before), shown.clone()), Plan::Restart { shown: shown.clone(), changed });
        assert_eq!(plan(&Some(shown.clone()), shown), Plan::Keep);
    }

    #[test]
    fn the_annotation_is_read_as_it_was_written() {
        let all = of(&[("ConfigMap/roots", "12"), ("Secret/db.v2", "ab")]);
        assert_eq!(all.to_string(), "ConfigMap/roots=12,Secret/db.v2=ab");
        assert_eq!(Shown::read(&all.to_string()), all);
        assert_eq!(Shown::read(""), of(&[]));
        assert_eq!(Shown::read("what somebody wrote"), of(&[]));
    }

    #[test]
    fn what_is_not_there_at_the_moment_counts_as_it_was() {
        let wants = BTreeSet::from([Want::Object(Shelf::Secrets, "db".into()), Want::Service("till".into())]);
        let before = of(&[("Secret/db", "1"), ("Secret/old", "1")]);
        let shown = shown(&Projections::default(), "shop", &wants, &Some(before));
        assert_eq!(shown, of(&[("Secret/db", "1")]));
    }
}
