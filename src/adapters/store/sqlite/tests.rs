//! What only a file can promise: it is there after a crash, it is nobody else's to read, it can be shared.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::SqliteStore;
use super::writer::QUEUE;
use crate::adapters::store::contract::{Acts, append_until_acknowledged, at, first, id, revision};
use crate::app::alarm::Alarm;
use crate::app::ports::{Append, Key, KeyTable, Names, Store};
use crate::domain::name::RecordId;
use crate::domain::record::{Class, Release};
use crate::domain::{Error, Result};

mod plans;
mod searches;

fn fresh() -> (TempDir, PathBuf, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.db");
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    futures::executor::block_on(store.begin());
    (folder, path, store)
}

/// Every revision of the record numbered 1, old ones too, which no port asks for.
fn history(path: &Path) -> BTreeMap<u64, Vec<u8>> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT number, sealed FROM revisions WHERE record = ?1").unwrap();
    let rows = statement.query_map([id(1).bytes()], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn count(path: &Path, table: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {table}");
    Connection::open(path).unwrap().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

/// Another process that writes: what is queued meanwhile waits together, as during a slow sync.
fn hold_write_lock(path: &Path) -> Connection {
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// Runs the appends as tasks and returns when each is queued or refused. For tests on one thread: there, a
/// task that has begun goes on to its first wait, which is for the answer, before anybody else runs.
async fn queue(store: &Arc<SqliteStore>, appends: Vec<Append>) -> Vec<JoinHandle<Result<()>>> {
    let begun = Arc::new(AtomicUsize::new(0));
    let total = appends.len();
    let task = |append| {
        let (store, begun) = (store.clone(), begun.clone());
        tokio::spawn(async move {
            begun.fetch_add(1, Ordering::Relaxed);
            store.append(append).await
        })
    };
    let tasks = appends.into_iter().map(task).collect();
    while begun.load(Ordering::Relaxed) < total {
        tokio::task::yield_now().await;
    }
    tasks
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_files_and_the_new_folder_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/strongroom.db");
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    store.begin().await;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for file in fs::read_dir(path.parent().unwrap()).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = SqliteStore::open(&folder.path().join("file/strongroom.db"), Alarm::default()).err().unwrap();
    assert!(error.detail().unwrap().contains("/file"), "{error:?}");
    fs::write(folder.path().join("text.db"), "this is no database, whatever it is called").unwrap();
    let error = SqliteStore::open(&folder.path().join("text.db"), Alarm::default()).err().unwrap();
    assert!(error.detail().unwrap().contains("not a database"), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_both_versions() {
    let (_folder, path, store) = fresh();
    store.close().unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = SqliteStore::open(&path, Alarm::default()).err().unwrap();
    let message = error.to_string();
    assert!(message.contains("version 7") && message.contains("version 3"), "{message}");
    assert!(!error.retryable());
}

/// What version 3 added.
const UNDO_3: &str = "
    DROP TRIGGER records_added; DROP TRIGGER records_renamed; DROP TRIGGER records_removed;
    DROP TABLE trigrams; DROP TABLE indexed; DROP TABLE outdated; PRAGMA user_version = 2";

#[tokio::test]
async fn an_older_schema_is_brought_up_with_what_is_in_it() {
    let (_folder, path, store) = fresh();
    store.append(first(1, "/a")).await.unwrap();
    let version = store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap()[0].stamp.version_id;
    store.close().unwrap();
    let older = Connection::open(&path).unwrap();
    older.execute_batch(UNDO_3).unwrap();
    older.execute_batch("DROP INDEX revisions_by_version; PRAGMA user_version = 1").unwrap();
    drop(older);
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    assert_eq!(store.version(version).await.unwrap().map(|row| row.id), Some(id(1)));
    let connection = Connection::open(&path).unwrap();
    let known: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(known, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_share_one_new_store() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("strongroom.db");
        let together = Barrier::new(8);
        let stores: Vec<_> = thread::scope(|scope| {
            let start = || {
                together.wait();
                SqliteStore::open(&path, Alarm::default()).unwrap()
            };
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let id = stores[0].store_id().await.unwrap();
        for store in &stores {
            assert_eq!(store.store_id().await.unwrap(), id);
        }
    }
}

/// Where SQLite itself gives up at once: the other one is about to change the same new file.
#[test]
fn a_start_waits_for_another_that_has_just_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.db");
    let other = hold_write_lock(&path);
    let opening = thread::spawn(move || SqliteStore::open(&path, Alarm::default()).unwrap());
    thread::sleep(Duration::from_millis(100));
    assert!(!opening.is_finished());
    other.execute_batch("ROLLBACK").unwrap();
    opening.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_write_the_same_file() {
    let (_folder, path, store) = fresh();
    store.append(first(1, "/a")).await.unwrap();
    let handles = [Arc::new(store), Arc::new(SqliteStore::open(&path, Alarm::default()).unwrap())];
    let writers = (0..32).map(|writer| {
        let handle = handles[usize::from(writer) % 2].clone();
        tokio::spawn(append_until_acknowledged(handle, writer))
    });
    let acknowledged = futures::future::try_join_all(writers).await.unwrap();
    let mut stored = history(&path);
    stored.remove(&1);
    assert_eq!(stored, acknowledged.into_iter().collect());
    assert!(stored.into_keys().eq(2..=33));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_is_in_a_crash_image() {
    let (folder, path, store) = fresh();
    store.append(first(1, "/a")).await.unwrap();
    let store = Arc::new(store);
    let writers = (0..64).map(|writer| tokio::spawn(append_until_acknowledged(store.clone(), writer)));
    let acknowledged: BTreeMap<_, _> = futures::future::try_join_all(writers).await.unwrap().into_iter().collect();
    // The file and its log as they are with the store still open: what a crash leaves.
    let image = folder.path().join("image.db");
    for suffix in ["", "-wal"] {
        fs::copy(format!("{}{suffix}", path.display()), format!("{}{suffix}", image.display())).unwrap();
    }
    for path in [image, path] {
        let again = SqliteStore::open(&path, Alarm::default()).unwrap();
        let mut stored = history(&path);
        stored.remove(&1);
        assert_eq!(stored, acknowledged);
        assert_eq!(again.store_id().await.unwrap(), store.store_id().await.unwrap());
        assert_eq!(again.data_keys().await.unwrap(), store.data_keys().await.unwrap());
        let last = again.find(Class::Credential, Key::Names(&["/A"])).await.unwrap();
        assert_eq!(last[0].stamp.number.0, 65);
    }
}

#[tokio::test]
async fn dropping_writes_what_is_queued_and_tidies_the_log_away() {
    let (folder, path, store) = fresh();
    let store = Arc::new(store);
    let other = hold_write_lock(&path);
    assert!(store.list(Class::Credential, Names::ALL, None, 9).await.unwrap().is_empty());
    for task in queue(&store, vec![first(1, "/1"), first(2, "/2")]).await {
        task.abort(); // the callers go away, their writes do not
        assert!(task.await.unwrap_err().is_cancelled());
    }
    let store = Arc::into_inner(store).unwrap();
    let dropping = thread::spawn(move || drop(store));
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    dropping.join().unwrap();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["strongroom.db"]);
    assert_eq!(count(&path, "records"), 2);
}

#[tokio::test]
async fn old_revisions_are_kept_until_the_record_is_purged() {
    let (_folder, path, store) = fresh();
    for number in 0..5 {
        store.append(revision(Class::Credential, 1, "/a", number)).await.unwrap();
    }
    drop(store);
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    let expected: BTreeMap<_, _> = (0..5).map(|n: u64| (n + 1, format!("/a {n}").into_bytes())).collect();
    assert_eq!(history(&path), expected);
    store.release(&[id(1)], Release { at: at(0), purge_at: at(1) }).await.unwrap();
    assert_eq!(history(&path), expected);
    assert_eq!(store.purge(at(1)).await.unwrap(), 1);
    for table in ["records", "revisions", "aliases", "links"] {
        assert_eq!(count(&path, table), 0, "{table}");
    }
}

#[tokio::test]
async fn writes_that_wait_together_are_committed_together_and_reads_do_not_wait() {
    let (_folder, path, store) = fresh();
    let store = Arc::new(store);
    store.append(first(0, "/0")).await.unwrap();
    let other = hold_write_lock(&path);
    let before = store.commits();
    let queued = queue(&store, (1..=64).map(|number| first(number, &format!("/{number}"))).collect()).await;
    assert_eq!(store.list(Class::Credential, Names::ALL, None, 99).await.unwrap().len(), 1);
    other.execute_batch("COMMIT").unwrap();
    for result in futures::future::try_join_all(queued).await.unwrap() {
        result.unwrap();
    }
    assert_eq!(store.list(Class::Credential, Names::ALL, None, 99).await.unwrap().len(), 65);
    // Two when the writer had begun with the first one or few before the rest was queued.
    let commits = store.commits() - before;
    assert!((1..=2).contains(&commits), "{commits} commits for 64 appends");
}

/// A commit is a sync of the log; the crash laboratory counts those of the whole program.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_writers_need_a_tenth_of_a_sync_each() {
    let (_folder, _path, store) = fresh();
    let store = Arc::new(store);
    let before = store.commits();
    let writers = (0..64u8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for expected in 0..20 {
                store.append(revision(Class::Credential, writer, &format!("/{writer}"), expected)).await.unwrap();
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    let commits = store.commits() - before;
    assert!(commits * 10 <= 64 * 20, "{commits} commits for {} writes", 64 * 20);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing_it_took() {
    let (_folder, path, store) = fresh();
    let store = Arc::new(store);
    let other = hold_write_lock(&path);
    let total = QUEUE + 200;
    let append = |number: usize| {
        let mut append = first(0, &format!("/{number}"));
        append.row.head.id = RecordId::from_bytes((number as u128).to_be_bytes());
        append
    };
    let queued = queue(&store, (0..total).map(append).collect()).await;
    other.execute_batch("COMMIT").unwrap();
    let results = futures::future::try_join_all(queued).await.unwrap();
    let refused = results.iter().filter(|result| matches!(result, Err(Error::Overloaded { .. }))).count();
    let taken = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(taken + refused, total);
    assert!(taken >= QUEUE && refused > 0, "{taken} taken, {refused} refused");
    assert_eq!(count(&path, "records"), taken as u64);
}

#[tokio::test]
async fn what_fails_in_a_batch_leaves_nothing_and_spares_the_rest() {
    let (_folder, path, store) = fresh();
    let store = Arc::new(store);
    // Fails in the middle of an append, when its head is written already.
    let trigger = "CREATE TRIGGER fail BEFORE INSERT ON revisions WHEN new.actor = 'nobody'
                   BEGIN SELECT RAISE(ABORT, 'as told'); END";
    Connection::open(&path).unwrap().execute_batch(trigger).unwrap();
    let other = hold_write_lock(&path);
    let mut failing = first(9, "/d");
    failing.row.stamp.by = "nobody".into();
    let mut appends: Vec<_> =
        (1..).zip(["/a", "/b", "/A", "/c", "/B"]).map(|(number, name)| first(number, name)).collect();
    appends.insert(3, failing);
    let queued = queue(&store, appends).await;
    other.execute_batch("COMMIT").unwrap();
    let results = futures::future::try_join_all(queued).await.unwrap();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, false, true, false]);
    assert!(matches!(&results[3], Err(Error::Unavailable { detail, .. }) if detail == "as told"), "{results:?}");
    assert_eq!((count(&path, "records"), count(&path, "revisions")), (3, 3));
}

/// Tells the children of the tests below where the store is; without it they do nothing.
const CHILD: &str = "STRONGROOM_TEST_STORE";

/// This test program again, in a process of its own, running one ignored test.
fn child(test: &str, path: &Path, shell: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell} exec \"$0\" --exact --ignored --nocapture \"$1\"")])
        .arg(std::env::current_exe().unwrap())
        .arg(format!("adapters::store::sqlite::tests::{test}"))
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn assert_passed(child: Child) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn store_of_parent() -> Option<(PathBuf, SqliteStore)> {
    let path = PathBuf::from(std::env::var_os(CHILD)?);
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    Some((path, store))
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_write_the_same_file() {
    let (_folder, path, store) = fresh();
    store.append(first(1, "/a")).await.unwrap();
    let children = [(); 3].map(|()| child("sharing_child", &path, "").spawn().unwrap());
    let store = Arc::new(store);
    for _ in 0..20 {
        append_until_acknowledged(store.clone(), 1).await;
    }
    children.into_iter().for_each(assert_passed);
    assert!(history(&path).into_keys().eq(1..=81));
}

#[tokio::test]
#[ignore = "only as a child"]
async fn sharing_child() {
    let Some((_, store)) = store_of_parent() else { return };
    let store = Arc::new(store);
    for _ in 0..20 {
        append_until_acknowledged(store.clone(), 2).await;
    }
}

#[tokio::test]
async fn what_a_killed_process_has_acknowledged_is_there() {
    let (_folder, path, store) = fresh();
    store.append(first(1, "/a")).await.unwrap();
    drop(store);
    let mut killed = child("endless_child", &path, "").spawn().unwrap();
    let said = BufReader::new(killed.stdout.take().unwrap()).lines().map_while(std::io::Result::ok);
    let mut acknowledged = said.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
    assert!(acknowledged.by_ref().any(|number| number > 300));
    killed.kill().unwrap();
    let last = acknowledged.last().unwrap_or(301); // said before the kill was felt
    killed.wait().unwrap();
    let numbers: Vec<u64> = history(&path).into_keys().collect();
    assert!(numbers.len() as u64 >= last, "{} of {last}", numbers.len());
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64));
    let store = SqliteStore::open(&path, Alarm::default()).unwrap();
    let current = store.find(Class::Credential, Key::Names(&["/a"])).await.unwrap();
    assert_eq!(current[0].stamp.number.0, numbers.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "only as a child"]
async fn endless_child() {
    let Some((_, store)) = store_of_parent() else { return };
    let store = Arc::new(store);
    let endless = |writer| {
        let store = store.clone();
        async move {
            loop {
                println!("acknowledged {}", append_until_acknowledged(store.clone(), writer).await.0);
            }
        }
    };
    tokio::join!(tokio::spawn(endless(1)), tokio::spawn(endless(2))).0.unwrap()
}

/// A limit on the size of files makes the kernel fail real writes. It holds for a whole process, so the
/// store runs in a child, which lifts the limit in the end.
#[cfg(target_os = "linux")]
#[test]
fn a_failed_write_is_refused_whole_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strongroom.db");
    assert_passed(child("limited_child", &path, "trap '' XFSZ; ulimit -S -f 1024;").spawn().unwrap());
}

#[tokio::test]
#[ignore = "only as a child"]
async fn limited_child() {
    let Some((path, store)) = store_of_parent() else { return };
    store.begin().await;
    let append = |number: u64| {
        let mut append = revision(Class::Credential, 1, "/a", number);
        append.row.sealed.bytes = vec![number as u8; 50_000];
        append
    };
    let current = || async { store.find(Class::Credential, Key::Ids(&[id(1)])).await.unwrap()[0].stamp.number.0 };
    let mut acknowledged = 0;
    let error = loop {
        match store.append(append(acknowledged)).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert_eq!(current().await, acknowledged);
    };
    assert!(acknowledged > 3, "{acknowledged}");
    assert!(matches!(error, Error::Unavailable { part: "the store", .. }), "{error:?}");
    for _ in 0..3 {
        assert!(store.append(append(acknowledged)).await.is_err());
        assert_eq!(current().await, acknowledged);
        assert_eq!(store.list(Class::Credential, Names::ALL, None, 9).await.unwrap().len(), 1);
    }
    let own = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--fsize=unlimited", "--pid", &own]).status().unwrap().success());
    store.append(append(acknowledged)).await.unwrap();
    assert_eq!(current().await, acknowledged + 1);
    drop(store);
    let numbers: Vec<u64> = history(&path).into_keys().collect();
    assert!(numbers.into_iter().eq(1..=acknowledged + 1));
}

/// Without them another process that opens the store would begin the index of the log anew, below our feet.
#[test]
fn the_locks_on_the_log_survive_who_looks_at_it() {
    const READERS: usize = 4;
    let count = |path: &Path| {
        let inode = format!(":{}", fs::metadata(path.with_extension("db-shm")).unwrap().ino());
        let all = fs::read_to_string("/proc/locks").unwrap();
        let (held, process) = (all.lines().map(|line| line.split_whitespace()), std::process::id().to_string());
        held.filter(|line| {
            let mut ours = line.clone().skip(4);
            ours.next() == Some(&process) && ours.next().is_some_and(|file| file.ends_with(&inode))
        })
        .count()
    };
    // The kernel's list is read piece by piece: what others add and remove meanwhile can hide a line, once.
    let locks = |path: &Path| (0..20).map(|_| count(path)).find(|count| *count > 0).unwrap_or(0);
    for _ in 0..50 {
        let (folder, path, store) = fresh();
        let store = Arc::new(store);
        assert!(locks(&path) > 0, "SQLite takes none");
        let barrier = Barrier::new(READERS);
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    barrier.wait();
                    futures::executor::block_on(store.position()).unwrap();
                });
            }
        });
        assert!(locks(&path) > 0, "lost by who came second");
        let other = SqliteStore::open(&path, Alarm::default()).unwrap();
        futures::executor::block_on(other.position()).unwrap();
        drop(other);
        assert!(locks(&path) > 0, "lost with another handle");
        drop(store);
        let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        assert_eq!(
            open.filter(|file| file.to_string_lossy().contains("strongroom.db") && file.starts_with(folder.path()))
                .count(),
            0
        );
    }
}
