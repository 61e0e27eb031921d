//! Permissions that several write at once.

use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::domain::permission::Operation;

use super::{V1, V2, allow, delete, get, query, send, wanted};
use crate::rest::house::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_make_the_same_permission_one_does() {
    let house = House::open().await;
    for turn in 0..10 {
        let body = wanted(&format!("/race/{turn}"), "till", &["read"]);
        let all = (0..4).map(|_| send(&house, "ops", Method::POST, V2, &body));
        let mut statuses: Vec<u16> = join_all(all).await.into_iter().map(|(status, _)| status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409]);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_add_to_a_permission_none_is_lost() {
    let house = House::open().await;
    for turn in 0..10 {
        let name = format!("/added/{turn}");
        let bodies = Operation::ALL.map(|operation| {
            json!({"credential_name": name, "permissions": [{"actor": "till", "operations": [operation.as_str()]}]})
        });
        let all = join_all(bodies.iter().map(|body| send(&house, "ops", Method::POST, V1, body))).await;
        assert!(all.iter().all(|(status, _)| *status == 201), "{all:?}");
        let (_, added) = get(&house, "ops", &query(&name, "till")).await;
        assert_eq!(added["operations"], json!(Operation::ALL.map(Operation::as_str)));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacements_at_once_all_happen_one_after_the_other() {
    let house = House::open().await;
    let path = allow(&house, "/a", "till", &["read"]).await;
    let bodies: Vec<Value> = (0..20).map(|turn| json!({"operations": [Operation::ALL[turn % 5].as_str()]})).collect();
    let all = || join_all(bodies.iter().map(|body| send(&house, "ops", Method::PATCH, &path, body)));
    for ((status, answer), body) in all().await.iter().zip(&bodies) {
        assert_eq!((*status, &answer["operations"]), (200, &body["operations"]), "{answer}");
    }
    let written = house.writes().await;
    let revisions = written.iter().filter(|note| note["name"] == "/a").map(|note| note["revision"].as_u64().unwrap());
    assert!(revisions.eq(1..=21));
    // A deletion among them ends it for those that come after.
    let (changes, deleted) = join(all(), delete(&house, "ops", &path)).await;
    assert_eq!(deleted.0, 200);
    assert!(changes.iter().all(|(status, _)| matches!(status, 200 | 404)), "{changes:?}");
    assert_eq!(get(&house, "ops", &path).await.0, 404);
    house.close().await;
}
