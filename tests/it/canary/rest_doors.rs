//! Everything that a caller over REST may send, and much that it may not.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::Canaries;
use crate::process::Strongroom;

const JSON: &str = "application/json";

pub struct Street {
    base: String,
    caller: Client,
    password: String,
}

impl Street {
    pub fn new(strongroom: &Strongroom, password: &str) -> Self {
        Self { base: strongroom.url(""), caller: strongroom.caller(None), password: password.to_owned() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.caller.request(method, format!("{}{path}", self.base))
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>, kind: &str) -> (u16, Value) {
        let request = self.request(method, path).basic_auth("ops", Some(&self.password)).header("content-type", kind);
        match request.body(body).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)),
            // One that is too long may be cut off before its answer is read.
            Err(_) => (413, Value::Null),
        }
    }

    async fn create(&self, title: &str, pairs: &str) -> (u16, Value) {
        let body = format!(r#"{{"name": "{title}", "enabled": true, "credential_pairs": {pairs}}}"#);
        self.send(Method::POST, "/v1/credentials", body, JSON).await
    }

    pub async fn write_and_misuse(&self, canaries: &mut Canaries, namespace: &str) {
        let (text, number) = (canaries.text("created as text"), canaries.digits("created as a number"));
        let (status, made) = self.create("Database", &format!(r#"{{"a": "{text}", "b": {number}}}"#)).await;
        assert_eq!(status, 200, "{made}");
        let path = format!("/v1/credentials/{}", made["id"].as_str().expect("an id"));
        let next = json!({"credential_pairs": {"a": canaries.text("updated")}}).to_string();
        assert_eq!(self.send(Method::PUT, &path, next, JSON).await.0, 200);
        // For the resource that shows what is written over REST.
        let title = format!("/kubernetes/{namespace}/mail");
        let (status, said) = self.create(&title, &json!({"host": canaries.text("stored")}).to_string()).await;
        assert_eq!(status, 200, "{said}");
        let service = json!({"enabled": true, "credentials": [made["id"]]}).to_string();
        assert_eq!(self.send(Method::PUT, "/v1/services/shop", service, JSON).await.0, 200);
        self.send_bad_bodies(canaries, &path).await;
        self.present_bad_credentials(canaries).await;
    }

    async fn send_bad_bodies(&self, canaries: &mut Canaries, path: &str) {
        let mut long = canaries.text("in a body that is too long");
        long.extend(std::iter::repeat_n('x', 2 << 20));
        let mut no_text = canaries.text("in bytes that are no text").into_bytes();
        no_text.insert(0, 0xff);
        let mut value = |door: &str| canaries.text(door);
        let post = "/v1/credentials";
        let cases: Vec<(Method, &str, Vec<u8>, &str)> = vec![
            (Method::POST, post, format!(r#"{{"credential_pairs": {{"a": "{}""#, value("cut off")).into(), JSON),
            (Method::POST, post, format!(r#"{{"a": "{}", }}"#, value("in broken JSON")).into(), JSON),
            (Method::POST, post, value("no JSON at all").into(), JSON),
            (Method::POST, post, value("of another type").into(), "text/plain"),
            (Method::POST, post, json!({"credential_pairs": {"a": {"b": value("nested")}}}).to_string().into(), JSON),
            (Method::POST, post, json!({"credential_pairs": {"a": [value("in a list")]}}).to_string().into(), JSON),
            (Method::POST, post, json!({"credential_pairs": value("in place of pairs")}).to_string().into(), JSON),
            (Method::POST, post, json!({"enabled": value("in place of a boolean")}).to_string().into(), JSON),
            (Method::POST, post, json!({"name": [value("in place of a name")]}).to_string().into(), JSON),
            (Method::POST, post, json!({"metadata": value("in place of metadata")}).to_string().into(), JSON),
            (
                Method::POST,
                post,
                json!({"name": "Database", "credential_pairs": {"a": value("under a taken title")}}).to_string().into(),
                JSON,
            ),
            (Method::POST, post, format!(r#"{{"a": "{}", "a": 1}}"#, value("twice there")).into(), JSON),
            (Method::PUT, path, json!({"credential_pairs": value("wrong update")}).to_string().into(), JSON),
            (Method::PUT, path, json!({"revision": value("wrong revision")}).to_string().into(), JSON),
            (
                Method::PUT,
                "/v1/credentials/00000000000000000000000000000000",
                json!({"credential_pairs": {"a": value("for nobody")}}).to_string().into(),
                JSON,
            ),
            (Method::PUT, "/v1/services/shop", json!({"credentials": [value("as an id")]}).to_string().into(), JSON),
            (Method::DELETE, post, json!({"a": value("to no route")}).to_string().into(), JSON),
            (Method::POST, post, long.into_bytes(), JSON),
            (Method::POST, post, no_text, JSON),
        ];
        let (all, mut refused) = (cases.len(), 0);
        for (method, path, body, kind) in cases {
            let (status, _) = self.send(method, path, body, kind).await;
            assert!(status < 500, "{path}: {status}");
            refused += usize::from(status >= 400);
        }
        // A field that nobody knows is passed over.
        assert!(refused + 2 >= all, "{refused} of {all} bad bodies were refused");
    }

    async fn present_bad_credentials(&self, canaries: &mut Canaries) {
        let encoded = |text: String| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text);
        let password = canaries.text("a wrong password");
        let headers = [
            format!("Basic {}", encoded(format!("ops:{password}"))),
            format!("Basic {}", encoded(format!("{}:x", canaries.text("a password as a user name")))),
            format!("Basic {}", encoded(canaries.text("a password without a user name"))),
            format!("Basic {}", canaries.text("a password that is not encoded")),
            format!("Bearer {}", canaries.text("an unknown token")),
            format!("Negotiate {}", canaries.text("an unknown scheme")),
        ];
        let old = Client::builder().http1_only().danger_accept_invalid_certs(true).build().expect("a client");
        for header in headers {
            for caller in [&self.caller, &old] {
                let request = caller.get(format!("{}/v1/credentials", self.base)).header("authorization", &header);
                let status = request.send().await.expect("an answer").status().as_u16();
                assert!(matches!(status, 401 | 403), "{status}");
            }
        }
        let cookie = canaries.text("a cookie");
        let request = self.request(Method::GET, "/v1/credentials").header("cookie", format!("session={cookie}"));
        request.send().await.expect("an answer");
    }

    pub async fn read_everything(&self) {
        let get = async |path: &str| self.send(Method::GET, path, "", JSON).await;
        let (status, list) = get("/v1/credentials").await;
        assert_eq!(status, 200, "{list}");
        let credentials = list["credentials"].as_array().expect("a list").clone();
        assert!(credentials.len() >= 2, "{list}");
        for credential in credentials {
            get(&format!("/v1/credentials/{}", credential["id"].as_str().expect("an id"))).await;
        }
        for path in ["/v1/services", "/v1/services/shop", "/v1/services/nobodys", "/nowhere"] {
            get(path).await;
        }
    }
}
