//! Everything that an authority has signed, signed anew: in one write, so that nobody ever sees half of it. Authorities
//! among it come before what they have signed, which their new certificate signs then.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::app::batch::TRIES;
use crate::app::by_path::turn::counting;
use crate::app::by_path::{ByPath, Known, Signer, Version};
use crate::domain::actor::Actor;
use crate::domain::credential::Generate;
use crate::domain::credential::lineage::{Active, Content};
use crate::domain::name::{Path, RecordId};
use crate::domain::permission::Action;
use crate::domain::{Conflict, Error, Result};

/// Certificates that one call signs anew at most: its keys take a second for ten or twenty of them.
const LIMIT: usize = 5_000;

/// A certificate of the tree, and which one of them signs it; `None`: the root that was named.
struct Branch {
    entry: Known,
    signer: Option<usize>,
}

impl ByPath {
    /// Their names, sorted. Nothing for an authority that there is not.
    pub async fn regenerate_signed_by(
        &self,
        actor: &Actor,
        path: &Path,
        prepare: impl Fn(&mut Generate) + Sync,
    ) -> Result<Vec<String>> {
        let mut made = HashMap::new();
        for _ in 0..TRIES {
            let root = match self.require(actor, Action::Get, path.as_str()).await {
                Err(Error::NotFound { .. }) => return Ok(Vec::new()),
                Err(Error::Forbidden { .. }) => return Err(Error::no_authority(path.as_str())),
                found => found?,
            };
            let root = match self.require_signing(actor, &root).await {
                Err(Error::Forbidden { .. }) => return Err(Error::no_authority(path.as_str())),
                asked => asked.and_then(|()| Signer::of(&root, false))?,
            };
            let tree = self.tree(actor, root.path()).await?;
            self.make_all(&tree, &root, &prepare, &mut made).await?;
            let mut planned = Vec::new();
            for branch in &tree {
                let content: &Content = made.get(&branch.entry.head.id).ok_or_else(unmade)?;
                planned.push(self.records.plan(actor, &*branch.entry, |stamp| {
                    Ok(counting(&branch.entry.body, content.clone(), stamp, Active::Own))
                })?);
            }
            if planned.is_empty() {
                return Ok(Vec::new());
            }
            match self.records.write_together(actor, &planned).await {
                // Whoever changed one of them meanwhile is taken in; keys that are made are not made again.
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                written => {
                    written?;
                    let mut names: Vec<String> = tree.iter().map(|branch| branch.entry.head.name.clone()).collect();
                    names.sort_by_cached_key(|name| name.to_ascii_lowercase());
                    return Ok(names);
                }
            }
        }
        Err(Conflict::Stale { what: format!("what {path} has signed") }.into())
    }

    /// Authorities before what they have signed; each certificate once. The caller may read every authority and write all.
    async fn tree(&self, actor: &Actor, root: &Path) -> Result<Vec<Branch>> {
        let mut tree: Vec<Branch> = Vec::new();
        let mut seen: HashSet<RecordId> = HashSet::new();
        let mut open = VecDeque::from([(root.as_str().to_owned(), None)]);
        while let Some((name, signer)) = open.pop_front() {
            for child in self.children(&name).await? {
                // The named root is not made anew, not even if one below has signed it.
                if child.head.name.eq_ignore_ascii_case(root.as_str()) || !seen.insert(child.head.id) {
                    continue;
                }
                if tree.len() == LIMIT {
                    return Err(Error::invalid("signed_by", format!("has signed more than {LIMIT} certificates")));
                }
                self.access.require(actor, Action::Update, &super::target(&child.head)).await?;
                let newest = Version::of(&child).max_by_key(Version::at);
                if newest.is_some_and(|version| self.facts(&version).is_authority) {
                    self.require_readable(actor, &child).await?;
                    open.push_back((child.head.name.clone(), Some(tree.len())));
                }
                tree.push(Branch { entry: child, signer });
            }
        }
        Ok(tree)
    }

    async fn require_readable(&self, actor: &Actor, authority: &Known) -> Result<()> {
        match self.access.require(actor, Action::Get, &super::target(&authority.head)).await {
            Err(Error::Forbidden { .. }) => Err(Error::no_authority(&authority.head.name)),
            asked => asked,
        }
    }

    async fn make_all(
        &self,
        tree: &[Branch],
        root: &Signer,
        prepare: &(impl Fn(&mut Generate) + Sync),
        made: &mut HashMap<RecordId, Content>,
    ) -> Result<()> {
        for Branch { entry, signer } in tree {
            if made.contains_key(&entry.head.id) {
                continue;
            }
            let mut wish = self.newest_again(entry)?;
            prepare(&mut wish);
            let newest = Version::of(entry).max_by_key(Version::at);
            let metadata = newest.and_then(|version| version.metadata().map(str::to_owned));
            let content = match signer {
                None => self.content(&entry.head, &wish, Some(root), metadata).await?,
                Some(at) => {
                    let above = &tree.get(*at).ok_or_else(unmade)?.entry;
                    let signer = Signer::made(above, made.get(&above.head.id).ok_or_else(unmade)?)?;
                    self.content(&entry.head, &wish, Some(&signer), metadata).await?
                }
            };
            made.insert(entry.head.id, content);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

fn unmade() -> Error {
    Error::internal("a certificate was to be written before it was made")
}
