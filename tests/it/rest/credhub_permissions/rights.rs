//! What permissions let their actors do, with credentials and with other permissions.

use reqwest::Method;
use serde_json::json;
use strongroom::domain::permission::{Grants, Operation, Permission, Scope};
use strongroom::domain::rules::Rules;

use super::{UNKNOWN, V1, V2, allow, delete, get, query, send, told, wanted};
use crate::rest::house::{House, Setup};

/// Asks for one permission in every way, and that nothing is learnt of it where it is not managed.
async fn is_managed(house: &House, who: &str, at: (&str, &str), reads: bool, writes: bool) {
    let (path, by_id) = at;
    let wants = |allowed: bool, status: u16| if allowed { status } else { 404 };
    let by_name = query(path, "uaa-client:till");
    for asked in [by_id, &by_name] {
        assert_eq!(get(house, who, asked).await.0, wants(reads, 200), "{who} {asked}");
    }
    let body = wanted(path, "uaa-client:till", &["write"]);
    let put = send(house, who, Method::PUT, by_id, &body).await;
    assert_eq!(put.0, wants(writes, 200), "{who} PUT {path}");
    let patched = send(house, who, Method::PATCH, by_id, &json!({"operations": ["read"]})).await;
    assert_eq!(patched.0, wants(writes, 200), "{who} PATCH {path}");
    let made = send(house, who, Method::POST, V2, &wanted(path, "other", &["read"])).await;
    assert_eq!(made.0, wants(writes, 201), "{who} POST {path}");
    if writes {
        let made = format!("{V2}/{}", made.1["uuid"].as_str().unwrap());
        assert_eq!(delete(house, who, &made).await.0, 200, "{who} DELETE {path}");
    } else {
        // The same words for what is there and for what is not.
        assert_eq!(put, send(house, who, Method::PUT, UNKNOWN, &body).await);
        assert_eq!(delete(house, who, by_id).await, delete(house, who, UNKNOWN).await);
        assert_eq!(made, send(house, who, Method::POST, V2, &body).await, "{who} learns that it exists");
    }
    if !reads {
        assert_eq!(get(house, who, by_id).await, get(house, who, UNKNOWN).await);
        assert_eq!(get(house, who, &by_name).await, get(house, who, &query(path, "no one")).await);
    }
}

#[tokio::test]
async fn what_may_not_be_managed_is_not_there() {
    let house = House::open().await;
    allow(&house, "/a/*", "lead", &["read_acl", "write_acl"]).await;
    allow(&house, "/a/*", "looker", &["read_acl", "read", "write", "delete"]).await;
    allow(&house, "/*", "user", &["read", "write", "delete"]).await;
    for (path, managed) in [
        ("/a/*", true),
        ("/a/b", true),
        ("/A/B/c/*", true),
        ("/a", false),
        ("/ab/c", false),
        ("/*", false),
        ("/b", false),
    ] {
        let by_id = allow(&house, path, "till", &["read"]).await;
        let callers =
            [("lead", managed, managed), ("looker", managed, false), ("user", false, false), ("x", false, false)];
        for (who, reads, writes) in callers {
            is_managed(&house, who, (path, &by_id), reads, writes).await;
        }
    }
    house.close().await;
}

#[tokio::test]
async fn what_is_no_id_is_not_there() {
    let house = House::open().await;
    for malformed in ["x", "00000000000040008000000000000000", "00000000-0000-4000-8000-00000000000g", "{uuid}"] {
        let path = format!("{V2}/{malformed}");
        assert_eq!(get(&house, "ops", &path).await.0, 404, "{malformed}");
        assert_eq!(delete(&house, "ops", &path).await.0, 404, "{malformed}");
        assert_eq!(send(&house, "ops", Method::PUT, &path, &wanted("/a", "b", &["read"])).await.0, 404);
        assert_eq!(send(&house, "ops", Method::PATCH, &path, &json!({})).await.0, 404);
    }
    house.close().await;
}

#[tokio::test]
async fn nobody_says_what_it_may_itself_do() {
    let house = House::open().await;
    let path = allow(&house, "/a/*", "lead", &["read_acl", "write_acl"]).await;
    let own = "uaa-client:lead";
    let before = house.recorded().await;
    let v1 = |name: &str| format!("{V1}?credential_name={name}&actor={own}");
    let entries = ["x", own].map(|actor| json!({"actor": actor, "operations": ["read"]}));
    for (method, path, body) in [
        (Method::POST, V2.to_owned(), wanted("/a/b", own, &["read"])),
        // Before it is told that it exists.
        (Method::POST, V2.to_owned(), wanted("/a/*", own, &["read"])),
        (Method::PUT, path.clone(), wanted("/a/*", own, &["read"])),
        // Before it is told that it is another.
        (Method::PUT, path.clone(), wanted("/b", "x", &["read"])),
        (Method::PATCH, path.clone(), json!({"operations": ["read"]})),
        (Method::DELETE, path.clone(), json!({})),
        (Method::POST, V1.to_owned(), json!({"credential_name": "/a/b", "permissions": entries})),
        (Method::DELETE, v1("/a/*"), json!({})),
        (Method::DELETE, v1("/a/b"), json!({})),
    ] {
        let (status, answer) = send(&house, "lead", method.clone(), &path, &body).await;
        assert_eq!(status, 400, "{method} {path}: {answer}");
        assert!(told(&answer).starts_with("actor"), "{answer}");
    }
    assert_eq!(house.recorded().await - before, 9, "each is a denial");
    let elsewhere = send(&house, "lead", Method::POST, V2, &wanted("/b", own, &["read"])).await;
    assert_eq!(elsewhere.0, 404, "access comes first");
    assert_eq!(get(&house, "lead", &path).await.1["operations"], json!(["read_acl", "write_acl"]));
    assert_eq!(get(&house, "ops", &query("/a/b", "x")).await.0, 404, "all of it or nothing");
    house.close().await;
}

#[tokio::test]
async fn without_enforcement_a_grantee_may_everything_that_permissions_are_for() {
    let rules = Rules { grants: Grants { are_enforced: false, ..Grants::default() }, ..Rules::default() };
    let house = House::set_up(Setup { rules, ..Setup::default() }).await;
    let (status, made) = send(&house, "till", Method::POST, V2, &wanted("/a/*", "uaa-client:till", &["read"])).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("{V2}/{}", made["uuid"].as_str().unwrap());
    assert_eq!(send(&house, "till", Method::PATCH, &path, &json!({"operations": ["write"]})).await.0, 200);
    assert_eq!(get(&house, "till", UNKNOWN).await.0, 404);
    let id = house.managed("shop", "db", &[("db", "v")]).await;
    assert_eq!(get(&house, "till", &format!("/v1/credentials/{id}")).await.0, 200);
    assert_eq!(get(&house, "till", "/v1/credentials").await.0, 200);
    assert_eq!(get(&house, "till", "/v1/services").await.0, 403);
    // What is stored counts for what is told.
    let entry = json!({"actor": "uaa-client:till", "operations": ["write"]});
    let (held, new) = (
        json!({"credential_name": "/a/b", "permissions": [entry]}),
        json!({"credential_name": "/c", "permissions": [entry]}),
    );
    assert_eq!(send(&house, "till", Method::POST, V1, &held).await.0, 409);
    assert_eq!(send(&house, "till", Method::POST, V1, &new).await.0, 201);
    house.close().await;
}

/// By Confidant's API: credentials are the same whichever way they are asked for.
#[tokio::test]
async fn permissions_decide_about_credentials_by_their_stored_names() {
    let house = House::open().await;
    let shop = house.managed("shop", "db", &[("db", "value-of-shop")]).await;
    let bank = house.managed("bank", "db", &[("db", "value-of-bank")]).await;
    let reads = async |who: &str, id: &str| get(&house, who, &format!("/v1/credentials/{id}")).await.0;
    for (who, path, operations, in_shop, in_bank) in [
        ("exact", "/kubernetes/shop/db", &["read"][..], 200, 403),
        ("cased", "/Kubernetes/SHOP/db", &["read"], 200, 403),
        ("folder", "/KUBERNETES/shop/*", &["read"], 200, 403),
        ("above", "/kubernetes/*", &["read"], 200, 200),
        ("all", "/*", &["read"], 200, 200),
        ("writer", "/*", &["write", "delete", "read_acl", "write_acl"], 403, 403),
        ("beside", "/kubernetes/shop/d", &["read"], 403, 403),
        ("below", "/kubernetes/shop/db/*", &["read"], 403, 403),
        ("prefix", "/kubernetes/sho/*", &["read"], 403, 403),
    ] {
        assert_eq!(reads(who, &shop).await, 403, "{who}, before");
        let permission = allow(&house, path, who, operations).await;
        assert_eq!((reads(who, &shop).await, reads(who, &bank).await), (in_shop, in_bank), "{who}");
        let lists = get(&house, who, "/v1/credentials").await.0;
        assert_eq!(lists, if who == "all" { 200 } else { 403 }, "{who}: it takes every path to see a list of all");
        assert_eq!(send(&house, "ops", Method::PATCH, &permission, &json!({"operations": ["write"]})).await.0, 200);
        assert_eq!(reads(who, &shop).await, 403, "{who}: what is withdrawn counts no longer");
    }
    house.close().await;
}

#[tokio::test]
async fn permissions_are_for_credentials_and_permissions_alone() {
    let house = House::open().await;
    allow(&house, "/*", "whole", &Operation::ALL.map(Operation::as_str)).await;
    house.authority().await;
    house.managed("shop", "db", &[("db", "v")]).await;
    house.service("shop", "till", &["db"], &[]).await;
    for path in [
        "/v1/services",
        "/v1/services/shop.till",
        "/v1/blind_credentials",
        "/v1/cas",
        "/v1/certificates/shop.root/till",
    ] {
        assert_eq!(get(&house, "whole", path).await.0, 403, "{path}");
    }
    house.close().await;
}

#[tokio::test]
async fn seeds_are_added_once_and_never_taken_away() {
    let seed = |path: &str, actor: &str, operations: &[Operation]| Permission {
        path: Scope::parse(path).unwrap(),
        actor: actor.into(),
        operations: operations.iter().copied().collect(),
    };
    let seeds = vec![
        seed("/*", "uaa-client:lead", &[Operation::ReadAcl, Operation::WriteAcl]),
        seed("/a", "uaa-client:till", &[Operation::Read]),
        seed("/a", "uaa-client:till", &[Operation::Write]),
    ];
    let rules = Rules { grants: Grants { seeds, ..Grants::default() }, ..Rules::default() };
    let house = House::set_up(Setup { rules, ..Setup::default() }).await;
    assert_eq!(house.app.permissions.seed().await.unwrap(), 2);
    let before = house.recorded().await;
    assert_eq!(house.app.permissions.seed().await.unwrap(), 0);
    assert_eq!(house.recorded().await, before, "nothing is written where nothing changes");
    let (status, found) = get(&house, "lead", &query("/a", "uaa-client:till")).await;
    assert_eq!((status, &found["operations"]), (200, &json!(["read", "write"])));
    let path = format!("{V2}/{}", found["uuid"].as_str().unwrap());
    for (operations, after) in [(&["delete", "read"][..], &["read", "write", "delete"][..]), (&[], &["read", "write"])]
    {
        let patch = json!({"operations": operations});
        assert_eq!(send(&house, "lead", Method::PATCH, &path, &patch).await.0, 200);
        assert_eq!(house.app.permissions.seed().await.unwrap(), 1);
        assert_eq!(get(&house, "lead", &path).await.1["operations"], json!(after));
    }
    house.close().await;
}
