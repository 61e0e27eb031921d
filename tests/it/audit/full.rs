//! No space for the journal: nothing is shown that could not be recorded, until there is space.

use std::fs;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Scene, verified};

/// A limit on the size of files, which a process meets as it meets a full disk.
fn limit(process: u32, bytes: Option<u64>) {
    let pid = Pid::from_raw(process as i32).expect("a process");
    let wanted = Rlimit { current: bytes, maximum: None };
    prlimit(Some(pid), Resource::Fsize, wanted).expect("a limit");
}

#[tokio::test]
async fn a_denial_that_cannot_be_recorded_is_answered_as_an_outage() {
    let scene = Scene::new().await;
    let url = scene.strongroom.url(&scene.read_path());
    let file =
        fs::read_dir(scene.strongroom.data.join("audit")).expect("journals").flatten().next().expect("one").path();
    limit(scene.strongroom.id(), Some(fs::metadata(&file).expect("a journal").len()));
    let nobody = || scene.caller.get(&url).send();
    let wrong = || scene.caller.get(&url).basic_auth("ops", Some("wrong")).send();
    assert_eq!(nobody().await.expect("an answer").status(), 503);
    assert_eq!(wrong().await.expect("an answer").status(), 503);
    limit(scene.strongroom.id(), None);
    let before = scene.records().len();
    assert_eq!(nobody().await.expect("an answer").status(), 401);
    assert_eq!(wrong().await.expect("an answer").status(), 403);
    assert_eq!(scene.records().len(), before + 2);
    verified(&scene.strongroom.data);
}

#[tokio::test]
async fn reads_are_refused_while_there_is_no_space_and_answered_again_when_there_is() {
    let scene = Scene::new().await;
    let path = scene.read_path();
    let file =
        fs::read_dir(scene.strongroom.data.join("audit")).expect("journals").flatten().next().expect("one").path();
    let (mut refused, mut answered) = (0, 0);
    for round in 0..12 {
        let space = fs::metadata(&file).expect("a journal").len() + 150 * round;
        limit(scene.strongroom.id(), Some(space));
        for _ in 0..8 {
            let (status, body) = scene.call(Method::GET, &path, None).await;
            assert_eq!(status == 200, body.to_string().contains("v-a-l-u-e"), "{status} {body}");
            match status {
                200 => answered += 1,
                503 => refused += 1,
                other => panic!("{other} {body}"),
            }
            assert!(fs::metadata(&file).expect("a journal").len() <= space);
        }
        limit(scene.strongroom.id(), None);
        let begun = Instant::now();
        while scene.call(Method::GET, &path, None).await.0 != 200 {
            assert!(begun.elapsed() < Duration::from_secs(5), "it does not heal");
        }
        answered += 1;
    }
    println!("{refused} refused, {answered} answered");
    assert!(refused > 40, "the limit was not met: {refused}");
    let recorded = scene.records().iter().filter(|record| record.contains("\"action\":\"read\"")).count();
    assert_eq!(recorded, answered, "what was refused left nothing, what was answered left one record each");
    verified(&scene.strongroom.data);
}
