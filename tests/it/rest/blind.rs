//! Blind credentials: kept as they come, and mapped like others.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest::house::House;

const FIELDS: [&str; 13] = [
    "id",
    "name",
    "credential_pairs",
    "credential_keys",
    "cipher_type",
    "cipher_version",
    "metadata",
    "revision",
    "enabled",
    "data_key",
    "modified_date",
    "modified_by",
    "documentation",
];

pub fn blind(name: &str, keys: &[&str]) -> Value {
    json!({
        "name": name, "cipher_type": "fernet", "cipher_version": 2, "credential_keys": keys,
        "credential_pairs": {"us-east-1": "gAAAA-cipher"}, "data_key": {"us-east-1": "d2Fz"},
        "metadata": {"context": {"us-east-1": {"to": "x"}}}, "enabled": true,
    })
}

async fn created(house: &House, name: &str, keys: &[&str]) -> String {
    let (status, made) = house.send(Method::POST, "/v1/blind_credentials", &blind(name, keys)).await;
    assert_eq!(status, 200, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_blind_credential_through_its_life() {
    let house = House::open().await;
    let sent = blind("b", &["User"]);
    let (status, made) = house.send(Method::POST, "/v1/blind_credentials", &sent).await;
    assert_eq!(status, 200);
    let found: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(found.len() == FIELDS.len() && FIELDS.iter().all(|field| found.contains(field)), "{found:?}");
    for field in ["credential_pairs", "data_key", "metadata", "credential_keys", "cipher_type", "cipher_version"] {
        assert_eq!(made[field], sent[field], "{field} as it was sent");
    }
    assert!(made["modified_date"].as_str().unwrap().ends_with(" GMT"), "{made}");
    let path = format!("/v1/blind_credentials/{}", made["id"].as_str().unwrap());
    assert_eq!(house.get(&path).await, (200, made.clone()));
    let (status, next) = house.send(Method::PUT, &path, &json!({"enabled": false})).await;
    assert_eq!((status, &next["revision"], &next["enabled"]), (200, &json!(2), &json!(false)));
    assert_eq!(next["credential_pairs"], sent["credential_pairs"], "what is not sent stays");
    let pairs = json!({"credential_pairs": {"eu": "new"}, "data_key": {"eu": "a2V5"}, "cipher_type": "fernet",
                       "cipher_version": 2, "credential_keys": ["a", "b"]});
    let (_, next) = house.send(Method::PUT, &path, &pairs).await;
    assert_eq!((&next["credential_pairs"], &next["credential_keys"]), (&json!({"eu": "new"}), &json!(["a", "b"])));
    let (_, listed) = house.get("/v1/blind_credentials").await;
    assert_eq!(listed["blind_credentials"].as_array().unwrap().len(), 1);
    assert_eq!(listed["blind_credentials"][0].as_object().unwrap().len(), 7, "{listed}");
    let (status, taken) = house.send(Method::POST, "/v1/blind_credentials", &sent).await;
    assert_eq!((status, &taken["reference"]), (409, &made["id"]));
    // Names of the two sorts are each other's business no more than in Confidant.
    house.credential("b", json!({"k": "v"})).await;
    house.close().await;
}

#[tokio::test]
async fn revisions_of_a_blind_credential_are_those_that_were_written() {
    let house = House::open().await;
    let id = created(&house, "b", &["k"]).await;
    let path = format!("/v1/blind_credentials/{id}");
    house.send(Method::PUT, &path, &json!({"documentation": "second"})).await;
    let (_, history) = house.get(&format!("/v1/archive/blind_credentials/{id}")).await;
    let told: Vec<_> = history["revisions"].as_array().unwrap().iter().map(|it| it["documentation"].clone()).collect();
    assert_eq!(told, [json!("second"), Value::Null], "the last one first");
    let (status, back) = house.send(Method::PUT, &format!("{path}/1"), &json!(null)).await;
    assert_eq!((status, &back["revision"], &back["documentation"]), (200, &json!(3), &Value::Null));
    assert_eq!(house.send(Method::PUT, &format!("{path}/1"), &json!(null)).await.0, 400, "nothing differs");
    assert_eq!(house.send(Method::PUT, &format!("{path}/None"), &json!(null)).await.0, 404);
    let (_, all) = house.get("/v1/archive/blind_credentials?limit=2").await;
    assert_eq!(all["blind_credentials"].as_array().unwrap().len(), 2);
    assert!(all["next_page"].is_string());
    assert_eq!(house.get("/v1/blind_credentials/x").await, (404, json!({})));
    house.close().await;
}

#[tokio::test]
async fn blind_credentials_are_mapped_and_share_the_rule_of_keys() {
    let house = House::open().await;
    let blind = created(&house, "b", &["user"]).await;
    let plain = house.credential("p", json!({"user": "x"})).await;
    let other = house.credential("o", json!({"port": "1"})).await;
    let mapping = json!({"credentials": [&plain], "blind_credentials": [&blind]});
    let (status, refused) = house.send(Method::PUT, "/v1/services/s", &mapping).await;
    let both = json!({"user": {"credentials": [&plain], "blind_credentials": [&blind]}});
    assert_eq!((status, &refused["conflicts"]), (400, &both));
    let mapping = json!({"credentials": [&other], "blind_credentials": [&blind, "f".repeat(32)]});
    let (status, put) = house.send(Method::PUT, "/v1/services/s", &mapping).await;
    assert_eq!((status, put["blind_credentials"].as_array().unwrap().len()), (200, 1));
    assert_eq!(put["blind_credentials"][0]["credential_pairs"], json!({}));
    assert_eq!(put["blind_credentials"][0]["data_key"], json!({}));
    let (_, read) = house.get("/v1/services/s").await;
    let member = &read["blind_credentials"][0];
    assert_eq!(member["credential_pairs"], json!({"us-east-1": "gAAAA-cipher"}));
    assert!(member["modified_date"].as_str().unwrap().ends_with("+00:00"), "{member}");
    let (_, seen) = house.get("/v1/services/s?metadata_only=true").await;
    assert_eq!(seen["blind_credentials"][0]["credential_pairs"], json!({}));
    let (_, dependents) = house.get(&format!("/v1/blind_credentials/{blind}/services")).await;
    assert_eq!(dependents, json!({"services": [{"id": "s", "enabled": true}]}));
    let path = format!("/v1/blind_credentials/{blind}");
    let (status, refused) = house.send(Method::PUT, &path, &json!({"credential_keys": ["port"]})).await;
    assert_eq!((status, &refused["conflicts"]), (400, &json!({"port": {"credentials": [&other], "services": ["s"]}})));
    let path = format!("/v1/credentials/{other}");
    let (status, refused) = house.send(Method::PUT, &path, &json!({"credential_pairs": {"user": "1"}})).await;
    let wanted = json!({"user": {"blind_credentials": [&blind], "services": ["s"]}});
    assert_eq!((status, &refused["conflicts"]), (400, &wanted));
    house.close().await;
}

#[tokio::test]
async fn fields_of_a_blind_credential_that_cannot_be() {
    let house = House::open().await;
    let path = format!("/v1/blind_credentials/{}", created(&house, "here", &["k"]).await);
    let wrong = [
        ("credential_pairs", json!([])),
        ("credential_pairs", json!(null)),
        ("data_key", json!("x")),
        ("data_key", json!(5)),
        ("cipher_type", json!(2)),
        ("cipher_version", json!("2")),
        ("cipher_version", json!(-1)),
        ("credential_keys", json!("k")),
        ("credential_keys", json!([1])),
        ("metadata", json!([])),
        ("enabled", json!("true")),
        ("documentation", json!({})),
        ("name", json!(["x"])),
        ("name", json!("x".repeat(1025))),
        ("credential_keys", json!(["x".repeat(254)])),
        ("data_key", json!({"r": "x".repeat(70_000)})),
    ];
    for (field, value) in wrong {
        for (method, path) in [(Method::POST, "/v1/blind_credentials"), (Method::PUT, path.as_str())] {
            let mut body = blind("new", &["k"]);
            body[field] = value.clone();
            let (status, told) = house.send(method.clone(), path, &body).await;
            assert_eq!(status, 400, "{method} {field} {value:.40}: {told}");
            assert!(told["error"].as_str().unwrap().contains(field), "{field}: {told}");
        }
    }
    for field in ["name", "credential_pairs", "data_key", "cipher_type", "cipher_version"] {
        let mut body = blind("new", &["k"]);
        body.as_object_mut().unwrap().shift_remove(field);
        let (status, told) = house.send(Method::POST, "/v1/blind_credentials", &body).await;
        assert_eq!((status, told["error"].as_str().unwrap().contains(field)), (400, true), "{field}: {told}");
    }
    let (status, told) = house.send(Method::PUT, &path, &json!({"credential_pairs": {"r": "x"}})).await;
    assert_eq!(status, 400);
    for field in ["data_key", "cipher_type", "cipher_version"] {
        assert!(told["error"].as_str().unwrap().contains(field), "{told}");
    }
    for (field, value) in [("data_key", json!(["x"])), ("cipher_type", json!(2)), ("cipher_version", json!("2"))] {
        let (status, told) = house.send(Method::PUT, &path, &json!({ field: value })).await;
        assert_eq!((status, told["error"].as_str().unwrap().contains(field)), (400, true), "{field} alone: {told}");
    }
    let (_, listed) = house.get("/v1/blind_credentials").await;
    assert_eq!(listed["blind_credentials"].as_array().unwrap().len(), 1);
    assert_eq!(listed["blind_credentials"][0]["revision"], json!(1));
    house.close().await;
}
