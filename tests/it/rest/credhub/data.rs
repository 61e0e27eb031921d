//! Credentials by their names: set, read, found, deleted.

use reqwest::Method;
use serde_json::{Value, json};

use super::{DATA, column, current, generate, members, set, text, value};
use crate::rest::house::{House, answer};

#[tokio::test]
async fn every_type_is_given_back_in_its_own_shape() {
    let house = House::open().await;
    let hash = |value: &Value| text(&value["password_hash"]).to_owned();
    for (kind, given, shape) in [
        ("value", json!("v"), None),
        ("password", json!("p"), None),
        ("json", json!({"b": 1.5, "a": [1, null, "x"]}), None),
        ("user", json!({"username": "u", "password": "p"}), Some(vec!["username", "password", "password_hash"])),
        (
            "user",
            json!({"password": "p", "password_hash": "theirs"}),
            Some(vec!["username", "password", "password_hash"]),
        ),
        ("rsa", json!({"public_key": "a", "private_key": "b"}), Some(vec!["public_key", "private_key"])),
        ("rsa", json!({"private_key": "b"}), Some(vec!["public_key", "private_key"])),
        ("ssh", json!({"public_key": "a"}), Some(vec!["public_key", "private_key", "public_key_fingerprint"])),
    ] {
        let name = format!("/types/{kind}-{}", given.to_string().len());
        let made = set(&house, &name, kind, given.clone()).await;
        assert_eq!(members(&made), ["type", "version_created_at", "id", "name", "metadata", "value"]);
        assert_eq!((text(&made["type"]), text(&made["name"])), (kind, name.as_str()));
        assert_eq!(value(&house, &name).await, made["value"], "what is read is what was answered");
        match shape {
            None => assert_eq!(made["value"], given),
            Some(shape) => {
                assert_eq!(members(&made["value"]), shape);
                for (field, own) in given.as_object().unwrap().iter().filter(|(field, _)| *field != "password_hash") {
                    assert_eq!(made["value"][field], *own);
                }
            }
        }
        if kind == "user" {
            assert!(hash(&made["value"]).starts_with("$6$"), "{made}");
            assert_eq!(hash(&value(&house, &name).await), hash(&made["value"]), "the same each time");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn json_keeps_the_order_of_its_members_and_its_numbers() {
    let house = House::open().await;
    let body = r#"{"name":"/j","type":"json","value":{ "z":1.50, "a":123456789012345678901234567890, "m":[1e3] }}"#;
    let request = house.ops(Method::PUT, DATA).header("content-type", "application/json").body(body);
    let text = request.send().await.unwrap().text().await.unwrap();
    let kept = r#""value":{"z":1.50,"a":123456789012345678901234567890,"m":[1e3]}}"#;
    assert!(text.ends_with(kept), "{text}");
    let text = house.ops(Method::GET, "/api/v1/data?name=j").send().await.unwrap().text().await.unwrap();
    assert!(text.contains(kept), "{text}");
    house.close().await;
}

#[tokio::test]
async fn every_write_is_a_version_and_each_is_found() {
    let house = House::open().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(set(&house, "/v", "value", json!(format!("v{}", n / 2))).await["id"].clone());
    }
    ids.reverse();
    let ids: Vec<&Value> = ids.iter().collect();
    let all = house.get(&format!("{DATA}?name=/v")).await.1["data"].clone();
    assert_eq!(column(&all, "id"), ids, "the newest first, equal values too");
    assert_eq!(column(&all, "value"), ["v1", "v1", "v0", "v0"]);
    let two = house.get(&format!("{DATA}?name=/V&versions=2")).await.1["data"].clone();
    assert_eq!(column(&two, "id"), ids[..2]);
    assert_eq!(house.get(&format!("{DATA}?name=/v&versions=99")).await.1["data"], all);
    assert_eq!(column(&current(&house, "v").await, "id"), ids[..1]);
    assert_eq!(house.get(&format!("{DATA}/{}", text(ids[3]))).await, (200, all[3].clone()));
    for (path, status) in [
        ("?name=/v&versions=0", 404),
        ("?name=/nothing", 404),
        ("?name=", 400),
        ("", 400),
        ("?name=/v&versions=-1", 400),
        ("?name=/v&versions=x", 400),
        ("?name=/v&current=maybe", 400),
        ("?name=/v&current=true&versions=1", 400),
        ("/no-id", 404),
        ("/00000000-0000-4000-8000-000000000000", 404),
    ] {
        let (found, told) = house.get(&format!("{DATA}{path}")).await;
        assert_eq!(found, status, "{path}");
        assert!(told["error"].is_string(), "{told}");
    }
    house.close().await;
}

#[tokio::test]
async fn the_first_spelling_of_a_name_stays() {
    let house = House::open().await;
    set(&house, "Team/Secret", "password", json!("one")).await;
    let again = set(&house, "/team/SECRET", "PASSWORD", json!("two")).await;
    assert_eq!(again["name"], "/Team/Secret");
    assert_eq!(value(&house, "/TEAM/secret").await, "two");
    assert_eq!(house.get(&format!("{DATA}?path=/tEAM")).await.1["credentials"][0]["name"], "/Team/Secret");
    house.close().await;
}

#[tokio::test]
async fn metadata_is_any_json_and_goes_with_the_version() {
    let house = House::open().await;
    let put = async |metadata: Value| {
        let body = json!({"name": "/m", "type": "value", "value": "x", "metadata": metadata});
        house.send(Method::PUT, DATA, &body).await
    };
    for metadata in [json!({"a": {"b": [1]}}), json!("text"), json!(7), json!(null)] {
        assert_eq!(put(metadata.clone()).await.1["metadata"], metadata);
        assert_eq!(current(&house, "/m").await[0]["metadata"], metadata);
    }
    assert_eq!(put(json!("x".repeat(6_998))).await.0, 200);
    assert_eq!(put(json!("x".repeat(6_999))).await.0, 400);
    house.close().await;
}

#[tokio::test]
async fn names_are_found_by_folder_and_by_what_is_in_them() {
    let house = House::open().await;
    for name in ["/team/a", "/team/b_1", "/team2/c", "/team", "/other/team/x"] {
        set(&house, name, "value", json!("x")).await;
    }
    let found = async |query: &str| {
        let (status, found) = house.get(&format!("{DATA}?{query}")).await;
        assert_eq!(status, 200, "{query}: {found}");
        column(&found["credentials"], "name").into_iter().map(|name| text(name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("path=/team").await, ["/team/b_1", "/team/a"], "the newest first; not /team2 and not /team");
    assert_eq!(found("path=TEAM/").await, ["/team/b_1", "/team/a"]);
    assert_eq!(found("path=").await.len(), 5);
    assert_eq!(found("path=/").await.len(), 5);
    assert_eq!(found("name-like=EAM").await.len(), 5);
    assert_eq!(found("name-like=_").await, ["/team/b_1"]);
    assert_eq!(found("name-like=%25").await, [""; 0], "no wildcard");
    assert_eq!(found("path=/team&name-like=B_").await, ["/team/b_1"]);
    assert_eq!(found("path=/nothing").await, [""; 0]);
    house.close().await;
}

#[tokio::test]
async fn certificates_are_found_before_they_end() {
    let house = House::open().await;
    for (name, days) in [("/short", 10), ("/long", 400)] {
        generate(&house, name, "certificate", json!({"common_name": "x", "self_sign": true, "duration": days})).await;
    }
    set(&house, "/none", "value", json!("x")).await;
    let found =
        async |days: i64| house.get(&format!("{DATA}?path=&expires-within-days={days}")).await.1["credentials"].clone();
    let soon = found(30).await;
    assert_eq!(column(&soon, "name"), ["/short"]);
    assert_eq!(members(&soon[0]), ["version_created_at", "name", "expiry_date"]);
    assert_eq!(found(500).await.as_array().unwrap().len(), 2);
    assert_eq!(found(5).await, json!([]));
    assert_eq!(house.get(&format!("{DATA}?path=/no&expires-within-days=500")).await.1["credentials"], json!([]));
    assert_eq!(
        house.get(&format!("{DATA}?path=&expires-within-days=")).await.1["credentials"].as_array().unwrap().len(),
        3
    );
    house.close().await;
}

#[tokio::test]
async fn what_is_deleted_is_gone_with_every_version() {
    let house = House::open().await;
    let first = set(&house, "/gone", "value", json!("one")).await;
    set(&house, "/gone", "value", json!("two")).await;
    let delete = async |name: &str| {
        let response = house.ops(Method::DELETE, &format!("{DATA}?name={name}")).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().is_empty())
    };
    assert_eq!(delete("GONE").await, (204, true));
    assert_eq!(delete("/gone").await, (404, false));
    assert_eq!(delete("").await, (400, false));
    assert_eq!(house.get(&format!("{DATA}/{}", text(&first["id"]))).await.0, 404);
    assert_eq!(house.get(&format!("{DATA}?name=/gone")).await.0, 404);
    // And free for anything else.
    set(&house, "/gone", "password", json!("x")).await;
    assert_eq!(house.get(&format!("{DATA}?name=/gone")).await.1["data"].as_array().unwrap().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn two_who_write_at_once_both_succeed() {
    let house = House::open().await;
    let writes = (0..16).map(|n| {
        let body = json!({"name": "/race", "type": "value", "value": n.to_string()});
        let request = house.ops(Method::PUT, DATA).json(&body);
        async move { answer(request).await.0 }
    });
    assert_eq!(futures::future::join_all(writes).await, [200; 16]);
    assert_eq!(house.get(&format!("{DATA}?name=/race")).await.1["data"].as_array().unwrap().len(), 16);
    let wishes = (0..16).map(|_| {
        let request = house.ops(Method::POST, DATA).json(&json!({"name": "/first", "type": "password"}));
        async move { answer(request).await }
    });
    let made = futures::future::join_all(wishes).await;
    assert!(made.iter().all(|(status, _)| *status == 200), "{made:?}");
    let all = house.get(&format!("{DATA}?name=/first")).await.1["data"].clone();
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert!(made.iter().all(|(_, made)| made["value"] == all[0]["value"]));
    house.close().await;
}

#[tokio::test]
async fn references_in_an_environment_are_replaced_and_nothing_else_is() {
    let house = House::open().await;
    set(&house, "/db", "json", json!({"user": "u", "port": 5432})).await;
    set(&house, "/text", "value", json!("x")).await;
    let interpolate = async |body: &str| {
        let request = house.ops(Method::POST, "/api/v1/interpolate").header("content-type", "application/json");
        let response = request.body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let body = r#"{"pg": [ {"name":"x","credentials":{"credhub-ref":"((/db))"},"n":1.50}, 7 ], "o":{"credentials":{"credhub-ref":"/db"}}, "s":"t"}"#;
    let done = r#"{"pg":[{"name":"x","credentials":{"user":"u","port":5432},"n":1.50},7],"o":{"credentials":{"credhub-ref":"/db"}},"s":"t"}"#;
    assert_eq!(interpolate(body).await, (200, done.to_owned()));
    assert_eq!(interpolate(r#"{"a":[{"credentials":{"credhub_ref":"/db","credhub-ref":"/no"}}]}"#).await.0, 200);
    assert_eq!(interpolate("{}").await, (200, "{}".into()));
    for (reference, status) in [("/nothing", 404), ("db", 404), ("((/text))", 400)] {
        let body = json!({"a": [{"credentials": {"credhub-ref": reference}}]}).to_string();
        assert_eq!(interpolate(&body).await.0, status, "{reference}");
    }
    for body in ["[]", "\"x\"", "{", ""] {
        assert_eq!(interpolate(body).await.0, 400, "{body}");
    }
    house.close().await;
}

#[tokio::test]
async fn what_credhub_says_of_itself_needs_no_caller_but_its_version_does() {
    let house = House::open().await;
    let open = async |path: &str| answer(house.client.get(house.url(path))).await;
    assert_eq!(open("/info").await, (200, json!({"auth-server": {"url": ""}, "app": {"name": "CredHub"}})));
    assert_eq!(open("/credhub/health").await, (200, json!({"status": "UP"})));
    let (status, refused) = open("/version").await;
    assert_eq!((status, text(&refused["error"])), (401, "access_denied"));
    assert_eq!(text(&refused["error_description"]), "Full authentication is required to access this resource");
    let (status, version) = house.get("/version/").await;
    assert_eq!((status, text(&version["version"]).split('.').count()), (200, 3));
    assert_eq!(house.get("/api/v1/nothing").await.0, 404);
    let wrong = house.ops(Method::PATCH, DATA).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), wrong.bytes().await.unwrap().len()), (404, 0));
    house.close().await;
}

#[tokio::test]
async fn versions_are_counted_by_their_keys() {
    let house = House::open().await;
    for n in 0..3 {
        set(&house, "/v", "value", json!(n.to_string())).await;
    }
    set(&house, "/ssh", "ssh", json!({"public_key": "only"})).await;
    let (status, usage) = house.get("/api/v1/key-usage").await;
    assert_eq!(status, 200, "{usage}");
    assert_eq!((&usage["inactive_keys"], &usage["unknown_keys"]), (&json!(0), &json!(0)));
    assert!(usage["active_key"].as_u64().unwrap() >= 4, "{usage}");
    house.close().await;
}

#[tokio::test]
async fn a_server_in_read_only_mode_reads_and_writes_nothing() {
    let house = House::open().await;
    set(&house, "/j", "json", json!({"a": 1})).await;
    let manage = async |body: Value| answer(house.client.post(house.url("/management")).json(&body)).await;
    assert_eq!(manage(json!({"read_only_mode": "true"})).await, (200, json!({"read_only_mode": true})));
    let put = json!({"name": "/x", "type": "value", "value": "x"});
    for (method, path) in [(Method::PUT, DATA), (Method::POST, DATA), (Method::DELETE, "/api/v1/data?name=/j")] {
        let (status, told) = house.send(method, path, &put).await;
        assert_eq!(status, 503, "{told}");
    }
    assert_eq!(value(&house, "/j").await, json!({"a": 1}));
    let reference = json!({"a": [{"credentials": {"credhub-ref": "/j"}}]});
    assert_eq!(house.send(Method::POST, "/api/v1/interpolate", &reference).await.0, 200);
    assert_eq!(manage(json!({"read_only_mode": "pizza"})).await.0, 400);
    assert_eq!(manage(json!({"other": true})).await.0, 422);
    assert_eq!(manage(json!({"read_only_mode": false})).await.0, 200);
    assert_eq!(house.send(Method::PUT, DATA, &put).await.0, 200);
    house.close().await;
}
