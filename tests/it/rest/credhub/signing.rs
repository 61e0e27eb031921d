//! Which certificate of an authority signs, what readers are told to trust, and what an installation adds.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::Dialects;
use strongroom::api::credhub::Credhub;
use strongroom::api::credhub::settings::Settings;
use strongroom::domain::authority::credhub::Additions;

use super::certificates::{id, pems};
use super::stock::{make, put};
use super::{DATA, current, text, value};
use crate::rest::house::{House, Setup};
use crate::rest::openssl::Desk;

async fn house(settings: Settings) -> House {
    let dialects = Dialects { credhub: Credhub { settings }, ..Dialects::default() };
    House::set_up(Setup { dialects, ..Setup::default() }).await
}

/// An authority of which one version waits, and what is asked of certificates.
struct Scene {
    house: House,
    ca: String,
    /// Of which the second waits at first.
    versions: [Value; 2],
}

impl Scene {
    async fn open(concatenates_cas: bool) -> Self {
        let house = house(Settings { concatenates_cas, ..Settings::default() }).await;
        let old = make(&house, "/ca", json!({"common_name": "ca", "is_ca": true})).await;
        make(&house, "/leaf", json!({"common_name": "leaf", "ca": "/ca"})).await;
        let ca = format!("/api/v1/certificates/{}", id(&house, "/ca").await);
        let waits = json!({"set_as_transitional": true});
        let (status, new) = house.send(Method::POST, &format!("{ca}/regenerate"), &waits).await;
        assert_eq!(status, 200, "{new}");
        Self { house, ca, versions: [old, new] }
    }

    fn pem(&self, version: usize) -> String {
        pems(&self.versions[version]["value"]["certificate"]).remove(0)
    }

    /// Which version has signed it, if what it says it trusts is these.
    fn signer(&self, made: &Value, others: &[usize]) -> usize {
        let ca = pems(&made["value"]["ca"]);
        let signer = (0..2).find(|at| self.pem(*at) == ca[0]).expect("a version of the authority");
        let others: Vec<String> = others.iter().map(|at| self.pem(*at)).collect();
        assert_eq!(ca[1..], others, "{made}");
        let desk = Desk::new();
        desk.lay("ca", &ca[0]);
        desk.lay("leaf", text(&made["value"]["certificate"]));
        assert_eq!(desk.openssl(&["verify", "-CAfile", "ca", "leaf"]).as_deref(), Ok("leaf: OK\n"));
        signer
    }

    async fn regenerate(&self, body: Value) -> Value {
        let path = format!("/api/v1/certificates/{}/regenerate", id(&self.house, "/leaf").await);
        let (status, made) = self.house.send(Method::POST, &path, &body).await;
        assert_eq!(status, 200, "{made}");
        made
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_active_version_signs_and_a_newer_one_in_waiting_only_if_it_is_asked_to() {
    let scene = Scene::open(true).await;
    let may = json!({"allow_transitional_parent_to_sign": "true"});
    assert_eq!(scene.signer(&scene.regenerate(json!({})).await, &[1]), 0);
    assert_eq!(scene.signer(&scene.regenerate(may.clone()).await, &[0]), 1);
    assert_eq!(scene.signer(&current(&scene.house, "/leaf").await[0], &[0]), 1, "and so it is read");
    let no = json!({"allow_transitional_parent_to_sign": false});
    assert_eq!(scene.signer(&scene.regenerate(no).await, &[1]), 0);
    let by_name = scene.house.send(Method::POST, "/api/v1/regenerate", &json!({"name": "/leaf"})).await.1;
    assert_eq!(scene.signer(&by_name, &[1]), 0);
    let fresh = make(&scene.house, "/fresh", json!({"common_name": "x", "ca": "/ca"})).await;
    assert_eq!(scene.signer(&fresh, &[1]), 0);
    let bulk = json!({"signed_by": "/ca"});
    assert_eq!(scene.house.send(Method::POST, "/api/v1/bulk-regenerate", &bulk).await.0, 200);
    assert_eq!(scene.signer(&current(&scene.house, "/leaf").await[0], &[1]), 0);
    // The field is for that one route.
    for (path, body, status) in [
        ("/api/v1/regenerate", json!({"name": "/leaf"}), 422),
        ("/api/v1/bulk-regenerate", bulk, 422),
        (DATA, json!({"name": "/leaf", "regenerate": true}), 400),
    ] {
        let mut body = body;
        body["allow_transitional_parent_to_sign"] = json!(true);
        assert_eq!(scene.house.send(Method::POST, path, &body).await.0, status, "{path}");
    }
    // Now the older one waits, and is not asked though it may be.
    let path = format!("{}/update_transitional_version", scene.ca);
    let moved = json!({"version": scene.versions[0]["id"]});
    assert_eq!(scene.house.send(Method::PUT, &path, &moved).await.0, 200);
    assert_eq!(scene.signer(&scene.regenerate(may).await, &[0]), 1);
    scene.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_answers_with_the_signer_and_what_is_read_with_both() {
    for (concatenates, both) in [(true, 2), (false, 1)] {
        let scene = Scene::open(concatenates).await;
        let (house, count) = (&scene.house, |made: &Value| pems(&made["value"]["ca"]).len());
        let leaf = current(house, "/leaf").await[0].clone();
        let all = house.get(&format!("{DATA}?name=/leaf")).await.1["data"].as_array().unwrap().len();
        assert_eq!((count(&leaf), all), (both, both), "while nothing more is shown, nothing is written");
        let certificates = format!("/api/v1/certificates/{}", id(house, "/leaf").await);
        assert_eq!(count(&house.get(&format!("{DATA}/{}", text(&leaf["id"]))).await.1), both);
        assert_eq!(count(&house.get(&format!("{certificates}/versions")).await.1[0]), both);
        assert_eq!(count(&house.get(&format!("{certificates}/versions?current=true")).await.1[0]), both);
        assert_eq!(count(&scene.regenerate(json!({})).await), both);
        assert_eq!(count(&make(house, "/made", json!({"common_name": "x", "ca": "/ca"})).await), both);
        let again = json!({"name": "/made", "regenerate": true});
        assert_eq!(count(&house.send(Method::POST, DATA, &again).await.1), both);
        assert_eq!(count(&house.send(Method::POST, "/api/v1/regenerate", &json!({"name": "/made"})).await.1), both);

        let own = value(house, "/leaf").await;
        let given = json!({"ca_name": "/ca", "certificate": own["certificate"]});
        let set = put(house, json!({"name": "/leaf", "type": "certificate", "value": given})).await;
        assert_eq!(count(&set), 1);
        let add = json!({"value": given, "transitional": true});
        let (status, added) = house.send(Method::POST, &format!("{certificates}/versions"), &add).await;
        assert_eq!((status, count(&added)), (200, 1), "{added}");
        let path = format!("{certificates}/update_transitional_version");
        for moved in house.send(Method::PUT, &path, &json!({"version": "latest"})).await.1.as_array().unwrap() {
            assert_eq!(count(moved), 1);
        }
        let gone = format!("{certificates}/versions/{}", text(&added["id"]));
        assert_eq!(count(&house.send(Method::DELETE, &gone, &json!(null)).await.1), 1);
        assert_eq!(count(&current(house, "/leaf").await[0]), both, "what was set is read with both");
        // What signs itself has nobody else.
        for version in current(house, "/ca").await.as_array().unwrap() {
            assert_eq!((count(version), &version["value"]["ca"]), (1, &version["value"]["certificate"]));
        }
        scene.house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_lengthens_certificates_and_lets_authorities_sign() {
    let additions = Additions { leaf_minimum_days: 400, authority_minimum_days: 900, authority_key_usages: true };
    let house = house(Settings { additions, ..Settings::default() }).await;
    let told = |made: &Value| {
        let at = |field: &str| text(&made[field]).parse::<jiff::Timestamp>().unwrap();
        // Its key is made between its beginning and its version's.
        let seconds = at("expiry_date").duration_since(at("version_created_at")).as_secs();
        let days = (seconds + 43_200) / 86_400;
        assert_eq!(made["duration_used"], days, "{made}");
        (days, made["duration_overridden"].as_bool().unwrap())
    };
    let days = |name: &str, days: u64| json!({"common_name": name, "duration": days, "ca": "/ca"});
    let ca = make(&house, "/ca", json!({"common_name": "ca", "is_ca": true, "duration": 10})).await;
    assert_eq!(told(&ca), (900, true));
    assert_eq!(told(&make(&house, "/short", days("short", 399)).await), (400, true));
    assert_eq!(told(&make(&house, "/just", days("just", 400)).await), (400, false));
    assert_eq!(told(&make(&house, "/long", days("long", 500)).await), (500, false));
    let kept = make(&house, "/short", days("short", 399)).await;
    assert_eq!(
        (&kept["duration_used"], &kept["duration_overridden"]),
        (&json!(0), &json!(false)),
        "one that was there"
    );

    let again = async |name: &str, body: Value| {
        let path = format!("/api/v1/certificates/{}/regenerate", id(&house, name).await);
        let (status, made) = house.send(Method::POST, &path, &body).await;
        assert_eq!(status, 200, "{made}");
        made
    };
    assert_eq!(told(&again("/short", json!({"duration": 1})).await), (400, true));
    assert_eq!(told(&again("/short", json!({})).await), (400, false));
    let longer = again("/short", json!({"duration": "450", "key_length": 3072})).await;
    assert_eq!((told(&longer), &longer["key_length"]), ((450, false), &json!(3072)));
    let (status, by_name) = house.send(Method::POST, "/api/v1/regenerate", &json!({"name": "/short"})).await;
    assert_eq!((status, told(&by_name), &by_name["key_length"]), (200, (450, false), &json!(3072)));

    // One that names its usages has those; one that was set without any is given them when it is made anew.
    let desk = Desk::new();
    let usages = |made: &Value| {
        desk.lay("made", text(&made["value"]["certificate"]));
        let text = desk.openssl(&["x509", "-in", "made", "-noout", "-ext", "keyUsage"]).unwrap_or_default();
        text.lines().nth(1).unwrap_or_default().trim().to_owned()
    };
    assert_eq!(usages(&ca), "Certificate Sign, CRL Sign");
    assert_eq!(usages(&longer), "", "a leaf is given none");
    let only = json!({"common_name": "only", "is_ca": true, "key_usage": ["key_cert_sign"]});
    assert_eq!(usages(&make(&house, "/only", only).await), "Certificate Sign");
    let key = rcgen::KeyPair::from_pem(&pkcs8(&desk, &ca)).unwrap();
    let mut params = super::ended_in(2040);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let bare = params.self_signed(&key).unwrap().pem();
    let given = json!({"certificate": bare, "private_key": ca["value"]["private_key"]});
    assert_eq!(usages(&put(&house, json!({"name": "/bare", "type": "certificate", "value": given})).await), "");
    assert_eq!(usages(&again("/bare", json!({})).await), "Certificate Sign, CRL Sign");
    house.close().await;
}

/// The key of a certificate in a form that rcgen reads.
fn pkcs8(desk: &Desk, made: &Value) -> String {
    desk.lay("key", text(&made["value"]["private_key"]));
    desk.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "key"]).unwrap()
}
