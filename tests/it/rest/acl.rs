//! Rules of an installation's own, as they stand in its settings' file, against the real router.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::Dialects;
use strongroom::config::confidant::Confidant;

use crate::rest::header_login::{ann, cookie};
use crate::rest::house::{House, Setup};

const SETTINGS: &str = r#"
headerLogin: {userHeader: X-Forwarded-User, emailHeader: X-Forwarded-Email, addresses: [127.0.0.1]}
acl:
  - {actors: ["user:*@example.com"], resources: [service], actions: [list]}
  - {actors: ["user:*@example.com"], resources: [service], actions: [get, metadata, update, create], ids: ["shop-*", "{actor}"]}
  - {actors: ["user:*@example.com"], resources: [credential], actions: [create, metadata]}
  - {actors: ["user:bob@example.com"], resources: ["*"], actions: ["*"]}
"#;

async fn house() -> House {
    let given: Confidant = serde_yaml::from_str(SETTINGS).expect("settings");
    let proxy = given.header_login.clone().expect("a proxy");
    let mut dialects = Dialects::default();
    dialects.confidant.settings.header_login = Some(strongroom::server::header_login::HeaderLogin {
        user: proxy.user,
        email: proxy.email,
        addresses: proxy.addresses,
        certificates: proxy.certificates,
    });
    House::set_up(Setup { rules: given.rules(), dialects, ..Setup::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_rule_allows_is_forbidden() {
    let house = house().await;
    let greeting = ann(house.client.get(house.url("/v1/user/email"))).send().await.unwrap();
    let token = cookie(&greeting).unwrap();
    let shown = house.credential("shown", json!({"password": "hidden"})).await;
    for id in ["shop-till", "bank-till", "ann@example.com"] {
        let (status, _) =
            house.send(Method::PUT, &format!("/v1/services/{id}"), &json!({"credentials": [&shown]})).await;
        assert_eq!(status, 200);
    }
    let credential = format!("/v1/credentials/{shown}");
    let new = json!({"name": "new", "credential_pairs": {"a": "b"}, "enabled": true});
    for (method, path, body, expected) in [
        (Method::GET, "/v1/services", json!({}), 200),
        (Method::GET, "/v1/services/shop-till", json!({}), 200),
        (Method::GET, "/v1/services/ann@example.com", json!({}), 200),
        (Method::GET, "/v1/services/bank-till", json!({}), 403),
        (Method::GET, "/v1/archive/services/bank-till", json!({}), 403),
        (Method::PUT, "/v1/services/shop-new", json!({"credentials": []}), 200),
        (Method::PUT, "/v1/services/bank-new", json!({"credentials": []}), 403),
        // A rule to update is not one to read what would be mapped.
        (Method::PUT, "/v1/services/shop-new", json!({"credentials": [&shown]}), 403),
        (Method::PUT, "/v1/services/shop-till/1", json!({}), 403),
        (Method::GET, "/v1/credentials", json!({}), 403),
        (Method::POST, "/v1/credentials", new, 200),
        (Method::GET, &credential, json!({}), 200),
        (Method::PUT, &credential, json!({"enabled": false}), 403),
        (Method::GET, "/v1/blind_credentials", json!({}), 403),
    ] {
        let before = house.recorded().await;
        let request = ann(house.client.request(method.clone(), house.url(path))).header("X-XSRF-TOKEN", &token);
        let response = request.json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(status, expected, "{method} {path}: {text}");
        assert_eq!(house.recorded().await - before, 1, "{method} {path}");
        if path == credential && status == 200 {
            let seen: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&seen["credential_pairs"], &seen["credential_keys"]), (&json!({}), &json!(["password"])));
        }
    }
    // Other sorts of callers are not theirs to judge.
    assert_eq!(house.get("/v1/credentials").await.0, 200);
    house.close().await;
}
