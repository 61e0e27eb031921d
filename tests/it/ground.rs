//! The use cases on real adapters, as the product assembles them; what differs from test to test is given.

use std::path::Path;
use std::sync::Arc;

use strongroom::adapters::kms::local::KeyFile;
use strongroom::adapters::pki::Workshop;
use strongroom::adapters::store::MemoryJournal;
use strongroom::adapters::system::SystemEntropy;
use strongroom::app::keyring::Keyring;
use strongroom::app::ports::{Clock, KeyTable, Store};
use strongroom::app::{Parts, Rolls};
use strongroom::domain::rules::Rules;

/// On this store and with this key file, which is made if it is not there.
pub async fn parts<S: Store + KeyTable + 'static>(store: Arc<S>, key: &Path, clock: Arc<dyn Clock>) -> Parts {
    let entropy = Arc::new(SystemEntropy::default());
    let key = Arc::new(KeyFile::open_or_create(key, entropy.clone()).expect("a key"));
    let keyring = Keyring::open(store.as_ref(), store.clone(), key, entropy.as_ref(), clock.now()).await;
    Parts {
        store,
        keyring: keyring.expect("data keys"),
        journal: Arc::new(MemoryJournal::default()),
        keymaker: Arc::new(Workshop::new()),
        clock,
        entropy,
        review: None,
        identify: None,
        issuers: None,
        kmsauth: None,
        rolls: Rolls::default(),
        rules: Rules::default(),
    }
}
