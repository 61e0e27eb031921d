//! moto's KMS for this test process: started by the first test that asks, stopped however the process ends. Keys are
//! made and changed here as their owner would, past the proxy and uncounted.

use std::fs;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::guard;
use crate::peers;
use crate::process::plain_client;

pub const REGION: &str = "eu-west-1";

static URL: OnceLock<String> = OnceLock::new();

#[derive(Clone)]
pub struct Moto {
    url: String,
}

impl Moto {
    pub async fn running() -> Self {
        let url = tokio::task::spawn_blocking(|| URL.get_or_init(start).clone()).await.expect("moto starts");
        Self { url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What KMS answers to one action.
    pub async fn ask(&self, action: &str, body: Value) -> Value {
        let scope = format!("AWS4-HMAC-SHA256 Credential=AKIA/20260101/{REGION}/kms/aws4_request");
        let request = plain_client().post(&self.url);
        let request = request
            .header("x-amz-target", format!("TrentService.{action}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", format!("{scope}, SignedHeaders=host, Signature=none"))
            .body(body.to_string());
        let answer = request.send().await.expect("moto answers");
        assert!(answer.status().is_success(), "{action}: {}", answer.status());
        answer.json().await.unwrap_or(Value::Null)
    }

    /// The ARN of a new key.
    pub async fn create_key(&self) -> String {
        let made = self.ask("CreateKey", json!({})).await;
        made["KeyMetadata"]["Arn"].as_str().expect("an ARN").to_owned()
    }

    /// One of the actions that take a key and nothing else. moto knows it by its id alone there.
    pub async fn change(&self, action: &str, arn: &str) {
        self.ask(action, json!({ "KeyId": arn.rsplit('/').next() })).await;
    }
}

fn start() -> String {
    const BEGIN: &str = r#"
        "$1" -H 127.0.0.1 -p 0 < /dev/null > "$2/log" 2>&1 &
        until grep -q 'Running on' "$2/log" || ! kill -0 $! 2> /dev/null; do sleep 0.1; done
        sed -n 's/.*Running on \(http[^ ]*\).*/\1/p' "$2/log" | head -n 1
    "#;
    const END: &str = r#"kill $!; rm -rf "$2""#;
    let program = peers::program("moto_server", "kms");
    let home = peers::place().join(format!("moto-{}", std::process::id()));
    fs::create_dir_all(&home).expect("a folder for moto");
    let url = guard::beside(BEGIN, END, &[program.as_os_str(), home.as_os_str()]);
    let said = fs::read_to_string(home.join("log")).unwrap_or_default();
    assert!(url.starts_with("http://127.0.0.1:"), "moto does not start: {said}");
    url.trim().to_owned()
}
