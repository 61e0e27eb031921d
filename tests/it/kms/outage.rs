//! A running server and its key service: how rarely it is needed, and how long it may be away.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::proxy::Fault;
use super::{Kms, page, until};
use crate::process::Strongroom;

struct Caller {
    http: reqwest::Client,
    password: String,
    base: String,
}

impl Caller {
    fn of(strongroom: &Strongroom) -> Self {
        let password = strongroom.create_client("ops", true);
        Self { http: strongroom.caller(None), password, base: strongroom.url("/v1/credentials") }
    }

    async fn write(&self, name: &str) -> (StatusCode, Value) {
        let body = json!({"name": name, "credential_pairs": {"user": name}, "enabled": true});
        let request = self.http.post(&self.base).basic_auth("ops", Some(&self.password)).json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn read(&self, id: &Value) -> (StatusCode, Value) {
        let url = format!("{}/{}", self.base, id.as_str().expect("an id"));
        let request = self.http.get(url).basic_auth("ops", Some(&self.password));
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_reads_and_a_hundred_writes_ask_kms_nothing() {
    let kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    strongroom.start().await;
    let caller = Caller::of(&strongroom);
    let (_, written) = caller.write("mail").await;
    let before = kms.proxy.calls().len();
    for number in 0..100 {
        assert_eq!(caller.write(&format!("c{number}")).await.0, 200);
    }
    for _ in 0..1000 {
        assert_eq!(caller.read(&written["id"]).await.0, 200);
    }
    assert_eq!(kms.proxy.calls().len() - before, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_outage_is_survived_up_to_its_limit_and_what_is_sealed_is_locked_after_it() {
    let mut kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    strongroom.set("STRONGROOM_KMS_OUTAGE_LIMIT", Some("4s"));
    strongroom.start().await;
    let caller = Caller::of(&strongroom);
    let (status, written) = caller.write("mail").await;
    assert_eq!(status, 200);
    until("a check-in", async || kms.proxy.actions().iter().filter(|action| *action == "Decrypt").count() >= 3).await;

    kms.proxy.down().await;
    assert_eq!(caller.read(&written["id"]).await.0, 200, "KMS is not needed");
    assert_eq!(caller.write("during").await.0, 200);
    until("locked", async || caller.read(&written["id"]).await.0 == StatusCode::SERVICE_UNAVAILABLE).await;
    let (status, said) = caller.write("after").await;
    assert_eq!(status, 503);
    assert!(said["error"].as_str().is_some_and(|said| said.contains("--kms-outage-limit")), "{said}");
    until("it says so", async || strongroom.log().contains("keys are locked")).await;
    let metrics = page(&strongroom, "metrics").await.expect("metrics").1;
    assert!(metrics.contains("strongroom_data_keys_locked 1"), "{metrics}");

    kms.proxy.up().await;
    until("unlocked", async || caller.read(&written["id"]).await.0 == 200).await;
    let (_, read) = caller.read(&written["id"]).await;
    assert_eq!(read["credential_pairs"], json!({"user": "mail"}));
    assert_eq!(caller.write("again").await.0, 200);
    assert!(strongroom.log().contains("answers again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_that_is_disabled_cuts_off_a_running_server_too() {
    let kms = Kms::new().await;
    let mut strongroom = kms.strongroom();
    strongroom.set("STRONGROOM_KMS_OUTAGE_LIMIT", Some("4s"));
    strongroom.start().await;
    let caller = Caller::of(&strongroom);
    let (_, written) = caller.write("mail").await;
    kms.proxy.fail(Fault::Refuse("Decrypt", "DisabledException"));
    until("locked", async || caller.read(&written["id"]).await.0 == StatusCode::SERVICE_UNAVAILABLE).await;
    until("it says so", async || strongroom.log().contains(&format!("KMS key {} is disabled", kms.arn))).await;
    kms.proxy.fail(Fault::None);
    until("unlocked", async || caller.read(&written["id"]).await.0 == 200).await;
}
