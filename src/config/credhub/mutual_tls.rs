//! `credhub.auth.mutualTls`: whose certificates name callers, and how. Names a file; opens none.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::{Refused, refuse};
use crate::domain::subject::Pattern;

/// Complete and valid.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Given")]
pub struct MutualTls {
    /// Authorities in PEM.
    pub ca_file: PathBuf,
    /// The first that fits counts.
    pub subjects: Vec<Pattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Given {
    ca_file: PathBuf,
    subjects: Option<Vec<Named>>,
}

/// A subject, and what the caller is called.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    pattern: String,
    actor: String,
}

impl TryFrom<Given> for MutualTls {
    type Error = Refused;

    fn try_from(given: Given) -> Result<Self, Refused> {
        let subjects = match given.subjects {
            Some(subjects) if subjects.is_empty() => {
                return refuse("credhub.auth.mutualTls.subjects is empty: no certificate would name anybody");
            }
            Some(subjects) => subjects.iter().map(pattern).collect::<Result<_, _>>()?,
            None => vec![Pattern::default()],
        };
        Ok(Self { ca_file: given.ca_file, subjects })
    }
}

fn pattern(named: &Named) -> Result<Pattern, Refused> {
    let Named { pattern, actor } = named;
    let refused = |why| Refused(format!("credhub.auth.mutualTls.subjects: {pattern:?} for {actor:?} {why}"));
    Pattern::parse(pattern, actor).map_err(refused)
}
