//! Authorities of resources that are signed from outside of their namespace: by certificates of CredHub's API, and by
//! authorities of other namespaces.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::adapters::pki::Workshop;
use strongroom::adapters::store::{MemoryJournal, MemoryStore};
use strongroom::adapters::system::SystemClock;
use strongroom::app::ports::Keymaker;
use strongroom::app::records::Changed;
use strongroom::app::{App, Parts};
use strongroom::domain::authority::{
    Authority, CertificatePlan, Conventions, DistinguishedName, Issuer, KeyAlgorithm, KeyUsage, Policy, Role,
};
use strongroom::domain::credential::change::{Source, Wish};
use strongroom::domain::credential::{About, Generate, Kind};
use strongroom::domain::name::Path;
use strongroom::domain::permission::Grants;
use strongroom::domain::record::Class;
use strongroom::domain::rules::Rules;
use strongroom::k8s::crd::{CertificateAuthority, Credential};

use super::authorities::{bundle, verify};
use super::operator::{Ground, Operator, condition, data};
use super::served::Served;
use crate::cluster;
use crate::ground::parts;
use crate::rest::house;

async fn place(about: &str) -> (Ground, Operator, Served) {
    let ground = Ground::new(about).await;
    let operator = ground.start().await;
    let served = Served::of(&operator.app).await;
    (ground, operator, served)
}

async fn end(operator: Operator, served: Served) {
    served.close().await;
    operator.stop().await;
}

async fn child(ground: &Ground, name: &str, path: &str) {
    let spec = json!({"subject": {"commonName": name}, "validity": "100h", "parentRef": {"path": path}});
    ground.create::<CertificateAuthority>(name, spec).await;
}

/// Signed by this authority of the ground's namespace, and what its Secret has.
async fn leaf(ground: &Ground, name: &str, authority: &str) -> (String, String) {
    let generate = json!({"commonName": "db", "alternativeNames": ["db.shop.svc"], "ca": {"name": authority},
        "duration": "10h", "extendedKeyUsage": ["ServerAuth"]});
    ground.create::<Credential>(name, json!({"type": "Certificate", "source": {"generate": generate}})).await;
    ground.ready::<Credential>(name).await;
    let mut secret = data(&ground.secret(name).await);
    (secret.remove("tls.crt").expect("a chain"), secret.remove("ca.crt").expect("a root"))
}

fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}"))
}

fn serial(authority: CertificateAuthority) -> String {
    authority.status.and_then(|status| status.serial_number).expect("a serial number")
}

fn has_due(authority: &CertificateAuthority, reason: &str) -> bool {
    condition(authority, "RotationDue").is_some_and(|due| due.reason == reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_credhubs_api_signs_for_whom_it_is_opened_to() {
    let (ground, operator, served) = place("lent").await;
    let root = served.authority("/team/root-ca", json!({})).await;
    child(&ground, "shop-ca", "/team/root-ca").await;
    let message = ground.failing::<CertificateAuthority>("shop-ca", "NotPermitted").await;
    ground.event("shop-ca", "NotPermitted").await;

    // What the condition says is what helps.
    let (_, call) = message.split_once("POST ").unwrap_or_else(|| panic!("{message}"));
    let (path, body) = call.split_once(' ').expect("a path and a body");
    let permission = served.post(path, serde_json::from_str(body).expect("JSON")).await;
    assert_eq!(permission["actor"], format!("system:serviceaccounts:{}", ground.namespace));
    let spec = json!({"trustBundle": {"configMapName": "roots"}});
    ground.change::<CertificateAuthority>("shop-ca", spec).await;
    ground.ready::<CertificateAuthority>("shop-ca").await;
    ground.event("shop-ca", "Ready").await;

    let (chain, trusted) = leaf(&ground, "db", "shop-ca").await;
    assert_eq!(
        (trusted.as_str(), bundle(&ground, "roots").await.as_str()),
        (text(&root["certificate"]), trusted.as_str())
    );
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "itself and its authority, without the root");
    let said = verify(&chain, &trusted, "sslserver");
    assert!(said.contains(": OK"), "{said}");

    let shown = format!("/kubernetes/{}/shop-ca", ground.namespace);
    assert_eq!(served.certificate("/team/root-ca").await["signs"], json!([shown]));
    assert_eq!(served.certificate(&shown).await["signed_by"], "/team/root-ca");
    let all = served.get("/api/v1/certificates").await;
    let all = all["certificates"].as_array().expect("a list").clone();
    assert!(all.iter().any(|it| it["name"] == "/team/root-ca" && it["signs"] == json!([shown])), "{all:?}");
    // CredHub's callers go on from there.
    let below = json!({"common_name": "till", "ca": shown, "duration": 1});
    let below = served.generate("/team/till", "certificate", below).await;
    assert!(text(&below["ca"]).contains("BEGIN CERTIFICATE"));

    // What is issued stays, and nothing more is.
    served.delete(&format!("/api/v2/permissions/{}", text(&permission["uuid"]))).await;
    child(&ground, "second", "/team/root-ca").await;
    ground.failing::<CertificateAuthority>("second", "NotPermitted").await;
    ground.ready::<CertificateAuthority>("shop-ca").await;
    assert!(verify(&leaf(&ground, "late", "shop-ca").await.0, &trusted, "sslserver").contains(": OK"));
    end(operator, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_outside_that_comes_later_is_waited_for() {
    let (ground, operator, served) = place("later").await;
    // Letters of either case, and a whole folder.
    served.open("/TEAM/*", &ground.namespace).await;
    child(&ground, "shop-ca", "/team/Late").await;
    let message = ground.failing::<CertificateAuthority>("shop-ca", "AwaitingAuthority").await;
    assert!(message.contains("/team/Late"), "{message}");
    let made = served.authority("/Team/late", json!({})).await;
    ground.ready::<CertificateAuthority>("shop-ca").await;
    let (chain, trusted) = leaf(&ground, "db", "shop-ca").await;
    assert_eq!(trusted, text(&made["certificate"]));
    assert!(verify(&chain, &trusted, "sslserver").contains(": OK"));
    assert!(ground.events("shop-ca").await.is_empty(), "to come before what one needs is no news");
    // Who may not ask is not told what there is.
    for path in ["/other/none", "/strongroom/rest"] {
        let name = path.replace('/', "x");
        child(&ground, &name, path).await;
        ground.failing::<CertificateAuthority>(&name, "NotPermitted").await;
    }
    end(operator, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strongrooms_own_authorities_are_opened_to_nobody() {
    let (ground, operator, served) = place("own").await;
    served.open("/*", &ground.namespace).await;
    assert!(operator.app.own.published_root("rest").await.expect("an answer").is_some(), "it is there");
    child(&ground, "clever", "/strongroom/rest-root").await;
    ground.failing::<CertificateAuthority>("clever", "AwaitingAuthority").await;
    let (_, names) = served.send(Method::GET, "/api/v1/data?path=/strongroom", &Value::Null).await;
    assert!(!names.to_string().contains("rest-root"), "{names}");
    end(operator, served).await;
}

fn plan(name: &str, path_length: Option<u8>, not_after: Timestamp) -> CertificatePlan {
    CertificatePlan {
        subject: DistinguishedName::named(name),
        alternative_names: vec![],
        key: KeyAlgorithm::Rsa2048,
        key_usages: vec![KeyUsage::KeyCertSign, KeyUsage::CrlSign],
        extended_key_usages: vec![],
        role: Role::Authority { path_length },
        not_before: not_after - SignedDuration::from_hours(480),
        not_after,
        serial: *b"\x40serial-of-20-bytes!",
        conventions: Conventions::Own,
    }
}

/// As a caller has it from elsewhere.
async fn set(served: &Served, name: &str, plan: &CertificatePlan) {
    let made = Workshop::new().certificate(plan, None).await.expect("a certificate");
    let part = |name: &str| made.get(name).expect("there").expose().to_owned();
    let value = json!({"certificate": part("certificate"), "private_key": part("private_key"), "ca": part("ca")});
    served.put("/api/v1/data", json!({"name": name, "type": "certificate", "value": value})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_sign_is_named_and_looked_at_again() {
    let (ground, operator, served) = place("unfit").await;
    served.open("/team/*", &ground.namespace).await;
    let now = Timestamp::now();
    served.generate("/team/word", "password", json!({})).await;
    served.generate("/team/leaf", "certificate", json!({"common_name": "x", "self_sign": true})).await;
    let usages = json!({"common_name": "x", "is_ca": true, "key_usage": ["digital_signature"]});
    served.generate("/team/usages", "certificate", usages).await;
    set(&served, "/team/old", &plan("old", None, now - SignedDuration::from_hours(1))).await;
    set(&served, "/team/end", &plan("end", Some(0), now + SignedDuration::from_hours(200))).await;
    set(&served, "/team/short", &plan("short", None, now + SignedDuration::from_hours(50))).await;
    for (name, reason, says) in [
        ("word", "UnfitAuthority", "/team/word cannot sign: it is a credential of another type"),
        ("leaf", "UnfitAuthority", "it has no CA:TRUE"),
        ("usages", "UnfitAuthority", "key usages without key_cert_sign"),
        ("old", "AuthorityExpired", "it has to be regenerated"),
        ("end", "Invalid", "spec.parentRef has pathLength 0"),
        ("short", "Invalid", "spec.validity ends after its authority, which is valid until"),
    ] {
        child(&ground, name, &format!("/team/{name}")).await;
        let message = ground.failing::<CertificateAuthority>(name, reason).await;
        assert!(message.contains(says), "{name}: {message}");
        ground.event(name, reason).await;
    }
    // Nobody has touched the resources since.
    served.delete("/api/v1/data?name=/team/word").await;
    served.authority("/team/word", json!({})).await;
    served.authority("/team/leaf", json!({})).await;
    served.authority("/team/usages", json!({})).await;
    served.authority("/team/old", json!({})).await;
    served.authority("/team/end", json!({})).await;
    served.authority("/team/short", json!({"duration": 10})).await;
    for name in ["word", "leaf", "usages", "old", "end", "short"] {
        ground.ready::<CertificateAuthority>(name).await;
    }
    end(operator, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_whole_though_those_above_were_replaced() {
    let (ground, operator, served) = place("whole").await;
    served.open("/team/low", &ground.namespace).await;
    let root = served.authority("/top/root", json!({})).await;
    served.authority("/top/mid", json!({"ca": "/top/root"})).await;
    served.authority("/team/low", json!({"ca": "/top/mid"})).await;
    // Both above have other certificates by now, with the same names.
    served.authority("/top/root", json!({})).await;
    served.authority("/top/mid", json!({"ca": "/top/root"})).await;
    child(&ground, "shop-ca", "/team/low").await;
    let made = ground.ready::<CertificateAuthority>("shop-ca").await;
    assert!(condition(&made, "RotationDue").is_none());
    let (chain, trusted) = leaf(&ground, "db", "shop-ca").await;
    assert_eq!((chain.matches("BEGIN CERTIFICATE").count(), trusted.as_str()), (4, text(&root["certificate"])));
    let said = verify(&chain, &trusted, "sslserver");
    assert!(said.contains(": OK"), "{said}");

    // Without its root nobody could verify it.
    let value = served.get("/api/v1/data?name=/team/low&current=true").await["data"][0]["value"].clone();
    served.put("/api/v1/data", json!({"name": "/team/lost", "type": "certificate", "value": value})).await;
    served.open("/team/lost", &ground.namespace).await;
    child(&ground, "lost", "/team/lost").await;
    let message = ground.failing::<CertificateAuthority>("lost", "UnfitAuthority").await;
    assert!(message.contains("do not lead to a root"), "{message}");
    end(operator, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_replaced_leaves_what_it_signed_and_that_says_so() {
    let (ground, operator, served) = place("replaced").await;
    served.open("/team/root", &ground.namespace).await;
    let old = served.authority("/team/root", json!({})).await;
    child(&ground, "first", "/team/root").await;
    let first = serial(ground.ready::<CertificateAuthority>("first").await);

    // A second version waits: the one that counts signs.
    let listed = served.certificate("/team/root").await;
    let (id, version) = (text(&listed["id"]), text(&listed["versions"][0]["id"]));
    let new = served.post(&format!("/api/v1/certificates/{id}/regenerate"), json!({"set_as_transitional": true})).await;
    child(&ground, "second", "/team/root").await;
    ground.ready::<CertificateAuthority>("second").await;
    assert_eq!(leaf(&ground, "of-second", "second").await.1, text(&old["certificate"]));
    assert!(condition(&ground.ready::<CertificateAuthority>("first").await, "RotationDue").is_none());

    // From now on the other one does. What is there goes on, and what is new is under the new one.
    let update = format!("/api/v1/certificates/{id}/update_transitional_version");
    served.put(&update, json!({"version": version})).await;
    ground.until::<CertificateAuthority>("first", |it| has_due(it, "ParentReplaced")).await;
    let (chain, trusted) = leaf(&ground, "of-first", "first").await;
    assert_eq!(trusted, text(&old["certificate"]));
    assert!(verify(&chain, &trusted, "sslserver").contains(": OK"));
    let done = served.post("/api/v1/bulk-regenerate", json!({"signed_by": "/team/root"})).await;
    assert_eq!(done["regenerated_credentials"], json!([]), "what resources manage is theirs");
    child(&ground, "third", "/team/root").await;
    assert!(condition(&ground.ready::<CertificateAuthority>("third").await, "RotationDue").is_none());
    let (chain, trusted) = leaf(&ground, "of-third", "third").await;
    assert_eq!(trusted, text(&new["value"]["certificate"]));
    assert!(verify(&chain, &trusted, "sslserver").contains(": OK"));

    // Gone: nothing more is signed by it, and what it has signed signs.
    served.delete("/api/v1/data?name=/team/root").await;
    let seen = ground.until::<CertificateAuthority>("first", |it| has_due(it, "ParentGone")).await;
    assert!(condition(&seen, "Ready").is_some_and(|it| it.status == "True"));
    assert_eq!(serial(seen), first);
    child(&ground, "fourth", "/team/root").await;
    ground.failing::<CertificateAuthority>("fourth", "AwaitingAuthority").await;
    assert!(verify(&leaf(&ground, "late", "third").await.0, &trusted, "sslserver").contains(": OK"));
    end(operator, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_of_other_namespaces_sign_where_they_are_opened() {
    let (mut ground, operator, served) = place("abroad").await;
    let other = cluster::namespace(&ground.client, "op-other").await;
    let own = std::mem::replace(&mut ground.namespace, other.clone());
    let root = json!({"subject": {"commonName": "Root"}, "validity": "200h"});
    ground.create::<CertificateAuthority>("root", root).await;
    ground.ready::<CertificateAuthority>("root").await;
    let bound =
        json!({"subject": {"commonName": "Bound"}, "validity": "200h", "issuance": {"allowedDnsNames": ["a.svc"]}});
    ground.create::<CertificateAuthority>("bound", bound).await;
    ground.ready::<CertificateAuthority>("bound").await;

    ground.namespace.clone_from(&own);
    child(&ground, "from-root", &format!("/kubernetes/{other}/root")).await;
    child(&ground, "from-bound", &format!("/kubernetes/{other}/bound")).await;
    ground.failing::<CertificateAuthority>("from-root", "NotPermitted").await;
    served.open(&format!("/kubernetes/{other}/*"), &own).await;
    ground.ready::<CertificateAuthority>("from-root").await;
    let (chain, trusted) = leaf(&ground, "db", "from-root").await;
    assert!(verify(&chain, &trusted, "sslserver").contains(": OK"));
    let message = ground.failing::<CertificateAuthority>("from-bound", "UnfitAuthority").await;
    assert!(message.contains("issuance.allowedDnsNames"), "{message}");
    // In its own namespace a path is a name, and takes no permission.
    child(&ground, "below", &format!("/kubernetes/{own}/from-root")).await;
    let refused = ground.failing::<CertificateAuthority>("below", "Invalid").await;
    assert!(refused.contains("spec.validity ends after its authority"), "{refused}");
    end(operator, served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_get_shows_either_parent_in_one_column() {
    let ground = Ground::new("columns").await;
    child(&ground, "by-path", "/team/root-ca").await;
    let spec = json!({"subject": {"commonName": "x"}, "validity": "100h"});
    ground.create::<CertificateAuthority>("alone", spec.clone()).await;
    let mut named = spec;
    named["parentRef"] = json!({"name": "alone"});
    ground.create::<CertificateAuthority>("by-name", named).await;
    let uri = format!("/apis/strongroom.dev/v1alpha1/namespaces/{}/certificateauthorities", ground.namespace);
    let request = http::Request::get(uri).header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
    let table: Value = ground.client.request(request.body(vec![]).expect("a request")).await.expect("a table");
    let columns = table["columnDefinitions"].as_array().expect("columns");
    let at = columns.iter().position(|column| column["name"] == "Parent").expect("a column Parent");
    let rows = table["rows"].as_array().expect("rows").iter();
    let mut shown: Vec<(Value, Value)> = rows.map(|row| (row["cells"][0].clone(), row["cells"][at].clone())).collect();
    shown.sort_by_key(|(name, _)| name.to_string());
    let expected = [("alone", Value::Null), ("by-name", json!("alone")), ("by-path", json!("/team/root-ca"))];
    assert_eq!(shown, expected.map(|(name, parent)| (json!(name), parent)));
}

#[tokio::test]
async fn permissions_that_are_not_enforced_open_nothing_to_namespaces_and_a_refusal_is_recorded() {
    let dir = tempfile::tempdir().expect("a folder");
    let parts = parts(Arc::new(MemoryStore::default()), &dir.path().join("key"), Arc::new(SystemClock)).await;
    let grants = Grants { are_enforced: false, ..Grants::default() };
    let (rules, journal) = (Rules { grants, ..Rules::default() }, Arc::new(MemoryJournal::default()));
    let app = Arc::new(App::new(Parts { rules, journal: journal.clone(), ..parts }));
    let served = Served::of(&app).await;
    served.authority("/team/root", json!({})).await;
    let parent = Path::parse("/team/root").expect("a path");
    let ask = async || {
        let role = Role::Authority { path_length: None };
        let wish = Generate::Certificate(Box::new(house::request("child", role, Issuer::Authority(parent.clone()))));
        let wish = Wish { kind: Kind::Certificate, about: About::default(), source: Source::Generate(wish) };
        let authority = Authority { parent: Some(parent.clone()), policy: Policy::default() };
        let owner = house::owner("CertificateAuthority", "shop", "child");
        app.credentials.converge(&owner, wish, Some(authority), house::KEEP).await
    };
    assert_eq!(ask().await.expect_err("refused").reason(), "NotPermitted");
    let last: Value = serde_json::from_str(journal.notes().last().expect("a note").as_str()).expect("JSON");
    let said = ["who", "action", "class", "name", "outcome"].map(|member| text(&last[member]).to_owned());
    assert_eq!(said, ["system:serviceaccounts:shop", "read", "credential", "/team/root", "denied"]);
    served.open("/team/root", "till").await;
    assert_eq!(ask().await.expect_err("another's").reason(), "NotPermitted");
    // Whoever waits hears of it by the path, here and in other processes on the same store.
    let (mut here, mut there) = (app.changes(), app.elsewhere());
    there.look().await.expect("a look");
    served.open("/team/*", "shop").await;
    let changed = Changed { class: Class::Permission, name: "/team/*".into() };
    assert_eq!(here.recv().await.expect("news"), changed);
    assert_eq!(there.look().await.expect("a look"), Some(vec![changed]));
    let made = ask().await.expect("signed");
    assert_eq!(app.credentials.above(&made).await.expect("an answer"), None);
    served.close().await;
}
