//! Everything that an authority has signed, signed anew: in one write, so that nobody ever sees half of it. Authorities
//! among it come before what they have signed, which their new certificate signs then.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::TryStreamExt;
use futures::stream::FuturesUnordered;

use crate::app::batch::{Planned, TRIES};
use crate::app::by_path::signer::unseen;
use crate::app::by_path::turn::counting;
use crate::app::by_path::{ByPath, Known, Signer, Version, target};
use crate::domain::actor::Actor;
use crate::domain::credential::lineage::{Active, Content};
use crate::domain::credential::{Credential, Generate};
use crate::domain::name::{Path, RecordId, VersionId};
use crate::domain::permission::Action;
use crate::domain::record::Stamp;
use crate::domain::{Conflict, Error, Result, Violation};

/// Certificates that one call signs anew at most: its keys take a core a second for ten or twenty of them.
const LIMIT: usize = 5_000;
/// Asked for at one time besides as many as the keymaker has hands for, so that no hand waits for the next. Others who want
/// keys wait behind no more than that, and most places for those who wait are left to them.
const SPARE: usize = 2;

/// A certificate of the tree.
struct Branch {
    entry: Known,
    /// The newest that this authority has signed: what is made is like it.
    version: Version,
    /// Which one of the tree signs it; `None`: the root that was named.
    signer: Option<usize>,
    /// How many of the tree are above it.
    level: usize,
}

/// What was made like which version, for as long as it is tried.
type Made = HashMap<VersionId, Content>;

impl ByPath {
    /// Their names, sorted. Nothing for an authority that there is not.
    pub async fn regenerate_signed_by(
        &self,
        actor: &Actor,
        path: &Path,
        prepare: impl Fn(&mut Generate) + Sync,
    ) -> Result<Vec<String>> {
        let mut made = Made::new();
        for _ in 0..TRIES {
            let Some(root) = self.root(actor, path).await? else { return Ok(Vec::new()) };
            let tree = self.tree(actor, root.path()).await?;
            if tree.is_empty() {
                return Ok(Vec::new());
            }
            self.make_all(&tree, &root, &prepare, &mut made).await?;
            match self.write_all(actor, &tree, &root, &made).await {
                // Whoever changed one of them meanwhile is taken in; keys that are made are not made again.
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                written => return written.map(|()| names(&tree)),
            }
        }
        Err(Conflict::Stale { what: format!("what {path} has signed") }.into())
    }

    async fn root(&self, actor: &Actor, path: &Path) -> Result<Option<Signer>> {
        let root = match self.require(actor, Action::Get, path.as_str()).await {
            // What one has signed that is gone cannot be signed anew, and that is no success.
            Err(Error::NotFound { .. }) if self.children(path.as_str()).await?.is_empty() => return Ok(None),
            found => found.map_err(unseen(path.as_str()))?,
        };
        self.require_signing(actor, &root).await.map_err(unseen(path.as_str()))?;
        Signer::of(&root, false).map(Some)
    }

    /// Level after level, so that authorities come before what they have signed; each certificate once. The caller may read
    /// every authority and write all.
    async fn tree(&self, actor: &Actor, root: &Path) -> Result<Vec<Branch>> {
        let mut tree: Vec<Branch> = Vec::new();
        let mut seen: HashSet<RecordId> = HashSet::new();
        let mut open = VecDeque::from([(root.as_str().to_owned(), None, 0)]);
        while let Some((name, signer, level)) = open.pop_front() {
            for entry in self.children(&name).await? {
                // The named root is not made anew, not even if one below has signed it.
                if entry.head.name.eq_ignore_ascii_case(root.as_str()) || !seen.insert(entry.head.id) {
                    continue;
                }
                if tree.len() == LIMIT {
                    return Err(Error::invalid("signed_by", format!("has signed more than {LIMIT} certificates")));
                }
                self.access.require(actor, Action::Update, &target(&entry.head)).await?;
                let Some(version) = newest_signed_by(&entry, &name) else { continue };
                if self.facts(&version).is_authority {
                    let readable = self.access.require(actor, Action::Get, &target(&entry.head)).await;
                    readable.map_err(unseen(&entry.head.name))?;
                    open.push_back((entry.head.name.clone(), Some(tree.len()), level + 1));
                }
                tree.push(Branch { entry, version, signer, level });
            }
        }
        Ok(tree)
    }

    /// Those of one level side by side, when all above them are made.
    async fn make_all(
        &self,
        tree: &[Branch],
        root: &Signer,
        prepare: &(impl Fn(&mut Generate) + Sync),
        made: &mut Made,
    ) -> Result<()> {
        let at_once = self.making.keymaker.hands() + SPARE;
        for level in tree.chunk_by(|one, next| one.level == next.level) {
            let (mut making, mut done) = (FuturesUnordered::new(), Vec::new());
            for branch in level {
                if making.len() == at_once {
                    done.extend(making.try_next().await?);
                }
                making.push(self.make_branch(tree, branch, root, prepare, made));
            }
            done.extend(making.try_collect::<Vec<_>>().await?);
            made.extend(done);
        }
        Ok(())
    }

    async fn make_branch(
        &self,
        tree: &[Branch],
        branch: &Branch,
        root: &Signer,
        prepare: &(impl Fn(&mut Generate) + Sync),
        made: &Made,
    ) -> Result<(VersionId, Content)> {
        let above = branch.signer.map(|at| signer_made(tree.get(at), made)).transpose()?;
        let content = self.make_like(branch, above.as_ref().unwrap_or(root), prepare, made).await;
        Ok((branch.version.id(), content.map_err(|error| of(&branch.entry, error))?))
    }

    /// What was made at the try before is good as long as it is made like the same version and signed by the same one.
    async fn make_like(
        &self,
        Branch { entry, version, .. }: &Branch,
        signer: &Signer,
        prepare: &(impl Fn(&mut Generate) + Sync),
        made: &Made,
    ) -> Result<Content> {
        let ca = self.making.keymaker.alone(signer.certificate())?;
        if let Some(content) = made.get(&version.id()).filter(|content| content.material.get("ca") == Some(&ca)) {
            return Ok(Content { signed: signer.signed(), ..content.clone() });
        }
        let mut wish = self.again(version)?;
        prepare(&mut wish);
        let metadata = version.metadata().map(str::to_owned);
        // Keys that are made at once would have all others on this thread wait for thousands of them.
        tokio::task::yield_now().await;
        loop {
            match self.content(&entry.head, &wish, Some(signer), metadata.clone()).await {
                // The work of minutes is not lost because many others want keys for a moment.
                Err(Error::Overloaded { retry_after }) => tokio::time::sleep(retry_after).await,
                made => return made,
            }
        }
    }

    /// None of it if somebody rotates the root meanwhile: what it has signed would not show that.
    async fn write_all(&self, actor: &Actor, tree: &[Branch], root: &Signer, made: &Made) -> Result<()> {
        let mut all: Vec<_> = self.keeping(root.entry()).await?.into_iter().collect();
        all.extend(self.plan_all(actor, tree, made).await?);
        self.records.write_together(actor, &all).await
    }

    async fn plan_all(&self, actor: &Actor, tree: &[Branch], made: &Made) -> Result<Vec<Planned<Credential>>> {
        let mut all = Vec::with_capacity(tree.len());
        for Branch { entry, version, .. } in tree {
            let content = made.get(&version.id()).ok_or_else(unmade)?.clone();
            let body = |stamp: &Stamp| Ok(counting(&entry.body, content, stamp, Active::Own));
            let planned = self.records.plan(actor, &**entry, body)?;
            // Thousands at once: only who has other fields than before can be in the way of others.
            if !planned.entry.body.material.names().eq(entry.body.material.names()) {
                let path = Path::parse(&entry.head.name)?;
                let fits = self.require_fitting(&path, Some(entry.head.id), &planned.entry.body).await;
                fits.map_err(|error| of(entry, error))?;
            }
            all.push(planned);
        }
        Ok(all)
    }
}

fn newest_signed_by(entry: &Known, name: &str) -> Option<Version> {
    let is_of = |version: &Version| {
        let by = version.signed().and_then(|signed| signed.by.as_ref());
        by.is_some_and(|path| path.as_str().eq_ignore_ascii_case(name))
    };
    Version::of(entry).filter(is_of).max_by_key(Version::at)
}

/// An authority of the tree, which comes before what it signs.
fn signer_made(branch: Option<&Branch>, made: &Made) -> Result<Signer> {
    let Branch { entry, version, .. } = branch.ok_or_else(unmade)?;
    Signer::made(entry, made.get(&version.id()).ok_or_else(unmade)?)
}

fn names(tree: &[Branch]) -> Vec<String> {
    let mut names: Vec<String> = tree.iter().map(|branch| branch.entry.head.name.clone()).collect();
    names.sort_by_cached_key(|name| name.to_ascii_lowercase());
    names
}

/// Of hundreds, the one that cannot be made anew is named: its caller may write it.
fn of(entry: &Known, error: Error) -> Error {
    let Error::Invalid(all) = error else { return error };
    let named = |it: Violation| Violation { field: format!("{}: {}", entry.head.name, it.field), why: it.why };
    Error::Invalid(all.into_iter().map(named).collect())
}

fn unmade() -> Error {
    Error::internal("a certificate was to be written before it was made")
}
