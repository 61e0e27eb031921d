//! CredHub's official Go library and Spring CredHub, unchanged, against the real binary: with tokens of an issuer, and with
//! certificates as Cloud Foundry gives its apps. tests/clients/credhub makes the calls; what each must come to stands here.

mod callers;
mod certificates;
mod content;
mod wanted;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::issuer::Issuer;
use crate::peers;
use crate::process::Strongroom;
use callers::Callers;

/// Which program makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Go,
    Spring,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Go => "credhub-go",
            Self::Spring => "credhub-spring",
        }
    }
}

const OPERATIONS: [&str; 5] = ["read", "write", "delete", "read_acl", "write_acl"];

/// One that believes the issuer and knows apps by their certificates. Nobody may anything in it yet but its admin `ops`.
struct Server {
    strongroom: Strongroom,
    password: String,
    issuer: Issuer,
    callers: Callers,
    dir: TempDir,
}

impl Server {
    async fn start() -> Self {
        let (issuer, dir) = (Issuer::start().await, tempfile::tempdir().expect("a folder"));
        let callers = Callers::made(&issuer, dir.path());
        let root = dir.path().join("issuer.crt");
        fs::write(&root, issuer.root()).expect("written");
        let settings = json!({
            "auth": {
                "issuers": [{ "url": issuer.url(), "caFile": root }],
                "mutualTls": { "caFile": callers.file("apps.crt") },
            },
        });
        let config = dir.path().join("strongroom.yaml");
        // JSON is YAML.
        fs::write(&config, json!({ "credhub": settings }).to_string()).expect("written");
        let mut strongroom = Strongroom::new(None);
        strongroom.set("STRONGROOM_CONFIG", config.to_str());
        strongroom.start().await;
        let password = strongroom.create_client("ops", true);
        Self { strongroom, password, issuer, callers, dir }
    }

    /// As the admin lets them.
    async fn permit(&self, actor: &str, path: &str, operations: &[&str]) {
        let request = self.strongroom.caller(None).request(Method::POST, self.strongroom.url("/api/v2/permissions"));
        let body = json!({ "actor": actor, "path": path, "operations": operations });
        let answer = request.basic_auth("ops", Some(&self.password)).json(&body).send().await.expect("an answer");
        let (status, answer) = (answer.status(), answer.text().await.expect("text"));
        assert_eq!(status, 201, "{actor} on {path}: {answer}");
    }

    /// Of everything in it, one is shared with a caller who may read nothing else.
    async fn permit_all(&self) {
        for (name, actor) in [("token", &self.callers.client), ("certificate", &self.callers.app)] {
            self.permit(actor, &format!("/calls/{name}/*"), &OPERATIONS).await;
        }
        self.permit("uaa-client:reader", "/calls/token/given-password", &["read"]).await;
    }

    fn plan(&self) -> Value {
        let own = fs::read_to_string(self.strongroom.data.join("ca.crt")).expect("ca.crt");
        json!({
            "url": self.strongroom.url(""), "token_url": self.issuer.url() + "/oauth/token",
            "roots": own + self.issuer.root(), "actor": "uaa-client:other", "callers": self.callers.plan,
            "signed": self.callers.pair("signed"), "foreign": self.callers.pair("foreign"),
        })
    }

    /// What each call of a program came to.
    async fn outcomes(&self, program: Program) -> Outcomes {
        let plan = self.dir.path().join("plan");
        fs::write(&plan, self.plan().to_string()).expect("written");
        let mut command = Command::new(peers::program(program.name(), "credhub"));
        // What a test's own environment says of CredHub or of proxies is not meant for this one.
        command.arg(&plan).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.dir.path());
        let done = tokio::task::spawn_blocking(move || command.output().expect("a program")).await.expect("it runs");
        let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{complaint}");
        let said = String::from_utf8(done.stdout).expect("text");
        let mut outcomes = Outcomes::default();
        for line in said.lines() {
            let outcome: Value = serde_json::from_str(line).expect("JSON");
            let text = |name: &str| outcome[name].as_str().expect("a name").to_owned();
            let known = outcomes.0.insert((text("by"), text("call")), outcome.clone());
            assert!(known.is_none(), "twice: {outcome}");
        }
        outcomes
    }
}

/// By caller and call.
#[derive(Default)]
struct Outcomes(BTreeMap<(String, String), Value>);

impl Outcomes {
    /// Null, if it was not made.
    fn of(&self, by: &str, call: &str) -> &Value {
        self.0.get(&(by.to_owned(), call.to_owned())).unwrap_or(&Value::Null)
    }

    /// Something in what a call returned.
    fn at(&self, by: &str, call: &str, place: &str) -> &Value {
        self.of(by, call)["result"].pointer(place).unwrap_or(&Value::Null)
    }
}

async fn gets_what_it_expects(program: Program) {
    let server = Server::start().await;
    server.permit_all().await;
    let outcomes = server.outcomes(program).await;
    let mut wrong = wanted::wrong(program, &outcomes);
    wrong.extend(content::wrong(program, &outcomes));
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), server.strongroom.log());
    for by in ["token", "certificate"] {
        certificates::judge(program, &outcomes, by);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn credhubs_go_library_gets_from_every_call_what_it_expects() {
    gets_what_it_expects(Program::Go).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn spring_credhub_gets_from_every_call_what_it_expects() {
    gets_what_it_expects(Program::Spring).await;
}
