//! From the embedded store to PostgreSQL and back: a backup of one is a backup of the other.

use std::path::Path;
use std::process::Output;

use reqwest::Method;

use super::{Folder, House, back_up, contents, digest, done, restore};
use crate::postgres::server;
use crate::process::binary;

fn on(database: &str, arguments: &[&str], data: &Path) -> Output {
    let mut command = binary();
    command.args(arguments).arg("--data-dir").arg(data).env("STRONGROOM_DATABASE", database);
    command.output().expect("the binary")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_to_postgresql_and_back_and_is_the_same() {
    let database = tokio::task::spawn_blocking(|| server::shared().database()).await.expect("a database");
    let mut house = House::open().await;
    let id = house.create("Database", "one").await;
    house.update(&id, "two").await;
    house.create("Mail", "m").await;
    house.strongroom.stop().await;

    let there = Folder::with_key_of(&house.strongroom.data);
    let file = there.file("to.backup");
    let said = back_up(&house.strongroom.data, &file);
    let file = file.display().to_string();
    assert_eq!(digest(&done(&on(&database, &["restore", &file], &there.data))), digest(&said));
    let refused = on(&database, &["restore", &file], &there.data);
    assert!(!refused.status.success(), "a store that holds something is left alone");

    let mut moved = house.on_database(&database, &there).await;
    let (status, shown) = moved.ask(Method::GET, &format!("/v1/credentials/{id}"), None).await;
    assert_eq!((status, shown["credential_pairs"]["value"].as_str()), (200, Some("two")));
    moved.update(&id, "three").await;
    moved.strongroom.stop().await;
    assert!(done(&on(&database, &["audit", "verify"], &there.data)).contains("ok"));

    let back = Folder::with_key_of(&there.data);
    let file = back.file("back.backup").display().to_string();
    let said = done(&on(&database, &["backup", "--output", &file], &there.data));
    let restored = done(&restore(Path::new(&file), &back.data));
    assert_eq!(digest(&restored), digest(&said));
    let numbers: Vec<u64> = contents(&back.data).await.revisions.iter().map(|row| row.stamp.number.0).collect();
    assert_eq!(numbers.iter().filter(|number| **number == 3).count(), 1);
    let mut again = house.restored_in(&back).await;
    let (_, shown) = again.ask(Method::GET, &format!("/v1/credentials/{id}"), None).await;
    assert_eq!(shown["credential_pairs"]["value"], "three");
    again.strongroom.stop().await;
}
