//! Official clients of other servers, unchanged, against the real binary: with moto as AWS KMS.

mod confidant;
mod credhub;
mod moving;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kms::moto::{Moto, REGION};
use crate::peers;
use crate::process::Strongroom;

/// Whom callers' tokens are made for.
const CONTEXT: &str = "strongroom-test";

const AWS: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "a secret for moto"),
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// One that knows callers by kmsauth, with keys of its own.
struct Server {
    strongroom: Strongroom,
    /// Aliases in KMS, by what they are for.
    keys: BTreeMap<&'static str, String>,
    caller: Client,
    /// Of the admin `ops`.
    password: String,
    dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(None, json!({})).await
    }

    /// With a cluster, and with settings of the dialect besides kmsauth.
    async fn start_with(kubeconfig: Option<&Path>, mut settings: Value) -> Self {
        let moto = Moto::running().await;
        let mut strongroom = Strongroom::new(kubeconfig);
        let keys = keys(&moto, strongroom.rest).await;
        let dir = tempfile::tempdir().expect("a folder");
        settings["kmsauth"] = json!({
            "context": CONTEXT, "authKeys": [&keys["service"]], "userAuthKeys": [&keys["user"]],
            "endpoint": moto.url(), "region": REGION,
        });
        let config = dir.path().join("strongroom.yaml");
        // JSON is YAML.
        fs::write(&config, json!({ "confidant": settings }).to_string()).expect("written");
        strongroom.set("STRONGROOM_CONFIG", config.to_str());
        for (name, value) in AWS {
            strongroom.set(name, Some(value));
        }
        strongroom.start_without_webhook().await;
        let (caller, password) = (strongroom.caller(None), strongroom.create_client("ops", true));
        Self { strongroom, keys, caller, password, dir }
    }

    /// What it answers its admin, which must be 200.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.caller.request(method, self.strongroom.url(path)).basic_auth("ops", Some(&self.password));
        let answer = request.json(&body).send().await.expect("an answer");
        let (status, answer) = (answer.status(), answer.text().await.expect("text"));
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Makes one, and returns its id.
    async fn credential(&self, name: &str, pairs: Value) -> String {
        let body = json!({ "name": name, "credential_pairs": pairs });
        self.ask(Method::POST, "/v1/credentials", body).await["id"].as_str().expect("an id").to_owned()
    }

    async fn service(&self, name: &str, credentials: &[&str]) {
        self.ask(Method::PUT, &format!("/v1/services/{name}"), json!({ "credentials": credentials })).await;
    }
}

async fn keys(moto: &Moto, mark: u16) -> BTreeMap<&'static str, String> {
    let mut keys = BTreeMap::new();
    for name in ["service", "user", "blind"] {
        let (key, alias) = (moto.create_key().await, format!("alias/{name}-{mark}"));
        moto.ask("CreateAlias", json!({ "AliasName": alias, "TargetKeyId": key })).await;
        keys.insert(name, alias);
    }
    keys
}

/// Runs a script of Python with the peers' environment, for which KMS is moto and only these servers are trusted. Whether
/// it ended well, and what it said. The first of them is the one that is written to.
async fn run(servers: &[&Server], script: &str, arguments: &[&str]) -> (bool, String) {
    let [server, ..] = servers else { panic!("no server") };
    let roots = servers.iter().map(|server| fs::read(server.strongroom.data.join("ca.crt")).expect("ca.crt"));
    let trusted = server.dir.path().join("roots");
    fs::write(&trusted, roots.collect::<Vec<_>>().concat()).expect("written");
    let mut command = Command::new(peers::program("python3", "confidant"));
    peers::program("confidant", "confidant");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).args(arguments).envs(AWS);
    command.env("AWS_ENDPOINT_URL", Moto::running().await.url()).env("HOME", server.dir.path());
    command.env("REQUESTS_CA_BUNDLE", trusted);
    command.env("STRONGROOM_USER", "ops").env("STRONGROOM_PASSWORD", &server.password);
    let done = tokio::task::spawn_blocking(move || command.output().expect("python3")).await.expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (done.status.success(), said)
}
