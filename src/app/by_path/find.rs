//! Which credentials there are, by how their names begin, what is in them, or when their certificates end. Only names that
//! the caller may read are looked at.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::app::body::expiry_key;
use crate::app::by_path::{ByPath, Known, Version, version};
use crate::app::ports::{AliasKind, Key, Names};
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::credential::Credential;
use crate::domain::name::Tenant;
use crate::domain::permission::{Action, Granted, Operation, Readable, Scope, Target};
use crate::domain::record::{Class, Entry, Origin};

/// A credential that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// When the version that counts was made.
    pub at: Timestamp,
    /// Of a certificate that was looked for by its end.
    pub not_after: Option<Timestamp>,
}

/// A certificate among the others.
pub struct Certificate {
    pub entry: Known,
    pub versions: Vec<Version>,
    /// `None`: not known.
    pub signed_by: Option<String>,
    pub signs: Vec<String>,
}

impl ByPath {
    /// Those with such names, the newest first. What has only a transitional version is left out.
    pub async fn find(&self, actor: &Actor, names: Names<'_>) -> Result<Vec<Found>> {
        let granted = self.require_list(actor).await?;
        let mut found = Vec::new();
        let mut see = |entry: Entry<Credential>| {
            let entry = Arc::new(entry);
            if entry.head.origin != Origin::Own
                && let Some(active) = Version::active(&entry)
            {
                found.push(Found { name: entry.head.name.clone(), at: active.at(), not_after: None });
            }
        };
        match granted.as_deref().map(Granted::readable) {
            None | Some(Readable::Everything) => self.records.each_named::<Credential>(names, see).await?,
            Some(Readable::Only(scopes)) => {
                let (folders, single) = within(scopes, names.prefix);
                for folder in &folders {
                    self.records.each_named::<Credential>(Names { prefix: folder, ..names }, &mut see).await?;
                }
                let part = names.part.to_ascii_lowercase();
                let single: Vec<&str> = single.into_iter().filter(|name| name.contains(&part)).collect();
                self.records.find::<Credential>(Key::Names(&single)).await?.into_iter().for_each(see);
            }
        }
        found.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.name.cmp(&other.name)));
        self.records.audit.list(actor, Class::Credential).await?;
        Ok(found)
    }

    /// Certificates whose newest version ends by then, and which have such names.
    pub async fn find_expiring(&self, actor: &Actor, names: Names<'_>, by: Timestamp) -> Result<Vec<Found>> {
        let granted = self.require_list(actor).await?;
        // Behind every id of that second.
        let last = format!("{}~", expiry_key(by));
        let entries = self.records.find::<Credential>(Key::AliasesUpTo(AliasKind::Expiry, &last)).await?;
        let (prefix, part) = (names.prefix.to_ascii_lowercase(), names.part.to_ascii_lowercase());
        let is_meant = |entry: &Entry<Credential>| {
            let name = entry.head.name.to_ascii_lowercase();
            let is_named = name.starts_with(&prefix) && name.contains(&part);
            entry.head.origin != Origin::Own && is_named && may_read(granted.as_deref(), &name)
        };
        let newest = |entry: Entry<Credential>| {
            let newest = Version::of(&Arc::new(entry)).max_by_key(Version::at)?;
            Some(Found { name: newest.name().to_owned(), at: newest.at(), not_after: newest.not_after() })
        };
        let mut found: Vec<Found> = entries.into_iter().filter(is_meant).filter_map(newest).collect();
        found.sort_by(|one, other| one.not_after.cmp(&other.not_after).then_with(|| one.name.cmp(&other.name)));
        self.records.audit.list(actor, Class::Credential).await?;
        Ok(found)
    }

    /// Certificates, in the order of their names, each with its versions, the newest first, and what it has signed.
    pub async fn certificates(&self, actor: &Actor) -> Result<Vec<Certificate>> {
        let granted = self.require_list(actor).await?;
        // Whatever has an end is a certificate.
        let all = self.records.find::<Credential>(Key::AliasesUpTo(AliasKind::Expiry, "~")).await?;
        let mut all: Vec<_> = all.into_iter().filter(|entry| entry.head.origin != Origin::Own).map(Arc::new).collect();
        all.sort_by_cached_key(|entry| entry.head.name.to_ascii_lowercase());
        let mut children: HashMap<String, Vec<String>> = HashMap::new();
        for entry in &all {
            for signer in entry.body.lineage.iter().flat_map(|lineage| lineage.signers()) {
                if !signer.as_str().eq_ignore_ascii_case(&entry.head.name) {
                    let known = children.entry(signer.as_str().to_ascii_lowercase()).or_default();
                    known.push(entry.head.name.clone());
                }
            }
        }
        all.retain(|entry| may_read(granted.as_deref(), &entry.head.name));
        let histories = self.records.histories(&all).await?;
        let mut found = Vec::with_capacity(all.len());
        for (entry, revisions) in all.into_iter().zip(histories) {
            let signs = children.remove(&entry.head.name.to_ascii_lowercase()).unwrap_or_default();
            let versions: Vec<Version> = version::among(&entry, revisions).collect();
            found.push(Certificate { signed_by: self.signed_by(&versions), versions, signs, entry });
        }
        self.records.audit.list(actor, Class::Credential).await?;
        Ok(found)
    }

    pub async fn certificate_named(&self, actor: &Actor, name: &str) -> Result<Certificate> {
        let entry = self.named_certificate(actor, name).await?;
        let versions = self.all_versions(&entry, None).await?;
        let signs = self.children(&entry.head.name).await?.iter().map(|child| child.head.name.clone()).collect();
        self.record(actor, Action::Get, &entry, Vec::new()).await?;
        Ok(Certificate { signed_by: self.signed_by(&versions), versions, signs, entry })
    }

    /// Its own name, where the newest version has signed itself.
    fn signed_by(&self, versions: &[Version]) -> Option<String> {
        let newest = versions.first()?;
        match self.facts(newest).is_self_signed {
            true => Some(newest.name().to_owned()),
            false => newest.signed()?.by.as_ref().map(|path| path.as_str().to_owned()),
        }
    }

    /// Who has stored permissions may always look, and sees what those show; everybody else sees all or nothing.
    async fn require_list(&self, actor: &Actor) -> Result<Option<Arc<Granted>>> {
        let granted = self.access.granted(actor).await?;
        if granted.is_none() {
            let tenant = Tenant::outside();
            self.access.require(actor, Action::List, &Target::new(Class::Credential, &tenant, "")).await?;
        }
        Ok(granted)
    }
}

fn may_read(granted: Option<&Granted>, name: &str) -> bool {
    granted.is_none_or(|granted| granted.allows(Operation::Read, name))
}

/// Of what may be read, what begins like this: folders with their last slash, and single names. All in lower case.
fn within<'a>(scopes: &'a [Scope], prefix: &str) -> (Vec<String>, Vec<&'a str>) {
    let prefix = prefix.to_ascii_lowercase();
    let (mut folders, mut single) = (Vec::new(), Vec::new());
    for scope in scopes {
        match scope.folder().map(|folder| format!("{folder}/")) {
            Some(folder) if folder.starts_with(&prefix) => folders.push(folder),
            Some(folder) if prefix.starts_with(&folder) => folders.push(prefix.clone()),
            None if scope.as_str().starts_with(&prefix) => single.push(scope.as_str()),
            _ => {}
        }
    }
    (folders, single)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_read_is_looked_at() {
        let scopes = ["/a/*", "/b/c/*", "/b/one", "/z"].map(|text| Scope::parse(text).unwrap());
        let looked = |prefix: &str| {
            let (folders, single) = within(&scopes, prefix);
            (folders.join(" "), single.join(" "))
        };
        assert_eq!(looked(""), ("/a/ /b/c/".into(), "/b/one /z".into()));
        assert_eq!(looked("/"), looked(""));
        assert_eq!(looked("/B/"), ("/b/c/".into(), "/b/one".into()));
        assert_eq!(looked("/a/deep/"), ("/a/deep/".into(), String::new()));
        assert_eq!(looked("/ab/"), (String::new(), String::new()));
        assert_eq!(looked("/z/"), (String::new(), String::new()));
    }
}
