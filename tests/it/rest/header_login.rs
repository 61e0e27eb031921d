//! Callers that a proxy logs in, and what protects their browsers: against the real router, which this test's own
//! connections reach from an address that is believed or is not.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;
use strongroom::api::Dialects;
use strongroom::app::audit::sha256;
use strongroom::domain::actor::{Actor, Scheme};
use strongroom::domain::client::Fingerprint;
use strongroom::server::header_login::HeaderLogin;

use crate::rest::house::{House, Setup, client};

fn login(addresses: &[&str], certificates: Vec<Fingerprint>) -> HeaderLogin {
    HeaderLogin {
        user: "x-forwarded-user".parse().unwrap(),
        email: "x-forwarded-email".parse().unwrap(),
        addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
        certificates,
    }
}

/// Confidant as it believes those who call from here.
pub fn dialects() -> Dialects {
    let mut dialects = Dialects::default();
    dialects.confidant.settings.header_login = Some(login(&["127.0.0.0/8"], vec![]));
    dialects
}

/// What Ann's page has got, for as long as this house stands.
pub fn page_token(house: &House) -> String {
    let ann = Actor { id: "ann@example.com".into(), scheme: Scheme::Header, ..Actor::operator() };
    house.app.csrf.token(&ann).unwrap()
}

/// A house that believes the headers of those who call from here.
pub async fn house() -> House {
    behind(login(&["127.0.0.0/8"], vec![])).await
}

async fn behind(login: HeaderLogin) -> House {
    let mut dialects = Dialects::default();
    dialects.confidant.settings.header_login = Some(login);
    House::set_up(Setup { dialects, ..Setup::default() }).await
}

/// As the proxy passes on what Ann's browser asks.
pub fn ann(request: RequestBuilder) -> RequestBuilder {
    request.header("X-Forwarded-User", "ann").header("X-Forwarded-Email", "Ann@Example.com")
}

pub fn cookie(response: &Response) -> Option<String> {
    let text = response.headers().get("set-cookie")?.to_str().unwrap();
    let (token, rest) = text.strip_prefix("XSRF-TOKEN=").expect("the cookie of pages").split_once(';').unwrap();
    assert_eq!(rest, " Path=/; Secure; SameSite=Lax", "readable by scripts of this site");
    Some(token.to_owned())
}

async fn fresh(house: &House) -> String {
    let response = ann(house.client.get(house.url("/v1/user/email"))).send().await.unwrap();
    assert_eq!(response.status(), 200);
    cookie(&response).expect("a cookie with every answer")
}

const NEW: &str = "/v1/credentials";

fn create(house: &House) -> RequestBuilder {
    let body = json!({"name": "db", "credential_pairs": {"a": "b"}, "enabled": true});
    ann(house.client.post(house.url(NEW))).json(&body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_the_proxy_logs_in_and_writes_with_the_pages_token() {
    let house = house().await;
    for method in [Method::GET, Method::POST] {
        let before = house.recorded().await;
        let response = ann(house.client.request(method, house.url("/v1/login"))).send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["location"]), (302, &"/".parse().unwrap()));
        assert!(cookie(&response).is_some());
        assert_eq!(house.recorded().await - before, 1);
    }
    let response = ann(house.client.get(house.url("/v1/user/email"))).send().await.unwrap();
    let token = cookie(&response).unwrap();
    assert_eq!(response.json::<serde_json::Value>().await.unwrap(), json!({"email": "ann@example.com"}));
    let made = create(&house).header("X-XSRF-TOKEN", &token).send().await.unwrap();
    assert_eq!(made.status(), 200);
    assert!(cookie(&made).is_some());
    let made: serde_json::Value = made.json().await.unwrap();
    assert_eq!(made["modified_by"], "ann@example.com");
    // Asking who one is changes nothing, by whichever method.
    assert_eq!(ann(house.client.post(house.url("/v1/user/email"))).send().await.unwrap().status(), 200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_the_pages_token_is_refused_and_recorded_once() {
    let house = house().await;
    let token = fresh(&house).await;
    let others = house.app.csrf.token(&Actor::operator()).unwrap();
    let mut forged = token.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == '0' { '1' } else { '0' });
    let cases = [
        ("none", create(&house)),
        ("an empty one", create(&house).header("X-XSRF-TOKEN", "")),
        ("one that was changed", create(&house).header("X-XSRF-TOKEN", &forged)),
        ("somebody else's", create(&house).header("X-XSRF-TOKEN", &others)),
        ("two", create(&house).header("X-XSRF-TOKEN", &token).header("X-XSRF-TOKEN", &token)),
        (
            "only the cookie, which browsers send by themselves",
            create(&house).header("Cookie", format!("XSRF-TOKEN={token}")),
        ),
        (
            "only in the query",
            ann(house.client.post(house.url(&format!("{NEW}?X-XSRF-TOKEN={token}")))).json(&json!({})),
        ),
    ];
    for (what, request) in cases {
        let before = house.recorded().await;
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{what}");
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8", "{what}");
        assert!(!response.headers().contains_key("www-authenticate"), "nobody is to type a password");
        assert!(cookie(&response).is_some(), "{what}: the page may try again");
        assert_eq!(house.recorded().await - before, 1, "{what}");
    }
    assert_eq!(house.get("/v1/credentials").await.1["credentials"], json!([]));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_its_credential_itself_needs_no_token_and_gets_no_cookie() {
    let house = house().await;
    for (name, request) in
        [("ops", house.ops(Method::POST, NEW)), ("token", house.client.post(house.url(NEW)).bearer_auth("all"))]
    {
        let body = json!({"name": name, "credential_pairs": {"a": "b"}, "enabled": true});
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(cookie(&response), None);
    }
    // Authorization counts, whatever the proxy says besides: it is the caller's own.
    let wrong = ann(house.client.get(house.url(NEW))).basic_auth("ops", Some("wrong")).send().await.unwrap();
    assert_eq!(wrong.status(), 403);
    let right = ann(house.ops(Method::GET, "/v1/user/email")).send().await.unwrap();
    assert_eq!(right.json::<serde_json::Value>().await.unwrap(), json!({"email": "ops"}));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_from_anywhere_else_are_nothing_at_all() {
    let elsewhere = behind(login(&["192.0.2.0/24"], vec![])).await;
    let response = ann(elsewhere.client.get(elsewhere.url(NEW))).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(cookie(&response), None);
    elsewhere.close().await;

    let house = house().await;
    for half in [("X-Forwarded-User", "ann"), ("X-Forwarded-Email", "ann@example.com")] {
        let before = house.recorded().await;
        let response = house.client.get(house.url(NEW)).header(half.0, half.1).send().await.unwrap();
        assert_eq!(response.status(), 403, "{}", half.0);
        assert_eq!(house.recorded().await - before, 1);
    }
    assert_eq!(house.client.get(house.url(NEW)).send().await.unwrap().status(), 401);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_known_by_its_certificate_too() {
    let made = rcgen::generate_simple_self_signed(["proxy".to_owned()]).unwrap();
    let print = Fingerprint(sha256(made.cert.der()));
    let house = behind(login(&[], vec![print])).await;
    let proxy = client(&house.roots, Some(&(made.cert.pem() + &made.signing_key.serialize_pem())));
    let who = ann(proxy.get(house.url("/v1/user/email"))).send().await.unwrap();
    assert_eq!(who.json::<serde_json::Value>().await.unwrap(), json!({"email": "ann@example.com"}));
    let nobody = proxy.get(house.url("/v1/user/email")).send().await.unwrap();
    assert_eq!(nobody.status(), 401, "the certificate says who the proxy is, not who calls");
    let without = ann(house.client.get(house.url("/v1/user/email"))).send().await.unwrap();
    assert_eq!(without.status(), 401);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_of_the_proxy_may_is_what_users_may() {
    let house = house().await;
    let token = fresh(&house).await;
    let account = json!({"credentials": [], "enabled": true});
    let put = ann(house.client.put(house.url("/v1/services/till"))).header("X-XSRF-TOKEN", &token).json(&account);
    assert_eq!(put.send().await.unwrap().status(), 200);
    for path in ["/v1/services/till", "/v1/credentials", "/v1/services", "/v1/client_config"] {
        assert_eq!(ann(house.client.get(house.url(path))).send().await.unwrap().status(), 200, "{path}");
    }
    house.close().await;
}
