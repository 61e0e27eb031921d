//! What each grantee may, compiled once and held while it is so. Asked at every request, so it costs the store one look at
//! how far it has come, and after a write one query.

use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::app::audit::Position;
use crate::app::permissions::body::of_actor;
use crate::app::ports::{Key, Mac, Row};
use crate::app::records::{Records, for_good};
use crate::domain::name::RecordId;
use crate::domain::permission::{Granted, Operations, Permission, Scope};
use crate::domain::record::Class;
use crate::domain::{Error, Result};

/// Bytes that are held at most, how many actors that is likely to be, and into how many parts the cache is cut.
const BYTES: u64 = 16 << 20;
const ACTORS: usize = 4096;
const PARTS: usize = 4;
/// However many permissions an actor has, they are held: to read them at every request would cost far more.
const HEAVIEST: u64 = BYTES / PARTS as u64 / 2;
/// What an actor and a permission take beside their texts.
const OVERHEAD: usize = 160;

pub struct Grantees {
    records: Arc<Records>,
    /// Where permissions are not enforced.
    everything: Option<Arc<Granted>>,
    known: Cache<String, Arc<Known>, Weight>,
}

/// What an actor could do when the store's chain of writes had come to `position`. As long as it has come no further it is
/// the same; and if only others were written since, the marks of its permissions are.
struct Known {
    position: Option<Position>,
    /// In the order of ids.
    rows: Arc<Vec<Held>>,
    granted: Arc<Granted>,
}

struct Held {
    id: RecordId,
    mac: Mac,
    path: Scope,
    operations: Operations,
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Arc<Known>> for Weight {
    fn weight(&self, actor: &String, known: &Arc<Known>) -> u64 {
        let texts: usize = known.rows.iter().map(|held| OVERHEAD + 2 * held.path.as_str().len()).sum();
        ((OVERHEAD + actor.len() + texts) as u64).min(HEAVIEST)
    }
}

impl Grantees {
    pub(in crate::app) fn new(records: Arc<Records>, are_enforced: bool) -> Self {
        let options =
            OptionsBuilder::new().estimated_items_capacity(ACTORS).weight_capacity(BYTES).shards(PARTS).build();
        let everything = (!are_enforced).then(|| Arc::new(Granted::everything()));
        let known = match options {
            Ok(options) => {
                Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default())
            }
            // Only a missing capacity is an error.
            Err(_) => Cache::with_weighter(ACTORS, BYTES, Weight),
        };
        Self { records, everything, known }
    }

    pub(super) fn are_enforced(&self) -> bool {
        self.everything.is_none()
    }

    /// What the actor may.
    pub(in crate::app) async fn of(&self, actor: &str) -> Result<Arc<Granted>> {
        match &self.everything {
            Some(everything) => Ok(everything.clone()),
            None => self.stored(actor).await,
        }
    }

    /// What is stored for the actor, enforced or not.
    pub(in crate::app) async fn stored(&self, actor: &str) -> Result<Arc<Granted>> {
        self.records.keyring.require_unlocked()?;
        // Before the rows: what is written between the two makes them newer than they are held to be, never older.
        let position = self.records.store.position().await?;
        let known = self.known.get(actor);
        if let Some(known) = &known
            && known.position == position
        {
            return Ok(known.granted.clone());
        }
        let found = match self.look(actor, known.as_deref(), position).await {
            Err(Error::KeyReplaced) => self.look(actor, known.as_deref(), position).await.map_err(for_good),
            found => found,
        };
        let found = Arc::new(found?);
        self.known.insert(actor.to_owned(), found.clone());
        Ok(found.granted.clone())
    }

    async fn look(&self, actor: &str, known: Option<&Known>, position: Option<Position>) -> Result<Known> {
        let mut rows = self.records.rows(Class::Permission, Key::LinksTo(of_actor(actor))).await?;
        rows.sort_unstable_by_key(|row| row.head.id);
        if let Some(Known { rows: held, granted, .. }) = known
            && rows.len() == held.len()
            && rows.iter().zip(held.iter()).all(|(row, held)| row.head.id == held.id && row.mac == held.mac)
        {
            return Ok(Known { position, rows: held.clone(), granted: granted.clone() });
        }
        let before = known.map_or(&[][..], |known| &known.rows);
        let mut held = Vec::with_capacity(rows.len());
        for row in &rows {
            let at = before.binary_search_by_key(&row.head.id, |held| held.id);
            held.push(match at.ok().map(|at| &before[at]).filter(|held| held.mac == row.mac) {
                Some(Held { path, operations, .. }) => {
                    Held { id: row.head.id, mac: row.mac, path: path.clone(), operations: *operations }
                }
                None => self.open(actor, row).await?,
            });
        }
        let granted = Granted::new(held.iter().map(|held| (&held.path, held.operations)));
        Ok(Known { position, rows: Arc::new(held), granted: Arc::new(granted) })
    }

    /// What is damaged, or another's, grants nothing: an actor keeps what the rest of its permissions say.
    async fn open(&self, actor: &str, row: &Row) -> Result<Held> {
        let permission = match self.records.open::<Permission>(row).await {
            Ok(entry) if entry.body.actor == actor => Some(entry.body),
            Ok(entry) => {
                tracing::error!(name = %entry.head.name, "an index of the store is damaged: it led to another's permission");
                None
            }
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(%error, detail = error.detail(), name = %row.head.name, "a permission is left out");
                None
            }
            Err(error) => return Err(error),
        };
        let (path, operations) =
            permission.map_or_else(|| (Scope::nowhere(), Operations::default()), |it| (it.path, it.operations));
        Ok(Held { id: row.head.id, mac: row.mac, path, operations })
    }
}
