//! An index of the embedded store that lost an entry: one record is not found under its name. What finds that, and what
//! mends it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;

use super::{Folder, House, back_up, digest, done, restore, run, text};
use crate::process::binary;

/// Writes another letter into each `shop` of the index of names.
fn damage(data: &Path) -> usize {
    let file = data.join("strongroom.db");
    let about = "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema
                  WHERE name = 'sqlite_autoindex_records_2'";
    let connection = Connection::open(&file).expect("the store");
    let (page, size): (u64, u64) =
        connection.query_row(about, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("an index");
    drop(connection);
    let file = OpenOptions::new().read(true).write(true).open(&file).expect("the store");
    let (mut bytes, at) = (vec![0; size as usize], (page - 1) * size);
    file.read_exact_at(&mut bytes, at).expect("a page");
    let found: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, it)| *it == b"shop").map(|(at, _)| at).collect();
    found.iter().for_each(|within| file.write_all_at(b"shot", at + *within as u64).expect("written"));
    found.len()
}

fn check(data: &Path) -> String {
    let mut command = binary();
    command.args(["check", "--data-dir"]).arg(data).env("KUBECONFIG", data.join("none"));
    text(&command.output().expect("the binary").stdout)
}

#[tokio::test]
async fn a_record_that_an_index_lost_is_found_by_check_and_mended_by_a_restore() {
    let mut house = House::open().await;
    let id = house.create("Database", "one").await;
    let service = json!({"enabled": true, "credentials": [id]});
    assert_eq!(house.ask(Method::PUT, "/v1/services/shop", Some(service)).await.0, 200);
    let data = house.strongroom.data.clone();
    assert!(check(&data).contains("ok    pages"), "also beside a server: {}", check(&data));
    house.strongroom.stop().await;

    assert!(damage(&data) > 0);
    house.strongroom.start().await;
    assert_eq!(house.ask(Method::GET, "/v1/services/shop", None).await.0, 404, "nothing else shows it");
    let found = check(&data);
    assert!(found.contains("FAIL  pages") && found.contains("sqlite_autoindex_records_2"), "{found}");
    assert!(found.contains("Stop the server, back up, and restore"), "{found}");
    house.strongroom.stop().await;
    let verified = run(&["audit", "verify"], &data);
    let said = text(&verified.stdout);
    assert!(!verified.status.success() && said.contains("pages: ") && said.contains("FAILED"), "{said}");

    let folder = Folder::with_key_of(&data);
    let said = back_up(&data, &folder.file("all"));
    assert_eq!(digest(&done(&restore(&folder.file("all"), &folder.data))), digest(&said));
    assert!(check(&folder.data).contains("ok    pages"));
    let mut mended = house.restored_in(&folder).await;
    assert_eq!(mended.ask(Method::GET, "/v1/services/shop", None).await.0, 200);
    mended.strongroom.stop().await;
}
