//! What is written through one door and read through another.

use reqwest::Method;
use serde_json::json;
use strongroom::domain::authority::Policy;

use super::{DATA, current, generate, set, text, value};
use crate::rest::house::House;
use crate::rest::openssl::Desk;

#[tokio::test]
async fn confidants_pairs_are_a_json_here_and_stay_pairs() {
    let house = House::open().await;
    let id = house.credential("db", json!({"user": "u", "port": 5432})).await;
    let path = format!("/confidant/{id}");
    let seen = current(&house, &path).await[0].clone();
    assert_eq!((text(&seen["type"]), &seen["value"]), ("json", &json!({"user": "u", "port": 5432})));
    set(&house, &path, "json", json!({"user": "v", "on": true})).await;
    let (_, read) = house.get(&format!("/v1/credentials/{id}")).await;
    assert_eq!((&read["credential_pairs"], &read["revision"]), (&json!({"user": "v", "on": true}), &json!(2)));
    let body = json!({"name": path, "type": "json", "value": [1]});
    assert_eq!(house.send(Method::PUT, DATA, &body).await.0, 400);
    let body = json!({"name": path, "type": "password", "value": "x"});
    assert_eq!(house.send(Method::PUT, DATA, &body).await.0, 400);
    house.close().await;
}

#[tokio::test]
async fn what_is_set_here_is_a_credential_of_confidant_too() {
    let house = House::open().await;
    let made = set(&house, "/team/user", "user", json!({"username": "u", "password": "p"})).await;
    let (_, list) = house.get("/v1/credentials").await;
    let listed = &list["credentials"][0];
    assert_eq!((text(&listed["name"]), text(&made["name"])), ("/team/user", "/team/user"));
    let (_, read) = house.get(&format!("/v1/credentials/{}", text(&listed["id"]))).await;
    assert_eq!(read["credential_pairs"], json!({"username": "u", "password": "p"}));
    let body = json!({"credential_pairs": {"username": "u", "password": "q"}});
    assert_eq!(house.send(Method::PUT, &format!("/v1/credentials/{}", text(&listed["id"])), &body).await.0, 200);
    assert_eq!(value(&house, "/team/user").await["password"], "q");
    house.close().await;
}

#[tokio::test]
async fn what_a_resource_manages_is_read_and_names_its_owner_when_written() {
    let house = House::open().await;
    house.managed("shop", "db", &[("user", "u")]).await;
    assert_eq!(value(&house, "/kubernetes/shop/db").await, json!({"user": "u"}));
    for (method, path, body) in [
        (Method::PUT, DATA, json!({"name": "/kubernetes/shop/db", "type": "json", "value": {"a": 1}})),
        (Method::POST, DATA, json!({"name": "/kubernetes/shop/db", "type": "password", "overwrite": true})),
        (Method::DELETE, "/api/v1/data?name=/kubernetes/shop/db", json!(null)),
    ] {
        let (status, told) = house.send(method, path, &body).await;
        assert_eq!((status, text(&told["error"]).contains("Credential shop/db")), (409, true), "{told}");
    }
    house.close().await;
}

#[tokio::test]
async fn an_authority_of_a_resource_signs_and_keeps_its_key() {
    let house = House::open().await;
    house.authority().await;
    let shown = value(&house, "/kubernetes/shop/root").await;
    assert_eq!((shown["private_key"].is_null(), shown["certificate"].is_string()), (true, true));
    let leaf =
        generate(&house, "/leaf", "certificate", json!({"common_name": "x", "ca": "/kubernetes/shop/root"})).await;
    assert_eq!(leaf["value"]["ca"], shown["certificate"]);
    let desk = Desk::new();
    desk.lay("root", text(&shown["certificate"]));
    desk.lay("leaf", text(&leaf["value"]["certificate"]));
    assert_eq!(desk.openssl(&["verify", "-CAfile", "root", "leaf"]).unwrap().trim(), "leaf: OK");
    let (_, listed) = house.get("/api/v1/certificates?name=/kubernetes/shop/root").await;
    assert_eq!(listed["certificates"][0]["signs"], json!(["/leaf"]));
    house.close().await;
}

#[tokio::test]
async fn what_an_authoritys_owner_allows_holds_here_too() {
    use strongroom::domain::authority::{Issuer, Role};
    let house = House::open().await;
    let policy = Policy { max_validity: None, allowed_dns_names: vec!["*.shop.svc".into()] };
    let request = crate::rest::house::request("bound", Role::Authority { path_length: None }, Issuer::SelfSigned);
    house.authority_of("shop", request, policy).await;
    let wish = |name: &str| {
        json!({"name": "/leaf", "type": "certificate", "parameters":
            {"common_name": name, "ca": "/kubernetes/shop/bound", "alternative_names": [name], "duration": 1}})
    };
    let (status, told) = house.send(Method::POST, DATA, &wish("a.shop.svc")).await;
    assert_eq!(status, 200, "{told}");
    let (status, told) = house.send(Method::POST, DATA, &wish("a.other.svc")).await;
    assert_eq!(status, 400, "{told}");
    house.close().await;
}

/// Reading every value of a namespace was never the right to sign for it: the authority's key is in none of them.
#[tokio::test]
async fn signing_by_an_authority_of_a_resource_takes_the_right_to_that() {
    let house = House::open().await;
    house.authority().await;
    let wish = json!({"name": "/leaf", "type": "certificate", "parameters": {"common_name": "x", "ca": "/kubernetes/shop/root"}});
    for (token, status) in [("stores", 404), ("all", 200)] {
        let request = house.client.post(house.url(DATA)).bearer_auth(token).json(&wish);
        let (found, told) = crate::rest::house::answer(request).await;
        assert_eq!(found, status, "{token}: {told}");
        let bulk = house.client.post(house.url("/api/v1/bulk-regenerate")).bearer_auth(token);
        let bulk = bulk.json(&json!({"signed_by": "/kubernetes/shop/root"}));
        assert_eq!(crate::rest::house::answer(bulk).await.0, status, "{token}");
    }
    // What callers made themselves they can read with its key, and so sign with.
    generate(&house, "/own", "certificate", json!({"common_name": "own", "is_ca": true})).await;
    let wish = json!({"name": "/other", "type": "certificate", "parameters": {"common_name": "x", "ca": "/own"}});
    let request = house.client.post(house.url(DATA)).bearer_auth("stores").json(&wish);
    assert_eq!(crate::rest::house::answer(request).await.0, 200);
    house.close().await;
}
