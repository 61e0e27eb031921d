//! What is read again is not opened again, and never older than what was written: by whomever, in whichever process.

use strongroom::app::credentials::Draft;
use strongroom::domain::actor::Actor;
use strongroom::domain::credential::change::Patch;
use strongroom::domain::credential::{About, Kind, Material, Words};
use strongroom::domain::name::RecordId;
use strongroom::domain::permission::Action;
use strongroom::domain::rules::Rules;
use tempfile::TempDir;

use crate::watched::Process;

impl Process {
    async fn create(&self, title: &str, value: &str) -> RecordId {
        let place = self.app.credentials.require_creatable(&admin(), Some(title)).await.unwrap();
        let (title, material) = (title.to_owned(), Material::texts([(title, value.into())]));
        let draft = Draft { title, kind: Kind::Pairs, about: About::default(), material };
        self.app.credentials.create(&admin(), place, draft).await.unwrap().head.id
    }

    async fn update(&self, id: RecordId, value: &str) {
        let entry = self.app.credentials.require_writable(&admin(), id).await.unwrap();
        let material = Some(Material::texts([("k", value.into())]));
        self.app.credentials.update(&admin(), &entry, Patch { material, ..Patch::default() }).await.unwrap();
    }

    /// The value, and how often the store was asked for a record meanwhile.
    async fn read(&self, id: RecordId) -> (String, usize) {
        let before = self.finds.count();
        let view = self.app.credentials.view(&admin(), id, true).await.unwrap();
        let value = view.entry.body.material.fields()[0].value.expose().to_owned();
        (value, self.finds.count() - before)
    }
}

fn admin() -> Actor {
    Actor::operator()
}

async fn ground() -> (TempDir, Process) {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::on(folder.path(), Rules::default()).await;
    (folder, process)
}

fn seen(value: &str, finds: usize) -> (String, usize) {
    (value.to_owned(), finds)
}

#[tokio::test]
async fn what_is_read_again_is_not_looked_up_again() {
    let (_folder, process) = ground().await;
    let id = process.create("a", "one").await;
    assert_eq!(process.read(id).await, seen("one", 1));
    for _ in 0..3 {
        assert_eq!(process.read(id).await, seen("one", 0));
    }
    process.create("b", "other").await;
    assert_eq!(process.read(id).await, seen("one", 1), "something was written");
    assert_eq!(process.read(id).await, seen("one", 0));
    process.update(id, "two").await;
    assert_eq!(process.read(id).await, seen("two", 1));
}

#[tokio::test]
async fn what_another_process_writes_is_read_at_once() {
    let (folder, process) = ground().await;
    let other = Process::on(folder.path(), Rules::default()).await;
    let id = process.create("a", "0").await;
    for round in 1..=100 {
        let value = round.to_string();
        other.update(id, &value).await;
        assert_eq!(process.read(id).await.0, value);
        assert_eq!(other.read(id).await.0, value);
        assert_eq!(process.read(id).await, seen(&value, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_goes_back_while_others_write() {
    let (folder, process) = ground().await;
    let id = process.create("a", "0").await;
    let writer = Process::on(folder.path(), Rules::default()).await;
    let writing = tokio::spawn(async move {
        for round in 1..=300 {
            writer.update(id, &round.to_string()).await;
        }
    });
    let (mut last, mut reads) = (0, 0);
    while last < 300 {
        let value: u32 = process.read(id).await.0.parse().unwrap();
        assert!(value >= last, "{value} after {last}");
        (last, reads) = (value, reads + 1);
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    assert!(reads >= 10, "{reads}");
}

#[tokio::test]
async fn a_service_is_held_with_its_credentials() {
    let (_folder, process) = ground().await;
    let mut credentials = Vec::new();
    for number in 0..20 {
        credentials.push(process.create(&format!("c{number}"), "v").await);
    }
    let slot = process.app.services.require_writable(&admin(), "s").await.unwrap();
    let draft = strongroom::app::services::Draft { credentials: Some(credentials.clone()), ..Default::default() };
    process.app.services.put(&admin(), slot, draft).await.unwrap();
    let read = async || {
        let before = process.finds.count();
        let view = process.app.services.view(&admin(), "s", Action::Get).await.unwrap();
        let ids: Vec<RecordId> = view.members.credentials.iter().map(|entry| entry.head.id).collect();
        assert_eq!(ids, credentials);
        process.finds.count() - before
    };
    read().await;
    assert_eq!((read().await, read().await), (0, 0));
    process.update(credentials[7], "changed").await;
    assert_eq!((read().await, read().await), (2, 0), "one look-up for the service, one for all in it");
}

#[tokio::test]
async fn what_is_gone_is_not_held() {
    let (_folder, process) = ground().await;
    let id = process.create("a", "one").await;
    process.read(id).await;
    let entry = process.app.credentials.require_writable(&admin(), id).await.unwrap();
    let disabled = Patch { words: Words { enabled: Some(false), ..Words::default() }, material: None };
    let entry = process.app.credentials.update(&admin(), &entry, disabled).await.unwrap();
    process.read(id).await;
    process.app.credentials.archive(&admin(), &entry, true).await.unwrap();
    assert!(process.app.credentials.view(&admin(), id, true).await.is_err());
}
