//! What callers are told about themselves and the installation, and how settings change what is done.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::confidant::settings::{Maintenance, Settings};
use strongroom::domain::credential::rotation::Rotation;
use strongroom::domain::rules::Rules;

use crate::rest::house::House;

#[tokio::test]
async fn callers_learn_who_they_are_and_how_things_are_set() {
    let settings = Settings {
        client_config: r#"{"help": {"url": "https://wiki"}}"#.into(),
        history_page_limit: Some(25),
        rotation: Rotation { days_by_tag: [("hot".into(), 7)].into(), ..Rotation::default() },
        ..Settings::default()
    };
    let house = House::with(settings, Rules::default()).await;
    for method in [Method::GET, Method::POST] {
        assert_eq!(house.send(method, "/v1/user/email", &json!({})).await, (200, json!({"email": "ops"})));
    }
    let (status, config) = house.get("/v1/client_config").await;
    assert_eq!((status, &config["defined"]), (200, &json!({"help": {"url": "https://wiki"}})));
    let all = json!({"list": true, "create": true});
    let wanted = json!({
        "kms_auth_manage_grants": false, "aws_accounts": [], "xsrf_cookie_name": "XSRF-TOKEN", "maintenance_mode": false,
        "history_page_limit": 25, "defined_tags": ["hot"],
        "permissions": {"credentials": all, "blind_credentials": all, "services": all},
    });
    assert_eq!(config["generated"], wanted);
    house.close().await;
}

#[tokio::test]
async fn values_are_drawn_for_anybody_and_never_twice() {
    let house = House::open().await;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let answer = house.client.get(house.url("/v1/value_generator")).send().await.unwrap();
        let value: Value = answer.json().await.unwrap();
        let value = value["value"].as_str().unwrap().to_owned();
        assert!(value.len() == 50 && value.bytes().all(|b| b.is_ascii_alphanumeric()), "{value}");
        seen.insert(value);
    }
    assert_eq!(seen.len(), 20);
    house.close().await;
}

#[tokio::test]
async fn maintenance_lets_reads_go_on_and_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maintenance");
    let touched = |file: &Path| Maintenance { is_on: false, touch_file: Some(file.to_owned()) };
    let house = House::with(Settings { maintenance: touched(&file), ..Settings::default() }, Rules::default()).await;
    let id = house.credential("a", json!({"k": "v"})).await;
    let path = format!("/v1/credentials/{id}");
    std::fs::write(&file, "").unwrap();
    let before = house.recorded().await;
    for (method, path) in [
        (Method::PUT, path.as_str()),
        (Method::POST, "/v1/credentials"),
        (Method::PUT, "/v1/services/s"),
        (Method::POST, "/v1/blind_credentials"),
    ] {
        let (status, told) = house.send(method, path, &json!({})).await;
        assert_eq!(status, 403, "{path}");
        assert!(told["error"].is_string() && told.as_object().unwrap().len() == 1, "{told}");
    }
    assert_eq!(house.recorded().await - before, 4, "each is a denial");
    assert_eq!(house.get(&path).await.1["revision"], json!(1));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(house.send(Method::PUT, &path, &json!({})).await.0, 200);
    house.close().await;
}

#[tokio::test]
async fn documentation_is_insisted_on_where_it_is_set_so() {
    let settings = Settings { enforce_documentation: true, ..Settings::default() };
    let house = House::with(settings, Rules::default()).await;
    let mut body = json!({"name": "a", "credential_pairs": {"k": "v"}});
    for documentation in [None, Some(json!("")), Some(json!(null))] {
        if let Some(documentation) = documentation {
            body["documentation"] = documentation;
        }
        let (status, told) = house.send(Method::POST, "/v1/credentials", &body).await;
        assert_eq!(status, 400, "{told}");
        assert!(told["error"].as_str().unwrap().contains("documentation"), "{told}");
    }
    body["documentation"] = json!("how to rotate it");
    let (_, made) = house.send(Method::POST, "/v1/credentials", &body).await;
    let path = format!("/v1/credentials/{}", made["id"].as_str().unwrap());
    assert_eq!(house.send(Method::PUT, &path, &json!({"enabled": false})).await.0, 200, "it is documented");
    assert_eq!(house.send(Method::PUT, &path, &json!({"documentation": ""})).await.0, 400);
    let (status, told) = house.send(Method::POST, "/v1/blind_credentials", &crate::rest::blind::blind("b", &[])).await;
    assert_eq!((status, told["error"].as_str().unwrap().contains("documentation")), (400, true), "{told}");
    house.close().await;
}

#[tokio::test]
async fn rotation_is_due_as_the_tags_say() {
    let rotation = Rotation {
        maximum_days: Some(90),
        days_by_tag: [("hot".into(), 1)].into(),
        excluded_tags: vec!["never".into()],
    };
    let house = House::with(Settings { rotation, ..Settings::default() }, Rules::default()).await;
    let due = async |tags: Value| {
        let body = json!({"name": tags.to_string(), "credential_pairs": {"k": "v"}, "tags": tags});
        let (_, made) = house.send(Method::POST, "/v1/credentials", &body).await;
        let date = |field: &str| made[field].as_str().map(|date| date.parse::<jiff::Timestamp>().unwrap());
        Some(date("next_rotation_date")?.duration_since(date("last_rotation_date").unwrap()).as_hours())
    };
    assert_eq!(due(json!(["hot", "x"])).await, Some(24));
    assert_eq!(due(json!([])).await, Some(90 * 24));
    assert_eq!(due(json!(["hot", "never"])).await, None);
    house.close().await;
}

#[tokio::test]
async fn one_key_may_be_there_twice_where_it_is_set_so() {
    let house = House::with(Settings::default(), Rules { ignore_conflicts: true, ..Rules::default() }).await;
    let (a, b) = (house.credential("a", json!({"x": "1"})).await, house.credential("b", json!({"x": "2"})).await);
    let mapping = json!({"credentials": [&a, &b]});
    assert_eq!(house.send(Method::PUT, "/v1/services/s", &mapping).await.0, 200);
    let path = format!("/v1/credentials/{a}");
    assert_eq!(house.send(Method::PUT, &path, &json!({"credential_pairs": {"x": "3"}})).await.0, 200);
    house.close().await;
}
