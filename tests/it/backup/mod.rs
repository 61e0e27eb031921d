//! `strongroom backup` and `strongroom restore` as their operator runs them: beside a server that is written to, into
//! another folder with nothing but the key file carried over.

mod across;
mod damaged;
mod killed;
mod load;
mod piped;
mod refusals;
mod size;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use strongroom::adapters::kms::local::KeyFile;
use strongroom::adapters::store::SqliteStore;
use strongroom::adapters::system::SystemEntropy;
use strongroom::app::alarm::Alarm;
use strongroom::app::keyring::Keyring;
use strongroom::app::ports::{HeadRow, KeyTable, RevisionRow, Snapshot, Store};
use strongroom::domain::name::RecordId;

use crate::process::{Strongroom, binary};

/// A server without TLS, which says nothing about backups, and its administrator.
pub struct House {
    pub strongroom: Strongroom,
    http: Client,
    password: String,
}

impl House {
    pub async fn open() -> Self {
        let mut strongroom = Strongroom::new(None);
        strongroom.set("STRONGROOM_PLAIN_HTTP", Some("true"));
        strongroom.start().await;
        Self::of(strongroom)
    }

    /// On a new database, with a key file in this folder.
    pub async fn open_on(database: &str, folder: &Folder) -> Self {
        let mut strongroom = Strongroom::new(None);
        strongroom.set("STRONGROOM_PLAIN_HTTP", Some("true"));
        strongroom.set("STRONGROOM_DATABASE", Some(database));
        strongroom.data = folder.data.clone();
        strongroom.start().await;
        Self::of(strongroom)
    }

    /// A server that runs already, without TLS.
    pub fn of(strongroom: Strongroom) -> Self {
        let password = strongroom.create_client("ops", true);
        let http = Client::builder().no_proxy().build().expect("a client");
        Self { strongroom, http, password }
    }

    /// A server on the folder that this was restored into; the passwords are those of `self`.
    pub async fn restored_in(&self, folder: &Folder) -> Self {
        let mut strongroom = Strongroom::new(None);
        strongroom.set("STRONGROOM_PLAIN_HTTP", Some("true"));
        strongroom.data = folder.data.clone();
        strongroom.start().await;
        Self { strongroom, http: self.http.clone(), password: self.password.clone() }
    }

    /// A server at this database, with the key file of this folder.
    pub async fn on_database(&self, database: &str, folder: &Folder) -> Self {
        let mut strongroom = Strongroom::new(None);
        strongroom.set("STRONGROOM_PLAIN_HTTP", Some("true"));
        strongroom.set("STRONGROOM_DATABASE", Some(database));
        strongroom.data = folder.data.clone();
        strongroom.start().await;
        Self { strongroom, http: self.http.clone(), password: self.password.clone() }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("http://127.0.0.1:{}{path}", self.strongroom.rest);
        let mut request = self.http.request(method, url).basic_auth("ops", Some(&self.password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// Its id.
    pub async fn create(&self, title: &str, value: &str) -> String {
        let body = json!({"name": title, "credential_pairs": {"value": value}, "enabled": true});
        let (status, answer) = self.ask(Method::POST, "/v1/credentials", Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer["id"].as_str().expect("an id").to_owned()
    }

    pub async fn update(&self, id: &str, value: &str) {
        let body = json!({"credential_pairs": {"value": value}});
        let (status, answer) = self.ask(Method::PUT, &format!("/v1/credentials/{id}"), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// A place to restore into.
pub struct Folder {
    _dir: tempfile::TempDir,
    pub data: PathBuf,
}

impl Folder {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let data = dir.path().join("data");
        fs::DirBuilder::new().mode(0o700).create(&data).expect("a folder");
        Self { _dir: dir, data }
    }

    /// With the key file of another, and nothing else of it.
    pub fn with_key_of(data: &Path) -> Self {
        let folder = Self::new();
        fs::copy(data.join("strongroom.key"), folder.data.join("strongroom.key")).expect("the key");
        folder
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.data.with_file_name(name)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.data).expect("the folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().expect("text")).collect();
        names.sort_unstable();
        names
    }
}

pub fn run(arguments: &[&str], data: &Path) -> Output {
    binary().args(arguments).arg("--data-dir").arg(data).output().expect("the binary")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it printed, if it went well.
pub fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

pub fn back_up(data: &Path, file: &Path) -> String {
    done(&run(&["backup", "--output", &file.display().to_string()], data))
}

pub fn restore(file: &Path, data: &Path) -> Output {
    run(&["restore", &file.display().to_string()], data)
}

/// The lines that both commands print alike.
pub fn digest(said: &str) -> &str {
    said.lines().find(|line| line.starts_with("digest of all records: sha256:")).expect("a digest")
}

/// Everything sealed in a store, opened.
pub struct Contents {
    pub heads: Vec<HeadRow>,
    pub revisions: Vec<RevisionRow>,
    pub notes: Vec<String>,
    pub bodies: BTreeMap<(RecordId, u64), Vec<u8>>,
}

pub async fn keyring(store: &Arc<SqliteStore>, data: &Path) -> Arc<Keyring> {
    let key = KeyFile::open(&data.join("strongroom.key"), Arc::new(SystemEntropy::default())).expect("the key");
    Keyring::load(store.clone(), Arc::new(key)).await.expect("the data keys")
}

pub fn store(data: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(&data.join("strongroom.db"), Alarm::default()).expect("a store"))
}

pub async fn contents(data: &Path) -> Contents {
    let store = store(data);
    let keyring = keyring(&store, data).await;
    let mut moment = store.snapshot().await.expect("a moment");
    let heads = all(moment.as_mut(), async |moment, last: Option<&HeadRow>| {
        moment.heads(last.map(|row| row.head.id), 500).await.expect("heads")
    })
    .await;
    let revisions = all(moment.as_mut(), async |moment, last: Option<&RevisionRow>| {
        moment.revisions(last.map(|row| (row.id, row.stamp.number)), 500).await.expect("revisions")
    })
    .await;
    let notes = moment.audit(0, usize::MAX >> 1).await.expect("notes");
    let notes = notes.into_iter().map(|(_, note)| note.as_str().to_owned()).collect();
    let by_id: BTreeMap<RecordId, &HeadRow> = heads.iter().map(|row| (row.head.id, row)).collect();
    let bodies = revisions.iter().map(|row| {
        let plain = keyring.open_revision(&by_id[&row.id].head, &row.stamp, &row.sealed).expect("a body that opens");
        ((row.id, row.stamp.number.0), plain.to_vec())
    });
    let bodies = bodies.collect();
    assert!(!store.data_keys().await.expect("keys").is_empty());
    Contents { heads, revisions, notes, bodies }
}

async fn all<T: Clone>(
    moment: &mut dyn Snapshot,
    page: impl AsyncFn(&mut dyn Snapshot, Option<&T>) -> Vec<T>,
) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let more = page(moment, all.last()).await;
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

pub fn holds(plain: &[u8], value: &str) -> bool {
    plain.windows(value.len()).any(|part| part == value.as_bytes())
}
