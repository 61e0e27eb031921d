//! An authority that a caller names to sign with, or has signed with: any certificate that may sign, whoever made it.

use std::sync::Arc;

use crate::app::batch::Planned;
use crate::app::by_path::{ByPath, Known, Version};
use crate::app::certificates::bound_to;
use crate::app::ports::Key;
use crate::domain::actor::{Actor, Standing};
use crate::domain::authority::Unfit;
use crate::domain::credential::lineage::{Content, Signed};
use crate::domain::credential::{Credential, Kind};
use crate::domain::name::Path;
use crate::domain::permission::{self, Action, Resource, Target};
use crate::domain::record::{Entry, Origin};
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result};

/// With the version that signs as its material.
pub struct Signer {
    entry: Known,
    path: Path,
    trusted: Option<String>,
}

impl Signer {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn entry(&self) -> &Entry<Credential> {
        &self.entry
    }

    /// In PEM.
    pub fn certificate(&self) -> &SecretText {
        const NONE: &SecretText = &SecretText::EMPTY;
        self.entry.body.material.get("certificate").unwrap_or(NONE)
    }

    /// What a certificate that it signs has to say of it.
    pub fn signed(&self) -> Signed {
        Signed { by: Some(self.path.clone()), trusted: self.trusted.clone() }
    }

    /// The active version signs, unless a newer one in waiting is asked to.
    pub(super) fn of(entry: &Known, may_wait: bool) -> Result<Self> {
        if entry.body.kind != Kind::Certificate {
            return Err(Unfit::OtherType.into());
        }
        let missing = || Error::no_authority(&entry.head.name);
        let versions: Vec<Version> = Version::of(entry).collect();
        let active = versions.iter().find(|version| !version.is_transitional());
        let waiting = versions.iter().find(|version| version.is_transitional());
        let active = active.ok_or_else(missing)?;
        let waits = waiting.filter(|waiting| may_wait && waiting.at() > active.at());
        let (signing, other) = waits.map_or((active, waiting), |waits| (waits, Some(active)));
        let text = |version: &Version| version.material().get("certificate").map(|pem| pem.expose().to_owned());
        let body = Credential { material: signing.material().clone(), ..entry.body.clone() };
        Ok(Self {
            entry: Arc::new(Entry { head: entry.head.clone(), stamp: entry.stamp.clone(), body }),
            path: Path::parse(&entry.head.name)?,
            trusted: other.and_then(text),
        })
    }
}

impl Signer {
    /// One whose next version was made and is not written yet.
    pub(super) fn made(entry: &Known, content: &Content) -> Result<Self> {
        let body = Credential { material: content.material.clone(), ..entry.body.clone() };
        let waiting = entry.body.lineage.as_deref().and_then(|lineage| lineage.transitional.as_deref());
        let trusted = waiting.and_then(|version| version.content.material.get("certificate"));
        Ok(Self {
            entry: Arc::new(Entry { head: entry.head.clone(), stamp: entry.stamp.clone(), body }),
            path: Path::parse(&entry.head.name)?,
            trusted: trusted.map(|pem| pem.expose().to_owned()),
        })
    }
}

/// An authority's certificates, in PEM.
pub(super) struct Pair {
    pub(super) active: Option<SecretText>,
    pub(super) waiting: Option<SecretText>,
}

impl Pair {
    pub(super) fn of(authority: &Known) -> Self {
        let pem = |version: &Version| version.material().get("certificate").cloned();
        let waiting = Version::of(authority).find(Version::is_transitional);
        Self { active: Version::active(authority).as_ref().and_then(pem), waiting: waiting.as_ref().and_then(pem) }
    }

    /// What is to be trusted beside the one that has signed.
    pub(super) fn beside(&self, signing: Option<&SecretText>) -> Option<&SecretText> {
        match (&self.active, &self.waiting) {
            (Some(active), waiting) if signing == Some(active) => waiting.as_ref(),
            (Some(active), Some(_)) => Some(active),
            (None, Some(waiting)) => Some(waiting),
            _ => None,
        }
    }
}

impl ByPath {
    /// The authority at this path, for a caller who may read it. One that is not there and one that may not be read give
    /// the same answer.
    pub async fn signer(&self, actor: &Actor, path: &Path) -> Result<Signer> {
        let entry = self.require(actor, Action::Get, path.as_str()).await.map_err(unseen(path.as_str()))?;
        self.require_signing(actor, &entry).await.map_err(unseen(path.as_str()))?;
        Signer::of(&entry, false)
    }

    /// Whoever reads a certificate with its key can sign with it anyway. The key of an authority that a resource manages is
    /// shown to nobody, so signing takes the right to that, or a stored permission at its very path. Services that have
    /// certificates for their own names only have another API for it.
    pub(super) async fn require_signing(&self, actor: &Actor, entry: &Known) -> Result<()> {
        if entry.body.authority.is_none() || actor.standing == Standing::Grantee {
            return Ok(());
        }
        let own = Target::new(Resource::Certificate, &entry.head.tenant, "");
        let asked = Target { issuer: Some(&entry.head.name), ..own };
        if bound_to(actor).is_some() {
            self.records.audit.denied(actor, Action::Get, &asked).await?;
            return Err(permission::refusal(actor, Action::Get, &asked));
        }
        self.access.require(actor, Action::Get, &asked).await
    }

    /// The same for one that has signed before, so that it is not asked whether the caller may read it.
    pub async fn signer_again(&self, path: &Path, may_wait: bool) -> Result<Signer> {
        let found = self.records.known::<Credential>(Key::Names(&[path.as_str()])).await?.pop();
        let entry = found.filter(|entry| is_certificate(entry));
        let entry = entry.ok_or_else(|| Error::no_authority(path.as_str()))?;
        Signer::of(&entry, may_wait)
    }

    /// Who signed something for this path, with what is trusted beside it now: while a key was made, or another was faster,
    /// a version of the authority may have come or gone. What was brought may trust more than what is here.
    ///
    /// Beside it, to be written with it, the authority as it was seen: whoever rotates that first makes the write fail, so
    /// that it is looked at again. A child that comes first is found by whoever rotates.
    pub(super) async fn signed_now(
        &self,
        path: &str,
        signed: &Signed,
        ca: Option<&SecretText>,
        is_made: bool,
    ) -> Result<(Signed, Option<Planned<Credential>>)> {
        let others = signed.by.as_ref().filter(|by| !by.as_str().eq_ignore_ascii_case(path));
        let Some(by) = others else { return Ok((signed.clone(), None)) };
        let found = self.records.known::<Credential>(Key::Names(&[by.as_str()])).await?.pop();
        let Some(authority) = found.filter(|entry| is_certificate(entry)) else { return Ok((signed.clone(), None)) };
        let trusted = Pair::of(&authority).beside(ca).map(|pem| pem.expose().to_owned());
        let brought = signed.trusted.clone().filter(|_| !is_made);
        let signed = Signed { trusted: trusted.or(brought), by: signed.by.clone() };
        Ok((signed, self.keeping(&authority).await?))
    }

    /// Nothing for one of a resource: it has one certificate, which nobody rotates here.
    pub(super) async fn keeping(&self, authority: &Entry<Credential>) -> Result<Option<Planned<Credential>>> {
        match authority.head.origin {
            Origin::Rest => self.records.plan_keeping(authority.clone()).await.map(Some),
            Origin::Resource(_) | Origin::Own => Ok(None),
        }
    }

    /// Whoever asks for what this authority could not sign is told so, though what is there may do.
    pub(super) fn require_fit(&self, signer: &Signer) -> Result<()> {
        let material = &signer.entry.body.material;
        if !self.making.facts(material)?.is_authority {
            return Err(Unfit::NoAuthority.into());
        }
        material.get("private_key").map(|_| ()).ok_or_else(|| Unfit::NoPrivateKey.into())
    }
}

fn is_certificate(entry: &Entry<Credential>) -> bool {
    entry.body.kind == Kind::Certificate && entry.head.origin != Origin::Own
}

/// Nobody learns by the answer whether an authority is not there or not for the caller.
pub(super) fn unseen(path: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Forbidden { .. } | Error::NotFound { .. } => Error::no_authority(path),
        error => error,
    }
}
