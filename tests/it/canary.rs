//! Values like no other go in through every door, and are then looked for wherever the process writes or speaks.
//! They may be in answers to who may read them and in Secrets of the cluster, and nowhere else.

mod cluster_doors;
mod rest_doors;
mod search;

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use strongroom::adapters::system::SystemEntropy;
use strongroom::app::ports::{KeyService, KeyTable};
use strongroom::domain::entropy::Entropy;

use crate::backup::{back_up, done, restore, run, store};
use crate::cluster;
use crate::process::Strongroom;
use cluster_doors::Town;
use rest_doors::Street;
use search::Searcher;

/// By which door it came in, and what it is.
#[derive(Default)]
pub struct Canaries(pub Vec<(String, Vec<u8>)>);

impl Canaries {
    /// 32 characters that change in every encoding that is looked for.
    pub fn text(&mut self, door: &str) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bytes = (&SystemEntropy::default() as &dyn Entropy).bytes::<32>();
        let text = bytes.map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).iter().collect::<String>();
        self.known(door, &text);
        text
    }

    /// As many as JSON's readers keep exactly.
    pub fn digits(&mut self, door: &str) -> String {
        let bytes = (&SystemEntropy::default() as &dyn Entropy).bytes::<18>();
        let text = bytes.map(|byte| char::from(b'1' + byte % 9)).iter().collect::<String>();
        self.known(door, &text);
        text
    }

    /// A value that somebody else made.
    pub fn known(&mut self, door: &str, value: &str) {
        assert!(value.len() >= 18, "{door}: too short to be found by itself");
        self.0.push((door.to_owned(), value.as_bytes().to_vec()));
    }

    /// A private key, by a piece of it that is secret and does not cross a line of its PEM form.
    pub fn private_key(&mut self, door: &str, pem: &str) {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(body).expect("PEM");
        let piece = match der.len() {
            ..200 => 48..68, // the last bytes of an elliptic curve's private number
            long => long * 3 / 4 / 48 * 48..long * 3 / 4 / 48 * 48 + 32,
        };
        self.0.push((door.to_owned(), der[piece].to_vec()));
    }
}

/// Every file below, and beside it everything that was said.
struct Places {
    folders: Vec<PathBuf>,
    said: Vec<(String, Vec<u8>)>,
}

impl Places {
    fn all(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = self.said.clone();
        self.folders.iter().for_each(|folder| read_below(folder, &mut all));
        all
    }
}

fn read_below(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_below(&path, found);
        } else if path.file_name().is_some_and(|name| name != "strongroom.key") {
            found.push((path.display().to_string(), fs::read(&path).expect("a file")));
        }
    }
}

fn look(canaries: &Canaries, places: &Places, when: &str) {
    let searcher = Searcher::new(&canaries.0);
    let all = places.all();
    let bytes: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
    let hits: Vec<String> = all.iter().flat_map(|(place, bytes)| searcher.hits(place, bytes)).collect();
    println!("{when}: {} canaries, {} places, {} MB, {} hits", canaries.0.len(), all.len(), bytes >> 20, hits.len());
    assert!(hits.is_empty(), "{when}:\n{}", hits.join("\n"));
}

async fn add_keys(canaries: &mut Canaries, data: &Path) {
    let root = fs::read(data.join("strongroom.key")).expect("the key");
    canaries.0.push(("the root key".into(), root));
    let store = store(data);
    let service = strongroom::adapters::kms::local::KeyFile::open(
        &data.join("strongroom.key"),
        std::sync::Arc::new(SystemEntropy::default()),
    )
    .expect("the key");
    let id = store.store_id().await.expect("an id");
    for key in store.data_keys().await.expect("keys") {
        let context = format!("strongroom data key {} of store {id}", key.epoch);
        let plain = service.unwrap(&key.wrapped, context.as_bytes()).await.expect("a data key");
        canaries.0.push((format!("data key {}", key.epoch), plain.expose().to_vec()));
    }
}

async fn metrics(strongroom: &Strongroom) -> (String, Vec<u8>) {
    let page = reqwest::get(format!("http://127.0.0.1:{}/metrics", strongroom.admin)).await.expect("an answer");
    ("/metrics".into(), page.text().await.expect("text").into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_as_a_secret_comes_out_nowhere_else() {
    let turn = cluster::turn().await;
    let town = Town::new(turn.cluster).await;
    let mut canaries = Canaries::default();
    let mut strongroom = Strongroom::new(Some(&turn.cluster.kubeconfig()));
    strongroom.set("STRONGROOM_LOG_LEVEL", Some("trace"));
    strongroom.start_without_webhook().await;
    let folder = strongroom.data.parent().expect("a folder").to_owned();
    let password = strongroom.create_client("ops", true);
    canaries.known("the password of a client", &password);

    let street = Street::new(&strongroom, &password);
    street.write_and_misuse(&mut canaries, &town.namespace).await;
    town.populate(&mut canaries).await;
    town.collect(&mut canaries).await;
    street.read_everything().await;
    town.call_with_token(&mut canaries, &street).await;
    let file = folder.join("first.backup");
    back_up(&strongroom.data, &file);
    let mut places = Places { folders: vec![folder.clone()], said: vec![metrics(&strongroom).await] };
    places.said.extend(town.said().await);
    assert!(folder.join("data/strongroom.db-wal").exists() && strongroom.log().contains("TRACE"));
    add_keys(&mut canaries, &strongroom.data).await;
    look(&canaries, &places, "while it runs");

    strongroom.kill();
    look(&canaries, &places, "after SIGKILL");
    strongroom.start_without_webhook().await;
    let rekeyed = run(&["rekey", "--log-level", "trace"], &strongroom.data);
    done(&rekeyed);
    places.said.push(("rekey".into(), [rekeyed.stdout, rekeyed.stderr].concat()));
    town.delete_one().await;
    street.read_everything().await;
    let file = folder.join("second.backup");
    let said = run(&["backup", "--log-level", "trace", "--output", &file.display().to_string()], &strongroom.data);
    done(&said);
    places.said.push(("backup".into(), [said.stdout, said.stderr].concat()));

    let mut other = Strongroom::new(None);
    other.set("STRONGROOM_LOG_LEVEL", Some("trace"));
    fs::create_dir(&other.data).expect("a folder");
    fs::copy(strongroom.data.join("strongroom.key"), other.data.join("strongroom.key")).expect("the key");
    let said = restore(&file, &other.data);
    done(&said);
    places.said.push(("restore".into(), [said.stdout, said.stderr].concat()));
    other.start().await;
    Street::new(&other, &password).read_everything().await;
    places.folders.push(other.data.parent().expect("a folder").to_owned());
    places.said.extend([metrics(&strongroom).await, metrics(&other).await]);
    places.said.extend(town.said().await);
    other.stop().await;
    strongroom.stop().await;
    add_keys(&mut canaries, &strongroom.data).await;
    look(&canaries, &places, "at the end");

    // The search would have seen them: one that is put there is found, in every place that is a file.
    fs::write(folder.join("data/planted"), &canaries.0[0].1).expect("a file");
    let found = Searcher::new(&canaries.0);
    let hits: Vec<String> = places.all().iter().flat_map(|(place, bytes)| found.hits(place, bytes)).collect();
    assert!(hits.len() == 1 && hits[0].contains("planted"), "{hits:?}");
}
