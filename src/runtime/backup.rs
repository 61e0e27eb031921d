//! `strongroom backup` and `strongroom restore`: a store as one file. A backup is taken beside whatever runs
//! on the store and needs no key; a restore proves the file with the root key before it writes anything.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, IsTerminal, Seek};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::adapters::system::{SystemClock, SystemEntropy};
use crate::app::alarm::Alarm;
use crate::app::audit::{Event, Note};
use crate::app::backup::{Proof, Reader, Totals, keyring_of, take};
use crate::app::keyring::Keyring;
use crate::app::ledger::Books;
use crate::app::ports::{Beginning, Change, Clock, Item, KeyService, Snapshot, WrappedKey, Write};
use crate::app::step::step;
use crate::config::Settings;
use crate::domain::actor::Actor;
use crate::domain::{self, Error};
use crate::runtime::anchor::{self, Upkeep};
use crate::runtime::database::{self, Database};
use crate::runtime::root_key::{self, Patience};
use crate::runtime::threads;
use crate::runtime::told;

/// How often long work says how far it is.
const SAY: Duration = Duration::from_secs(5);
const BUFFER: usize = 1 << 20;

/// Where a backup goes: a file, or standard output for `-`.
pub fn back_up(settings: &Settings, output: &Path) -> anyhow::Result<ExitCode> {
    threads()?.block_on(async {
        if !database::exists(settings).await? {
            bail!("there is no store {}", database::name(settings));
        }
        let store = database::open(settings, &Alarm::default()).await?;
        note_backup(settings, &store, output).await?;
        let mut snapshot = store.snapshot().await.map_err(told)?;
        let id = store.store_id().await.map_err(told)?;
        let (totals, wrote) = match output == Path::new("-") {
            true => (to_standard_output(snapshot.as_mut(), id).await?, "standard output".to_owned()),
            false => (to_file(snapshot.as_mut(), id, output).await?, output.display().to_string()),
        };
        let mut said: Box<dyn io::Write> = match output == Path::new("-") {
            true => Box::new(io::stderr()),
            false => Box::new(io::stdout()),
        };
        report(said.as_mut(), &format!("backed up to {wrote}"), &totals)?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn to_standard_output(snapshot: &mut dyn Snapshot, id: domain::name::StoreId) -> anyhow::Result<Totals> {
    if io::stdout().is_terminal() {
        bail!("a backup is no text: redirect standard output, or give --output a file");
    }
    let out = BufWriter::with_capacity(BUFFER, io::stdout());
    Ok(take(snapshot, id, SystemClock.now(), out, &mut progress("written")).await.map_err(told)?.0)
}

/// The name appears with the whole backup behind it, synced, or not at all.
async fn to_file(snapshot: &mut dyn Snapshot, id: domain::name::StoreId, path: &Path) -> anyhow::Result<Totals> {
    let draft = Draft::create(path)?;
    let out = BufWriter::with_capacity(BUFFER, &draft.file);
    let (totals, out) = take(snapshot, id, SystemClock.now(), out, &mut progress("written")).await.map_err(told)?;
    drop(out);
    step("backup.written");
    draft.publish(path)?;
    Ok(totals)
}

/// A file beside the one that it will become. Goes away unless it does; what SIGKILL left of one goes away when the
/// next begins. A draft lives as long as its process holds its lock: the number of a process would say nothing in
/// another container, where each of them is 1.
struct Draft {
    file: File,
    path: PathBuf,
    is_published: bool,
}

impl Draft {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().with_context(|| format!("--output {} is no file", path.display()))?;
        let draft = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
        remove_left_behind(&draft).with_context(|| format!("{} is left of another backup", draft.display()))?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let file = made.with_context(|| format!("making {}", draft.display()))?;
        // A file system without locks is good enough for a backup that nobody disturbs.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_at(&file, &draft)? {
            bail!("another backup to {} begins", path.display());
        }
        Ok(Self { file, path: draft, is_published: false })
    }

    fn publish(mut self, path: &Path) -> anyhow::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = self.file.sync_all().and_then(|()| fs::rename(&self.path, path));
        // From here on the draft's name is another's.
        self.is_published = synced.is_ok();
        synced.and_then(|()| File::open(folder)?.sync_all()).with_context(|| format!("writing {}", path.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = fs::remove_file(&self.path); // what stays goes when the next one begins
        }
    }
}

/// Only who holds the lock of what has this name takes the name away.
fn remove_left_behind(draft: &Path) -> anyhow::Result<()> {
    let file = match File::open(draft) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!("which is still under way"),
        locked => locked.context("remove it if none is under way")?,
    }
    // What is not there any more became a backup, or another removed it.
    if is_at(&file, draft)? {
        fs::remove_file(draft)?;
    }
    Ok(())
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(there) => file.metadata().map(|held| (held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Recorded before it is made, in the chain of writes, which it then contains. Only who has the root key can
/// sign that; who has not could as well copy the files, so the backup is made in any case.
async fn note_backup(settings: &Settings, store: &Arc<dyn Database>, output: &Path) -> anyhow::Result<()> {
    let keyring = match root_key(settings).await {
        Ok(service) => Keyring::load(store.clone(), service).await.map_err(told),
        Err(error) => Err(error),
    };
    let keyring = match keyring {
        Ok(keyring) if keyring.current() > 0 => keyring,
        Ok(_) => bail!("there is nothing to back up: the store was never used"),
        Err(error) => {
            eprintln!("not recorded in the audit, which takes the root key: {error:#}");
            return Ok(());
        }
    };
    anchor::tell_if_new(&anchor::find(settings)?, settings, true);
    let witness = anchor::begin(settings, store, &keyring, Upkeep::Look).await?;
    let rollback = witness.rollback().borrow().clone();
    if let Some(rollback) = rollback {
        let found = anchor::described(&rollback, &witness, store.as_ref()).await;
        eprintln!("not recorded in the audit, because the store is not what it was: {found}");
        return Ok(());
    }
    let changes = vec![(Change::Remark, Some(note("backup", output)))];
    let noted = store.write(Write { changes, keyring, fence: None }).await;
    noted.map_err(told).context("recording the backup in the audit")
}

fn note(action: &str, file: &Path) -> Note {
    let (operator, file) = (Actor::operator(), file.display().to_string());
    Event { name: &file, ..Event::of(&operator, action, SystemClock.now()) }.note()
}

/// Into a store that has never been used.
pub fn restore(settings: &Settings, path: &Path) -> anyhow::Result<ExitCode> {
    threads()?.block_on(async {
        if database::exists(settings).await? {
            database::require_vacant(settings).await?;
        }
        let mut file = match path == Path::new("-") {
            true => from_standard_input(settings).context("reading standard input")?,
            false => File::open(path).with_context(|| path.display().to_string())?,
        };
        let proven = prove(settings, &file).await.with_context(|| path.display().to_string())?;
        anchor::find(settings)?.require_fit(settings, proven.beginning.store, true)?;
        let (beginning, last) = continued(&proven, note("restore", path)).map_err(told)?;
        file.rewind().with_context(|| path.display().to_string())?;
        let items = Again::new(file, proven.totals, last).map_err(told)?;
        let store = database::fill(settings, beginning, Box::new(items)).await?;
        let totals = read_back(store.as_ref()).await?;
        let expected = Totals { notes: proven.totals.notes + 1, ..proven.totals };
        if totals != expected {
            bail!("what is in the store now is not what is in the backup; do not use it");
        }
        anchor::begin_anew(settings, &store, &proven.keyring).await?;
        report(&mut io::stdout(), &format!("restored into the store {}", database::name(settings)), &totals)?;
        println!("proven with the root key: ledger, marks and {} sealed bodies", totals.revisions);
        Ok(ExitCode::SUCCESS)
    })
}

/// A backup is read twice, and a pipe can be once: it is kept beside the store meanwhile, without a name, so that nothing
/// of it stays however this ends.
fn from_standard_input(settings: &Settings) -> anyhow::Result<File> {
    if io::stdin().is_terminal() {
        bail!("a backup is no text: redirect standard input, or give a file");
    }
    // As the store makes it, which leaves one that is there as it is.
    DirBuilder::new().recursive(true).mode(0o700).create(&settings.data_dir)?;
    let path = settings.data_dir.join(".restore.part");
    remove_left_behind(&path)?;
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// A file that was read through, opened and found right.
struct Proven {
    beginning: Beginning,
    keyring: Arc<Keyring>,
    totals: Totals,
}

async fn prove(settings: &Settings, file: &File) -> anyhow::Result<Proven> {
    let (mut reader, beginning, made) = Reader::begin(BufReader::with_capacity(BUFFER, file)).map_err(told)?;
    let mut keys = Vec::new();
    let mut next = reader.next();
    while let Some(Ok(Item::Key(key))) = next {
        keys.push(key);
        next = reader.next();
    }
    eprintln!("made {made} of store {}", beginning.store);
    let keyring = keyring(settings, &beginning, &keys).await?;
    let mut proof = Proof::begin(&beginning, keyring.clone()).map_err(told)?;
    let (mut say, mut seen) = (progress("proven"), Totals { keys: keys.len() as u64, ..Totals::default() });
    keys.into_iter().try_for_each(|key| proof.add(&Item::Key(key))).map_err(told)?;
    while let Some(item) = next {
        let item = item.map_err(told)?;
        proof.add(&item).map_err(told)?;
        seen.count(&item);
        say(&seen);
        next = reader.next();
    }
    proof.close().map_err(told)?;
    let totals = reader.totals().context("the backup has no end")?;
    Ok(Proven { beginning, keyring, totals })
}

async fn keyring(settings: &Settings, beginning: &Beginning, keys: &[WrappedKey]) -> anyhow::Result<Arc<Keyring>> {
    let mut roots: Vec<&str> = keys.iter().map(|key| key.root.as_str()).collect();
    roots.sort_unstable();
    roots.dedup();
    let wrapped = || format!("the backup's data keys are wrapped by {}", roots.join(" and by "));
    let service = root_key(settings).await.with_context(wrapped)?;
    keyring_of(beginning.store, keys.to_vec(), service).await.map_err(told).with_context(wrapped)
}

/// The ledger with one more note: that this store was restored, and from what.
fn continued(proven: &Proven, note: Note) -> domain::Result<(Beginning, Item)> {
    let Beginning { store, ledger } = proven.beginning.clone();
    let mut books = Books::open(store, Some(ledger), &proven.keyring)?;
    let position = books.enter(&note)?;
    let ledger = books.close(&proven.keyring)?.ok_or_else(|| Error::internal("the ledger is gone"))?;
    Ok((Beginning { store, ledger }, Item::Note(position, note)))
}

/// The items of a file that was proven before. Ends with an error if it is not the same any more.
struct Again {
    reader: Reader<BufReader<File>>,
    totals: Totals,
    last: Option<Item>,
    say: Box<dyn FnMut(&Totals) + Send>,
    seen: Totals,
}

impl Again {
    fn new(file: File, totals: Totals, last: Item) -> domain::Result<Self> {
        let (reader, ..) = Reader::begin(BufReader::with_capacity(BUFFER, file))?;
        let say = Box::new(progress("restored"));
        Ok(Self { reader, totals, last: Some(last), say, seen: Totals::default() })
    }
}

impl Iterator for Again {
    type Item = domain::Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.reader.next() {
            Some(Ok(item)) => {
                self.seen.count(&item);
                (self.say)(&self.seen);
                Some(Ok(item))
            }
            None if self.reader.totals() != Some(self.totals) => {
                let detail = "it was changed while it was read".into();
                self.last.take().map(|_| Err(Error::Damaged { what: "the backup".into(), detail }))
            }
            None => self.last.take().map(Ok),
            failed => failed,
        }
    }
}

/// What a backup of the restored store would say of it.
async fn read_back(store: &dyn Database) -> anyhow::Result<Totals> {
    let mut snapshot = store.snapshot().await.map_err(told)?;
    let id = store.store_id().await.map_err(told)?;
    let read = take(snapshot.as_mut(), id, SystemClock.now(), io::sink(), &mut progress("read back")).await;
    Ok(read.map_err(told).context("reading back what was restored")?.0)
}

/// Never makes one: a new root key opens nothing.
async fn root_key(settings: &Settings) -> anyhow::Result<Arc<dyn KeyService>> {
    root_key::open(settings, false, Arc::new(SystemEntropy::default()), &Patience::None).await
}

/// Speaks on standard error now and then, and not at all when it is quickly done.
fn progress(done: &'static str) -> impl FnMut(&Totals) + Send {
    let mut said = Instant::now();
    move |totals| {
        if totals.items().is_multiple_of(256) && said.elapsed() > SAY {
            said = Instant::now();
            let Totals { records, revisions, notes, .. } = totals;
            eprintln!("{done} so far: {records} records, {revisions} revisions, {notes} audit records");
        }
    }
}

fn report(out: &mut dyn io::Write, what: &str, totals: &Totals) -> anyhow::Result<()> {
    let Totals { keys, records, revisions, notes, digest } = totals;
    let digest = hex::encode(digest);
    let lines = [
        what.to_owned(),
        format!("{records} records, {revisions} revisions, {notes} audit records, {keys} wrapped data keys"),
        format!("digest of all records: sha256:{digest}"),
    ];
    writeln!(out, "{}", lines.join("\n")).context("saying so")
}
