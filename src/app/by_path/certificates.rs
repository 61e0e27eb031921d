//! Certificates: those that callers bring, those that are made anew, and the two versions of one that is being rotated.
//! When an authority gains, loses or changes its second version, whatever it has signed shows that in the same write.

use std::sync::Arc;

use crate::app::batch::{Planned, TRIES};
use crate::app::by_path::{ByPath, Known, Setting, Signer, Slot, Version};
use crate::app::making;
use crate::app::ports::Key;
use crate::domain::actor::Actor;
use crate::domain::authority::Issuer;
use crate::domain::credential::lineage::{self, Active, Content, Signed};
use crate::domain::credential::{About, Credential, Generate, Kind, Lineage, Material};
use crate::domain::name::{Path, RecordId, VersionId};
use crate::domain::permission::Action;
use crate::domain::record::{Entry, Head, Origin, Stamp};
use crate::domain::secret::SecretText;
use crate::domain::{Conflict, Error, Result};

/// What a certificate is to be made of.
pub struct Order {
    /// From [`ByPath::active_again`], or like it.
    pub wish: Generate,
    pub signer: Option<Signer>,
    pub metadata: Option<String>,
}

/// How another version of a certificate comes to stand.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// It waits beside the one that counts.
    pub is_transitional: bool,
    /// What an authority has signed shows both of its certificates.
    pub concatenates: bool,
}

impl ByPath {
    /// What a caller brings, looked at: it is signed by its authority and the key is its own.
    pub fn certificate(
        &self,
        path: &Path,
        signer: Option<&Signer>,
        ca: Option<SecretText>,
        certificate: Option<SecretText>,
        private_key: Option<SecretText>,
        metadata: Option<String>,
    ) -> Result<Setting> {
        let certificate = certificate.ok_or_else(|| Error::invalid("certificate", "must be given"))?;
        let ca = signer.map(|signer| signer.certificate().clone()).or(ca);
        let seen = self.making.keymaker.inspect_given(&certificate, ca.as_ref(), private_key.as_ref())?;
        let own = (seen.is_authority && seen.is_self_signed).then(|| path.clone());
        let signed = signer.map_or(Signed { by: own, trusted: None }, Signer::signed);
        let fields = [("certificate", Some(certificate)), ("private_key", private_key), ("ca", ca)];
        let material = Material::texts(fields.into_iter().filter_map(|(name, text)| Some((name, text?))));
        Ok(Setting { kind: Kind::Certificate, material, metadata, not_after: Some(seen.not_after), signed })
    }

    /// What makes a certificate like the newest one here.
    pub fn certificate_again(&self, slot: &Slot) -> Result<Generate> {
        let live = slot.live().ok_or_else(|| Error::not_found(format!("credential {}", slot.path())))?;
        self.newest_again(&Arc::new(live.clone()))
    }

    pub(super) fn newest_again(&self, entry: &Known) -> Result<Generate> {
        let newest = Version::of(entry).max_by_key(Version::at);
        self.again(&newest.ok_or_else(|| Error::not_found(format!("credential {}", entry.head.name)))?)
    }

    /// What makes a certificate like the one that counts, or if none does, like the one that waits.
    pub fn active_again(&self, entry: &Known) -> Result<Generate> {
        let first = Version::of(entry).next();
        self.again(&first.ok_or_else(|| Error::not_found(format!("credential {}", entry.head.name)))?)
    }

    fn again(&self, version: &Version) -> Result<Generate> {
        let empty = SecretText::EMPTY;
        let seen = self.making.keymaker.inspect(version.material().get("certificate").unwrap_or(&empty))?;
        let signed_by = version.signed().and_then(|signed| signed.by.clone());
        let issuer = match signed_by.filter(|path| !path.as_str().eq_ignore_ascii_case(version.name())) {
            Some(path) => Issuer::Authority(path),
            None if seen.is_self_signed => Issuer::SelfSigned,
            None => {
                let why = "was set with an authority that is not stored here, so nobody can sign another";
                return Err(Error::invalid("certificate", why));
            }
        };
        Ok(Generate::Certificate(Box::new(seen.request(issuer)?)))
    }

    /// Certificates of whom the caller may read: all, or the one of this name.
    async fn require_certificate(&self, actor: &Actor, action: Action, id: RecordId) -> Result<Known> {
        let missing = || Error::not_found(format!("certificate {id}"));
        let found = self.records.find_one::<Credential>(Key::Ids(&[id])).await?;
        let found = found.filter(|entry| entry.head.origin != Origin::Own).ok_or_else(missing)?;
        let name = found.head.name.clone();
        let entry = self.require_found(actor, action, &name, Some(Arc::new(found))).await?;
        if entry.body.kind == Kind::Certificate { Ok(entry) } else { Err(missing()) }
    }

    /// The certificate of this name.
    pub async fn named_certificate(&self, actor: &Actor, name: &str) -> Result<Known> {
        let entry = self.require(actor, Action::Get, name).await?;
        let missing = || Error::not_found(format!("certificate {name}"));
        if entry.body.kind == Kind::Certificate { Ok(entry) } else { Err(missing()) }
    }

    /// All its versions, or those that count: the active one and behind it the transitional one.
    pub async fn certificate_versions(&self, actor: &Actor, id: RecordId, is_current: bool) -> Result<Vec<Version>> {
        let entry = self.require_certificate(actor, Action::Get, id).await?;
        let versions = match is_current {
            true => Version::of(&entry).collect(),
            false => self.all_versions(&entry, None).await?,
        };
        self.record(actor, Action::Get, &entry, Vec::new()).await?;
        Ok(versions)
    }

    /// Another version that is made.
    pub async fn regenerate_certificate(
        &self,
        actor: &Actor,
        id: RecordId,
        order: &Order,
        how: Standing,
    ) -> Result<Version> {
        let Order { wish, signer, metadata } = order;
        let mut made = None;
        for _ in 0..TRIES {
            let entry = self.writable_certificate(actor, id).await?;
            let transitional = entry.body.lineage.as_deref().and_then(|lineage| lineage.transitional.as_deref());
            if how.is_transitional && transitional.is_some() {
                return Err(only_one_waits());
            }
            let content = match made.take() {
                Some(content) => content,
                None => self.content(&entry.head, wish, signer.as_ref(), metadata.clone()).await?,
            };
            let kept = content.clone();
            let planned = self.records.plan(actor, &*entry, |stamp| Ok(self.with(&entry, stamp, content, how)))?;
            match self.write_rotation(actor, &entry, planned, how.concatenates).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => made = Some(kept),
                Err(error) => return Err(error),
                Ok(written) => {
                    let made = Version::made_by(&written);
                    return made.ok_or_else(|| Error::internal("a version was written that is not there"));
                }
            }
        }
        Err(stale(id))
    }

    /// Who may write or delete, and not read, gets no key that was there already.
    async fn for_reader(&self, actor: &Actor, versions: Vec<Version>) -> Result<Vec<Version>> {
        let Some(first) = versions.first() else { return Ok(versions) };
        let may_read = self.access.allows(actor, Action::Get, &super::target(&first.entry().head)).await?;
        Ok(versions.into_iter().map(|version| if may_read { version } else { version.veiled() }).collect())
    }

    pub(super) async fn content(
        &self,
        head: &Head,
        wish: &Generate,
        signer: Option<&Signer>,
        metadata: Option<String>,
    ) -> Result<Content> {
        let Generate::Certificate(request) = wish else { return Err(Error::internal("no certificate is asked for")) };
        let making::Made { material, not_after } = self.making.signed(request, signer.map(Signer::entry)).await?;
        let own = || Lineage::begin(&Path::parse(&head.name).ok()?, Kind::Certificate, Some(wish));
        let signed = signer.map(Signer::signed).or_else(|| own().map(|lineage| lineage.signed));
        let signed = signed.unwrap_or_default();
        Ok(Content { material, generated: Some(wish.clone()), not_after, metadata, signed })
    }

    /// The record with another version: the one that counts, or the one that waits.
    fn with(&self, entry: &Known, stamp: &Stamp, content: Content, how: Standing) -> Credential {
        let mut body = entry.body.clone();
        let lineage = body.lineage.get_or_insert_default();
        if !how.is_transitional {
            return counting(&body, content, stamp, Active::Own);
        }
        if lineage.active == Active::Own {
            lineage.active = Active::Earlier { id: entry.stamp.version_id, at: entry.stamp.at };
        }
        lineage.transitional = Some(Box::new(lineage::Version { id: stamp.version_id, at: stamp.at, content }));
        body
    }

    /// The caller may write it, and no resource does.
    pub async fn writable_certificate(&self, actor: &Actor, id: RecordId) -> Result<Known> {
        let entry = self.require_certificate(actor, Action::Update, id).await?;
        entry.head.require_writer(&Origin::Rest)?;
        Ok(entry)
    }

    /// Another version that a caller brings.
    pub async fn add_version(&self, actor: &Actor, id: RecordId, setting: Setting, how: Standing) -> Result<Version> {
        let Setting { material, metadata, not_after, signed, .. } = setting;
        let content = Content { material, generated: None, not_after, metadata, signed };
        for _ in 0..TRIES {
            let entry = self.writable_certificate(actor, id).await?;
            let transitional = entry.body.lineage.as_deref().and_then(|lineage| lineage.transitional.as_deref());
            if how.is_transitional && transitional.is_some() {
                return Err(only_one_waits());
            }
            let planned = self.records.plan(actor, &*entry, |stamp| Ok(self.with(&entry, stamp, content.clone(), how)))?;
            match self.write_rotation(actor, &entry, planned, how.concatenates).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                written => {
                    let made = Version::made_by(&written?);
                    return made.ok_or_else(|| Error::internal("a version was written that is not there"));
                }
            }
        }
        Err(stale(id))
    }

    /// This version waits from now on, or none; what counts is the newest of the others.
    pub async fn move_transitional(
        &self,
        actor: &Actor,
        id: RecordId,
        wanted: Wanted,
        concatenates: bool,
    ) -> Result<Vec<Version>> {
        for _ in 0..TRIES {
            let entry = self.writable_certificate(actor, id).await?;
            let all = self.all_versions(&entry, None).await?;
            let waiting = match wanted {
                Wanted::None => None,
                Wanted::Newest => all.first(),
                Wanted::Version(id) => Some(
                    all.iter()
                        .find(|version| version.id() == id)
                        .ok_or_else(|| Error::invalid("version", "is not there or belongs to another certificate"))?,
                ),
            };
            let waiting = waiting.map(Version::id);
            let planned = self.records.plan(actor, &*entry, |_| Ok(arranged(&entry, &all, waiting)))?;
            match self.write_rotation(actor, &entry, planned, concatenates).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                written => return self.for_reader(actor, Version::of(&written?).collect()).await,
            }
        }
        Err(stale(id))
    }

    /// Nobody gets it any more. The last one stays.
    pub async fn delete_version(
        &self,
        actor: &Actor,
        id: RecordId,
        doomed: VersionId,
        concatenates: bool,
    ) -> Result<Version> {
        for _ in 0..TRIES {
            let entry = self.require_certificate(actor, Action::Delete, id).await?;
            entry.head.require_writer(&Origin::Rest)?;
            let all = self.all_versions(&entry, None).await?;
            let missing = || Error::not_found(format!("version {doomed}"));
            let gone = all.iter().find(|version| version.id() == doomed).cloned().ok_or_else(missing)?;
            let rest: Vec<Version> = all.into_iter().filter(|version| version.id() != doomed).collect();
            if rest.is_empty() {
                return Err(Error::invalid("version", "is the last one: delete the credential instead"));
            }
            let waiting = rest.iter().find(|version| version.is_transitional()).map(Version::id);
            let planned = self.records.plan(actor, &*entry, |_| {
                let mut body = arranged(&entry, &rest, waiting);
                body.lineage.get_or_insert_default().removed.insert(doomed);
                Ok(body)
            })?;
            match self.write_rotation(actor, &entry, planned, concatenates).await {
                Err(Error::Conflict(Conflict::Stale { .. })) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    let shown = self.for_reader(actor, vec![gone]).await?.pop();
                    return shown.ok_or_else(missing);
                }
            }
        }
        Err(stale(id))
    }

    /// Writes an authority's or anybody's next revision, and what it has signed if that shows another trust now.
    async fn write_rotation(
        &self,
        actor: &Actor,
        before: &Known,
        planned: Planned<Credential>,
        concatenates: bool,
    ) -> Result<Known> {
        let waits = |entry: &Entry<Credential>| {
            entry.body.lineage.as_deref().and_then(|lineage| Some(lineage.transitional.as_deref()?.id))
        };
        let mut all = Vec::new();
        if concatenates && (waits(before).is_some() || waits(&planned.entry).is_some()) {
            all = self.children_anew(actor, &planned.entry).await?;
        }
        let written = Arc::new(planned.entry.clone());
        all.insert(0, planned);
        self.records.write_together(actor, &all).await?;
        Ok(written)
    }

    /// A next revision of everything that it has signed: the same certificate, with what is to be trusted beside its
    /// authority now. What waits in a child goes on waiting.
    async fn children_anew(&self, actor: &Actor, authority: &Entry<Credential>) -> Result<Vec<Planned<Credential>>> {
        let authority = Arc::new(authority.clone());
        let pem = |version: &Version| version.material().get("certificate").cloned();
        let active = Version::active(&authority).as_ref().and_then(pem);
        let waiting = Version::of(&authority).find(Version::is_transitional).as_ref().and_then(pem);
        let mut planned = Vec::new();
        for child in self.children(&authority.head.name).await? {
            let own = child.body.material.get("ca");
            let trusted = match (&active, &waiting) {
                (Some(active), waiting) if own == Some(active) => waiting.clone(),
                (Some(active), Some(_)) => Some(active.clone()),
                (None, Some(waiting)) => Some(waiting.clone()),
                _ => None,
            };
            let trusted = trusted.map(|pem| pem.expose().to_owned());
            planned.push(self.records.plan(actor, &*child, |_| {
                let mut body = child.body.clone();
                let lineage = body.lineage.get_or_insert_default();
                lineage.signed.trusted = trusted;
                lineage.active = Active::Own;
                Ok(body)
            })?);
        }
        Ok(planned)
    }

    /// What REST callers wrote that the authority of this name has signed, itself excluded, in the order of names.
    pub(super) async fn children(&self, name: &str) -> Result<Vec<Known>> {
        let Ok(path) = Path::parse(name) else { return Ok(Vec::new()) };
        let link = crate::app::body::link_to_path(&path);
        let mut found = self.records.find::<Credential>(Key::LinksTo(link)).await?;
        found.retain(|child| !child.head.name.eq_ignore_ascii_case(name) && child.head.origin == Origin::Rest);
        found.sort_by_cached_key(|child| child.head.name.to_ascii_lowercase());
        Ok(found.into_iter().map(Arc::new).collect())
    }
}

/// Which version is to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    None,
    Newest,
    Version(VersionId),
}

/// The record with this version waiting and the newest of the others counting.
fn arranged(entry: &Known, all: &[Version], waiting: Option<VersionId>) -> Credential {
    let is_waiting = |version: &&Version| Some(version.id()) == waiting;
    let counts = all.iter().find(|version| !is_waiting(version));
    let mut body = match (counts, all.iter().find(is_waiting)) {
        (Some(counts), _) => {
            let active = Active::Earlier { id: counts.id(), at: counts.at() };
            counting(&entry.body, content(counts), &entry.stamp, active)
        }
        // Readers who know no versions go on with the only one.
        (None, Some(only)) => counting(&entry.body, content(only), &entry.stamp, Active::None),
        (None, None) => entry.body.clone(),
    };
    let transitional = all
        .iter()
        .find(is_waiting)
        .map(|version| Box::new(lineage::Version { id: version.id(), at: version.at(), content: content(version) }));
    body.lineage.get_or_insert_default().transitional = transitional;
    body
}

fn content(version: &Version) -> Content {
    Content {
        material: version.material().clone(),
        generated: version.generated().cloned(),
        not_after: version.not_after(),
        metadata: version.metadata().map(str::to_owned),
        signed: version.signed().cloned().unwrap_or_default(),
    }
}

/// The record with this content as what counts.
pub(super) fn counting(body: &Credential, content: Content, stamp: &Stamp, active: Active) -> Credential {
    let Content { material, generated, not_after, metadata, signed } = content;
    let lineage = body.lineage.as_deref().cloned().unwrap_or_default();
    let rotated_at = if material == body.material { body.rotated_at } else { stamp.at };
    Credential {
        about: About { metadata, ..body.about.clone() },
        generated,
        rotated_at,
        not_after,
        lineage: Some(Box::new(Lineage { signed, active, ..lineage })),
        material,
        ..body.clone()
    }
}

fn only_one_waits() -> Error {
    Error::invalid("set_as_transitional", "is for one version at a time, and another one is transitional already")
}

fn stale(id: RecordId) -> Error {
    Error::Conflict(Conflict::Stale { what: format!("certificate {id}") })
}
