//! What outlives a credential that is deleted, and what does not.

use reqwest::Method;
use serde_json::{Value, json};

use super::certificates::{id, listed};
use super::stock::make;
use super::{DATA, current, generate, set, text, value};
use crate::rest::house::{House, answer, grantee};

async fn delete(house: &House, name: &str) -> u16 {
    house.send(Method::DELETE, &format!("{DATA}?name={name}"), &Value::Null).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_outlive_the_credential_and_hold_for_the_next_one_of_its_name() {
    let house = House::open().await;
    let caller = async |method: Method, path: &str, body: Value| {
        let request = house.client.request(method, house.url(path)).bearer_auth(&grantee("till").id);
        answer(request.json(&body)).await
    };
    let read = async || caller(Method::GET, &format!("{DATA}?name=/team/db&current=true"), json!(null)).await;
    set(&house, "/team/db", "password", json!("one")).await;
    let permission = json!({"path": "/team/db", "actor": grantee("till").id, "operations": ["read", "delete"]});
    assert_eq!(house.send(Method::POST, "/api/v2/permissions", &permission).await.0, 201);
    assert_eq!(read().await.1["data"][0]["value"], "one");
    let gone = caller(Method::DELETE, &format!("{DATA}?name=team/db"), json!(null)).await;
    assert_eq!((gone.0, read().await.0, delete(&house, "/team/db").await), (204, 404, 404));
    let listed = "/api/v1/permissions?credential_name=/team/db";
    assert_eq!(house.get(listed).await.0, 404, "those of a credential are listed while it is there");
    let found = house.get(&format!("/api/v2/permissions?path=/team/db&actor={}", grantee("till").id)).await;
    assert_eq!((found.0, &found.1["operations"]), (200, &json!(["read", "delete"])));

    // Another, of another type and spelling.
    generate(&house, "/Team/DB", "user", json!({})).await;
    let (status, again) = read().await;
    assert_eq!((status, text(&again["data"][0]["name"])), (200, "/Team/DB"));
    assert_eq!(house.get(listed).await.1["permissions"][0]["operations"], json!(["read", "delete"]));
    let write = json!({"name": "/team/db", "type": "user", "value": {"password": "x"}});
    assert_eq!(caller(Method::PUT, DATA, write).await.0, 403, "and no more than that");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_authority_has_signed_outlives_it_and_finds_the_next_one_of_its_name() {
    let house = House::open().await;
    make(&house, "/ca", json!({"common_name": "ca", "is_ca": true})).await;
    make(&house, "/leaf", json!({"common_name": "leaf", "ca": "/ca"})).await;
    let (before, old) = (current(&house, "/leaf").await, id(&house, "/ca").await);
    assert_eq!(delete(&house, "/CA").await, 204);
    assert_eq!(current(&house, "/leaf").await, before);
    assert_eq!(listed(&house, "/leaf").await["signed_by"], "/ca", "it still says who signed it");
    let leaf = format!("/api/v1/certificates/{}/regenerate", id(&house, "/leaf").await);
    let wish = json!({"name": "/leaf", "type": "certificate", "parameters": {"common_name": "leaf", "ca": "/ca"}});
    let (none, authority) = ("the credential does not exist", "the certificate authority does not exist");
    for (path, body, said) in [
        (leaf.as_str(), json!({}), authority),
        ("/api/v1/regenerate", json!({"name": "/leaf"}), none),
        (DATA, json!({"name": "/leaf", "regenerate": true}), none),
        (DATA, wish.clone(), authority),
    ] {
        let (status, told) = house.send(Method::POST, path, &body).await;
        assert!(status == 404 && text(&told["error"]).starts_with(said), "{path} {body}: {told}");
    }
    assert_eq!(house.get(&format!("/api/v1/certificates/{old}/versions")).await.0, 404);
    assert_eq!(current(&house, "/leaf").await, before);

    // What is not a certificate at its name signs nothing.
    set(&house, "/ca", "password", json!("x")).await;
    for (path, body) in [(leaf.as_str(), json!({})), ("/api/v1/regenerate", json!({"name": "/leaf"})), (DATA, wish)] {
        let (status, told) = house.send(Method::POST, path, &body).await;
        assert!(matches!(status, 400 | 404) && told["error"].is_string(), "{path} {body}: {status} {told}");
    }
    assert_eq!((delete(&house, "/ca").await, current(&house, "/leaf").await), (204, before));
    let new = make(&house, "/ca", json!({"common_name": "another", "is_ca": true})).await;
    assert_ne!(id(&house, "/ca").await, old);
    assert_eq!(listed(&house, "/ca").await["signs"], json!(["/leaf"]));
    assert_eq!(house.send(Method::POST, &leaf, &json!({})).await.0, 200);
    assert_eq!(value(&house, "/leaf").await["ca"], new["value"]["certificate"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_where_nothing_is() {
    let house = House::open().await;
    for (query, list) in [
        ("data?path=", "credentials"),
        ("data?path=/", "credentials"),
        ("data?path=a/b", "credentials"),
        ("data?name-like=", "credentials"),
        ("data?name-like=x", "credentials"),
        ("data?expires-within-days=3650", "credentials"),
        ("data?path=/&name-like=x&expires-within-days=1", "credentials"),
        ("certificates", "certificates"),
        ("certificates/", "certificates"),
    ] {
        let mut empty = json!({});
        empty[list] = json!([]);
        assert_eq!(house.get(&format!("/api/v1/{query}")).await, (200, empty), "{query}");
    }
    // And by callers who may read nothing, though there is something.
    set(&house, "/a/b", "value", json!("x")).await;
    make(&house, "/a/c", json!({"common_name": "x", "self_sign": true})).await;
    for (query, list) in [
        ("data?path=/a", "credentials"),
        ("data?path=/&expires-within-days=999", "credentials"),
        ("certificates", "certificates"),
    ] {
        let request = house.client.get(house.url(&format!("/api/v1/{query}"))).bearer_auth(&grantee("nobody").id);
        let (status, found) = answer(request).await;
        assert_eq!((status, &found[list]), (200, &json!([])), "{query}");
        assert_eq!(
            house.get(&format!("/api/v1/{query}")).await.1[list].as_array().unwrap().len(),
            if list == "credentials" && query.contains("path=/a") { 2 } else { 1 }
        );
    }
    house.close().await;
}
