//! `strongroom import credhub`: the real binary, what another server's API shows as CredHub's program exports it, and a
//! second store that has to answer alike.

mod killed;
mod refused;
mod whole;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::process::{Strongroom, binary};

const DATA: &str = "/api/v1/data";

pub struct House {
    pub strongroom: Strongroom,
    caller: Client,
    password: String,
}

impl House {
    /// On a store of its own, or on this database.
    async fn open(database: Option<&str>) -> Self {
        let mut strongroom = Strongroom::new(None);
        strongroom.set("STRONGROOM_DATABASE", database);
        strongroom.start().await;
        let password = strongroom.create_client("ops", true);
        Self { caller: strongroom.caller(None), strongroom, password }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.caller.request(method, self.strongroom.url(path)).basic_auth("ops", Some(&self.password));
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await;
        let answer = answer.expect("an answer");
        let (status, text) = (answer.status().as_u16(), answer.text().await.expect("a body"));
        assert!(status < 300, "{path} gave {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, Value::Null).await
    }

    async fn generate(&self, name: &str, kind: &str, parameters: Value) -> Value {
        self.ask(Method::POST, DATA, json!({ "name": name, "type": kind, "parameters": parameters })).await
    }

    async fn set(&self, name: &str, kind: &str, value: Value) -> Value {
        let metadata = json!({ "of": name, "deep": [1, null] });
        self.ask(Method::PUT, DATA, json!({ "name": name, "type": kind, "value": value, "metadata": metadata })).await
    }

    /// The version that counts.
    async fn current(&self, name: &str) -> Value {
        self.get(&format!("{DATA}?current=true&name={name}")).await["data"][0].clone()
    }

    async fn certificate(&self, name: &str) -> Value {
        self.get(&format!("/api/v1/certificates/?name={name}")).await["certificates"][0].clone()
    }

    async fn names(&self) -> Vec<String> {
        let found = self.get(&format!("{DATA}?path=/")).await;
        let mut names: Vec<String> =
            found["credentials"].as_array().expect("a list").iter().map(|it| text(&it["name"]).to_owned()).collect();
        names.sort_unstable();
        names
    }

    async fn versions(&self, names: &[String]) -> Vec<usize> {
        let mut counts = Vec::new();
        for name in names {
            counts.push(self.get(&format!("{DATA}?name={name}")).await["data"].as_array().expect("a list").len());
        }
        counts
    }

    fn import(&self, more: &[&str], export: &str) -> Output {
        import(&mut self.command(more), export)
    }

    fn command(&self, more: &[&str]) -> Command {
        command(&self.strongroom.data, more)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn command(data: &Path, more: &[&str]) -> Command {
    let mut command = binary();
    command.args(["import", "credhub"]).args(more).arg("--data-dir").arg(data);
    command
}

fn import(command: &mut Command, export: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the binary");
    child.stdin.take().expect("a pipe").write_all(export.as_bytes()).expect("to write");
    child.wait_with_output().expect("its end")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
