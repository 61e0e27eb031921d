//! Who is calling: recognises clients by password or certificate. Knows how they prove themselves; how they come to be
//! is `clients`.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use crate::app::audit::Position;
use crate::app::password::{self, DECOY};
use crate::app::ports::{AliasKind, Key, Mac};
use crate::app::records::Records;
use crate::domain::Result;
use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::client::{Client, Fingerprint, Proof, State};
use crate::domain::record::{Class, Entry};
use crate::domain::secret::SecretText;

/// Clients that are remembered, so that a caller is not looked up and opened at every request.
const KEPT: usize = 4096;

/// Recognises clients, and remembers those that it has recognised.
pub struct Callers {
    records: Arc<Records>,
    by_name: Cache<String, Arc<Known>>,
    by_certificate: Cache<Fingerprint, Arc<Known>>,
}

/// A client as it was when the store's chain of writes had come to `position`. As long as it has come no further,
/// whoever writes, the client is the same; and if only others were written since, its mark is.
struct Known {
    position: Option<Position>,
    mac: Mac,
    client: Arc<Entry<Client>>,
}

impl Callers {
    pub(super) fn new(records: Arc<Records>) -> Self {
        Self { records, by_name: Cache::new(KEPT), by_certificate: Cache::new(KEPT) }
    }

    /// Who has this user name and password and may call now.
    pub async fn authenticate_basic(&self, username: &str, presented: &SecretText) -> Result<Option<Actor>> {
        let found = self.find(&self.by_name, username, Key::Names(&[username])).await?;
        let found = found.filter(|client| client.head.name == username);
        let Some((client, hash)) = found.as_deref().and_then(|client| match &client.body.proof {
            Proof::Basic { password_hash, .. } => Some((client, password_hash)),
            Proof::X509(_) => None,
        }) else {
            password::verify(presented, &DECOY.into())?;
            return Ok(None);
        };
        let accepted = password::verify(presented, hash)? && client.body.state == State::Active;
        Ok(accepted.then(|| actor(client, Scheme::Basic)))
    }

    /// Whether a client credential has this name, in whatever state it is.
    pub async fn knows(&self, username: &str) -> Result<bool> {
        let found = self.find(&self.by_name, username, Key::Names(&[username])).await?;
        Ok(found.is_some_and(|client| client.head.name == username))
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
