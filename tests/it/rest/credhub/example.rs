//! The rotation that the dialect's page shows, run as it is printed there.

use std::fs;
use std::process::Command;

use crate::rest::house::House;

const PAGE: &str = include_str!("../../../../docs/dialects/credhub.md");

/// The first block of shell below this heading.
fn block(heading: &str) -> &'static str {
    let (_, below) = PAGE.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    below.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rotation_of_the_page_runs_as_it_is_printed() {
    let house = House::open().await;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.crt"), &house.roots).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", block("## A rotation")]).current_dir(dir.path());
    shell.env("STRONGROOM", house.url("")).env("CLIENT", format!("ops:{}", house.password("ops")));
    let done = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let names = r#"{"regenerated_credentials":["/shop/till"]}"#;
    assert_eq!(lines, ["2", "till.pem: OK", names, "till.pem: OK", "till.pem: OK", "1"]);
    house.close().await;
}
