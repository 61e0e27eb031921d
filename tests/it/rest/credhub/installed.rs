//! The real binary with an installation's settings, through a replacement of its data key.

use reqwest::Method;
use serde_json::{Value, json};

use super::certificates::pems;
use super::{DATA, text};
use crate::process::{Strongroom, binary};
use crate::rest::house::answer;

struct Scene {
    strongroom: Strongroom,
    password: String,
}

impl Scene {
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.strongroom.caller(None).request(method, self.strongroom.url(path));
        let (status, answer) = answer(request.basic_auth("ops", Some(&self.password)).json(body)).await;
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    async fn make(&self, name: &str, parameters: Value) -> Value {
        let body = json!({"name": name, "type": "certificate", "parameters": parameters});
        self.ask(Method::POST, DATA, &body).await
    }

    /// Of active, inactive and unknown keys.
    async fn usage(&self) -> [u64; 3] {
        let usage = self.ask(Method::GET, "/api/v1/key-usage", &json!(null)).await;
        ["active_key", "inactive_keys", "unknown_keys"].map(|name| usage[name].as_u64().unwrap())
    }

    async fn restart(&mut self) {
        assert_eq!(self.strongroom.stop().await.code(), Some(0));
        self.strongroom.start().await;
    }

    /// With an end where it would begin to seal anew, or with none.
    fn rekey(&self, failpoints: &str) -> bool {
        let data = self.strongroom.data.display().to_string();
        let done = binary().args(["rekey", "--data-dir", &data]).env("FAILPOINTS", failpoints).output().unwrap();
        done.status.success()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_reach_certificates_and_versions_are_counted_by_the_key_they_are_under() {
    let mut strongroom = Strongroom::new(None);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let certificates = json!({"concatenateCas": false, "caMinimumDurationInDays": 700,
        "leafMinimumDurationInDays": 500, "enableDefaultCaKeyUsages": true});
    std::fs::write(&file, json!({"credhub": {"certificates": certificates}}).to_string()).unwrap();
    strongroom.set("STRONGROOM_CONFIG", file.to_str());
    strongroom.start().await;
    let password = strongroom.create_client("ops", true);
    let mut scene = Scene { strongroom, password };
    let [own, ..] = scene.usage().await;
    // What was counted is held for a while.
    scene.restart().await;

    let ca = scene.make("/ca", json!({"common_name": "ca", "is_ca": true})).await;
    let leaf = scene.make("/leaf", json!({"common_name": "leaf", "ca": "/ca"})).await;
    assert_eq!((&ca["duration_used"], &leaf["duration_used"]), (&json!(700), &json!(500)));
    assert_eq!((&ca["duration_overridden"], &leaf["duration_overridden"]), (&json!(true), &json!(true)));
    let desk = crate::rest::openssl::Desk::new();
    desk.lay("ca", text(&ca["value"]["certificate"]));
    let said = desk.openssl(&["x509", "-in", "ca", "-noout", "-text"]).unwrap();
    assert!(said.contains("Certificate Sign, CRL Sign"), "{said}");
    let listed = scene.ask(Method::GET, "/api/v1/certificates?name=/ca", &json!(null)).await;
    let path = format!("/api/v1/certificates/{}/regenerate", text(&listed["certificates"][0]["id"]));
    scene.ask(Method::POST, &path, &json!({"set_as_transitional": true})).await;
    let read = scene.ask(Method::GET, &format!("{DATA}?name=/leaf"), &json!(null)).await["data"].clone();
    assert_eq!((read.as_array().unwrap().len(), pems(&read[0]["value"]["ca"]).len()), (1, 1), "not concatenated");

    // Two of /ca, one of /leaf, beside those of Strongroom's own.
    let [all, inactive, unknown] = scene.usage().await;
    assert_eq!((all - own, inactive, unknown), (3, 0, 0));
    assert!(!scene.rekey("rekey.added=return"), "it was to end before anything is sealed anew");
    scene.restart().await;
    assert_eq!(scene.usage().await, [0, all, 0]);
    scene.ask(Method::PUT, DATA, &json!({"name": "/v", "type": "value", "value": "x"})).await;
    scene.restart().await;
    assert_eq!(scene.usage().await, [1, all, 0], "what is new is under the new key");
    assert!(scene.rekey(""));
    scene.restart().await;
    assert_eq!(scene.usage().await, [all + 1, 0, 0]);
    assert_eq!(scene.ask(Method::GET, &format!("{DATA}?name=/leaf"), &json!(null)).await["data"], read);
    scene.strongroom.stop().await;
}
