//! Revisions as Confidant's clients see them: histories, differences, reverts, archives.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest::house::House;

/// A credential with these sets of values, one revision each.
async fn credential(house: &House, name: &str, values: &[Value]) -> String {
    let id = house.credential(name, values[0].clone()).await;
    for pairs in &values[1..] {
        let body = json!({"credential_pairs": pairs});
        assert_eq!(house.send(Method::PUT, &format!("/v1/credentials/{id}"), &body).await.0, 200);
    }
    id
}

fn column(list: &Value, field: &str) -> Vec<Value> {
    list.as_array().unwrap().iter().map(|item| item[field].clone()).collect()
}

#[tokio::test]
async fn every_revision_of_a_credential_is_there_and_shows_no_value() {
    let house = House::open().await;
    let id = credential(&house, "db", &[json!({"k": "one"}), json!({"k": "two"}), json!({"l": "three"})]).await;
    let (status, history) = house.get(&format!("/v1/archive/credentials/{id}")).await;
    assert_eq!((status, &history["next_page"]), (200, &Value::Null));
    let revisions = &history["revisions"];
    assert_eq!(column(revisions, "revision"), [1, 2, 3]);
    assert_eq!(column(revisions, "id"), [1, 2, 3].map(|number| json!(format!("{id}-{number}"))));
    for revision in revisions.as_array().unwrap() {
        assert_eq!(revision.as_object().unwrap().len(), 14, "{revision}");
        assert_eq!((&revision["credential_keys"], &revision["credential_pairs"]), (&json!([]), &json!({})));
    }
    // Revisions share no namespace with credentials.
    for path in [format!("/v1/credentials/{id}-1"), format!("/v1/archive/credentials/{id}-1")] {
        assert_eq!(house.get(&path).await, (404, json!({})), "{path}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_credential_is_put_back_to_what_it_was() {
    let house = House::open().await;
    let id = credential(&house, "db", &[json!({"k": "one"}), json!({"k": "two"})]).await;
    let path = format!("/v1/credentials/{id}");
    let revert = async |number: &str| house.send(Method::PUT, &format!("{path}/{number}"), &json!(null)).await;
    let before = house.get(&format!("/v1/archive/credentials/{id}")).await.1["revisions"][0].clone();
    // As clients send it: without a body.
    let bare = house.ops(Method::PUT, &format!("{path}/1")).header("content-length", "0");
    let (status, reverted) = crate::rest::house::answer(bare).await;
    assert_eq!((status, &reverted["revision"]), (200, &json!(3)));
    assert_eq!((&reverted["credential_keys"], &reverted["credential_pairs"]), (&json!([]), &json!({})));
    assert_eq!(reverted["permissions"], json!({}));
    assert_eq!(reverted["last_rotation_date"], before["last_rotation_date"]);
    let (_, now) = house.get(&path).await;
    assert_eq!((&now["credential_pairs"], &now["revision"]), (&json!({"k": "one"}), &json!(3)));
    let (status, refused) = revert("1").await;
    assert_eq!(status, 400, "nothing differs: {refused}");
    assert!(refused["error"].as_str().unwrap().contains("revision"), "{refused}");
    for missing in ["9", "None", "0", "x", "-1"] {
        assert_eq!(revert(missing).await.0, 404, "{missing}");
    }
    assert_eq!(house.get(&path).await.1["revision"], json!(3));
    house.close().await;
}

#[tokio::test]
async fn what_differs_is_named_and_no_value_is_shown() {
    let house = House::open().await;
    let body = json!({"name": "db", "credential_pairs": {"same": "1", "other": "2", "gone": "3"}, "tags": ["a", "b"],
                      "metadata": {"x": 1, "y": 2}});
    let id = house.send(Method::POST, "/v1/credentials", &body).await.1["id"].as_str().unwrap().to_owned();
    let body = json!({"name": "database", "credential_pairs": {"same": "1", "other": "4", "new": "5"}, "enabled": false,
                      "tags": ["b", "c"], "metadata": {"x": 1, "z": 3}, "documentation": "words"});
    house.send(Method::PUT, &format!("/v1/credentials/{id}"), &body).await;
    let (status, mut diff) = house.get(&format!("/v1/credentials/{id}/1/2")).await;
    assert_eq!(status, 200);
    assert_eq!(house.get(&format!("/v1/credentials/{id}/2/1")).await.1, diff, "whichever is asked for first");
    let dates = diff.as_object_mut().unwrap();
    for name in ["modified_date", "last_rotation_date"] {
        let both = dates.shift_remove(name).unwrap();
        for side in ["added", "removed"] {
            let date = both[side].as_str().unwrap();
            assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
        }
    }
    let wanted = json!({
        "name": {"added": "database", "removed": "db"},
        "enabled": {"added": false, "removed": true},
        "documentation": {"added": "words", "removed": null},
        "credential_pairs": {"added": ["new", "other"], "removed": ["gone", "other"]},
        "metadata": {"added": ["z"], "removed": ["y"]},
        "tags": {"added": ["c"], "removed": ["a"]},
        "modified_by": {"added": "ops", "removed": "ops"},
    });
    assert_eq!(diff, wanted);
    assert_eq!(house.get(&format!("/v1/credentials/{id}/2/2")).await, (200, json!({})));
    for missing in ["1/3", "3/1", "x/1", "1/None"] {
        assert_eq!(house.get(&format!("/v1/credentials/{id}/{missing}")).await.0, 404, "{missing}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_service_has_a_history_differences_and_a_way_back() {
    let house = House::open().await;
    let (a, b) = (house.credential("a", json!({"x": "1"})).await, house.credential("b", json!({"y": "2"})).await);
    for body in [json!({"credentials": [&a]}), json!({"credentials": [&b], "enabled": false})] {
        assert_eq!(house.send(Method::PUT, "/v1/services/mail", &body).await.0, 200);
    }
    let (_, history) = house.get("/v1/archive/services/mail").await;
    assert_eq!(column(&history["revisions"], "id"), ["mail-1", "mail-2"]);
    assert_eq!(history["revisions"][0]["credentials"], json!([]));
    let (_, diff) = house.get("/v1/services/mail/1/2").await;
    assert_eq!(diff["credentials"], json!({"added": [&b], "removed": [&a]}));
    assert_eq!(diff["enabled"], json!({"added": false, "removed": true}));
    assert!(diff.get("blind_credentials").is_none() && diff.get("account").is_none(), "{diff}");
    let (status, reverted) = house.send(Method::PUT, "/v1/services/mail/1", &json!(null)).await;
    assert_eq!((status, &reverted["revision"], &reverted["enabled"]), (200, &json!(3), &json!(true)));
    assert_eq!(column(&reverted["credentials"], "id"), [json!(a)]);
    assert_eq!(reverted["credentials"][0]["credential_pairs"], json!({}));
    assert_eq!(house.send(Method::PUT, "/v1/services/mail/1", &json!(null)).await.0, 400, "nothing differs");
    assert_eq!(house.send(Method::PUT, "/v1/services/mail/9", &json!(null)).await.0, 404);
    assert_eq!(house.get("/v1/services/mail-1").await.0, 404, "an archive's id is no service");
    // What has come into a credential since is looked at with what is in it now.
    house.send(Method::PUT, &format!("/v1/credentials/{b}"), &json!({"credential_pairs": {"x": "3"}})).await;
    house.send(Method::PUT, "/v1/services/mail", &json!({"credentials": []})).await;
    house.send(Method::PUT, "/v1/services/mail", &json!({"credentials": [&b]})).await;
    house.close().await;
}

#[tokio::test]
async fn a_revert_holds_to_the_rule_of_keys() {
    let house = House::open().await;
    let a = credential(&house, "a", &[json!({"x": "1"}), json!({"z": "1"})]).await;
    let b = house.credential("b", json!({"x": "2"})).await;
    for body in [json!({"credentials": [&a, &b]}), json!({"credentials": [&b]})] {
        assert_eq!(house.send(Method::PUT, "/v1/services/s", &body).await.0, 200);
    }
    house.send(Method::PUT, "/v1/services/s", &json!({"credentials": [&a, &b]})).await;
    let (status, refused) = house.send(Method::PUT, &format!("/v1/credentials/{a}/1"), &json!(null)).await;
    assert_eq!((status, &refused["conflicts"]["x"]["credentials"]), (400, &json!([&b])));
    house.send(Method::PUT, "/v1/services/s", &json!({"credentials": [&b]})).await;
    assert_eq!(house.send(Method::PUT, &format!("/v1/credentials/{a}/1"), &json!(null)).await.0, 200);
    let (status, refused) = house.send(Method::PUT, "/v1/services/s/1", &json!(null)).await;
    assert_eq!((status, &refused["conflicts"]["x"]["credentials"]), (400, &json!([&a, &b])));
    house.close().await;
}

#[tokio::test]
async fn dependents_are_services_with_their_state() {
    let house = House::open().await;
    let id = house.credential("a", json!({"x": "1"})).await;
    let path = format!("/v1/credentials/{id}/services");
    assert_eq!(house.get(&path).await, (200, json!({"services": []})));
    house.send(Method::PUT, "/v1/services/b", &json!({"credentials": [&id]})).await;
    house.send(Method::PUT, "/v1/services/a", &json!({"credentials": [&id], "enabled": false})).await;
    let wanted = json!([{"id": "a", "enabled": false}, {"id": "b", "enabled": true}]);
    assert_eq!(house.get(&path).await.1["services"], wanted);
    let nobodys = format!("/v1/credentials/{}/services", "f".repeat(32));
    assert_eq!(house.get(&nobodys).await, (200, json!({"services": []})));
    house.close().await;
}

#[tokio::test]
async fn an_archived_credential_is_out_of_sight_and_its_name_is_free() {
    let house = House::open().await;
    let id = credential(&house, "db", &[json!({"k": "one"}), json!({"k": "two"})]).await;
    let (path, archive) = (format!("/v1/credentials/{id}"), format!("/v1/credentials/{id}/archive"));
    let force = json!({"force": true});
    let (status, refused) = house.send(Method::POST, &archive, &force).await;
    assert_eq!(status, 400);
    assert!(refused["error"].as_str().unwrap().contains("enabled"), "{refused}");
    house.send(Method::PUT, "/v1/services/mail", &json!({"credentials": [&id], "enabled": false})).await;
    house.send(Method::PUT, &path, &json!({"enabled": false})).await;
    let (status, refused) = house.send(Method::POST, &archive, &force).await;
    assert_eq!(status, 400);
    assert!(refused["error"].as_str().unwrap().contains("mail"), "{refused}");
    house.send(Method::PUT, "/v1/services/mail", &json!({"credentials": [], "enabled": true})).await;
    for wrong in [json!({"force": "yes"}), json!({"force": 1}), json!({"force": null}), json!([])] {
        assert_eq!(house.send(Method::POST, &archive, &wrong).await.0, 400, "{wrong}");
    }
    let bare = crate::rest::house::answer(house.ops(Method::POST, &archive)).await;
    assert_eq!(bare, (200, json!({"result": "dry-run success"})));
    assert_eq!(house.send(Method::POST, &archive, &json!({})).await.1, json!({"result": "dry-run success"}));
    assert_eq!(house.get(&path).await.0, 200, "only looked at");
    assert_eq!(house.send(Method::POST, &archive, &force).await, (200, json!({"result": "success"})));
    for gone in [&path, &format!("/v1/archive/credentials/{id}"), &format!("{path}/1/2")] {
        assert_eq!(house.get(gone).await, (404, json!({})), "{gone}");
    }
    assert_eq!(house.send(Method::PUT, &path, &json!({})).await.0, 404);
    assert_eq!(house.send(Method::POST, &archive, &force).await.0, 404);
    let (_, listed) = house.get("/v1/archive/credentials").await;
    assert_eq!(listed["credentials"], json!([]));
    // A service that had it once goes back to all that is left.
    assert_eq!(house.send(Method::PUT, "/v1/services/mail/1", &json!(null)).await.0, 200);
    assert_eq!(house.get("/v1/services/mail").await.1["credentials"], json!([]));
    house.credential("db", json!({"k": "again"})).await;
    house.close().await;
}

#[tokio::test]
async fn an_archived_value_of_a_resource_can_be_written_again() {
    let house = House::open().await;
    let id = house.credential("/kubernetes/shop/db", json!({"k": "one"})).await;
    house.send(Method::PUT, &format!("/v1/credentials/{id}"), &json!({"enabled": false})).await;
    let archived = house.send(Method::POST, &format!("/v1/credentials/{id}/archive"), &json!({"force": true})).await;
    assert_eq!(archived.0, 200);
    let again = house.credential("/kubernetes/shop/db", json!({"k": "two"})).await;
    let (_, read) = house.get(&format!("/v1/credentials/{again}")).await;
    assert_eq!((&read["credential_pairs"], &read["enabled"]), (&json!({"k": "two"}), &json!(true)));
    house.close().await;
}

#[tokio::test]
async fn archives_are_listed_newest_first_page_by_page() {
    let house = House::open().await;
    credential(&house, "b", &[json!({"k": "1"}), json!({"k": "2"})]).await;
    credential(&house, "a", &[json!({"k": "1"})]).await;
    let (_, all) = house.get("/v1/archive/credentials").await;
    assert_eq!(column(&all["credentials"], "name"), ["a", "b", "b"]);
    assert!(all["credentials"][0]["id"].as_str().unwrap().ends_with("-1"), "{all}");
    let (mut seen, mut page) = (Vec::new(), String::new());
    loop {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("limit", "1")
            .append_pair("page", &page)
            .finish();
        let (status, found) = house.get(&format!("/v1/archive/credentials?{query}")).await;
        assert_eq!(status, 200);
        seen.extend(column(&found["credentials"], "name").into_iter().zip(column(&found["credentials"], "revision")));
        match found["next_page"].as_str() {
            Some(token) => page = token.to_owned(),
            None => break,
        }
    }
    let name = |name: &str, number: u64| (json!(name), json!(number));
    assert_eq!(seen, [name("a", 1), name("b", 2), name("b", 1)]);
    house.send(Method::PUT, "/v1/services/mail", &json!({})).await;
    let (_, services) = house.get("/v1/archive/services").await;
    assert_eq!((column(&services["services"], "id"), &services["next_page"]), (vec![json!("mail-1")], &Value::Null));
    house.close().await;
}
