//! Who may do what: every route of every table × every sort of caller × whose record it is.

use reqwest::{Client, Method};
use serde_json::json;
use strongroom::api::confidant::Confidant;
use strongroom::api::route::Dialect;
use strongroom::domain::authority::{Issuer, Policy, Role};
use strongroom::domain::client::State;
use strongroom::domain::rules::Rules;

use crate::rest::blind::blind;
use crate::rest::callers::Callers;
use crate::rest::certificates::CSR;
use crate::rest::header_login;
use crate::rest::house::{House, client, request};
use crate::rest::jwks;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    WrongPassword,
    UnknownToken,
    UnknownCertificate,
    Admin,
    /// No service lists it, and none has its name.
    Plain,
    /// A service outside all namespaces has its name.
    Namesake,
    /// Listed in the service `shop.till`.
    Listed,
    /// The same, known by its certificate.
    ListedByCertificate,
    /// Listed in another service.
    ListedElsewhere,
    Suspended,
    Revoked,
    SuspendedCertificate,
    TokenWithRights,
    TokenWithout,
    /// May list and see, but not read.
    TokenThatSees,
    /// By a kmsauth token; a service outside all namespaces has its name.
    ServicePrincipal,
    UserPrincipal,
    /// Behind the proxy, with the token of its page.
    HeaderUser,
    /// The same without it.
    ForgedPage,
}

const CALLERS: [Who; 20] = [
    Who::Nobody,
    Who::WrongPassword,
    Who::UnknownToken,
    Who::UnknownCertificate,
    Who::Admin,
    Who::Plain,
    Who::Namesake,
    Who::Listed,
    Who::ListedByCertificate,
    Who::ListedElsewhere,
    Who::Suspended,
    Who::Revoked,
    Who::SuspendedCertificate,
    Who::TokenWithRights,
    Who::TokenWithout,
    Who::TokenThatSees,
    Who::ServicePrincipal,
    Who::UserPrincipal,
    Who::HeaderUser,
    Who::ForgedPage,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Of the namespace `shop`; as a service, `shop.till`.
    Shop,
    /// Of the namespace `bank`.
    Bank,
    /// Made over REST; as a service, `mail`.
    Rest,
    /// Does not exist.
    Nobodys,
}

const OWNERS: [Whose; 4] = [Whose::Shop, Whose::Bank, Whose::Rest, Whose::Nobodys];

/// The row of a route. A route without one has no business being there.
fn expected(method: &Method, template: &str, who: Who, whose: Whose) -> u16 {
    if is_open(template) {
        return 200;
    }
    match who {
        Who::Nobody => return 401,
        Who::WrongPassword | Who::UnknownToken | Who::UnknownCertificate => return 403,
        Who::Suspended | Who::Revoked | Who::SuspendedCertificate => return 403,
        Who::ForgedPage if method != Method::GET && !is_session(template) => return 401,
        Who::ForgedPage => return expected(method, template, Who::HeaderUser, whose),
        _ => {}
    }
    let signs = matches!(who, Who::Admin | Who::TokenWithRights);
    let all = signs || matches!(who, Who::UserPrincipal | Who::HeaderUser);
    let sees = all || who == Who::TokenThatSees;
    let found = if whose == Whose::Nobodys { 404 } else { 200 };
    let writable = if matches!(whose, Whose::Shop | Whose::Bank) { 409 } else { found };
    let opened = match whose {
        Whose::Shop => matches!(who, Who::Listed | Who::ListedByCertificate),
        Whose::Bank => who == Who::ListedElsewhere,
        Whose::Rest => matches!(who, Who::Namesake | Who::ServicePrincipal),
        Whose::Nobodys => false,
    };
    let allowed = |allowed: bool, status: u16| if allowed { status } else { 403 };
    // What differs in nothing is not put back, and what is in use is not archived.
    let refused = if writable == 200 { 400 } else { writable };
    let blind = if whose == Whose::Nobodys { 404 } else { 200 };
    let blind_refused = if blind == 200 { 400 } else { blind };
    match (method.as_str(), template) {
        ("GET", "/v1/credentials") => allowed(sees, 200),
        ("POST", "/v1/credentials") => allowed(all, 200),
        ("GET", "/v1/credentials/{id}") => allowed(sees, found),
        ("PUT", "/v1/credentials/{id}") => allowed(all, writable),
        ("GET", "/v1/credentials/{id}/services") => allowed(sees, 200),
        ("PUT", "/v1/credentials/{id}/{revision}") => allowed(all, refused),
        ("POST", "/v1/credentials/{id}/archive") => allowed(all, refused),
        ("GET", "/v1/credentials/{id}/{old}/{new}" | "/v1/archive/credentials/{id}") => allowed(sees, found),
        ("GET", "/v1/archive/credentials" | "/v1/archive/services" | "/v1/archive/blind_credentials") => {
            allowed(sees, 200)
        }
        ("GET", "/v1/blind_credentials" | "/v1/blind_credentials/{id}/services") => allowed(sees, 200),
        ("POST", "/v1/blind_credentials") => allowed(all, 200),
        ("GET", "/v1/blind_credentials/{id}") => allowed(all, blind),
        ("GET", "/v1/archive/blind_credentials/{id}") => allowed(sees, blind),
        ("PUT", "/v1/blind_credentials/{id}") => allowed(all, blind),
        ("PUT", "/v1/blind_credentials/{id}/{revision}") => allowed(all, blind_refused),
        (_, "/v1/login") => 302,
        ("GET", "/v1/user/email" | "/v1/client_config") | ("POST", "/v1/user/email") => 200,
        ("GET", "/v1/roles") => allowed(sees, 200),
        ("GET", "/v1/grants/{id}") => allowed(sees || opened, if found == 404 { 400 } else { 200 }),
        ("PUT", "/v1/grants/{id}") => allowed(all, if found == 404 { 400 } else { 200 }),
        ("GET", "/v1/services/{id}/{old}/{new}" | "/v1/archive/services/{id}") => allowed(sees || opened, found),
        ("PUT", "/v1/services/{id}/{revision}") => allowed(all, refused),
        ("GET", "/v1/services") => allowed(sees, 200),
        ("GET", "/v1/services/{id}") => allowed(all || opened, found),
        // A service that is not there is created.
        ("PUT", "/v1/services/{id}") => allowed(all, if whose == Whose::Nobodys { 200 } else { writable }),
        ("GET", "/v1/cas") => allowed(signs || matches!(who, Who::TokenThatSees | Who::ServicePrincipal), 200),
        // Whoever may list authorities is told which there are not.
        (_, template) if template.contains("{ca}") => match whose {
            // No pattern says under which names a service may have certificates of these.
            Whose::Shop | Whose::Bank => {
                allowed(signs || (who == Who::ServicePrincipal && template == "/v1/cas/{ca}"), 200)
            }
            Whose::Rest | Whose::Nobodys => {
                allowed(signs || matches!(who, Who::TokenThatSees | Who::ServicePrincipal), 404)
            }
        },
        // About itself, where the path does not say otherwise.
        (_, "/v1/jwks/token") => allowed(all, 200),
        (_, template) if template.starts_with("/v1/jwks/token") => allowed(signs, 200),
        _ => panic!("{method} {template} has no row in the matrix of permissions"),
    }
}

/// For anybody, and about nothing that is kept.
fn is_open(template: &str) -> bool {
    matches!(template, "/openapi.json" | "/healthcheck" | "/v1/value_generator" | "/v1/jwks/public/{environment}")
}

/// About the caller itself: changes nothing, by whichever method.
fn is_session(template: &str) -> bool {
    matches!(template, "/v1/user/email" | "/v1/login")
}

struct Cast {
    house: House,
    callers: Callers,
    listed: Client,
    suspended: Client,
    credentials: [String; 4],
    blind: String,
}

impl Cast {
    async fn new() -> Self {
        let rules = Rules { tokens: jwks::one(), ..Rules::default() };
        let (mut house, callers) = Callers::open(rules).await;
        for name in ["plain", "mail"] {
            let password = house.app.clients.create(name, false).await.unwrap();
            house.passwords.push((name, password));
        }
        for (name, state) in [
            ("shop/till", State::Active),
            ("bank/till", State::Active),
            ("shop/suspended", State::Suspended),
            ("shop/revoked", State::Revoked),
        ] {
            house.basic(name, state).await;
        }
        house.authority().await;
        let root = request("root", Role::Authority { path_length: None }, Issuer::SelfSigned);
        house.authority_of("bank", root, Policy::default()).await;
        let by = |pem: String| client(&house.roots, Some(&pem));
        let listed = by(house.x509("gate", State::Active).await);
        let suspended = by(house.x509("closed", State::Suspended).await);
        let shop = house.managed("shop", "db", &[("db", "shop-value")]).await;
        let bank = house.managed("bank", "db", &[("db", "bank-value")]).await;
        house.service("shop", "till", &["db"], &["till", "gate", "closed", "suspended", "revoked"]).await;
        house.service("bank", "till", &["db"], &["till"]).await;
        let rest = house.credential("rest", json!({"key": "rest-value"})).await;
        let (status, _) = house.send(Method::PUT, "/v1/services/mail", &json!({"credentials": [&rest]})).await;
        assert_eq!(status, 200);
        let (status, blind) = house.send(Method::POST, "/v1/blind_credentials", &blind("blind", &[])).await;
        assert_eq!(status, 200);
        let blind = blind["id"].as_str().unwrap().to_owned();
        let credentials = [shop, bank, rest, "0".repeat(31) + "1"];
        Self { house, callers, listed, suspended, credentials, blind }
    }

    fn request(&self, who: Who, method: &Method, path: &str) -> reqwest::RequestBuilder {
        let client = match who {
            Who::ListedByCertificate => &self.listed,
            Who::SuspendedCertificate => &self.suspended,
            Who::UnknownCertificate => &self.callers.unknown,
            _ => &self.house.client,
        };
        let request = client.request(method.clone(), self.house.url(path));
        let basic = |name: &str| request.try_clone().unwrap().basic_auth(name, Some(self.house.password(name)));
        match who {
            Who::Nobody | Who::ListedByCertificate | Who::SuspendedCertificate | Who::UnknownCertificate => request,
            Who::WrongPassword => request.basic_auth("ops", Some("wrong")),
            Who::UnknownToken => request.bearer_auth("unknown"),
            Who::Admin => basic("ops"),
            Who::Plain => basic("plain"),
            Who::Namesake => basic("mail"),
            Who::Listed => basic("shop/till"),
            Who::ListedElsewhere => basic("bank/till"),
            Who::Suspended => basic("shop/suspended"),
            Who::Revoked => basic("shop/revoked"),
            Who::TokenWithRights => request.bearer_auth("all"),
            Who::TokenWithout => request.bearer_auth("none"),
            Who::TokenThatSees => request.bearer_auth("sees"),
            Who::ServicePrincipal => self.callers.service(request),
            Who::UserPrincipal => self.callers.user(request),
            Who::HeaderUser => self.callers.page(request),
            Who::ForgedPage => header_login::ann(request),
        }
    }

    fn path(&self, template: &str, whose: Whose, turn: usize) -> String {
        let credential = &self.credentials[OWNERS.iter().position(|known| *known == whose).unwrap()];
        let service = match whose {
            Whose::Shop => "shop.till".to_owned(),
            Whose::Bank => "bank.till".to_owned(),
            Whose::Rest => "mail".to_owned(),
            Whose::Nobodys => format!("nothing-{turn}"),
        };
        let blind = if whose == Whose::Nobodys { credential } else { &self.blind };
        let path = template.replace("/credentials/{id}", &format!("/credentials/{credential}"));
        let path = path.replace("blind_credentials/{id}", &format!("blind_credentials/{blind}"));
        let path = path
            .replace("{environment}", "test")
            .replace("{expiry}", "60")
            .replace("{ca}", &service.replace(".till", ".root"))
            .replace("{cn}", "till.example");
        ["{revision}", "{old}", "{new}"]
            .iter()
            .fold(path, |path, name| path.replace(name, "1"))
            .replace("{id}", &service)
    }
}

fn body(method: &Method, template: &str, turn: usize) -> serde_json::Value {
    match (method.as_str(), template) {
        ("POST", "/v1/blind_credentials") => blind(&format!("made {turn}"), &[]),
        ("POST", "/v1/credentials") => json!({"name": format!("made {turn}"), "credential_pairs": {"a": "b"}}),
        ("POST", "/v1/certificates/{ca}") => json!({"csr": CSR}),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_gets_what_its_rights_are_and_nothing_else() {
    let cast = Cast::new().await;
    let mut wrong = Vec::new();
    let mut turn = 0;
    for mount in Confidant::MOUNTS {
        for route in Confidant::routes() {
            for (who, whose) in CALLERS.iter().flat_map(|who| OWNERS.map(|whose| (*who, whose))) {
                turn += 1;
                let query = if route.template.starts_with("/v1/jwks/token") { "?environment=test" } else { "" };
                let path = format!("{mount}{}{query}", cast.path(route.template, whose, turn));
                let request = cast.request(who, &route.method, &path).json(&body(&route.method, route.template, turn));
                let before = cast.house.recorded().await;
                let response = request.send().await.unwrap();
                let status = response.status().as_u16();
                let wanted = expected(&route.method, route.template, who, whose);
                let text = response.text().await.unwrap();
                // What is neither done nor denied leaves none: it is not there, or somebody else's to write.
                let records = u64::from(!is_open(route.template) && matches!(status, 200 | 302 | 401 | 403));
                let recorded = cast.house.recorded().await - before;
                let told = |value: &str| text.contains(value);
                let values_of_others = match (who, whose) {
                    (Who::Admin | Who::TokenWithRights | Who::UserPrincipal, _) => false,
                    (Who::HeaderUser | Who::ForgedPage, _) => false,
                    (Who::Listed | Who::ListedByCertificate, Whose::Shop) => told("bank-value") || told("rest-value"),
                    (Who::ListedElsewhere, Whose::Bank) => told("shop-value") || told("rest-value"),
                    (Who::Namesake | Who::ServicePrincipal, Whose::Rest) => told("shop-value") || told("bank-value"),
                    _ => told("-value"),
                };
                if status != wanted || values_of_others {
                    wrong.push(format!("{} {path} by {who:?}: {status}, not {wanted}: {text}", route.method));
                }
                if recorded != records {
                    wrong.push(format!("{} {path} by {who:?}: {status}, and {recorded} records of it", route.method));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(turn, 2 * Confidant::routes().len() * CALLERS.len() * OWNERS.len());
    cast.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_see_a_record_does_not_learn_that_it_exists() {
    let cast = Cast::new().await;
    for who in [Who::Plain, Who::Listed, Who::TokenWithout, Who::ServicePrincipal] {
        for route in Confidant::routes().iter().filter(|route| route.template.contains("{id}")) {
            let mut answers = Vec::new();
            for whose in [Whose::Bank, Whose::Nobodys] {
                let path = cast.path(route.template, whose, 0);
                // Of the record: no other segment is as long.
                let id = path.split('/').find(|segment| segment.len() == 32 || segment.contains(['.', '-']));
                let response = cast.request(who, &route.method, &path).json(&json!({})).send().await.unwrap();
                answers.push((response.status(), response.text().await.unwrap().replace(id.unwrap(), "ID")));
            }
            assert_eq!(answers[0], answers[1], "{who:?} {} {}", route.method, route.template);
        }
    }
    cast.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_to_write_and_to_see_show_no_values() {
    let cast = Cast::new().await;
    let house = &cast.house;
    let token = |method, path: &str, token: &str| house.client.request(method, house.url(path)).bearer_auth(token);
    let rest = format!("/v1/credentials/{}", cast.credentials[2]);
    let written = token(Method::PUT, &rest, "writes").json(&json!({"enabled": true})).send().await.unwrap();
    let written: serde_json::Value = written.json().await.unwrap();
    assert_eq!(written["credential_pairs"], json!({}));
    assert_eq!(written["permissions"], json!({"metadata": true, "get": false, "update": true}));
    let seen: serde_json::Value = token(Method::GET, &rest, "sees").send().await.unwrap().json().await.unwrap();
    assert_eq!((&seen["credential_pairs"], &seen["credential_keys"]), (&json!({}), &json!(["key"])));
    assert_eq!(seen["permissions"], json!({"metadata": true, "get": false, "update": false}));
    // Mapping would open the credential to the service's readers.
    let mapping = json!({"credentials": [&cast.credentials[2]]});
    let mapped = token(Method::PUT, "/v1/services/new", "writes").json(&mapping).send().await.unwrap();
    assert_eq!(mapped.status(), 403);
    // What is mapped already stays, and shows nothing either.
    let kept = token(Method::PUT, "/v1/services/mail", "writes").json(&mapping).send().await.unwrap();
    assert_eq!(kept.status(), 200);
    assert!(!kept.text().await.unwrap().contains("rest-value"));
    cast.house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_state_counts_at_the_next_request() {
    let mut house = House::open().await;
    house.authority().await;
    house.managed("shop", "db", &[("db", "v")]).await;
    house.service("shop", "till", &["db"], &["till", "gate"]).await;
    house.basic("shop/till", State::Active).await;
    let gate = client(&house.roots, Some(&house.x509("gate", State::Active).await));
    let url = house.url("/v1/services/shop.till");
    let till = house.password("shop/till").to_owned();
    let by_password =
        async || house.client.get(&url).basic_auth("shop/till", Some(&till)).send().await.unwrap().status();
    let by_certificate = async || gate.get(&url).send().await.unwrap().status();
    assert_eq!((by_password().await, by_certificate().await), (200.into_status(), 200.into_status()));
    for (state, wanted) in [(State::Suspended, 403), (State::Active, 200), (State::Revoked, 403)] {
        // The connections stay open: the certificate was shown when it was still good.
        house.x509("gate", state).await;
        let owner = crate::rest::house::owner("ClientCredential", "shop", "till");
        let entry = house.app.clients.remembered(&owner).await.unwrap().unwrap();
        house.app.clients.converge_basic(&owner, entry, state, crate::rest::house::KEEP).await.unwrap();
        let wanted = wanted.into_status();
        assert_eq!((by_password().await, by_certificate().await), (wanted, wanted), "{state:?}");
    }
    house.close().await;
}

trait IntoStatus {
    fn into_status(self) -> reqwest::StatusCode;
}

impl IntoStatus for u16 {
    fn into_status(self) -> reqwest::StatusCode {
        reqwest::StatusCode::from_u16(self).unwrap()
    }
}
