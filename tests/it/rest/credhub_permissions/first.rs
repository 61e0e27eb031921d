//! Permissions of one credential, as the first version of CredHub's API has them.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::{V1, allow, by, delete, get, send, told};
use crate::rest::house::House;

const NAME: &str = "/kubernetes/shop/db";

fn entry(actor: &str, operations: &[&str]) -> Value {
    json!({"actor": actor, "operations": operations})
}

fn body(name: &str, entries: &[Value]) -> Value {
    json!({"credential_name": name, "permissions": entries})
}

/// Who may what at that name.
async fn listed(house: &House) -> BTreeMap<String, Value> {
    let (status, all) = get(house, "ops", &format!("{V1}?credential_name=kubernetes/SHOP/db")).await;
    assert_eq!((status, &all["credential_name"]), (200, &json!(NAME)), "as it is stored");
    let all = all["permissions"].as_array().unwrap().iter().map(|one| {
        assert_eq!((&one["path"], one.as_object().unwrap().len()), (&json!(NAME), 3));
        (one["actor"].as_str().unwrap().to_owned(), one["operations"].clone())
    });
    all.collect()
}

fn row(actor: &str, operations: &[&str]) -> (String, Value) {
    (actor.to_owned(), json!(operations))
}

#[tokio::test]
async fn permissions_of_a_credential_are_listed_and_added_to_by_its_name() {
    let house = House::open().await;
    house.managed("shop", "db", &[("db", "v")]).await;
    assert_eq!(listed(&house).await, [].into());
    let post = async |body: &Value| send(&house, "ops", Method::POST, V1, body).await;
    // Two entries of one actor are one permission; the path of an entry says nothing.
    let mut first = entry("a", &["read"]);
    first["path"] = json!("ignored");
    let entries = body(NAME, &[first, entry("b", &["write"]), entry("a", &["delete"])]);
    let response = by(&house, "ops", Method::POST, V1).json(&entries).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.text().await.unwrap(), "");
    // Those of folders above it are not its own.
    allow(&house, "/kubernetes/*", "folder", &["read"]).await;
    assert_eq!(listed(&house).await, [row("a", &["read", "delete"]), row("b", &["write"])].into());
    assert_eq!(post(&body("kubernetes/shop/db", &[entry("a", &["read", "write"])])).await.0, 201);
    let after = [row("a", &["read", "write", "delete"]), row("b", &["write"])].into();
    assert_eq!(listed(&house).await, after);
    // All of the listed operations are a conflict, however they are held, and then nothing is done.
    for entries in [
        &[entry("a", &["write", "read"])][..],
        &[entry("c", &["read"]), entry("b", &["write"])],
        &[entry("uaa-client:folder", &["read"])],
    ] {
        let (status, answer) = post(&body(NAME, entries)).await;
        assert_eq!(status, 409, "{answer}");
        told(&answer);
    }
    assert_eq!(listed(&house).await, after);
    assert_eq!(
        get(&house, "ops", &format!("{V1}?credential_name=/kubernetes/shop/no")).await.0,
        404,
        "no such credential"
    );
    // It need not exist to be added to.
    assert_eq!(post(&body("/not/yet", &[entry("a", &["read"])])).await.0, 201);
    house.close().await;
}

#[tokio::test]
async fn permissions_of_a_credential_are_taken_away_by_its_name_and_an_actor() {
    let house = House::open().await;
    house.managed("shop", "db", &[("db", "v")]).await;
    let entries = body(NAME, &[entry("a", &["read"]), entry("b", &["read"])]);
    assert_eq!(send(&house, "ops", Method::POST, V1, &entries).await.0, 201);
    let path = format!("{V1}?credential_name=kubernetes/shop/db&actor=a");
    let response = by(&house, "ops", Method::DELETE, &path).send().await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(response.text().await.unwrap(), "");
    assert_eq!(listed(&house).await, [row("b", &["read"])].into());
    let (status, answer) = delete(&house, "ops", &path).await;
    assert_eq!(status, 404);
    told(&answer);
    house.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_permissions_of_a_credential_is_told_too() {
    let house = House::open().await;
    let good = entry("a", &["read"]);
    let mut more = good.clone();
    more["more"] = json!(1);
    for (body, status, named) in [
        (json!({"permissions": [good]}), 400, "credential_name"),
        (body("", std::slice::from_ref(&good)), 400, "credential_name"),
        (body("/", std::slice::from_ref(&good)), 400, "credential_name"),
        (body("/a/", std::slice::from_ref(&good)), 400, "credential_name"),
        (json!({"credential_name": "/a"}), 400, "permissions"),
        (body("/a", &[]), 400, "permissions"),
        (json!({"credential_name": "/a", "permissions": {}}), 400, "permissions"),
        (body("/a", &[json!("a")]), 400, "permissions"),
        (body("/a", &[json!({"actor": "a"})]), 400, "operations"),
        (body("/a", &[good.clone(), entry("a", &[])]), 400, "operations"),
        (body("/a", &[json!({"operations": ["read"]})]), 400, "actor"),
        (body("/a", &[entry("a", &["x"])]), 422, "operations"),
        (body("/a", &[more]), 422, "more"),
        (json!({"credential_name": "/a", "permissions": [good], "name": "/a"}), 422, "name"),
    ] {
        let before = house.recorded().await;
        let (got, answer) = send(&house, "ops", Method::POST, V1, &body).await;
        assert_eq!(got, status, "{body}: {answer}");
        assert!(told(&answer).contains(named), "{body}: {answer}");
        assert_eq!(house.recorded().await, before, "{body}");
    }
    for (method, query, named) in [
        (Method::GET, "", "credential_name"),
        (Method::GET, "?credential_name=", "credential_name"),
        (Method::DELETE, "?actor=a", "credential_name"),
        (Method::DELETE, "?credential_name=/a", "actor"),
    ] {
        let (status, answer) = send(&house, "ops", method, &format!("{V1}{query}"), &json!({})).await;
        assert_eq!((status, told(&answer).contains(named)), (400, true), "{query}: {answer}");
    }
    house.close().await;
}

/// The rights are to the name, not to what lies below it.
#[tokio::test]
async fn permissions_of_a_credential_are_managed_by_whoever_manages_its_name() {
    let house = House::open().await;
    allow(&house, "/a/*", "lead", &["read_acl", "write_acl"]).await;
    for (name, status) in [("/a/b", 201), ("/a/*", 201), ("/a", 404), ("/b", 404)] {
        let entries = body(name, &[entry("a", &["read"])]);
        assert_eq!(send(&house, "lead", Method::POST, V1, &entries).await.0, status, "{name}");
        let revoked = delete(&house, "lead", &format!("{V1}?credential_name={name}&actor=a")).await.0;
        assert_eq!(revoked, if status == 201 { 204 } else { 404 }, "{name}");
        assert_eq!(
            get(&house, "lead", &format!("{V1}?credential_name={name}")).await.0,
            404,
            "{name} is no credential"
        );
    }
    house.close().await;
}
