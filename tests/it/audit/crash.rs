//! SIGKILL: whatever was answered is on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;

use super::{Scene, verified};

const ROUNDS: u64 = 5;
const CALLERS: u64 = 8;

#[tokio::test]
async fn no_read_that_was_answered_is_missing_after_sigkill() {
    let mut scene = Scene::new().await;
    let answered = Arc::new(AtomicU64::new(0));
    for round in 0..ROUNDS {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let (caller, password, answered) = (scene.caller.clone(), scene.password.clone(), answered.clone());
            let url = scene.strongroom.url(&scene.read_path());
            calls.spawn(async move {
                while let Ok(answer) = caller.get(&url).basic_auth("ops", Some(&password)).send().await {
                    if answer.text().await.is_ok_and(|text| text.contains("v-a-l-u-e")) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(500 + 170 * round)).await;
        scene.strongroom.kill();
        while calls.join_next().await.is_some() {}
        verified(&scene.strongroom.data);
        scene.start_again().await;
    }
    let answered = answered.load(Ordering::Relaxed);
    let recorded = scene.records().iter().filter(|record| record.contains("\"action\":\"read\"")).count() as u64;
    println!("{ROUNDS} kills, {answered} answers, {recorded} records");
    // Each call hashes a password, so there are not many.
    assert!(answered > 3 * ROUNDS, "too few to mean anything: {answered}");
    assert!((answered..=answered + ROUNDS * CALLERS).contains(&recorded), "{answered} answers, {recorded} records");
    assert_eq!(scene.strongroom.stop().await.code(), Some(0));
    verified(&scene.strongroom.data);
}

#[tokio::test]
async fn one_answer_and_sigkill() {
    let mut scene = Scene::new().await;
    for count in 1..=3 {
        let (status, _) = scene.call(Method::GET, &scene.read_path(), None).await;
        scene.strongroom.kill();
        assert_eq!(status, 200);
        let reads = scene.records().iter().filter(|record| record.contains("\"action\":\"read\"")).count();
        assert_eq!(reads, count);
        scene.start_again().await;
    }
}

#[tokio::test]
async fn it_is_verified_while_it_is_written() {
    let scene = Scene::new().await;
    let data = scene.strongroom.data.clone();
    let verifying = tokio::task::spawn_blocking(move || (0..6).for_each(|_| drop(verified(&data))));
    while !verifying.is_finished() {
        scene.call(Method::GET, &scene.read_path(), None).await;
        let body = serde_json::json!({"name": "db", "documentation": "d"});
        scene.call(Method::PUT, &scene.read_path(), Some(body)).await;
    }
    verifying.await.expect("verified each time");
}
