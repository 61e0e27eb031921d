//! What only the holder of the root key can say of a backup: that ledger and heads were signed by this store,
//! that every body opens where it stands, and that the indexes are those of the bodies.

use std::sync::Arc;

use async_trait::async_trait;

use super::balance::Balance;
use super::{damaged, in_order};
use crate::app::keyring::Keyring;
use crate::app::ports::{Beginning, HeadRow, Item, KeyService, KeyTable, RevisionRow, WrappedKey};
use crate::app::verify::indexed;
use crate::domain::name::StoreId;
use crate::domain::{Error, Result};

/// The keys of a store that is not there yet.
struct Carried {
    store: StoreId,
    keys: Vec<WrappedKey>,
}

#[async_trait]
impl KeyTable for Carried {
    async fn store_id(&self) -> Result<StoreId> {
        Ok(self.store)
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        Ok(self.keys.clone())
    }
}

/// Opens the data keys of a backup. Refuses another root than the one that wrapped them, by its name.
pub async fn keyring_of(store: StoreId, keys: Vec<WrappedKey>, service: Arc<dyn KeyService>) -> Result<Arc<Keyring>> {
    Keyring::load(Arc::new(Carried { store, keys }), service).await
}

/// Takes one item after the other.
pub struct Proof {
    balance: Balance,
    keyring: Arc<Keyring>,
    head: Option<HeadRow>,
}

impl Proof {
    pub fn begin(beginning: &Beginning, keyring: Arc<Keyring>) -> Result<Self> {
        keyring.verify_ledger(&beginning.ledger).map_err(|error| without_key(error, "its ledger"))?;
        Ok(Self { balance: Balance::new(beginning), keyring, head: None })
    }

    pub fn add(&mut self, item: &Item) -> Result<()> {
        self.balance.add(item)?;
        match item {
            Item::Head(row) => {
                let verified = self.keyring.verify_mark(&row.head, &row.stamp, &row.mac);
                verified.map_err(|error| without_key(error, &row.head.name))?;
                self.head = Some(row.as_ref().clone());
                Ok(())
            }
            Item::Revision(row) => self.open(row),
            Item::Key(_) | Item::Note(..) => Ok(()),
        }
    }

    /// That everything was there.
    pub fn close(self) -> Result<()> {
        self.balance.close()
    }

    fn open(&self, row: &RevisionRow) -> Result<()> {
        let Some(head) = self.head.as_ref() else { return Err(damaged("a revision stands before its head")) };
        let opened = self.keyring.open_revision(&head.head, &row.stamp, &row.sealed);
        let plain = opened.map_err(|error| without_key(error, &head.head.name))?;
        let (aliases, links) = indexed(head.head.class, head.head.id, &plain)?;
        if row.stamp.number != head.stamp.number {
            return Ok(());
        }
        // A released record has let go of its aliases.
        let aliases = if head.head.released.is_some() { Vec::new() } else { aliases };
        let expected = in_order(&HeadRow { aliases, links, ..head.clone() });
        let given = in_order(head);
        match (expected.aliases, expected.links) == (given.aliases, given.links) {
            true => Ok(()),
            false => Err(damaged(format!("{} is not indexed as its content says", head.head.name))),
        }
    }
}

fn without_key(error: Error, what: &str) -> Error {
    match error {
        Error::KeyReplaced => damaged(format!("the data key of {what} is missing")),
        other => other,
    }
}
