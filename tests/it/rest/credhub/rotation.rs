//! Certificates of which a version waits: what counts, what is found, what is left when versions go, and what those who
//! were signed show of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::certificates::{id, listed, pems};
use super::stock::{make, put};
use super::{DATA, column, current, ended_in, text, value};
use crate::rest::house::House;

const TRANSITIONAL: &str = "update_transitional_version";

async fn root(house: &House, name: &str) -> Value {
    make(house, name, json!({"common_name": name, "is_ca": true})).await
}

async fn leaf(house: &House, name: &str, ca: &str) -> Value {
    make(house, name, json!({"common_name": name, "ca": ca})).await
}

/// Asks this of the certificate of this name.
async fn ask(house: &House, method: Method, name: &str, what: &str, body: Value) -> (u16, Value) {
    let path = format!("/api/v1/certificates/{}/{what}", id(house, name).await);
    house.send(method, &path, &body).await
}

async fn regenerate(house: &House, name: &str, body: Value) -> Value {
    let (status, made) = ask(house, Method::POST, name, "regenerate", body).await;
    assert_eq!(status, 200, "{made}");
    made
}

async fn wait(house: &House, name: &str) -> Value {
    regenerate(house, name, json!({"set_as_transitional": true})).await
}

/// This version waits from now on, or none.
async fn moved(house: &House, name: &str, version: &Value) -> Value {
    let (status, both) = ask(house, Method::PUT, name, TRANSITIONAL, json!({"version": version})).await;
    assert_eq!(status, 200, "{both}");
    both
}

async fn gone(house: &House, name: &str, version: &Value) -> (u16, Value) {
    ask(house, Method::DELETE, name, &format!("versions/{}", text(version)), json!(null)).await
}

async fn all(house: &House, name: &str) -> Value {
    house.get(&format!("{DATA}?name={name}")).await.1["data"].clone()
}

fn ids(versions: &Value) -> Vec<Value> {
    column(versions, "id").into_iter().cloned().collect()
}

async fn found(house: &House, query: &str) -> Vec<String> {
    let (status, found) = house.get(&format!("{DATA}?{query}")).await;
    assert_eq!(status, 200, "{found}");
    column(&found["credentials"], "name").into_iter().map(|name| text(name).to_owned()).collect()
}

fn pem(made: &Value) -> String {
    pems(&made["value"]["certificate"]).remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_whose_only_version_waits_has_none_that_counts() {
    let house = House::open().await;
    let only = root(&house, "/folder/ca").await;
    leaf(&house, "/folder/leaf", "/folder/ca").await;
    let both = moved(&house, "/folder/ca", &only["id"]).await;
    assert_eq!((ids(&both), &both[0]["transitional"]), (vec![only["id"].clone()], &json!(true)));
    assert_eq!(ids(&current(&house, "/folder/ca").await), [only["id"].clone()]);
    assert_eq!(ids(&all(&house, "/folder/ca").await), [only["id"].clone()]);
    assert_eq!(ask(&house, Method::GET, "/folder/ca", "versions?current=true", json!(null)).await.1, both);
    // Not found by its name, but before it ends, and among the certificates.
    assert_eq!(found(&house, "path=/folder").await, ["/folder/leaf"]);
    assert_eq!(found(&house, "name-like=/CA").await, [""; 0]);
    assert_eq!(found(&house, "path=/folder&expires-within-days=400").await, ["/folder/ca", "/folder/leaf"]);
    let shown = listed(&house, "/folder/ca").await;
    assert_eq!(column(&shown["versions"], "transitional"), [&json!(true)]);
    assert_eq!((&shown["signed_by"], &shown["signs"]), (&json!("/folder/ca"), &json!(["/folder/leaf"])));
    // Nobody is signed by it.
    let own = json!({"certificate": value(&house, "/folder/leaf").await["certificate"], "ca_name": "/folder/ca"});
    for (method, path, body) in [
        (
            Method::POST,
            DATA,
            json!({"name": "/x", "type": "certificate", "parameters": {"common_name": "x", "ca": "/folder/ca"}}),
        ),
        (Method::PUT, DATA, json!({"name": "/x", "type": "certificate", "value": own})),
        (Method::POST, "/api/v1/regenerate", json!({"name": "/folder/leaf"})),
        (Method::POST, "/api/v1/bulk-regenerate", json!({"signed_by": "/folder/ca"})),
    ] {
        assert_eq!(house.send(method, path, &body).await.0, 404, "{path} {body}");
    }
    assert_eq!(gone(&house, "/folder/ca", &only["id"]).await.0, 400, "the last one stays");

    // Made anew by its name, whichever version is there, and what waits goes on waiting.
    let (status, made) = house.send(Method::POST, "/api/v1/regenerate", &json!({"name": "/folder/ca"})).await;
    assert_eq!((status, &made["transitional"]), (200, &json!(false)), "{made}");
    assert_eq!(ids(&current(&house, "/folder/ca").await), [made["id"].clone(), only["id"].clone()]);
    assert_eq!(found(&house, "name-like=/CA").await, ["/folder/ca"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_generated_beside_one_that_waits_counts_in_every_mode() {
    let house = House::open().await;
    for (at, mode) in ["converge", "no-overwrite", "overwrite"].into_iter().enumerate() {
        let name = format!("/c{at}");
        let parameters = json!({"common_name": "x", "self_sign": true});
        let only = make(&house, &name, parameters.clone()).await;
        moved(&house, &name, &only["id"]).await;
        let body = json!({"name": name, "type": "certificate", "mode": mode, "parameters": parameters});
        let (status, made) = house.send(Method::POST, DATA, &body).await;
        assert_eq!((status, &made["transitional"]), (200, &json!(false)), "{mode} {made}");
        let now = current(&house, &name).await;
        assert_eq!(ids(&now), [made["id"].clone(), only["id"].clone()], "{mode}");
        assert_eq!(column(&now, "transitional"), [&json!(false), &json!(true)], "{mode}");
        // Without the flag it is the older one of two.
        assert_eq!(ids(&moved(&house, &name, &json!(null)).await), [made["id"].clone()], "{mode}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_go_one_by_one_and_the_next_older_one_counts() {
    let house = House::open().await;
    let first = root(&house, "/ca").await;
    let second = regenerate(&house, "/ca", json!({"metadata": {"n": 2}})).await;
    let signed = leaf(&house, "/leaf", "/ca").await;
    let third = wait(&house, "/ca").await;
    let [one, two, three] = [&first, &second, &third].map(|version| version["id"].clone());
    assert_eq!(ids(&all(&house, "/ca").await), [three.clone(), two.clone(), one.clone()]);
    for (count, expected) in [(1, vec![&three]), (2, vec![&three, &two]), (9, vec![&three, &two, &one])] {
        let some = house.get(&format!("{DATA}?name=/ca&versions={count}")).await.1["data"].clone();
        assert_eq!(column(&some, "id"), expected, "the newest, though it waits");
    }
    assert_eq!(column(&listed(&house, "/ca").await["versions"], "transitional"), [true, false, false]);
    let trusted = async || pems(&value(&house, "/leaf").await["ca"]);
    assert_eq!(trusted().await, [pem(&second), pem(&third)]);

    // The one that counts.
    assert_eq!(gone(&house, "/leaf", &two).await.0, 404, "another certificate's");
    let (status, told) = gone(&house, "/ca", &two).await;
    assert_eq!((status, &told["id"], &told["metadata"]), (200, &two, &json!({"n": 2})));
    assert_eq!(told["value"], second["value"]);
    assert_eq!(ids(&current(&house, "/ca").await), [one.clone(), three.clone()]);
    assert_eq!(current(&house, "/ca").await[0]["metadata"], json!(null), "with what was its own");
    assert_eq!(house.get(&format!("{DATA}/{}", text(&two))).await.0, 404);
    assert_eq!(ask(&house, Method::PUT, "/ca", TRANSITIONAL, json!({"version": two})).await.0, 400);
    let still = current(&house, "/leaf").await[0].clone();
    assert_eq!(still["value"]["certificate"], signed["value"]["certificate"]);
    assert_eq!(trusted().await[0], pem(&second), "whoever signed it, it says so");

    // The one that waits.
    let before = all(&house, "/leaf").await.as_array().unwrap().len();
    let (status, told) = gone(&house, "/ca", &three).await;
    assert_eq!((status, &told["transitional"]), (200, &json!(true)));
    assert_eq!(ids(&current(&house, "/ca").await), [one.clone()]);
    assert_eq!(trusted().await, [pem(&second)]);
    assert_eq!(all(&house, "/leaf").await.as_array().unwrap().len(), before + 1);

    // The last one.
    let (status, told) = gone(&house, "/ca", &one).await;
    assert!(status == 400 && text(&told["error"]).contains("last"), "{told}");
    // What was signed by a version that is gone is made anew by the one that is there.
    let again = regenerate(&house, "/leaf", json!({})).await;
    assert_eq!(pems(&again["value"]["ca"]), [pem(&first)]);
    assert_eq!(again["metadata"], json!(null), "what is not said is none");
    house.close().await;
}

/// One that waits for itself is left when the one that counts goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_that_counts_may_go_before_the_one_that_waits() {
    let house = House::open().await;
    let first = root(&house, "/ca").await;
    let second = wait(&house, "/ca").await;
    assert_eq!(gone(&house, "/ca", &first["id"]).await.0, 200);
    let left = current(&house, "/ca").await;
    assert_eq!((ids(&left), &left[0]["transitional"]), (vec![second["id"].clone()], &json!(true)));
    assert_eq!(found(&house, "path=/").await, [""; 0]);
    assert_eq!(gone(&house, "/ca", &second["id"]).await.0, 400);
    let (_, told) = house
        .send(
            Method::POST,
            &format!("{DATA}?"),
            &json!({"name": "/x", "type": "certificate",
        "parameters": {"common_name": "x", "ca": "/ca"}}),
        )
        .await;
    assert!(text(&told["error"]).contains("authority"), "{told}");
    assert_eq!(ids(&moved(&house, "/ca", &json!(null)).await), [second["id"].clone()]);
    assert_eq!(found(&house, "path=/").await, ["/ca"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_were_signed_get_a_version_whenever_the_waiting_one_changes_and_only_then() {
    let house = House::open().await;
    let old = root(&house, "/ca").await;
    let middle = json!({"common_name": "middle", "ca": "/ca", "is_ca": true});
    make(&house, "/middle", middle).await;
    leaf(&house, "/below", "/middle").await;
    let own = leaf(&house, "/leaf", "/CA").await["value"].clone();
    let given = json!({"certificate": own["certificate"], "private_key": own["private_key"], "ca_name": "/ca"});
    put(&house, json!({"name": "/leaf", "type": "certificate", "value": given, "metadata": {"kept": true}})).await;
    let counts = async || {
        let mut counts = Vec::new();
        for name in ["/leaf", "/middle", "/below"] {
            counts.push(all(&house, name).await.as_array().unwrap().len());
        }
        counts
    };
    let trusted = async || pems(&value(&house, "/leaf").await["ca"]);
    assert_eq!(counts().await, [2, 1, 1]);
    let second = regenerate(&house, "/ca", json!({})).await;
    assert_eq!((counts().await, trusted().await), (vec![2, 1, 1], vec![pem(&old)]), "none waits");
    let third = wait(&house, "/ca").await;
    assert_eq!((counts().await, trusted().await), (vec![3, 2, 1], vec![pem(&old), pem(&second)]));
    let copy = current(&house, "/leaf").await[0].clone();
    assert_eq!((&copy["metadata"], &copy["generated"]), (&json!({"kept": true}), &json!(false)));
    assert_eq!(
        (&copy["value"]["certificate"], &copy["value"]["private_key"]),
        (&own["certificate"], &own["private_key"])
    );
    // Another one counts, and the same one waits.
    let fourth = regenerate(&house, "/ca", json!({})).await;
    assert_eq!((counts().await, trusted().await), (vec![3, 2, 1], vec![pem(&old), pem(&second)]));
    let again = json!({"name": "/ca", "regenerate": true});
    let (status, fifth) = house.send(Method::POST, DATA, &again).await;
    assert_eq!((status, counts().await), (200, vec![3, 2, 1]), "{fifth}");
    moved(&house, "/ca", &fourth["id"]).await;
    assert_eq!((counts().await, trusted().await), (vec![4, 3, 1], vec![pem(&old), pem(&fifth)]));
    let given = json!({"certificate": third["value"]["certificate"], "private_key": third["value"]["private_key"]});
    moved(&house, "/ca", &json!(null)).await;
    assert_eq!((counts().await, trusted().await), (vec![5, 4, 1], vec![pem(&old)]));
    let body = json!({"value": given, "transitional": true});
    assert_eq!(ask(&house, Method::POST, "/ca", "versions", body).await.0, 200);
    assert_eq!((counts().await, trusted().await), (vec![6, 5, 1], vec![pem(&old), pem(&fifth)]));
    // Read back as it was at each moment.
    let shown: Vec<usize> =
        column(&all(&house, "/leaf").await, "value").iter().map(|it| pems(&it["ca"]).len()).collect();
    assert_eq!(shown, [2, 1, 2, 2, 1, 1]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_among_those_who_were_signed_goes_on_waiting() {
    let house = House::open().await;
    let old = root(&house, "/ca").await;
    let counts = leaf(&house, "/leaf", "/ca").await;
    let waits = wait(&house, "/leaf").await;
    let only = leaf(&house, "/only", "/ca").await;
    moved(&house, "/only", &only["id"]).await;
    assert_eq!(listed(&house, "/ca").await["signs"], json!(["/leaf", "/only"]));
    let (_, list) = house.get("/api/v1/certificates").await;
    let ca = list["certificates"].as_array().unwrap().iter().find(|it| it["name"] == "/ca").unwrap();
    assert_eq!(ca["signs"], json!(["/leaf", "/only"]), "each once, though two of its versions are signed");

    let new = wait(&house, "/ca").await;
    let now = current(&house, "/leaf").await;
    assert_eq!(column(&now, "transitional"), [&json!(false), &json!(true)]);
    assert_eq!((pem(&now[0]), pem(&now[1])), (pem(&counts), pem(&waits)));
    assert_eq!((pems(&now[0]["value"]["ca"]), &now[1]["id"]), (vec![pem(&old), pem(&new)], &waits["id"]));
    let left = current(&house, "/only").await;
    assert_eq!((ids(&left), column(&left, "transitional")), (vec![only["id"].clone()], vec![&json!(true)]));
    // And when it counts, it is made anew as any other.
    moved(&house, "/only", &json!(null)).await;
    let again = regenerate(&house, "/only", json!({})).await;
    assert_eq!(pems(&again["value"]["ca"]), [pem(&old), pem(&new)]);
    house.close().await;
}

/// Signed by the old one, and nobody has been told of the new one any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_authority_that_is_let_go_too_early_is_all_that_is_shown() {
    let house = House::open().await;
    let old = root(&house, "/ca").await;
    leaf(&house, "/leaf", "/ca").await;
    let new = wait(&house, "/ca").await;
    moved(&house, "/ca", &old["id"]).await;
    moved(&house, "/ca", &json!(null)).await;
    assert_eq!(pems(&value(&house, "/leaf").await["ca"]), [pem(&old)]);
    assert_eq!(pems(&regenerate(&house, "/leaf", json!({})).await["value"]["ca"]), [pem(&new)]);
    // The flag on one that is older than the one that counts changes nothing about that.
    let both = moved(&house, "/ca", &old["id"]).await;
    assert_eq!(ids(&both), [new["id"].clone(), old["id"].clone()]);
    // And off the newest it makes that the one that counts.
    assert_eq!(ids(&moved(&house, "/ca", &json!("latest")).await), [old["id"].clone(), new["id"].clone()]);
    assert_eq!(ids(&moved(&house, "/ca", &json!(null)).await), [new["id"].clone()]);
    let (status, absent) = ask(&house, Method::PUT, "/ca", TRANSITIONAL, json!({})).await;
    assert_eq!((status, ids(&absent)), (200, vec![new["id"].clone()]), "absent is null");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_found_by_the_end_of_their_newest_version() {
    let house = House::open().await;
    for (name, days, then) in [("/a/soon", 400, 10), ("/a/later", 10, 400)] {
        let parameters = json!({"common_name": "x", "self_sign": true, "duration": days});
        make(&house, name, parameters).await;
        regenerate(&house, name, json!({"set_as_transitional": true, "duration": then})).await;
    }
    let expiring = async |query: &str| house.get(&format!("{DATA}?{query}")).await.1["credentials"].clone();
    let soon = expiring("path=a&expires-within-days=30").await;
    assert_eq!(column(&soon, "name"), ["/a/soon"], "the one that waits ends first, and is the newest");
    let waits = current(&house, "/a/soon").await[1].clone();
    assert_eq!(soon[0]["expiry_date"], waits["expiry_date"]);
    assert_eq!(expiring("name-like=LATER&expires-within-days=30").await, json!([]));
    assert_eq!(expiring("name-like=LATER&expires-within-days=401").await.as_array().unwrap().len(), 1);
    for (query, count) in [
        ("path=/A/&expires-within-days=401", 2),
        ("expires-within-days=401", 2),
        ("path=/a/s&expires-within-days=401", 0),
        ("path=&name-like=soon&expires-within-days=401", 1),
        ("path=/&expires-within-days=-1", 0),
        ("path=/&expires-within-days=0", 0),
    ] {
        assert_eq!(expiring(query).await.as_array().unwrap().len(), count, "{query}");
    }
    // One that has ended is found too.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let ended = ended_in(2001).self_signed(&key).unwrap().pem();
    put(&house, json!({"name": "/a/ended", "type": "certificate", "value": {"certificate": ended}})).await;
    let over = expiring("path=/a&expires-within-days=0").await;
    assert_eq!(
        (column(&over, "name"), &over[0]["expiry_date"]),
        (vec![&json!("/a/ended")], &json!("2001-01-01T00:00:00Z"))
    );
    house.close().await;
}
