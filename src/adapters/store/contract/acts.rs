//! What the application does with a store, as far as these tests need it.

use super::*;

#[async_trait]
pub(in crate::adapters::store) trait Acts {
    async fn carry_out(&self, keyring: Arc<Keyring>, change: Change) -> Result<()>;
    async fn begin(&self);
    async fn append(&self, append: Append) -> Result<()>;
    async fn release(&self, ids: &[RecordId], release: Release) -> Result<()>;
    async fn purge(&self, now: Timestamp) -> Result<u64>;
    async fn ledger(&self) -> Ledger;
}

#[async_trait]
impl<T: Store + KeyTable + ?Sized> Acts for T {
    async fn carry_out(&self, keyring: Arc<Keyring>, change: Change) -> Result<()> {
        self.write(Write { changes: vec![(change, note())], keyring, fence: None }).await
    }

    async fn begin(&self) {
        self.carry_out(keyring(), Change::AddKey(wrapped(1, "root", 1))).await.unwrap();
    }

    async fn append(&self, mut append: Append) -> Result<()> {
        append.row.mac = marked(&append.row);
        self.carry_out(keyring(), Change::Append(Box::new(append))).await
    }

    async fn release(&self, ids: &[RecordId], release: Release) -> Result<()> {
        for class in Class::ALL {
            for row in self.find(class, Key::Ids(ids)).await? {
                let head = Head { released: Some(release), ..row.head.clone() };
                let mac = keyring().mark(&head, &row.stamp)?;
                if row.head.released.is_none() {
                    self.carry_out(keyring(), Change::Rehead { head: Box::new(head), was: row.mac, mac }).await?;
                }
            }
        }
        Ok(())
    }

    async fn purge(&self, now: Timestamp) -> Result<u64> {
        let due = self.due(now, 100).await?;
        for row in &due {
            let (id, name) = (row.head.id, row.head.name.clone());
            self.carry_out(keyring(), Change::Forget { id, name, was: row.mac }).await?;
        }
        Ok(due.len() as u64)
    }

    async fn ledger(&self) -> Ledger {
        self.snapshot().await.unwrap().ledger().await.unwrap().unwrap()
    }
}
