//! Certificates while they are rotated: each turn is one write, done again when somebody else was faster. When an authority
//! gains, loses or changes its second version, whatever it has signed shows that in the same write.

use std::collections::HashSet;
use std::sync::Arc;

use crate::app::batch::{Planned, TRIES};
use crate::app::body::link_to_path;
use crate::app::by_path::signer::Pair;
use crate::app::by_path::turn::{Turn, Wanted, missing, waiting};
use crate::app::by_path::{ByPath, Known, Version, target};
use crate::app::ports::Key;
use crate::domain::actor::Actor;
use crate::domain::credential::Credential;
use crate::domain::credential::lineage::{Active, Content};
use crate::domain::name::{Path, RecordId, VersionId};
use crate::domain::permission::Action;
use crate::domain::record::{Entry, Origin};
use crate::domain::{Conflict, Error, Result};

/// How another version of a certificate comes to stand.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// It waits beside the one that counts.
    pub is_transitional: bool,
    /// What an authority has signed shows both of its certificates.
    pub concatenates: bool,
}

/// A turn that was written.
struct Turned {
    /// What there was, the newest first; nothing for a version that was added.
    before: Vec<Version>,
    after: Known,
    /// The children that show it, if they were to.
    told: Option<HashSet<RecordId>>,
}

impl ByPath {
    /// Another version, which was made or brought.
    pub(super) async fn add(&self, actor: &Actor, id: RecordId, content: Content, how: Standing) -> Result<Version> {
        let turn = Turn::Add { content, waits: how.is_transitional };
        let Turned { after, .. } = self.rotate(actor, id, turn, how.concatenates).await?;
        Version::made_by(&after).ok_or_else(|| Error::internal("a version was written that is not there"))
    }

    /// This version waits from now on, or none; what counts is the newest of the others.
    pub async fn move_transitional(
        &self,
        actor: &Actor,
        id: RecordId,
        wanted: Wanted,
        concatenates: bool,
    ) -> Result<Vec<Version>> {
        let Turned { after, .. } = self.rotate(actor, id, Turn::Move(wanted), concatenates).await?;
        self.for_reader(actor, Version::of(&after).collect()).await
    }

    /// The version that was deleted.
    pub async fn delete_version(
        &self,
        actor: &Actor,
        id: RecordId,
        doomed: VersionId,
        concatenates: bool,
    ) -> Result<Version> {
        let Turned { mut before, .. } = self.rotate(actor, id, Turn::Remove(doomed), concatenates).await?;
        before.retain(|version| version.id() == doomed);
        self.for_reader(actor, before).await?.pop().ok_or_else(|| missing(doomed))
    }

    /// Whoever writes at the same time is waited for: what was read is read again, and decided again.
    async fn rotate(&self, actor: &Actor, id: RecordId, mut turn: Turn, concatenates: bool) -> Result<Turned> {
        for _ in 0..TRIES {
            match self.try_to_rotate(actor, id, &mut turn, concatenates).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                Err(error) => return Err(error),
                Ok(turned) => {
                    if let Some(told) = &turned.told {
                        self.tell_latecomers(actor, id, told).await?;
                    }
                    return Ok(turned);
                }
            }
        }
        Err(Conflict::Stale { what: format!("certificate {id}") }.into())
    }

    async fn try_to_rotate(&self, actor: &Actor, id: RecordId, turn: &mut Turn, concatenates: bool) -> Result<Turned> {
        let entry = self.require_certificate(actor, turn.action(), id).await?;
        entry.head.require_writer(&Origin::Rest)?;
        let (mut before, mut all) = (Vec::new(), Vec::new());
        match turn {
            Turn::Add { content, .. } => {
                let (ca, is_made) = (content.material.get("ca"), content.generated.is_some());
                let (signed, signer) = self.signed_now(&entry.head.name, &content.signed, ca, is_made).await?;
                content.signed = signed;
                // Before all else: of two who have signed each other, one is the other's child.
                all.extend(signer);
            }
            Turn::Move(_) | Turn::Remove(_) => before = self.all_versions(&entry, None).await?,
        }
        let planned = self.records.plan(actor, &*entry, |stamp| turn.body(&entry, &before, stamp))?;
        self.require_fitting(&Path::parse(&entry.head.name)?, Some(id), &planned.entry.body).await?;
        // Whatever else comes or goes, its children trust what they trusted, unless it is asked to move one.
        let waits = |entry: &Entry<Credential>| waiting(&entry.body).map(|version| version.id);
        let is_told = concatenates && (matches!(turn, Turn::Move(_)) || waits(&entry) != waits(&planned.entry));
        let after = Arc::new(planned.entry.clone());
        all.push(planned);
        let children = if is_told { self.plan_children(actor, &after, |_, _| true).await? } else { Vec::new() };
        let told = is_told.then(|| children.iter().map(|child| child.entry.head.id).collect());
        all.extend(children);
        self.records.write_together(actor, &all).await?;
        Ok(Turned { before, after, told })
    }

    /// The next revisions of an authority's children, as they show the versions that it has here.
    async fn plan_children(
        &self,
        actor: &Actor,
        authority: &Known,
        is_wanted: impl Fn(&Known, &Credential) -> bool,
    ) -> Result<Vec<Planned<Credential>>> {
        let (path, pair) = (Path::parse(&authority.head.name)?, Pair::of(authority));
        let mut all = Vec::new();
        for child in self.children(path.as_str()).await? {
            if let Some(body) = shown_by(&child.body, &path, &pair).filter(|body| is_wanted(&child, body)) {
                all.push(self.records.plan(actor, &*child, |_| Ok(body))?);
            }
        }
        Ok(all)
    }

    /// Whoever was signed and written between the look at the children and the write knows one of the authority's
    /// certificates only, and was not told. All of them are there by now: who is written later has seen this turn, for it
    /// has the authority checked in its own transaction. So the children are looked at again, as the authority is now.
    ///
    /// A process that ends before that leaves it to the next turn, before which nothing is signed by what came to wait.
    async fn tell_latecomers(&self, actor: &Actor, id: RecordId, told: &HashSet<RecordId>) -> Result<()> {
        let trusted = |body: &Credential| body.lineage.as_deref().and_then(|lineage| lineage.signed.trusted.clone());
        for _ in 0..TRIES {
            let Some(authority) = self.records.known(Key::Ids(&[id])).await?.pop() else { return Ok(()) };
            let is_late = |child: &Known, body: &Credential| {
                !told.contains(&child.head.id) && trusted(&child.body) != trusted(body)
            };
            let late = self.plan_children(actor, &authority, is_late).await?;
            if late.is_empty() {
                return Ok(());
            }
            match self.records.write_together(actor, &late).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                done => return done,
            }
        }
        Err(Conflict::Stale { what: format!("what certificate {id} has signed") }.into())
    }

    /// What REST callers wrote of it.
    pub(super) async fn children(&self, name: &str) -> Result<Vec<Known>> {
        let mut signed = self.signed_by_name(name).await?;
        signed.retain(|child| child.head.origin == Origin::Rest);
        Ok(signed)
    }

    /// What the authority of this name has signed, itself excluded, in the order of names.
    pub(super) async fn signed_by_name(&self, name: &str) -> Result<Vec<Known>> {
        let Ok(path) = Path::parse(name) else { return Ok(Vec::new()) };
        let link = link_to_path(&path);
        let mut found = self.records.find::<Credential>(Key::LinksTo(link)).await?;
        found.retain(|child| !child.head.name.eq_ignore_ascii_case(name) && child.head.origin != Origin::Own);
        found.sort_by_cached_key(|child| child.head.name.to_ascii_lowercase());
        Ok(found.into_iter().map(Arc::new).collect())
    }

    /// Who may write or delete, and not read, gets no key that was there already.
    async fn for_reader(&self, actor: &Actor, versions: Vec<Version>) -> Result<Vec<Version>> {
        let Some(first) = versions.first() else { return Ok(versions) };
        let may_read = self.access.allows(actor, Action::Get, &target(&first.entry().head)).await?;
        Ok(versions.into_iter().map(|version| if may_read { version } else { version.veiled() }).collect())
    }
}

/// The same certificate with what is to be trusted beside its authority now. What waits in it goes on waiting, so there is
/// nothing to show where nothing else is in it; nor where another than this authority signed what counts.
fn shown_by(child: &Credential, authority: &Path, pair: &Pair) -> Option<Credential> {
    let mut body = child.clone();
    let lineage = body.lineage.as_deref_mut().filter(|lineage| lineage.active != Active::None)?;
    lineage.signed.by.as_ref().filter(|path| path.as_str().eq_ignore_ascii_case(authority.as_str()))?;
    lineage.signed.trusted = pair.beside(child.material.get("ca")).map(|pem| pem.expose().to_owned());
    lineage.active = Active::Own;
    Some(body)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::credential::lineage::Signed;
    use crate::domain::credential::{About, Kind, Lineage, Material, Memo};

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn pair(active: Option<&str>, waiting: Option<&str>) -> Pair {
        Pair { active: active.map(Into::into), waiting: waiting.map(Into::into) }
    }

    /// A certificate of `/CA`, signed by its version `ca`.
    fn child(ca: &str, active: Active) -> Credential {
        let signed = Signed { by: Some(path("/CA")), trusted: Some("earlier".into()) };
        Credential {
            title: "/leaf".into(),
            kind: Kind::Certificate,
            about: About { metadata: Some("{}".into()), ..About::default() },
            generated: None,
            rotated_at: Timestamp::UNIX_EPOCH,
            not_after: None,
            authority: None,
            lineage: Some(Box::new(Lineage { signed, active, ..Lineage::default() })),
            material: Material::texts([("certificate", "leaf".into()), ("ca", ca.into())]),
            memo: Memo::default(),
        }
    }

    #[test]
    fn a_child_is_a_new_version_that_trusts_the_other_one_too() {
        let earlier = Active::Earlier { id: VersionId::from_bytes([1; 16]), at: Timestamp::UNIX_EPOCH };
        for (active, waiting, trusted) in [
            (Some("old"), Some("new"), Some("new")),
            (Some("new"), Some("old"), Some("new")),
            (Some("old"), None, None),
            (Some("new"), None, None),
            (None, Some("new"), Some("new")),
        ] {
            let before = child("old", earlier);
            let after = shown_by(&before, &path("/ca"), &pair(active, waiting)).expect("another revision");
            let lineage = after.lineage.as_deref().unwrap();
            assert_eq!((lineage.signed.trusted.as_deref(), lineage.active), (trusted, Active::Own));
            assert_eq!((&after.material, &after.about), (&before.material, &before.about));
        }
    }

    #[test]
    fn a_version_that_waits_alone_is_not_made_to_count() {
        assert!(shown_by(&child("old", Active::None), &path("/ca"), &pair(Some("old"), Some("new"))).is_none());
    }

    #[test]
    fn who_is_signed_by_another_now_does_not_trust_this_one() {
        assert!(shown_by(&child("old", Active::Own), &path("/other"), &pair(Some("a"), Some("b"))).is_none());
        let unsigned = Credential { lineage: None, ..child("old", Active::Own) };
        assert!(shown_by(&unsigned, &path("/ca"), &pair(Some("old"), Some("new"))).is_none());
    }
}
