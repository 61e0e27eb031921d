//! A server with one credential of each sort, and how requests are refused: with one sentence that names what is wrong
//! and repeats nothing that is secret, and without a write.

use std::ops::Deref;

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest::house::House;

/// Stands wherever a secret does.
pub const SECRET: &str = "hunter2-tell-nobody";

pub struct Stock {
    house: House,
    /// As their generation answered.
    pub root: Value,
    pub other: Value,
    pub leaf: Value,
}

impl Deref for Stock {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

impl Stock {
    pub async fn open() -> Self {
        let house = House::open().await;
        for (kind, value) in [
            ("value", json!(SECRET)),
            ("password", json!(SECRET)),
            ("json", json!({"a": SECRET})),
            ("user", json!({"username": "u", "password": SECRET})),
            ("rsa", json!({"private_key": SECRET})),
            ("ssh", json!({"private_key": SECRET})),
        ] {
            put(&house, json!({"name": format!("/{kind}"), "type": kind, "value": value})).await;
        }
        let root = make(&house, "/root", json!({"common_name": "root", "is_ca": true})).await;
        let other = make(&house, "/other", json!({"common_name": "other", "is_ca": true})).await;
        let leaf = make(&house, "/leaf", json!({"common_name": "leaf", "ca": "/root"})).await;
        make(&house, "/alone", json!({"common_name": "alone", "self_sign": true})).await;
        let own = |made: &Value, part: &str| made["value"][part].clone();
        put(&house, certificate("/keyless", json!({"certificate": own(&root, "certificate")}))).await;
        let given = json!({"ca": own(&root, "certificate"), "certificate": own(&leaf, "certificate")});
        put(&house, certificate("/given", given)).await;
        Self { house, root, other, leaf }
    }

    /// The id that lists of certificates say.
    pub async fn id(&self, name: &str) -> String {
        let (status, found) = self.get(&format!("/api/v1/certificates?name={name}")).await;
        assert_eq!(status, 200, "{found}");
        found["certificates"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The id of one that is there.
    pub async fn permission(&self) -> String {
        let old = "/api/v2/permissions?path=/x&actor=old";
        let body = json!({"path": "/x", "actor": "old", "operations": ["read"]});
        self.send(Method::POST, "/api/v2/permissions", &body).await;
        self.get(old).await.1["uuid"].as_str().unwrap().to_owned()
    }

    pub async fn close(self) {
        self.house.close().await;
    }
}

pub fn certificate(name: &str, value: Value) -> Value {
    json!({"name": name, "type": "certificate", "value": value})
}

pub async fn put(house: &House, body: Value) -> Value {
    let (status, answer) = house.send(Method::PUT, "/api/v1/data", &body).await;
    assert_eq!(status, 200, "{answer} to {body}");
    answer
}

/// Generates a certificate.
pub async fn make(house: &House, name: &str, parameters: Value) -> Value {
    let body = json!({"name": name, "type": "certificate", "parameters": parameters});
    let (status, answer) = house.send(Method::POST, "/api/v1/data", &body).await;
    assert_eq!(status, 200, "{answer} to {body}");
    answer
}

/// A request that is to be refused.
pub struct Case {
    pub method: Method,
    pub path: String,
    pub body: Value,
    pub status: u16,
    /// In the sentence.
    pub word: &'static str,
}

pub fn case(method: Method, path: impl Into<String>, body: Value, status: u16, word: &'static str) -> Case {
    Case { method, path: path.into(), body, status, word }
}

/// `PUT /api/v1/data`
pub fn set(body: Value, status: u16, word: &'static str) -> Case {
    case(Method::PUT, "/api/v1/data", body, status, word)
}

/// `POST /api/v1/data`
pub fn generate(body: Value, word: &'static str) -> Case {
    case(Method::POST, "/api/v1/data", body, 400, word)
}

/// All that are not refused as they should be, at once.
pub async fn assert_refused(house: &House, cases: impl IntoIterator<Item = Case>) {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for Case { method, path, body, status, word } in cases {
        let before = house.position().await;
        let (found, answer) = house.send(method.clone(), &path, &body).await;
        let is_as_before = house.position().await == before;
        if found != status || !is_sentence(&answer, word) || !is_as_before {
            let body: String = body.to_string().chars().take(300).collect();
            wrong.push(format!("{method} {path} {body}: {found} {answer}, not {status} {word}; {is_as_before}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty() && count > 0, "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// One, with this word in it and no secret.
pub fn is_sentence(answer: &Value, word: &str) -> bool {
    let text = answer["error"].as_str().unwrap_or_default();
    let is_alone = answer.as_object().is_some_and(|members| members.len() == 1);
    is_alone && !text.is_empty() && text.contains(word) && !text.contains("hunter2") && !text.contains("BEGIN")
}
