//! Writing at a path: a value that the caller gives, or one that is made. Whoever writes at the same time is waited for:
//! what was read is read again, and decided again.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::app::batch::TRIES;
use crate::app::by_path::{ByPath, Signer, Version, target};
use crate::app::credentials::require_resource_name;
use crate::app::making;
use crate::app::ports::SshLine;
use crate::app::records::NewRecord;
use crate::app::services::member;
use crate::domain::actor::Actor;
use crate::domain::credential::Memo;
use crate::domain::credential::lineage::{Active, Signed};
use crate::domain::credential::{About, Credential, Generate, Kind, Lineage, Material, check_words};
use crate::domain::name::{Path, RecordId};
use crate::domain::permission::{Action, Target};
use crate::domain::record::{Class, Entry, Origin};
use crate::domain::secret::SecretText;
use crate::domain::{Conflict, Error, Result};

/// A path at which the caller may write: made by [`ByPath::require_writable`] only.
pub struct Slot {
    path: Path,
    current: Option<Entry<Credential>>,
}

/// What is to be there. Whoever generates says how.
pub struct Setting {
    pub kind: Kind,
    pub material: Material,
    pub metadata: Option<String>,
    pub not_after: Option<Timestamp>,
    pub signed: Signed,
}

/// When what is there already will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// If it was made as it is asked for.
    #[default]
    Converge,
    Overwrite,
    NoOverwrite,
}

/// The version that answers a generation.
pub struct Made {
    pub version: Version,
    /// It was made for this call.
    pub is_new: bool,
}

/// A next version, but for its record.
struct Draft {
    setting: Setting,
    generated: Option<Generate>,
}

impl Slot {
    /// What counts there now: nothing, where it was archived.
    pub(super) fn live(&self) -> Option<&Entry<Credential>> {
        self.current.as_ref().filter(|entry| entry.head.released.is_none())
    }

    pub fn kind(&self) -> Option<Kind> {
        self.live().map(|entry| entry.body.kind)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what counts here is this already. What a setting does not say of its signer may be anything.
    pub fn holds(&self, setting: &Setting) -> Result<bool> {
        self.require_kind(setting.kind)?;
        let live = self.live().map(|entry| Arc::new(entry.clone()));
        let Some(version) = live.as_ref().and_then(Version::active) else { return Ok(false) };
        let (own, other) = (version.material(), &setting.material);
        let is_alike = own.fields().len() == other.fields().len()
            && own.fields().iter().all(|field| other.get(&field.name) == Some(&field.value));
        let Signed { by, trusted } = version.signed().cloned().unwrap_or_default();
        let is_signer = |wanted: &Path| by.is_some_and(|path| path.as_str().eq_ignore_ascii_case(wanted.as_str()));
        Ok(is_alike
            && version.metadata() == setting.metadata.as_deref()
            && setting.signed.by.as_ref().is_none_or(is_signer)
            && (setting.signed.trusted.is_none() || setting.signed.trusted == trusted))
    }

    fn require_kind(&self, kind: Kind) -> Result<()> {
        match self.kind().filter(|known| *known != kind) {
            Some(known) => {
                let why =
                    format!("is {}, but {} is a {} already: delete it first", kind.name(), self.path, known.name());
                Err(Error::invalid("type", why))
            }
            None => Ok(()),
        }
    }
}

impl ByPath {
    /// The caller may write here, and no resource does.
    pub async fn require_writable(&self, actor: &Actor, path: &Path) -> Result<Slot> {
        let current = self.records.find_released::<Credential>(path.as_str()).await?;
        let live = current.as_ref().filter(|entry| entry.head.released.is_none());
        match live {
            Some(entry) => self.access.require(actor, Action::Update, &target(&entry.head)).await?,
            None => {
                let tenant = path.tenant();
                let missing = Target::new(Class::Credential, &tenant, path.as_str());
                self.access.require(actor, Action::Create, &missing).await?;
                require_resource_name(path)?;
            }
        }
        if let Some(entry) = &current {
            entry.head.require_writer(&Origin::Rest)?;
        }
        Ok(Slot { path: path.clone(), current })
    }

    /// A new version with this value, even if it is the one that is there.
    pub async fn set(&self, actor: &Actor, slot: Slot, setting: Setting) -> Result<Version> {
        slot.require_kind(setting.kind)?;
        self.write(actor, slot, Draft { setting, generated: None }).await
    }

    /// A version as it is asked for: the one that is there, if `mode` says so, or a new one.
    pub async fn generate(
        &self,
        actor: &Actor,
        mut slot: Slot,
        mode: Mode,
        wish: Generate,
        signer: Option<Signer>,
        metadata: Option<String>,
    ) -> Result<Made> {
        wish.check()?;
        signer.as_ref().map_or(Ok(()), |signer| self.require_fit(signer))?;
        let mut made = None;
        for _ in 0..TRIES {
            slot.require_kind(wish.kind())?;
            if let Some(version) = self.kept(&slot, mode, &wish, signer.as_ref())? {
                // Who may write, and not read, learns nothing of what is there.
                let entry = version.entry().clone();
                self.access.require(actor, Action::Get, &target(&entry.head)).await?;
                self.record(actor, Action::Get, &entry, Vec::new()).await?;
                return Ok(Made { version, is_new: false });
            }
            // Once: what was made for a moment before is as good.
            let draft = match made.take() {
                Some(draft) => draft,
                None => self.make(slot.path(), &wish, signer.as_ref(), metadata.clone()).await?,
            };
            match self.try_write(actor, &slot, &draft).await {
                Err(Error::Conflict(Conflict::Stale { .. } | Conflict::Exists { .. })) => made = Some(draft),
                written => return Ok(Made { version: written?, is_new: true }),
            }
            slot = self.require_writable(actor, &slot.path).await?;
        }
        Err(busy(slot.path.as_str()))
    }

    /// What is there, if it will do.
    fn kept(&self, slot: &Slot, mode: Mode, wish: &Generate, signer: Option<&Signer>) -> Result<Option<Version>> {
        let live = slot.live().map(|entry| Arc::new(entry.clone()));
        let Some(version) = live.as_ref().and_then(Version::active) else { return Ok(None) };
        let keeps = match mode {
            Mode::NoOverwrite => true,
            Mode::Overwrite => false,
            Mode::Converge => self.is_as_asked(&version, wish, signer)?,
        };
        Ok(keeps.then_some(version))
    }

    /// By what is known of its making, or where nothing is, by what it says of itself.
    fn is_as_asked(&self, version: &Version, wish: &Generate, signer: Option<&Signer>) -> Result<bool> {
        Ok(match wish {
            Generate::Password(_) | Generate::User { .. } => version.generated() == Some(wish),
            Generate::Rsa { bits } => self.key_bits(version) == Some(u32::from(*bits)),
            Generate::Ssh { bits, comment } => {
                self.key_bits(version) == Some(u32::from(*bits))
                    && self.ssh_line(version).and_then(|line| line.comment) == *comment
            }
            Generate::Certificate(request) => {
                let Some(certificate) = version.material().get("certificate") else { return Ok(false) };
                let inspection = self.making.keymaker.inspect(certificate)?;
                let signed_by = version.signed().and_then(|signed| signed.by.as_ref());
                let is_signer = |signer: &Signer| {
                    let is_named = |path: &Path| path.as_str().eq_ignore_ascii_case(signer.path().as_str());
                    // An authority of a resource may come with those above it.
                    let alone = self.making.keymaker.alone(signer.certificate())?;
                    // Of one that was set with a text for its authority nobody knows the authority's name.
                    Ok::<_, Error>(
                        signed_by.is_none_or(|path| is_named(path) && version.material().get("ca") == Some(&alone)),
                    )
                };
                inspection.satisfies(request) && signer.map_or(Ok(true), is_signer)?
            }
        })
    }

    pub(super) fn key_bits(&self, version: &Version) -> Option<u32> {
        let keys = ["private_key", "public_key"].into_iter().filter_map(|name| version.material().get(name));
        keys.into_iter().find_map(|key| self.making.keymaker.key_bits(key))
    }

    pub fn ssh_line(&self, version: &Version) -> Option<SshLine> {
        self.making.keymaker.ssh_line(version.material().get("public_key")?.expose())
    }

    async fn make(
        &self,
        path: &Path,
        wish: &Generate,
        signer: Option<&Signer>,
        metadata: Option<String>,
    ) -> Result<Draft> {
        let making::Made { material, not_after } = match wish {
            Generate::Certificate(request) => self.making.signed(request, signer.map(Signer::entry)).await?,
            other => self.making.make(other, &path.tenant()).await?,
        };
        let signed = match signer {
            Some(signer) => signer.signed(),
            None => Lineage::begin(path, wish.kind(), Some(wish)).map(|lineage| lineage.signed).unwrap_or_default(),
        };
        let setting = Setting { kind: wish.kind(), material, metadata, not_after, signed };
        Ok(Draft { setting, generated: Some(wish.clone()) })
    }

    async fn write(&self, actor: &Actor, mut slot: Slot, draft: Draft) -> Result<Version> {
        for _ in 0..TRIES {
            match self.try_write(actor, &slot, &draft).await {
                Err(Error::Conflict(Conflict::Stale { .. } | Conflict::Exists { .. })) => {}
                written => return written,
            }
            slot = self.require_writable(actor, &slot.path).await?;
            slot.require_kind(draft.setting.kind)?;
        }
        Err(busy(slot.path.as_str()))
    }

    async fn try_write(&self, actor: &Actor, slot: &Slot, draft: &Draft) -> Result<Version> {
        let Setting { signed, material, .. } = &draft.setting;
        let is_made = draft.generated.is_some();
        let (signed, signer) = self.signed_now(slot.path.as_str(), signed, material.get("ca"), is_made).await?;
        let body = self.next(slot, draft, signed);
        self.require_fitting(&slot.path, slot.current.as_ref().map(|entry| entry.head.id), &body).await?;
        let planned = match &slot.current {
            Some(entry) => self.records.plan(actor, entry, |_| Ok(body))?,
            None => {
                let name = slot.path.as_str().to_owned();
                let (tenant, retain_for) = (slot.path.tenant(), SignedDuration::ZERO);
                let new = NewRecord { tenant, name, origin: Origin::Rest, retain_for };
                self.records.plan_new(actor, self.records.new_id(), new, body)
            }
        };
        let mut all: Vec<_> = signer.into_iter().chain([planned]).collect();
        self.records.write_together(actor, &all).await?;
        let written = all.pop().map(|planned| Arc::new(planned.entry));
        written
            .as_ref()
            .and_then(Version::active)
            .ok_or_else(|| Error::internal("a version was written that is not active"))
    }

    /// What stands at this path next, under this id if something stands there, is what its readers can take.
    pub(super) async fn require_fitting(&self, path: &Path, id: Option<RecordId>, body: &Credential) -> Result<()> {
        check_words(&body.title, &body.about)?;
        match path.as_resource() {
            // A resource may show it as a Secret, which takes all of it.
            Some(_) => body.material.check(body.kind)?,
            None => body.material.check_parts(body.kind)?,
        }
        match id {
            Some(id) => self.mapping.require_no_conflict(&member(id, body)).await,
            None => Ok(()),
        }
    }

    fn next(&self, slot: &Slot, Draft { setting, generated }: &Draft, signed: Signed) -> Credential {
        let live = slot.live().map(|entry| &entry.body);
        let about = live.map_or_else(About::default, |body| body.about.clone());
        let lineage = live.and_then(|body| body.lineage.as_deref()).cloned().unwrap_or_default();
        let lineage = Lineage { signed, active: Active::Own, ..lineage };
        Credential {
            title: live.map_or_else(|| slot.path.as_str().to_owned(), |body| body.title.clone()),
            kind: setting.kind,
            about: About { metadata: setting.metadata.clone(), ..about },
            generated: generated.clone(),
            rotated_at: self.records.now(),
            not_after: setting.not_after,
            authority: None,
            lineage: (setting.kind == Kind::Certificate).then(|| Box::new(lineage)),
            memo: Memo::default(),
            material: setting.material.clone(),
        }
    }

    /// What is generated like this version, with another value.
    pub(super) fn wish_like(&self, version: &Version) -> Result<Generate> {
        let static_value = |what: &str| {
            let why = format!("was set and not generated, so it cannot be generated again: {}", version.name());
            Err(Error::invalid(what, why))
        };
        let bits = self.key_bits(version).and_then(|bits| u16::try_from(bits).ok());
        let known = bits.filter(|bits| crate::domain::credential::generate::RSA_BITS.contains(bits)).unwrap_or(2048);
        Ok(match (version.kind(), version.generated()) {
            (Kind::Password | Kind::User, Some(generated)) => generated.clone(),
            (Kind::Password, None) => return static_value("password"),
            (Kind::User, None) => return static_value("user"),
            (Kind::Rsa, _) => Generate::Rsa { bits: known },
            (Kind::Ssh, _) => {
                Generate::Ssh { bits: known, comment: self.ssh_line(version).and_then(|line| line.comment) }
            }
            (Kind::Value | Kind::Json | Kind::Pairs | Kind::Certificate, _) => {
                return Err(Error::invalid("type", "is none that can be generated again by its name"));
            }
        })
    }

    /// A user keeps its name, however it came by it.
    pub async fn regenerate(&self, actor: &Actor, slot: Slot, metadata: Option<String>) -> Result<Version> {
        let live = slot.live().map(|entry| Arc::new(entry.clone()));
        let missing = || Error::not_found(format!("credential {}", slot.path));
        let version = live.as_ref().and_then(Version::active).ok_or_else(missing)?;
        let wish = self.wish_like(&version)?;
        let named = match &wish {
            Generate::User { characters, .. } => {
                let username = version.material().get("username").map(SecretText::expose).map(str::to_owned);
                Generate::User { username, characters: *characters }
            }
            other => other.clone(),
        };
        let draft = self.make(&slot.path, &named, None, metadata).await?;
        self.write(actor, slot, Draft { generated: Some(wish), ..draft }).await
    }
}

pub(super) fn busy(name: &str) -> Error {
    Conflict::Stale { what: format!("credential {name}") }.into()
}
