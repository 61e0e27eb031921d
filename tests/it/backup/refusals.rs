//! What is not restored, and what it says then. Nothing is written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Folder, House, back_up, restore, text};

struct Scene {
    house: House,
    backup: Vec<u8>,
}

impl Scene {
    async fn new() -> Self {
        let house = House::open().await;
        let id = house.create("Database", "one").await;
        house.update(&id, "two").await;
        let folder = Folder::new();
        back_up(&house.strongroom.data, &folder.file("a"));
        let backup = fs::read(folder.file("a")).expect("a backup");
        Self { house, backup }
    }

    /// What the refusal says; the folder holds nothing but the key afterwards.
    fn refusal(&self, bytes: &[u8]) -> String {
        let folder = Folder::with_key_of(&self.house.strongroom.data);
        let said = refused(&folder, self.write(&folder, bytes));
        assert_eq!(folder.names(), ["strongroom.key"], "{said}");
        said
    }

    fn write(&self, folder: &Folder, bytes: &[u8]) -> PathBuf {
        let file = folder.file("file");
        fs::write(&file, bytes).expect("a file");
        file
    }
}

fn refused(folder: &Folder, file: PathBuf) -> String {
    let output = restore(&file, &folder.data);
    assert!(!output.status.success(), "accepted: {}", text(&output.stdout));
    text(&output.stderr)
}

#[tokio::test]
async fn what_is_no_whole_backup_is_refused_with_what_is_wrong() {
    let scene = Scene::new().await;
    let backup = &scene.backup;
    let changed = |at: usize| {
        let mut bytes = backup.clone();
        bytes[at] ^= 1;
        bytes
    };
    assert!(scene.refusal(b"-----BEGIN something else entirely").contains("no backup of Strongroom"));
    assert!(scene.refusal(&backup[..backup.len() / 2]).contains("cut off"));
    assert!(scene.refusal(&backup[..backup.len() - 1]).contains("cut off"));
    let mut newer = backup.clone();
    newer[21] = 9;
    assert!(scene.refusal(&newer).contains("format 9"));
    for part in 1..8 {
        let at = backup.len() * part / 8;
        let said = scene.refusal(&changed(at));
        assert!(said.contains("changed") || said.contains("backup"), "byte {at}: {said}");
    }
    scene.refusal(&changed(backup.len() - 1));
}

#[tokio::test]
async fn another_root_key_is_refused_by_the_name_of_the_right_one() {
    let scene = Scene::new().await;
    let folder = Folder::new();
    let file = scene.write(&folder, &scene.backup);
    let said = refused(&folder, file.clone());
    assert!(said.contains("wrapped by file:") && said.contains("strongroom.key"), "{said}");
    assert!(folder.names().is_empty(), "no new key is made");

    let key = folder.data.join("strongroom.key");
    fs::write(&key, [7; 32]).expect("a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("a mode");
    let said = refused(&folder, file);
    let roots: Vec<&str> = said.split("file:").skip(1).map(|rest| &rest[..16]).collect();
    assert!(roots.iter().any(|root| *root != roots[0]), "both keys are named: {said}");
    assert_eq!(folder.names(), ["strongroom.key"]);
}

#[tokio::test]
async fn a_store_that_holds_anything_is_left_as_it_is() {
    let mut scene = Scene::new().await;
    let folder = Folder::new();
    let file = scene.write(&folder, &scene.backup);
    for running in [true, false] {
        if !running {
            scene.house.strongroom.stop().await;
        }
        let output = restore(&file, &scene.house.strongroom.data);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("not empty") && said.contains("records"), "{said}");
    }
    scene.house.strongroom.start().await;
    assert_eq!(scene.house.ask(reqwest::Method::GET, "/v1/credentials", None).await.0, 200);
}

#[tokio::test]
async fn a_backup_of_nothing_is_refused_and_leaves_no_file() {
    let folder = Folder::new();
    let output = super::run(&["backup", "--output", &folder.file("a").display().to_string()], &folder.data);
    assert!(!output.status.success() && text(&output.stderr).contains("there is no store"));
    assert!(!folder.file("a").exists() && folder.names().is_empty());
}
