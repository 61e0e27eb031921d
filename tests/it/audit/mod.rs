//! The record of what was done, as the real binary keeps it: one of each read, write and denial, there
//! before the answer, and missed when it is gone.

mod calls;
mod crash;
mod full;
mod refusals;
mod tampering;

use std::path::Path;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::process::{Strongroom, binary};

/// A server with an administrator and one credential.
struct Scene {
    strongroom: Strongroom,
    caller: Client,
    password: String,
    credential: String,
}

impl Scene {
    async fn new() -> Self {
        let mut strongroom = Strongroom::new(None);
        strongroom.start().await;
        let password = strongroom.create_client("ops", true);
        let caller = strongroom.caller(None);
        let mut scene = Self { strongroom, caller, password, credential: String::new() };
        let body = json!({"name": "db", "credential_pairs": {"user": "u", "pass": "v-a-l-u-e"}, "enabled": true});
        let (status, made) = scene.call(Method::POST, "/v1/credentials", Some(body)).await;
        assert_eq!(status, 200, "{made}");
        scene.credential = made["id"].as_str().expect("an id").to_owned();
        scene
    }

    async fn start_again(&mut self) {
        self.strongroom.start().await;
        self.caller = self.strongroom.caller(None);
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        self.call_as("ops", &self.password, method, path, body).await
    }

    async fn call_as(
        &self,
        who: &str,
        password: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self.caller.request(method, self.strongroom.url(path)).basic_auth(who, Some(password));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    fn read_path(&self) -> String {
        format!("/v1/credentials/{}", self.credential)
    }

    /// Every record but those that journals make of themselves.
    fn records(&self) -> Vec<String> {
        let output = audit(&self.strongroom.data, &["tail", "--lines", "1000000"]);
        let lines = output.1.lines().filter(|line| !line.contains("journal\"") && !line.starts_with("{\"journal\""));
        assert!(output.0, "{}", output.1);
        lines.map(str::to_owned).collect()
    }

    /// The records that came since, which then count as seen. None may have gone.
    fn added(&self, seen: &mut Vec<String>) -> Vec<Value> {
        let all = self.records();
        let mut new = all.clone();
        for known in &*seen {
            let at = new.iter().position(|record| record == known);
            new.swap_remove(at.unwrap_or_else(|| panic!("gone: {known}")));
        }
        *seen = all;
        new.iter().map(|record| serde_json::from_str(record).expect("JSON")).collect()
    }
}

/// `strongroom audit …` on a folder: whether it went well, and what it said.
fn audit(data: &Path, arguments: &[&str]) -> (bool, String) {
    let output = binary()
        .arg("audit")
        .args(arguments)
        .args(["--data-dir", &data.display().to_string()])
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

#[track_caller]
fn verified(data: &Path) -> String {
    let (whole, said) = audit(data, &["verify"]);
    assert!(whole, "{said}");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("ok: ")), "{said}");
    said
}

#[test]
fn where_nothing_is_nothing_is_made_and_nothing_verified() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    for command in ["verify", "tail"] {
        let (well, said) = audit(&data, &[command]);
        assert!(!well && said.contains("no store"), "{said}");
    }
    assert!(!data.exists());
}
