//! Use cases of tokens: who gets one, which key signs it, and which keys verify it. Keys of credentials are looked at each
//! time, so that a new value signs from the moment it is written, and what the last one has signed is verified for as long
//! as it lives.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;

use crate::app::access::Access;
use crate::app::audit::{Event, Position};
use crate::app::ports::{Key, Keymaker};
use crate::app::records::Records;
use crate::domain::actor::{Actor, Scheme};
use crate::domain::credential::Credential;
use crate::domain::name::{Path, Revision, Tenant};
use crate::domain::permission::{Action, Resource, Target};
use crate::domain::record::Entry;
use crate::domain::secret::SecretText;
use crate::domain::token::{Claims, Environment, Issuance, KeySource, VerificationKey, check_user};
use crate::domain::{Error, Result};

/// A key that signs no more leaves the published ones by the clock alone.
const HELD: SignedDuration = SignedDuration::from_mins(1);
/// A verifier's clock may be behind.
const LEEWAY: SignedDuration = SignedDuration::from_mins(5);
/// Keys that a credential has been; it is not written more often within the life of a token.
const KEYS_OF_CREDENTIAL: usize = 16;

#[derive(Clone)]
pub struct Tokens {
    access: Access,
    records: Arc<Records>,
    keymaker: Arc<dyn Keymaker>,
    issuance: Arc<Issuance>,
    kept: Option<Arc<Cache<Asked, Given>>>,
    published: Arc<Cache<String, Published>>,
}

/// The keys of an environment, as they were when the chain of writes had come to `position`: asked for by anybody, so they
/// must not cost anything each time.
#[derive(Clone)]
struct Published {
    position: Option<Position>,
    at: Timestamp,
    keys: Arc<Vec<(String, VerificationKey)>>,
}

/// What a token was asked for: whoever asks for the same gets the same, while it is fresh.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asked {
    kid: String,
    is_service: bool,
    requester: String,
    user: String,
    life: SignedDuration,
}

#[derive(Clone)]
struct Given {
    token: SecretText,
    at: Timestamp,
}

/// A key with the id under which tokens name it.
struct Named {
    kid: String,
    key: SecretText,
    public: VerificationKey,
}

impl Tokens {
    pub fn new(access: Access, records: Arc<Records>, keymaker: Arc<dyn Keymaker>, issuance: Issuance) -> Self {
        let kept = issuance.kept.map(|kept| Arc::new(Cache::new(kept.count)));
        let published = Arc::new(Cache::new(issuance.environments.len().max(1)));
        Self { access, records, keymaker, issuance: Arc::new(issuance), kept, published }
    }

    /// A token about `user`; `None`: about who asks. Only who may have tokens of that name gets one.
    pub async fn issue(
        &self,
        actor: &Actor,
        environment: &str,
        user: Option<&str>,
        seconds: Option<u64>,
    ) -> Result<SecretText> {
        let (user, tenant) = (user.unwrap_or(&actor.id), Tenant::outside());
        self.access.require(actor, Action::Get, &Target::new(Resource::Token, &tenant, user)).await?;
        check_user(user)?;
        let life = self.issuance.lifetime(seconds)?;
        let unusable = || Error::invalid("environment", "is none with a key that signs");
        let environment = self.issuance.environments.get(environment).ok_or_else(unusable)?;
        let key = self.active(environment).await?.ok_or_else(unusable)?;
        let now = self.records.now();
        let claims = Claims::new(&self.issuance, &actor.id, user, now, life);
        let claims = Claims { is_service: is_service(actor), ..claims };
        let token = self.kept_or_signed(&key, &claims, now, life)?;
        let event = Event::of(actor, "issue", now).about(Resource::Token, user);
        self.records.audit.journal.note(Event { id: Some(key.kid), ..event }.note()).await?;
        Ok(token)
    }

    /// Every key whose signatures may still be about, with its id. `None`: there is no such environment.
    pub async fn published(&self, environment: &str) -> Result<Option<Arc<Vec<(String, VerificationKey)>>>> {
        let Some(known) = self.issuance.environments.get(environment) else { return Ok(None) };
        let (position, now) = (self.records.store.position().await?, self.records.now());
        let is_so =
            |held: &Published| held.position == position && held.at <= now && held.at.duration_until(now) < HELD;
        if let Some(held) = self.published.get(environment).filter(is_so) {
            return Ok(Some(held.keys));
        }
        let keys = Arc::new(self.keys(known).await?);
        self.published.insert(environment.to_owned(), Published { position, at: now, keys: keys.clone() });
        Ok(Some(keys))
    }

    async fn keys(&self, environment: &Environment) -> Result<Vec<(String, VerificationKey)>> {
        let mut all: Vec<(String, VerificationKey)> = Vec::new();
        for (name, source) in &environment.keys {
            let keys = match source {
                KeySource::Given(key) => self.named(name, source, key.clone()).into_iter().collect(),
                KeySource::Credential(path) => self.keys_of_credential(name, source, path).await?,
            };
            for key in keys {
                if all.iter().all(|(kid, _)| *kid != key.kid) {
                    all.push((key.kid, key.public));
                }
            }
        }
        Ok(all)
    }

    async fn active(&self, environment: &Environment) -> Result<Option<Named>> {
        let name = &environment.active;
        let Some(source) = environment.keys.get(name) else { return Ok(None) };
        let key = match source {
            KeySource::Given(key) => Some(key.clone()),
            KeySource::Credential(path) => self.find(path).await?.as_deref().and_then(private_key),
        };
        Ok(key.and_then(|key| self.named(name, source, key)))
    }

    /// The one of now, and those before it that signed what may be valid still.
    async fn keys_of_credential(&self, name: &str, source: &KeySource, path: &Path) -> Result<Vec<Named>> {
        let Some(entry) = self.find(path).await? else { return Ok(Vec::new()) };
        let since = self.records.now().saturating_sub(self.issuance.maximum + LEEWAY).map_err(Error::internal)?;
        let mut keys: Vec<Named> =
            private_key(&entry).and_then(|key| self.named(name, source, key)).into_iter().collect();
        let mut later = entry.stamp.clone();
        for _ in 1..KEYS_OF_CREDENTIAL {
            // The one before was in use until this one was written.
            if later.number == Revision::FIRST || later.at < since {
                break;
            }
            let number = Revision(later.number.0 - 1);
            let Some(before) = self.records.revision(&entry, number).await? else { break };
            keys.extend(private_key(&before).and_then(|key| self.named(name, source, key)));
            later = before.stamp;
        }
        Ok(keys)
    }

    async fn find(&self, path: &Path) -> Result<Option<Arc<Entry<Credential>>>> {
        Ok(self.records.known(Key::Names(&[path.as_str()])).await?.pop())
    }

    /// One that cannot be used is said so and left out: the others are not to suffer for it.
    fn named(&self, name: &str, source: &KeySource, key: SecretText) -> Option<Named> {
        match self.keymaker.verification_key(&key) {
            Ok(public) => {
                let kid = match source {
                    KeySource::Given(_) => name.to_owned(),
                    KeySource::Credential(_) => public.thumbprint.clone(),
                };
                Some(Named { kid, key, public })
            }
            Err(error) => {
                tracing::error!(%error, name, "a key for tokens cannot be used");
                None
            }
        }
    }

    /// A kept token is given again while it has more than half of its life before it.
    fn kept_or_signed(
        &self,
        key: &Named,
        claims: &Claims<'_>,
        now: Timestamp,
        life: SignedDuration,
    ) -> Result<SecretText> {
        let sign = || self.keymaker.sign(&key.key, &key.kid, claims);
        let (Some(kept), Some(terms)) = (&self.kept, &self.issuance.kept) else { return sign() };
        let (requester, user) = (claims.requester.to_owned(), claims.user.to_owned());
        let asked = Asked { kid: key.kid.clone(), is_service: claims.is_service, requester, user, life };
        let is_fresh = |given: &Given| given.at <= now && given.at.duration_until(now) < terms.age.min(life / 2);
        if let Some(given) = kept.get(&asked).filter(is_fresh) {
            return Ok(given.token);
        }
        let token = sign()?;
        kept.insert(asked, Given { token: token.clone(), at: now });
        Ok(token)
    }
}

/// An authority's key signs certificates and leaves the store for nothing else.
fn private_key(entry: &Entry<Credential>) -> Option<SecretText> {
    entry.body.readable().find(|field| field.name == "private_key").map(|field| field.value.clone())
}

/// People come by their proxy's word, everything else counts as a program: what Confidant's clients read.
fn is_service(actor: &Actor) -> bool {
    actor.scheme != Scheme::Header
}
