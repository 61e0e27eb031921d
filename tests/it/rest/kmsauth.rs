//! Callers that a key service vouches for: tokens that were made in moto's KMS, against the real router, with a proxy
//! between that counts.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::adapters::kms::aws::tokens::AwsTokens;
use strongroom::adapters::kms::local::tokens::KeyFileTokens;
use strongroom::adapters::system::{SystemClock, SystemEntropy};
use strongroom::api::Dialects;
use strongroom::app::kmsauth::{Kmsauth, make};
use strongroom::app::ports::Clock;
use strongroom::domain::actor::PrincipalKind::{Service, User};
use strongroom::domain::kmsauth::{Claim, KeyUse, Terms, Window};

use crate::kms::contract;
use crate::kms::moto::Moto;
use crate::kms::proxy::{Fault, Proxy};
use crate::rest::house::{House, Setup, answer};

pub const TO: &str = "confidant-test";

/// A house whose callers show tokens, and the keys that make them.
pub struct Vouched {
    pub house: House,
    pub moto: Moto,
    pub proxy: Proxy,
    /// For services, for services of the account `east`, for users, and one that nobody knows here.
    pub auth: String,
    pub east: String,
    pub people: String,
    pub foreign: String,
}

impl Vouched {
    pub async fn open() -> Self {
        Self::with(|terms| terms).await
    }

    /// The first key by its alias, as real installations name it; the others by their ARN.
    pub async fn with(change: impl Fn(Terms) -> Terms) -> Self {
        let moto = Moto::running().await;
        let proxy = Proxy::before(moto.url()).await;
        let [auth, east, people, foreign] =
            [moto.create_key().await, moto.create_key().await, moto.create_key().await, moto.create_key().await];
        let id = auth.rsplit('/').next().unwrap();
        let alias = format!("alias/auth-{id}");
        moto.ask("CreateAlias", json!({"AliasName": alias, "TargetKeyId": id})).await;
        let key = |key: &str, kind, account: Option<&str>| KeyUse {
            key: key.into(),
            kind,
            account: account.map(str::to_owned),
        };
        let terms = change(Terms {
            to: TO.into(),
            versions: 1..=2,
            kinds: vec![Service, User],
            keys: vec![key(&alias, Service, None), key(&east, Service, Some("east")), key(&people, User, None)],
            max_lifetime: SignedDuration::from_mins(60),
        });
        let names = terms.keys.iter().map(|known| known.key.clone()).collect();
        let service = Arc::new(AwsTokens::with(contract::client(&proxy.url()), names));
        let kmsauth = Some(Kmsauth::new(service, terms, Arc::new(SystemClock)));
        let mut dialects = Dialects::default();
        dialects.confidant.settings.accounts = vec!["east".into(), "west".into()];
        let house = House::set_up(Setup { kmsauth, dialects, ..Setup::default() }).await;
        Self { house, moto, proxy, auth, east, people, foreign }
    }

    pub async fn encrypt(&self, key: &str, context: Value, plain: &str) -> String {
        let plain = BASE64_STANDARD.encode(plain);
        let made = json!({"KeyId": key, "EncryptionContext": context, "Plaintext": plain});
        self.moto.ask("Encrypt", made).await["CiphertextBlob"].as_str().expect("a ciphertext").to_owned()
    }

    /// As the official client makes them.
    pub async fn token(&self, key: &str, username: &str) -> String {
        self.encrypt(key, context(username, TO), &window(-3, 7)).await
    }

    async fn get(&self, path: &str, username: &str, token: &str) -> (u16, Value) {
        answer(self.house.client.get(self.house.url(path)).basic_auth(username, Some(token))).await
    }

    async fn service(&self, id: &str, account: Option<&str>) {
        let body = json!({"credentials": [], "enabled": true, "account": account});
        let (status, made) = self.house.send(Method::PUT, &format!("/v1/services/{id}"), &body).await;
        assert_eq!(status, 200, "{made}");
    }

    fn decrypts(&self) -> usize {
        self.proxy.actions().iter().filter(|action| *action == "Decrypt").count()
    }
}

/// Keys of a file, where no KMS is needed.
pub struct KeyFile {
    service: Arc<KeyFileTokens>,
    terms: Terms,
    _dir: tempfile::TempDir,
}

impl KeyFile {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = [Service, User].map(|kind| kind.as_str().to_owned());
        let entropy = Arc::new(SystemEntropy::default());
        let service = KeyFileTokens::open_or_create(&dir.path().join("key"), &names, entropy).unwrap();
        let terms = Terms {
            to: TO.into(),
            versions: 1..=2,
            kinds: vec![Service, User],
            keys: [Service, User].map(|kind| KeyUse { key: kind.as_str().into(), kind, account: None }).to_vec(),
            max_lifetime: SignedDuration::from_mins(60),
        };
        Self { service: Arc::new(service), terms, _dir: dir }
    }

    pub fn kmsauth(&self) -> Kmsauth {
        Kmsauth::new(self.service.clone(), self.terms.clone(), Arc::new(SystemClock))
    }

    /// For as long as a test runs.
    pub async fn token(&self, username: &str) -> String {
        let claim = Claim::parse(username).unwrap();
        let now = SystemClock.now();
        let window = Window { not_before: now, not_after: now + SignedDuration::from_mins(59) };
        let made = make(self.service.as_ref(), claim.kind.as_str(), &claim, TO, window).await;
        made.unwrap().expose().to_owned()
    }
}

fn context(username: &str, to: &str) -> Value {
    match username.split('/').collect::<Vec<_>>()[..] {
        [_, kind, from] => json!({"from": from, "to": to, "user_type": kind}),
        _ => json!({"from": username, "to": to}),
    }
}

fn window(from: i64, to: i64) -> String {
    let at = |minutes| (SystemClock.now() + SignedDuration::from_mins(minutes)).strftime("%Y%m%dT%H%M%SZ").to_string();
    json!({"not_before": at(from), "not_after": at(to)}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_reads_the_service_of_its_name_and_nothing_else() {
    let vouched = Vouched::open().await;
    for id in ["till", "till-1", "mail"] {
        vouched.service(id, None).await;
    }
    let credential = vouched.house.credential("db", json!({"password": "hidden"})).await;
    for username in ["till", "2/service/till"] {
        let token = vouched.token(&vouched.auth, username).await;
        let (status, body) = vouched.get("/v1/services/till", username, &token).await;
        assert_eq!((status, &body["id"]), (200, &json!("till")), "{username}");
        let permissions = json!({"metadata": false, "get": true, "update": false});
        assert_eq!(body["permissions"], permissions);
        for path in
            ["/v1/services/mail", "/v1/services/till-1", "/v1/services", "/v1/credentials", "/v1/services/nothing"]
        {
            let (status, body) = vouched.get(path, username, &token).await;
            assert_eq!(status, 403, "{path}");
            assert!(body["error"].is_string(), "clients merge this JSON into their result: {body}");
        }
        let (status, _) = vouched.get(&format!("/v1/credentials/{credential}"), username, &token).await;
        assert_eq!(status, 403);
        // A revision of its own service is no service.
        let (status, _) = vouched.get("/v1/services/till-1", "2/service/till", &token).await;
        assert_eq!(status, 403);
        let put = vouched.house.client.put(vouched.house.url("/v1/services/till")).json(&json!({"enabled": false}));
        assert_eq!(answer(put.basic_auth(username, Some(&token))).await.0, 403);
    }
    let token = vouched.token(&vouched.auth, "2/service/ghost").await;
    assert_eq!(vouched.get("/v1/services/ghost", "2/service/ghost", &token).await.0, 404, "its own, and not there");
    let (status, body) = vouched.get("/v1/user/email", "2/service/ghost", &token).await;
    assert_eq!((status, body), (200, json!({"email": "ghost"})));
    vouched.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_lists_and_writes_by_token_and_by_headers_of_its_own() {
    let vouched = Vouched::open().await;
    let token = vouched.token(&vouched.people, "2/user/Ann@example.com").await;
    let headers = |request: reqwest::RequestBuilder| {
        request.header("X-Auth-From", "2/user/Ann@example.com").header("X-Auth-Token", &token)
    };
    let body = json!({"name": "db", "credential_pairs": {"a": "b"}, "enabled": true});
    let (status, made) =
        answer(headers(vouched.house.client.post(vouched.house.url("/v1/credentials"))).json(&body)).await;
    assert_eq!((status, &made["modified_by"]), (200, &json!("Ann@example.com")));
    let (status, listed) = answer(headers(vouched.house.client.get(vouched.house.url("/v1/credentials")))).await;
    assert_eq!((status, listed["credentials"].as_array().map(Vec::len)), (200, Some(1)));
    // What Authorization says counts, whatever stands beside it.
    let both = headers(vouched.house.client.get(vouched.house.url("/v1/credentials"))).basic_auth("ops", Some("wrong"));
    assert_eq!(answer(both).await.0, 403);
    vouched.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_an_account_is_read_by_principals_of_that_account() {
    let vouched = Vouched::open().await;
    for (id, account) in [("east", Some("east")), ("west", Some("west")), ("any", None)] {
        vouched.service(id, account).await;
    }
    let user = "2/user/ann";
    for (key, id, username, expected) in [
        (&vouched.east, "east", "2/service/east", 200),
        (&vouched.auth, "east", "2/service/east", 401),
        (&vouched.east, "west", "2/service/west", 401),
        (&vouched.east, "any", "2/service/any", 200),
        (&vouched.people, "east", user, 401),
        (&vouched.people, "any", user, 200),
        (&vouched.east, "west", "2/service/east", 403),
    ] {
        let token = vouched.token(key, username).await;
        for query in ["", "?metadata_only=true"] {
            let before = vouched.house.recorded().await;
            let (status, body) = vouched.get(&format!("/v1/services/{id}{query}"), username, &token).await;
            assert_eq!(status, expected, "{id} by {username}: {body}");
            assert_eq!(vouched.house.recorded().await - before, 1);
            assert_eq!(body["error"].is_string(), expected != 200);
        }
    }
    // Who has no account by nature is judged by its rights alone.
    assert_eq!(vouched.house.get("/v1/services/east").await.0, 200);
    vouched.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_forged_or_wrong_are_refused_without_a_reason() {
    let vouched = Vouched::open().await;
    vouched.service("till", None).await;
    let (auth, me) = (&vouched.auth, "2/service/till");
    let fit = || context(me, TO);
    let good = vouched.token(auth, me).await;
    let mut changed = BASE64_STANDARD.decode(&good).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let cases = [
        ("for another server", me, vouched.encrypt(auth, context(me, "other"), &window(-3, 7)).await),
        ("of another service", me, vouched.token(auth, "2/service/mail").await),
        ("without its sort", me, vouched.token(auth, "till").await),
        ("of the other version", "till", good.clone()),
        ("of the other version, by number", "1/service/till", good.clone()),
        ("of another key", me, vouched.token(&vouched.foreign, me).await),
        ("of the users' key", me, vouched.token(&vouched.people, me).await),
        ("a user by the services' key", "2/user/till", vouched.token(auth, "2/user/till").await),
        ("of no known sort", "2/robot/till", vouched.token(auth, "2/robot/till").await),
        ("of a version that there is not", "3/service/till", good.clone()),
        ("of a version that is none", "x/service/till", good.clone()),
        (
            "of version 1 for a user",
            "1/user/ann",
            vouched.encrypt(&vouched.people, context("ann", TO), &window(-3, 7)).await,
        ),
        ("over", me, vouched.encrypt(auth, fit(), &window(-9, -1)).await),
        ("not yet", me, vouched.encrypt(auth, fit(), &window(5, 9)).await),
        ("too long", me, vouched.encrypt(auth, fit(), &window(-3, 58)).await),
        ("a day and five minutes", me, vouched.encrypt(auth, fit(), &window(-3, 24 * 60 + 2)).await),
        ("the wrong way round", me, vouched.encrypt(auth, fit(), &window(7, -3)).await),
        ("without times", me, vouched.encrypt(auth, fit(), "{}").await),
        ("no JSON", me, vouched.encrypt(auth, fit(), "token").await),
        ("changed", me, BASE64_STANDARD.encode(changed)),
        ("garbage", me, BASE64_STANDARD.encode([7; 100])),
        ("no base64", me, "%%%".to_owned()),
        ("empty", me, String::new()),
        ("too large", me, "A".repeat(9000)),
        ("with too many parts", "2/service/till/x", good.clone()),
        ("with two parts", "2/till", good.clone()),
        ("of nobody", "2/service/", good.clone()),
    ];
    let mut bodies = Vec::new();
    for (what, username, token) in cases {
        let before = vouched.house.recorded().await;
        let request = vouched.house.client.get(vouched.house.url("/v1/services/till"));
        let response = request.basic_auth(username, Some(&token)).send().await.unwrap();
        assert_eq!(response.status(), 403, "{what}");
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(vouched.house.recorded().await - before, 1, "{what}");
        bodies.push(response.text().await.unwrap());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "nobody learns why: {bodies:?}");
    assert_eq!(vouched.get("/v1/services/till", me, &good).await.0, 200);
    vouched.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_and_sorts_are_as_the_settings_say() {
    let vouched = Vouched::with(|terms| Terms { versions: 2..=2, kinds: vec![Service], ..terms }).await;
    vouched.service("till", None).await;
    for (key, username, expected) in [
        (&vouched.auth, "till", 403),
        (&vouched.auth, "1/service/till", 403),
        (&vouched.people, "2/user/ann", 403),
        (&vouched.auth, "2/service/till", 200),
    ] {
        let token = vouched.token(key, username).await;
        assert_eq!(vouched.get("/v1/services/till", username, &token).await.0, expected, "{username}");
    }
    vouched.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_costs_one_call_of_kms_and_an_outage_only_what_is_new() {
    let mut vouched = Vouched::open().await;
    vouched.service("till", None).await;
    let me = "2/service/till";
    let token = vouched.token(&vouched.auth, me).await;
    let all = (0..20).map(|_| vouched.get("/v1/services/till", me, &token));
    for (status, _) in futures::future::join_all(all).await {
        assert_eq!(status, 200);
    }
    assert_eq!(vouched.decrypts(), 1);
    for _ in 0..10 {
        assert_eq!(vouched.get("/v1/services/till", me, &token).await.0, 200);
    }
    assert_eq!(vouched.decrypts(), 1);
    // The alias was resolved once, the ARNs are what they are.
    assert_eq!(vouched.proxy.actions().iter().filter(|action| *action == "DescribeKey").count(), 1);
    let decrypt = vouched.proxy.calls().into_iter().find(|call| call.action == "Decrypt").unwrap();
    let asked: Value = serde_json::from_slice(&decrypt.request).unwrap();
    assert_eq!(asked["EncryptionContext"], context(me, TO));

    let next = vouched.token(&vouched.auth, me).await;
    vouched.proxy.fail(Fault::Refuse("Decrypt", "ThrottlingException"));
    assert_waits(&vouched, me, &next).await;
    vouched.proxy.fail(Fault::None);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(vouched.get("/v1/services/till", me, &next).await.0, 200);

    let last = vouched.token(&vouched.auth, me).await;
    vouched.proxy.down().await;
    assert_waits(&vouched, me, &last).await;
    assert_eq!(vouched.get("/v1/services/till", me, &token).await.0, 200, "what is known needs nobody");
    let wrong = vouched.get("/v1/services/till", "2/robot/till", &last).await;
    assert_eq!(wrong.0, 403, "what nobody has to be asked about is refused all the same");
    vouched.proxy.up().await;
    vouched.house.close().await;
}

async fn assert_waits(vouched: &Vouched, username: &str, token: &str) {
    let request = vouched.house.client.get(vouched.house.url("/v1/services/till"));
    let response = request.basic_auth(username, Some(token)).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_of_our_own_are_no_wrong_token() {
    let vouched = Vouched::open().await;
    vouched.service("till", None).await;
    let me = "2/service/till";
    for (code, expected) in [
        ("UnrecognizedClientException", 503),
        ("ExpiredTokenException", 503),
        ("KMSInternalException", 503),
        ("AccessDeniedException", 403),
        ("DisabledException", 403),
        ("InvalidCiphertextException", 403),
    ] {
        let token = vouched.token(&vouched.auth, me).await;
        vouched.proxy.fail(Fault::Refuse("Decrypt", code));
        assert_eq!(vouched.get("/v1/services/till", me, &token).await.0, expected, "{code}");
        vouched.proxy.fail(Fault::None);
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    vouched.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_credentials_name_is_nobody_elses() {
    let vouched = Vouched::open().await;
    vouched.service("plain", None).await;
    let token = vouched.token(&vouched.auth, "plain").await;
    assert_eq!(vouched.get("/v1/services/plain", "plain", &token).await.0, 200);
    let password = vouched.house.app.clients.create("plain", false).await.unwrap();
    assert_eq!(vouched.get("/v1/services/plain", "plain", &token).await.0, 403, "a token is no password");
    assert_eq!(vouched.get("/v1/services/plain", "plain", password.expose()).await.0, 200);
    let second = vouched.token(&vouched.auth, "2/service/plain").await;
    assert_eq!(vouched.get("/v1/services/plain", "2/service/plain", &second).await.0, 200);
    vouched.house.close().await;
}
