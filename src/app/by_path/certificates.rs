//! Certificates that callers bring and those that are made anew, and reading them. Their two versions are `rotation`.

use std::sync::Arc;

use crate::app::by_path::turn::require_room;
use crate::app::by_path::{ByPath, Known, Setting, Signer, Slot, Standing, Version};
use crate::app::making;
use crate::app::ports::Key;
use crate::domain::actor::Actor;
use crate::domain::authority::Issuer;
use crate::domain::credential::lineage::{Content, Signed};
use crate::domain::credential::{Credential, Generate, Kind, Lineage, Material};
use crate::domain::name::{Path, RecordId};
use crate::domain::permission::Action;
use crate::domain::record::{Head, Origin};
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// What a certificate is to be made of.
pub struct Order {
    /// From [`ByPath::active_again`], or like it.
    pub wish: Generate,
    pub signer: Option<Signer>,
    pub metadata: Option<String>,
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
        let missing = || Error::not_found(format!("credential {}", slot.path()));
        let live = Arc::new(slot.live().ok_or_else(missing)?.clone());
        let newest = Version::of(&live).max_by_key(Version::at);
        self.again(&newest.ok_or_else(missing)?)
    }

    /// What makes a certificate like the one that counts, or if none does, like the one that waits.
    pub fn active_again(&self, entry: &Known) -> Result<Generate> {
        let first = Version::of(entry).next();
        self.again(&first.ok_or_else(|| Error::not_found(format!("credential {}", entry.head.name)))?)
    }

    pub(super) fn again(&self, version: &Version) -> Result<Generate> {
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
    pub(super) async fn require_certificate(&self, actor: &Actor, action: Action, id: RecordId) -> Result<Known> {
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

    /// Another version that is made, of what [`ByPath::writable_certificate`] gave. Its key takes long, so it is made once,
    /// and only where there is room for it.
    pub async fn regenerate_certificate(
        &self,
        actor: &Actor,
        entry: &Known,
        order: Order,
        how: Standing,
    ) -> Result<Version> {
        require_room(&entry.body, how.is_transitional)?;
        let Order { wish, signer, metadata } = order;
        let content = self.content(&entry.head, &wish, signer.as_ref(), metadata).await?;
        self.add(actor, entry.head.id, content, how).await
    }

    /// Another version that a caller brings.
    pub async fn add_version(&self, actor: &Actor, id: RecordId, setting: Setting, how: Standing) -> Result<Version> {
        let Setting { material, metadata, not_after, signed, .. } = setting;
        self.add(actor, id, Content { material, generated: None, not_after, metadata, signed }, how).await
    }

    /// The caller may write it, and no resource does.
    pub async fn writable_certificate(&self, actor: &Actor, id: RecordId) -> Result<Known> {
        let entry = self.require_certificate(actor, Action::Update, id).await?;
        entry.head.require_writer(&Origin::Rest)?;
        Ok(entry)
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
}
