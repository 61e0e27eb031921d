//! SIGKILL in the middle of an import: the next run brings what is missing and nothing twice.

use std::fmt::Write;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{House, done};

const COUNT: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_is_taken_up() {
    let house = House::open(None).await;
    let mut export = "credentials:\n".to_owned();
    for number in 0..COUNT {
        writeln!(export, "- {{name: /n/{number:03}, type: password, value: secret-{number}}}").expect("memory");
    }
    let file = house.strongroom.data.join("export.yaml");
    fs::write(&file, &export).expect("a file");
    let mut command = house.command(&[&file.display().to_string()]);
    command.env("FAILPOINTS", "store.append=10*off->sleep(60000)").stdout(Stdio::null());
    let mut killed = command.spawn().expect("the binary");
    let begun = Instant::now();
    while house.names().await.len() < 5 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not begin: {:?}", killed.try_wait());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    killed.kill().expect("to kill it");
    killed.wait().expect("its end");
    let left = house.names().await.len();
    assert!((5..COUNT).contains(&left), "{left} were there");

    let output = house.import(&[], &export);
    assert_eq!(done(&output), format!("imported {}, unchanged {left}, refused 0", COUNT - left));
    let names = house.names().await;
    assert_eq!((names.len(), house.versions(&names).await), (COUNT, vec![1; COUNT]));
    assert_eq!(house.current("/n/039").await["value"], "secret-39");
}
