//! Which credentials there are, by how their names begin, what is in them, or when their certificates end. Only names that
//! the caller may read are looked at.

use jiff::Timestamp;

use crate::app::body::expiry_key;
use crate::app::by_path::{ByPath, Version};
use crate::app::ports::{AliasKind, Key, Names};
use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::credential::Credential;
use crate::domain::name::Tenant;
use crate::domain::permission::{Action, Target};
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

impl ByPath {
    /// Those with such names, the newest first. What has only a transitional version is left out.
    pub async fn find(&self, actor: &Actor, names: Names<'_>) -> Result<Vec<Found>> {
        self.require_list(actor).await?;
        let mut found = Vec::new();
        let see = |entry: Entry<Credential>| {
            let entry = std::sync::Arc::new(entry);
            if entry.head.origin != Origin::Own
                && let Some(active) = Version::active(&entry)
            {
                found.push(Found { name: entry.head.name.clone(), at: active.at(), not_after: None });
            }
        };
        self.records.each_named::<Credential>(names, see).await?;
        found.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.name.cmp(&other.name)));
        self.records.audit.list(actor, Class::Credential).await?;
        Ok(found)
    }

    /// Certificates whose newest version ends by then, and which have such names.
    pub async fn find_expiring(&self, actor: &Actor, names: Names<'_>, by: Timestamp) -> Result<Vec<Found>> {
        self.require_list(actor).await?;
        // Behind every id of that second.
        let last = format!("{}~", expiry_key(by));
        let entries = self.records.find::<Credential>(Key::AliasesUpTo(AliasKind::Expiry, &last)).await?;
        let (prefix, part) = (names.prefix.to_ascii_lowercase(), names.part.to_ascii_lowercase());
        let is_meant = |entry: &Entry<Credential>| {
            let name = entry.head.name.to_ascii_lowercase();
            entry.head.origin != Origin::Own && name.starts_with(&prefix) && name.contains(&part)
        };
        let newest = |entry: Entry<Credential>| {
            let newest = Version::of(&std::sync::Arc::new(entry)).max_by_key(Version::at)?;
            Some(Found { name: newest.name().to_owned(), at: newest.at(), not_after: newest.not_after() })
        };
        let mut found: Vec<Found> = entries.into_iter().filter(is_meant).filter_map(newest).collect();
        found.sort_by(|one, other| one.not_after.cmp(&other.not_after).then_with(|| one.name.cmp(&other.name)));
        self.records.audit.list(actor, Class::Credential).await?;
        Ok(found)
    }

    async fn require_list(&self, actor: &Actor) -> Result<()> {
        let tenant = Tenant::outside();
        self.access.require(actor, Action::List, &Target::new(Class::Credential, &tenant, "")).await
    }
}
