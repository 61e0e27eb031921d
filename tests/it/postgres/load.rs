//! Writers that remember what was acknowledged to them, and the judgement of what is there in the end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use strongroom::adapters::anchor::FileAnchor;
use strongroom::adapters::kms::local::KeyFile;
use strongroom::adapters::store::PostgresStore;
use strongroom::adapters::system::{SystemClock, SystemEntropy};
use strongroom::app::audit::{Note, Position};
use strongroom::app::keyring::Keyring;
use strongroom::app::ledger::toggle;
use strongroom::app::ports::{Append, Change, Clock, Key, Row, Sealed, Store, Write};
use strongroom::app::witness::{Witness, Witnessed};
use strongroom::domain::name::{RecordId, Revision, Tenant, VersionId};
use strongroom::domain::record::{Class, Head, Origin, Stamp};
use strongroom::domain::secret::SecretText;
use strongroom::domain::{Error, Result};

static ANCHORS: AtomicUsize = AtomicUsize::new(0);

/// A store and its keys, as one process has them.
#[derive(Clone)]
pub struct Vault {
    pub store: Arc<PostgresStore>,
    pub keyring: Arc<Keyring>,
    pub witness: Arc<Witness>,
}

/// Where the root key of a test lies.
pub struct Root(tempfile::TempDir);

impl Root {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("strongroom.key")
    }
}

impl Vault {
    pub async fn open(url: &str, root: &Root) -> Self {
        Self::try_open(url, &root.key()).await.expect("a store")
    }

    async fn try_open(url: &str, key_path: &Path) -> anyhow::Result<Self> {
        let store = Arc::new(PostgresStore::open(&SecretText::from(url)).await?);
        let entropy = Arc::new(SystemEntropy::default());
        let key = KeyFile::open_or_create(key_path, entropy.clone())?;
        let now = SystemClock.now();
        let keyring = Keyring::open(store.as_ref(), store.clone(), Arc::new(key), entropy.as_ref(), now).await?;
        // Of each process its own.
        let anchor = key_path.with_extension(format!("{}.anchor", ANCHORS.fetch_add(1, Ordering::Relaxed)));
        let place = Box::new(FileAnchor::at(&anchor));
        let witness = Arc::new(Witness::begin(place, &keyring, Arc::new(SystemClock))?);
        store.witnessed_by(witness.clone());
        Ok(Self { store, keyring, witness })
    }

    /// Revision `number` of the record of this writer.
    pub async fn append(&self, writer: u8, number: u64) -> Result<()> {
        let change = Change::Append(Box::new(self.revision(writer, number)));
        let note = Note::stored(format!("{{\"writer\":{writer},\"revision\":{number}}}"));
        self.store
            .write(Write { changes: vec![(change, Some(note))], keyring: self.keyring.clone(), fence: None })
            .await
    }

    fn revision(&self, writer: u8, number: u64) -> Append {
        let head = Head {
            id: id(writer),
            class: Class::Credential,
            tenant: Tenant::namespace("shop"),
            name: format!("/kubernetes/shop/{writer}"),
            origin: Origin::Rest,
            retain_for: SignedDuration::from_hours(1),
            released: None,
        };
        let version = [writer, number as u8, (number >> 8) as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let stamp = Stamp {
            number: Revision(number),
            version_id: VersionId::from_random(version),
            at: Timestamp::from_second(1_800_000_000).expect("a time"),
            by: "tests".into(),
        };
        let mac = self.keyring.mark(&head, &stamp).expect("a mark");
        let sealed = Sealed { epoch: self.keyring.current(), bytes: content(writer, number) };
        let expected = (number > 1).then(|| Revision(number - 1));
        Append { row: Row { head, stamp, sealed, mac }, expected, aliases: vec![], links: vec![] }
    }

    /// The current revision of this writer's record; asked until there is an answer.
    pub async fn current(&self, writer: u8) -> u64 {
        let begun = Instant::now();
        loop {
            match self.store.find(Class::Credential, Key::Ids(&[id(writer)])).await {
                Ok(rows) => return rows.first().map_or(0, |row| row.stamp.number.0),
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "no answer: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub fn id(writer: u8) -> RecordId {
    RecordId::from_random([writer; 16])
}

fn content(writer: u8, number: u64) -> Vec<u8> {
    format!("{writer} wrote {number}").into_bytes()
}

/// What writers were told.
#[derive(Default)]
pub struct Told {
    /// The last revision that each was told is written.
    acknowledged: HashMap<u8, u64>,
    times: Vec<Instant>,
    pub errors: usize,
}

impl Told {
    pub fn writes(&self) -> usize {
        self.times.len()
    }

    /// The longest time in which nobody was told of any write.
    pub fn longest_silence(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// Sixteen writers, each with a record of its own, until they are stopped.
pub struct Load {
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub fn start(vaults: &[Vault]) -> Self {
        let (told, stop) = (Arc::<Mutex<Told>>::default(), Arc::<AtomicBool>::default());
        let begin = |writer: u8| {
            let vault = vaults[usize::from(writer) % vaults.len()].clone();
            tokio::spawn(write_on(vault, writer, told.clone(), stop.clone()))
        };
        let writers = (0..16).map(begin).collect();
        Self { told, stop, writers }
    }

    pub fn writes(&self) -> usize {
        self.told.lock().expect("a lock").writes()
    }

    /// Waits until so many more writes were acknowledged.
    pub async fn go_on_for(&self, writes: usize) {
        let (until, begun) = (self.writes() + writes, Instant::now());
        while self.writes() < until {
            assert!(begun.elapsed() < Duration::from_secs(60), "writes do not go on");
            assert!(!self.writers.iter().any(tokio::task::JoinHandle::is_finished), "a writer gave up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn stop(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.expect("a writer that found nothing wrong");
        }
        std::mem::take(&mut *self.told.lock().expect("a lock"))
    }
}

/// Nobody else writes this record: after an error it is at the revision that was acknowledged last, or at the one whose
/// fate was not known, and nothing is ever refused as stale.
async fn write_on(vault: Vault, writer: u8, told: Arc<Mutex<Told>>, stop: Arc<AtomicBool>) {
    let mut current = vault.current(writer).await;
    while !stop.load(Ordering::Relaxed) {
        match vault.append(writer, current + 1).await {
            Ok(()) => {
                current += 1;
                let mut told = told.lock().expect("a lock");
                told.acknowledged.insert(writer, current);
                told.times.push(Instant::now());
            }
            Err(Error::Unavailable { .. } | Error::Overloaded { .. }) => {
                told.lock().expect("a lock").errors += 1;
                let found = vault.current(writer).await;
                assert!(found == current || found == current + 1, "{found} where {current} was acknowledged");
                current = found;
            }
            Err(error) => panic!("writer {writer} at {current}: {error:?}"),
        }
    }
}

/// Everything that was acknowledged is there, once; the ledger and the chain say the same as the records.
pub async fn judge(vault: &Vault, told: &Told) {
    let mut snapshot = vault.store.snapshot().await.expect("a snapshot");
    let ledger = snapshot.ledger().await.expect("an answer").expect("a ledger");
    vault.keyring.verify_ledger(&ledger).expect("a signed ledger");
    let found = vault.witness.look(vault.store.as_ref()).await.expect("an answer");
    assert_eq!(found, None, "a rollback that was none");
    let heads = snapshot.heads(None, 1_000).await.expect("heads");
    let mut sum = [0; 32];
    heads.iter().for_each(|head| toggle(&mut sum, &head.mac));
    assert_eq!((ledger.count, ledger.sum), (heads.len() as u64, sum));
    for (writer, acknowledged) in &told.acknowledged {
        let head = heads.iter().find(|head| head.head.id == id(*writer)).expect("its record");
        assert!(head.stamp.number.0 >= *acknowledged, "lost: {writer} at {}", head.stamp.number);
    }
    let mut revisions = 0;
    let mut after = None;
    loop {
        let page = snapshot.revisions(after, 1_000).await.expect("revisions");
        let Some(last) = page.last() else { break };
        after = Some((last.id, last.stamp.number));
        for row in &page {
            let writer = (0..=u8::MAX).find(|writer| id(*writer) == row.id).expect("a writer");
            assert_eq!(row.sealed.bytes, content(writer, row.stamp.number.0));
        }
        revisions += page.len() as u64;
    }
    assert_eq!(revisions, heads.iter().map(|head| head.stamp.number.0).sum::<u64>(), "revisions are dense");
    let (mut position, mut notes) = (Position::start(vault.keyring.store().bytes()), 0);
    loop {
        let page = snapshot.audit(position.number, 1_000).await.expect("notes");
        if page.is_empty() {
            break;
        }
        for (claimed, note) in page {
            position = position.after(&note);
            assert_eq!(claimed, position);
            notes += u64::from(note.as_str().contains("\"writer\""));
        }
    }
    assert_eq!((position, notes), (ledger.position, revisions), "one note for each revision, in one chain");
}

/// So many rounds, or more when there is time.
pub fn rounds(usual: usize, torture: usize) -> usize {
    if std::env::var_os("TORTURE").is_some() { torture } else { usual }
}
