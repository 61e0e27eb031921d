//! Certificates: made, brought, rotated.

use reqwest::Method;
use serde_json::{Value, json};

use super::{DATA, column, current, generate, members, set, text, value};
use crate::rest::house::{House, answer};

async fn ca(house: &House, name: &str) -> Value {
    generate(house, name, "certificate", json!({"common_name": name, "is_ca": true})).await
}

async fn leaf(house: &House, name: &str, ca: &str) -> Value {
    generate(house, name, "certificate", json!({"common_name": name, "ca": ca})).await
}

pub async fn listed(house: &House, name: &str) -> Value {
    let (status, found) = house.get(&format!("/api/v1/certificates/?name={name}")).await;
    assert_eq!(status, 200, "{found}");
    found["certificates"][0].clone()
}

pub async fn id(house: &House, name: &str) -> String {
    text(&listed(house, name).await["id"]).to_owned()
}

pub fn pems(text: &Value) -> Vec<String> {
    let text = text.as_str().unwrap_or_default();
    let parts = text.split_inclusive("-----END CERTIFICATE-----");
    parts.map(|pem| pem.trim().to_owned()).filter(|pem| !pem.is_empty()).collect()
}

#[tokio::test]
async fn a_certificate_says_at_the_top_what_it_is() {
    let house = House::open().await;
    let root = ca(&house, "/root").await;
    let made = ["duration_overridden", "duration_used", "key_length"];
    let own = ["expiry_date", "certificate_authority", "self_signed", "generated", "transitional"];
    let common = ["type", "version_created_at", "id", "name", "metadata", "value"];
    assert_eq!(members(&root), [&common[..], &own[..], &made[..]].concat());
    assert_eq!((&root["certificate_authority"], &root["self_signed"]), (&json!(true), &json!(true)));
    assert_eq!((&root["duration_used"], &root["key_length"]), (&json!(365), &json!(2048)));
    assert_eq!(members(&root["value"]), ["ca", "certificate", "private_key"]);
    assert_eq!(root["value"]["ca"], root["value"]["certificate"]);
    let leaf = leaf(&house, "/leaf", "root").await;
    assert_eq!((&leaf["certificate_authority"], &leaf["self_signed"]), (&json!(false), &json!(false)));
    assert_eq!(leaf["value"]["ca"], root["value"]["certificate"]);
    let read = current(&house, "/leaf").await[0].clone();
    assert_eq!(members(&read), [&common[..], &own[..]].concat());
    assert_eq!(read["value"], leaf["value"]);
    house.close().await;
}

#[tokio::test]
async fn the_standard_rotation_never_takes_trust_away() {
    let house = House::open().await;
    let old = pems(&ca(&house, "/ca").await["value"]["certificate"]).remove(0);
    let first = leaf(&house, "/leaf", "/ca").await;
    let id = id(&house, "/ca").await;
    let shown = async || pems(&value(&house, "/leaf").await["ca"]);
    assert_eq!(shown().await, std::slice::from_ref(&old));

    let path = format!("/api/v1/certificates/{id}/regenerate");
    let (status, new) = house.send(Method::POST, &path, &json!({"set_as_transitional": "true"})).await;
    assert_eq!((status, &new["transitional"]), (200, &json!(true)));
    let new_pem = pems(&new["value"]["certificate"]).remove(0);
    assert_eq!(shown().await, [old.clone(), new_pem.clone()], "both are trusted before the new one signs");
    assert_eq!(house.send(Method::POST, &path, &json!({"set_as_transitional": true})).await.0, 400, "one at a time");
    let both = current(&house, "/ca").await;
    assert_eq!(column(&both, "transitional"), [&json!(false), &json!(true)]);
    assert_eq!(pems(&both[0]["value"]["certificate"]), std::slice::from_ref(&old), "the old one still counts");
    let still = value(&house, "/leaf").await;
    assert_eq!(still["certificate"], first["value"]["certificate"]);

    let moved = format!("/api/v1/certificates/{id}/update_transitional_version");
    let old_id = both[0]["id"].clone();
    let (status, arranged) = house.send(Method::PUT, &moved, &json!({"version": old_id})).await;
    assert_eq!((status, column(&arranged, "id")), (200, vec![&new["id"], &old_id]));
    assert_eq!(shown().await, [old.clone(), new_pem.clone()], "the signer of the leaf comes first");

    let (status, done) = house.send(Method::POST, "/api/v1/bulk-regenerate", &json!({"signed_by": "CA"})).await;
    assert_eq!((status, done), (200, json!({"regenerated_credentials": ["/leaf"]})));
    assert_eq!(shown().await, [new_pem.clone(), old.clone()]);
    assert_ne!(value(&house, "/leaf").await["certificate"], first["value"]["certificate"]);

    let (status, arranged) = house.send(Method::PUT, &moved, &json!({"version": null})).await;
    assert_eq!((status, column(&arranged, "id")), (200, vec![&new["id"]]));
    assert_eq!(shown().await, [new_pem]);
    house.close().await;
}

#[tokio::test]
async fn versions_are_listed_moved_and_deleted() {
    let house = House::open().await;
    ca(&house, "/ca").await;
    let id = id(&house, "/ca").await;
    let versions = format!("/api/v1/certificates/{id}/versions");
    let again = async || house.send(Method::POST, &format!("/api/v1/certificates/{id}/regenerate"), &json!({})).await.1;
    let (second, third) = (again().await, again().await);
    let all = house.get(&versions).await.1;
    assert_eq!(column(&all, "id")[..2], [&third["id"], &second["id"]]);
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(house.get(&format!("{versions}?current=true")).await.1.as_array().unwrap().len(), 1);
    let moved = format!("/api/v1/certificates/{id}/update_transitional_version");
    let (_, arranged) = house.send(Method::PUT, &moved, &json!({"version": "latest"})).await;
    assert_eq!(column(&arranged, "id"), [&second["id"], &third["id"]], "the newest of the others counts");
    assert_eq!(house.get(&versions).await.1.as_array().unwrap().len(), 3, "moving makes no version");
    let of = |version: &Value| format!("{DATA}/{}", text(&version["id"]));
    assert_eq!(house.get(&of(&third)).await.1["transitional"], json!(true));
    assert_eq!(house.get(&of(&second)).await.1["transitional"], json!(false));

    let gone = format!("{versions}/{}", text(&second["id"]));
    let (status, deleted) = house.send(Method::DELETE, &gone, &json!(null)).await;
    assert_eq!((status, &deleted["id"]), (200, &second["id"]));
    assert_eq!(house.get(&of(&second)).await.0, 404);
    assert_eq!(house.send(Method::DELETE, &gone, &json!(null)).await.0, 404);
    let left = house.get(&versions).await.1;
    assert_eq!(column(&left, "id"), [&third["id"], &all[2]["id"]]);
    assert_eq!(current(&house, "/ca").await[0]["id"], all[2]["id"], "the next older one counts");
    for version in [&all[2], &third] {
        let path = format!("{versions}/{}", text(&version["id"]));
        let status = house.send(Method::DELETE, &path, &json!(null)).await.0;
        assert_eq!(status, if version["id"] == third["id"] { 400 } else { 200 }, "the last one stays");
    }
    for (body, status) in [
        (json!({"version": "00000000-0000-4000-8000-000000000000"}), 400),
        (json!({"version": "no id"}), 400),
        (json!({"other": 1}), 422),
    ] {
        assert_eq!(house.send(Method::PUT, &moved, &body).await.0, status, "{body}");
    }
    for path in
        ["/api/v1/certificates/no-id/versions", "/api/v1/certificates/00000000-0000-4000-8000-000000000000/versions"]
    {
        assert_eq!(house.get(path).await.0, 404);
    }
    house.close().await;
}

#[tokio::test]
async fn everything_below_an_authority_is_signed_anew_together() {
    let house = House::open().await;
    ca(&house, "/root").await;
    let middle = json!({"common_name": "middle", "ca": "/root", "is_ca": true});
    generate(&house, "/middle", "certificate", middle).await;
    leaf(&house, "/b", "/middle").await;
    leaf(&house, "/a", "/middle").await;
    leaf(&house, "/c", "/root").await;
    ca(&house, "/other").await;
    let before = [value(&house, "/root").await, value(&house, "/a").await, value(&house, "/middle").await];
    let bulk =
        async |name: &str| house.send(Method::POST, "/api/v1/bulk-regenerate", &json!({"signed_by": name})).await;
    let (status, done) = bulk("/root").await;
    assert_eq!((status, &done["regenerated_credentials"]), (200, &json!(["/a", "/b", "/c", "/middle"])));
    assert_eq!(value(&house, "/root").await, before[0], "the root is as it was");
    let (a, middle) = (value(&house, "/a").await, value(&house, "/middle").await);
    assert_ne!(a["certificate"], before[1]["certificate"]);
    assert_ne!(middle["certificate"], before[2]["certificate"]);
    assert_eq!(a["ca"], middle["certificate"], "by the new one");
    assert_eq!(bulk("/nothing").await, (200, json!({"regenerated_credentials": []})));
    assert_eq!(bulk("/other").await, (200, json!({"regenerated_credentials": []})));
    assert_eq!(bulk("").await.0, 400);
    // One that cannot be made anew, and so none is.
    let foreign = json!({"ca_name": "/root", "certificate": value(&house, "/c").await["certificate"]});
    set(&house, "/brought", "certificate", foreign).await;
    let list = listed(&house, "/root").await;
    assert_eq!(list["signs"], json!(["/brought", "/c", "/middle"]));
    assert_eq!(listed(&house, "/a").await["signed_by"], "/middle");
    house.close().await;
}

#[tokio::test]
async fn a_certificate_that_is_brought_is_looked_at() {
    let house = House::open().await;
    let (root, other) = (ca(&house, "/root").await["value"].clone(), ca(&house, "/other").await["value"].clone());
    let leaf = leaf(&house, "/leaf", "/root").await["value"].clone();
    let put = async |value: Value| {
        house.send(Method::PUT, DATA, &json!({"name": "/brought", "type": "certificate", "value": value})).await
    };
    for (value, status) in [
        (
            json!({"certificate": leaf["certificate"], "private_key": leaf["private_key"], "ca": root["certificate"]}),
            200,
        ),
        (
            json!({"certificate": leaf["certificate"], "ca": "", "ca_name": "root", "private_key": leaf["private_key"]}),
            200,
        ),
        (json!({"certificate": leaf["certificate"]}), 200),
        (json!({"certificate": leaf["certificate"], "transitional": true, "generated": true}), 200),
        (json!({"certificate": leaf["certificate"], "ca": other["certificate"]}), 400),
        (json!({"certificate": leaf["certificate"], "ca_name": "/other"}), 400),
        (json!({"certificate": leaf["certificate"], "ca_name": "/leaf"}), 400),
        (json!({"certificate": leaf["certificate"], "ca_name": "/nothing"}), 404),
        (json!({"certificate": leaf["certificate"], "ca": root["certificate"], "ca_name": "/root"}), 400),
        (json!({"certificate": leaf["certificate"], "private_key": root["private_key"]}), 400),
        (json!({"certificate": leaf["certificate"], "private_key": "no key"}), 400),
        (json!({"certificate": "no certificate"}), 400),
        (json!({"private_key": leaf["private_key"]}), 400),
        (json!({"ca": "", "certificate": ""}), 400),
        (json!({"certificate": leaf["certificate"], "expiry_date": "2030"}), 422),
        (json!({"certificate": "x".repeat(7_001)}), 400),
        (json!(null), 400),
        (json!("text"), 400),
    ] {
        let (found, told) = put(value.clone()).await;
        assert_eq!(found, status, "{value}\n{told}");
        if found == 200 {
            assert_eq!((&told["transitional"], &told["generated"]), (&json!(false), &json!(false)));
        }
    }
    // Signed by an authority that is known, and so it can be made anew.
    put(json!({"certificate": leaf["certificate"], "ca_name": "/root"})).await;
    assert_eq!(house.send(Method::POST, DATA, &json!({"name": "/brought", "regenerate": true})).await.0, 200);
    put(json!({"certificate": leaf["certificate"], "ca": root["certificate"]})).await;
    assert_eq!(house.send(Method::POST, DATA, &json!({"name": "/brought", "regenerate": true})).await.0, 400);
    house.close().await;
}

#[tokio::test]
async fn another_version_can_be_brought_and_can_wait() {
    let house = House::open().await;
    let (one, two) = (ca(&house, "/ca").await, ca(&house, "/two").await);
    let id = id(&house, "/ca").await;
    let add = async |value: Value, waits: bool| {
        let body = json!({"value": value, "transitional": waits});
        house.send(Method::POST, &format!("/api/v1/certificates/{id}/versions"), &body).await
    };
    let own = json!({"certificate": two["value"]["certificate"], "private_key": two["value"]["private_key"]});
    let (status, added) = add(own.clone(), true).await;
    assert_eq!((status, &added["transitional"], &added["certificate_authority"]), (200, &json!(true), &json!(true)));
    assert_eq!(add(own.clone(), true).await.0, 400);
    assert_eq!(current(&house, "/ca").await[0]["id"], one["id"]);
    assert_eq!(add(own, false).await.0, 200);
    assert_eq!(current(&house, "/ca").await[0]["value"]["certificate"], two["value"]["certificate"]);
    assert_eq!(add(json!({}), false).await.0, 400);
    house.close().await;
}

/// One record of what is shown, which names each revision that is.
#[tokio::test]
async fn who_reads_versions_is_recorded_with_each_revision_once() {
    let house = House::open().await;
    ca(&house, "/ca").await;
    let id = id(&house, "/ca").await;
    let versions = format!("/api/v1/certificates/{id}/versions");
    let again = async |body: Value| {
        let (status, made) = house.send(Method::POST, &format!("/api/v1/certificates/{id}/regenerate"), &body).await;
        assert_eq!(status, 200, "{made}");
    };
    again(json!({})).await;
    again(json!({"set_as_transitional": true})).await;
    let others = |numbers: &[u64]| numbers.iter().map(|number| json!(["/ca", number])).collect::<Vec<_>>();
    // Of those that count, both are in the last revision.
    for (query, shown, with) in [("", 3, others(&[2, 1])), ("?current=true", 2, others(&[]))] {
        let (stored, from) = (house.recorded().await, house.reads(0).len());
        let (_, all) = house.get(&format!("{versions}{query}")).await;
        assert_eq!(all.as_array().unwrap().len(), shown);
        let records = house.reads(from);
        assert_eq!((records.len(), house.recorded().await), (1, stored + 1));
        let record = &records[0];
        assert_eq!([&record["who"], &record["action"], &record["name"]], ["ops", "read", "/ca"]);
        assert_eq!((&record["id"], &record["revision"]), (&json!(id.replace('-', "")), &json!(3)));
        assert_eq!(record["with"].as_array().cloned().unwrap_or_default(), with, "{record}");
        assert_eq!(record["outcome"], "done");
    }
    // Who may not is recorded too, and is told nothing.
    let from = house.reads(0).len();
    let request = house.client.get(house.url(&versions)).bearer_auth("uaa-client:other");
    assert_eq!(answer(request).await.0, 404);
    let records = house.reads(from);
    assert_eq!((records.len(), &records[0]["outcome"], &records[0]["name"]), (1, &json!("denied"), &json!("/ca")));
    house.close().await;
}
