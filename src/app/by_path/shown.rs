//! What a reader gets to see of a version beside what is stored: made from it, slow to make, and always the same, so it is
//! held. By the version's own id: nothing of it ever changes.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;

use crate::app::by_path::{ByPath, Version};
use crate::domain::Result;
use crate::domain::credential::Kind;
use crate::domain::name::VersionId;
use crate::domain::secret::SecretText;

/// Versions of which that is held.
const KEPT: usize = 4096;

#[derive(Clone)]
pub enum Shown {
    Plain,
    User { hash: Option<SecretText> },
    Ssh { fingerprint: Option<String> },
    Certificate(Facts),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub is_authority: bool,
    pub is_self_signed: bool,
    /// `None`: not RSA.
    pub key_bits: Option<u32>,
}

pub struct Held(Cache<VersionId, Arc<Shown>>);

impl Default for Held {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl ByPath {
    pub async fn shown(&self, version: &Version) -> Result<Arc<Shown>> {
        if matches!(version.kind(), Kind::Value | Kind::Json | Kind::Password | Kind::Rsa | Kind::Pairs) {
            return Ok(Arc::new(Shown::Plain));
        }
        if let Some(held) = self.held.0.get(&version.id()) {
            return Ok(held);
        }
        let shown = Arc::new(self.look(version).await?);
        self.held.0.insert(version.id(), shown.clone());
        Ok(shown)
    }

    async fn look(&self, version: &Version) -> Result<Shown> {
        let keymaker = &self.making.keymaker;
        Ok(match version.kind() {
            Kind::User => {
                // The same at every reading and in every process: a salt has to be unique, not secret.
                let digest = digest(&SHA256, version.id().bytes());
                let mut salt = [0; 6];
                salt.copy_from_slice(&digest.as_ref()[..6]);
                let password = version.material().get("password");
                let hash = match password {
                    Some(password) => keymaker.crypt(password, salt).await?,
                    None => None,
                };
                Shown::User { hash }
            }
            Kind::Ssh => Shown::Ssh { fingerprint: self.ssh_line(version).map(|line| line.fingerprint) },
            Kind::Certificate => Shown::Certificate(self.facts(version)),
            _ => Shown::Plain,
        })
    }

    /// One that cannot be read is no authority.
    pub(super) fn facts(&self, version: &Version) -> Facts {
        let certificate = version.material().get("certificate");
        let inspection = certificate.and_then(|pem| self.making.keymaker.inspect(pem).ok());
        inspection.map_or_else(Facts::default, |seen| Facts {
            is_authority: seen.is_authority,
            is_self_signed: seen.is_self_signed,
            key_bits: seen.key_bits,
        })
    }
}
