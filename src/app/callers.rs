//! Who is calling: recognises clients by password or certificate. Knows how they prove themselves; how they come to be
//! is `clients`.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use quick_cache::sync::Cache;

use crate::app::audit::Position;
use crate::app::ports::{AliasKind, Key, Mac, PasswordHash};
use crate::app::records::Records;
use crate::domain::Result;
use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::client::{Client, Fingerprint, Proof, State};
use crate::domain::name::VersionId;
use crate::domain::record::{Class, Entry};
use crate::domain::secret::SecretText;

/// Clients that are remembered, so that a caller is neither looked up nor slow at every request.
const KEPT: usize = 4096;
/// Verified against when nobody has the presented name, so that who is unknown takes as long as who is not. The hash
/// of nothing, with the parameters of every other: no password fits it. Fixed, because making one would cost each
/// start 19 MiB of memory.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3Ryb25ncm9vbSBkZWNveQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub struct Callers {
    records: Arc<Records>,
    hashing: Arc<dyn PasswordHash>,
    by_name: Cache<String, Arc<Known>>,
    by_certificate: Cache<Fingerprint, Arc<Known>>,
    /// By user name: the revision that was verified and a MAC of the password, under a key that lives as
    /// long as the process. A new revision makes the entry void, so a suspension counts at once.
    verified: Cache<String, (VersionId, [u8; 32])>,
    verified_key: hmac::Key,
}

/// A client as it was when the store's chain of writes had come to `position`. As long as it has come no further,
/// whoever writes, the client is the same; and if only others were written since, its mark is.
struct Known {
    position: Option<Position>,
    mac: Mac,
    client: Arc<Entry<Client>>,
}

impl Callers {
    pub(super) fn new(records: Arc<Records>, hashing: Arc<dyn PasswordHash>) -> Self {
        let verified_key = hmac::Key::new(hmac::HMAC_SHA256, &records.entropy.as_ref().bytes::<32>());
        let (by_name, by_certificate, verified) = (Cache::new(KEPT), Cache::new(KEPT), Cache::new(KEPT));
        Self { records, hashing, by_name, by_certificate, verified, verified_key }
    }

    /// Who has this user name and password and may call now.
    pub async fn authenticate_basic(&self, username: &str, password: &SecretText) -> Result<Option<Actor>> {
        let found = self.find(&self.by_name, username, Key::Names(&[username])).await?;
        let found = found.filter(|client| client.head.name == username);
        let Some((client, hash)) = found.as_deref().and_then(|client| match &client.body.proof {
            Proof::Basic { password_hash, .. } => Some((client, password_hash)),
            Proof::X509(_) => None,
        }) else {
            self.hashing.verify(password, &DECOY.into()).await?;
            return Ok(None);
        };
        if !self.is_verified(client, password) {
            if !self.hashing.verify(password, hash).await? {
                return Ok(None);
            }
            self.verified.insert(username.to_owned(), (client.stamp.version_id, self.mac(password)));
        }
        Ok((client.body.state == State::Active).then(|| actor(client, Scheme::Basic)))
    }

    /// Whose certificate this is, given in DER by a caller that has shown to hold its key.
    pub async fn authenticate_certificate(&self, der: &[u8]) -> Result<Option<Actor>> {
        let presented = fingerprint(der);
        let alias = presented.hex();
        let found = self.find(&self.by_certificate, &presented, Key::Alias(AliasKind::Fingerprint, &alias)).await?;
        let now = self.records.now();
        let accepted = found.filter(|client| client.body.accepts_certificate(presented, now));
        Ok(accepted.map(|client| actor(&client, Scheme::MutualTls)))
    }

    /// What is nobody's is not remembered: guessing names fills nothing.
    async fn find<K, Q>(
        &self,
        cache: &Cache<K, Arc<Known>>,
        name: &Q,
        key: Key<'_>,
    ) -> Result<Option<Arc<Entry<Client>>>>
    where
        K: Borrow<Q> + Eq + Hash,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let position = self.records.store.position().await?;
        let known = cache.get(name);
        if let Some(known) = &known
            && known.position == position
        {
            return Ok(Some(known.client.clone()));
        }
        let rows = self.records.store.find(Class::Client, key).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let client = match known {
            Some(known) if known.mac == row.mac => known.client.clone(),
            _ => match self.records.find_one::<Client>(key).await? {
                Some(mut client) => {
                    client.body.forget_keys();
                    Arc::new(client)
                }
                None => return Ok(None),
            },
        };
        cache.insert(name.to_owned(), Arc::new(Known { position, mac: row.mac, client: client.clone() }));
        Ok(Some(client))
    }

    fn mac(&self, password: &SecretText) -> [u8; 32] {
        let tag = hmac::sign(&self.verified_key, password.expose().as_bytes());
        tag.as_ref().try_into().unwrap_or([0; 32])
    }

    fn is_verified(&self, client: &Entry<Client>, password: &SecretText) -> bool {
        self.verified.get(&client.head.name).is_some_and(|(version, mac)| {
            version == client.stamp.version_id
                && hmac::verify(&self.verified_key, password.expose().as_bytes(), &mac).is_ok()
        })
    }
}

fn actor(client: &Entry<Client>, scheme: Scheme) -> Actor {
    Actor {
        id: client.head.name.clone(),
        tenant: client.head.tenant.clone(),
        scheme,
        standing: if client.body.admin { Standing::Admin } else { Standing::Client },
        from: None,
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    let digest = digest::digest(&digest::SHA256, der);
    Fingerprint(digest.as_ref().try_into().unwrap_or([0; 32]))
}
