//! The real binary: seeds of its settings, and callers with real tokens who grant each other what they may.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::{V2, wanted};
use crate::issuer::Issuer;
use crate::process::Strongroom;
use crate::rest::house::answer;

fn settings(folder: &Path, issuer: &Issuer, enforced: bool) -> String {
    let issuers = json!([{"url": issuer.url(), "caFile": folder.join("root.pem")}]);
    let seeds = json!([
        {"path": "/*", "actors": ["uaa-client:lead"], "operations": ["read_acl", "write_acl"]},
        {"path": "team/*", "actors": ["uaa-client:till", "uaa-client:mail"], "operations": ["read"]},
    ]);
    let permissions = json!({"enforced": enforced, "seeds": seeds});
    json!({"credhub": {"auth": {"issuers": issuers}, "permissions": permissions}}).to_string()
}

struct Scene {
    strongroom: Strongroom,
    issuer: Issuer,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn start(&mut self, enforced: bool) {
        let file = self.folder.path().join("config.yaml");
        std::fs::write(&file, settings(self.folder.path(), &self.issuer, enforced)).unwrap();
        self.strongroom.set("STRONGROOM_CONFIG", file.to_str());
        self.strongroom.start().await;
    }

    async fn ask(&self, client: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let token = self.issuer.token(&self.issuer.claims(client));
        let request = self.strongroom.caller(None).request(method, self.strongroom.url(path));
        answer(request.bearer_auth(token).json(body)).await
    }

    async fn get(&self, client: &str, path: &str) -> (u16, Value) {
        self.ask(client, Method::GET, path, &json!(null)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_with_tokens_may_what_seeds_and_others_grant_them() {
    let (issuer, folder) = (Issuer::start().await, tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("root.pem"), issuer.root()).unwrap();
    let mut scene = Scene { strongroom: Strongroom::new(None), issuer, folder };
    scene.start(true).await;
    let value = json!({"name": "/team/db", "type": "password", "value": "opens-the-till"});
    let data = "/api/v1/data?name=/team/db&current=true";
    assert_eq!(scene.ask("till", Method::PUT, "/api/v1/data", &value).await.0, 403, "reading is not writing");
    let (status, made) = scene.ask("lead", Method::POST, V2, &wanted("/team/db", "uaa-client:till", &["write"])).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(scene.ask("till", Method::PUT, "/api/v1/data", &value).await.0, 200);
    let values = async |client: &str| scene.get(client, data).await.1["data"][0]["value"].clone();
    assert_eq!(values("till").await, json!("opens-the-till"));
    assert_eq!(values("mail").await, json!("opens-the-till"));
    for client in ["lead", "other"] {
        assert_eq!(scene.get(client, data).await.0, 404, "{client}");
    }
    let path = format!("{V2}/{}", made["uuid"].as_str().unwrap());
    assert_eq!(scene.ask("lead", Method::DELETE, &path, &json!({})).await.0, 200);
    assert_eq!(scene.ask("till", Method::PUT, "/api/v1/data", &value).await.0, 403);
    let added = |scene: &Scene| scene.strongroom.log().matches("permissions of the settings were added").count();
    assert_eq!(added(&scene), 1);
    assert_eq!(scene.strongroom.stop().await.code(), Some(0));

    scene.start(false).await;
    assert_eq!(added(&scene), 1, "they are there: nothing is written");
    let (status, found) = scene.get("other", data).await;
    assert_eq!((status, &found["data"][0]["value"]), (200, &json!("opens-the-till")), "permissions are not enforced");
    assert!(!scene.strongroom.log().contains("opens-the-till"));
    assert_eq!(scene.strongroom.stop().await.code(), Some(0));
}
