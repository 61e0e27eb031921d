//! Who may do what over CredHub's API: every route of its table × every sort of caller × whose record it is.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;
use strongroom::domain::authority::{Issuer, Policy, Role};
use strongroom::domain::client::State;
use strongroom::domain::rules::Rules;

use crate::rest::callers::Callers;
use crate::rest::house::{House, request};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    WrongPassword,
    UnknownToken,
    UnknownCertificate,
    Admin,
    Client,
    Suspended,
    TokenWithRights,
    TokenWithout,
    /// May see and list, but not read.
    TokenThatSees,
    /// May create and update.
    TokenThatWrites,
    ServicePrincipal,
    UserPrincipal,
    /// Known to Confidant's API alone.
    HeaderUser,
    /// May do everything at every path.
    GranteeOfAll,
    /// May do everything in the folder of the namespace `shop`.
    GranteeOfShop,
    /// May read there who may what.
    GranteeThatSees,
    /// May read, write and delete there.
    GranteeOfValues,
    GranteeWithout,
}

const CALLERS: [Who; 19] = [
    Who::Nobody,
    Who::WrongPassword,
    Who::UnknownToken,
    Who::UnknownCertificate,
    Who::Admin,
    Who::Client,
    Who::Suspended,
    Who::TokenWithRights,
    Who::TokenWithout,
    Who::TokenThatSees,
    Who::TokenThatWrites,
    Who::ServicePrincipal,
    Who::UserPrincipal,
    Who::HeaderUser,
    Who::GranteeOfAll,
    Who::GranteeOfShop,
    Who::GranteeThatSees,
    Who::GranteeOfValues,
    Who::GranteeWithout,
];

/// At which path the permissions and the credential are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Shop,
    Bank,
    /// Nothing is there.
    Nobodys,
}

const OWNERS: [Whose; 3] = [Whose::Shop, Whose::Bank, Whose::Nobodys];

impl Whose {
    fn path(self, turn: usize) -> String {
        match self {
            Self::Shop => "/kubernetes/shop/db".to_owned(),
            Self::Bank => "/kubernetes/bank/db".to_owned(),
            Self::Nobodys => format!("/kubernetes/nobody/{turn}"),
        }
    }
}

/// Status, and how many audit records it leaves.
type Wanted = (u16, u64);

/// The row of a route. A route without one has no business being there.
fn expected(method: &Method, template: &str, who: Who, whose: Whose) -> Wanted {
    match template {
        "/openapi.json" | "/info" | "/health" | "/management" => return (200, 0),
        _ => {}
    }
    match who {
        Who::Nobody | Who::WrongPassword | Who::UnknownToken | Who::UnknownCertificate => return (401, 1),
        Who::Suspended | Who::HeaderUser => return (401, 1),
        _ => {}
    }
    let all = matches!(who, Who::Admin | Who::TokenWithRights | Who::GranteeOfAll);
    let own = whose == Whose::Shop && who == Who::GranteeOfShop;
    let sees = all || own || (whose == Whose::Shop && who == Who::GranteeThatSees);
    let writes = all || own || who == Who::TokenThatWrites;
    // Confidant's users may everything with credentials, by whichever API.
    let of_values = all || own || who == Who::UserPrincipal || (whose == Whose::Shop && who == Who::GranteeOfValues);
    let (reads, creates, deletes) = (of_values, of_values || who == Who::TokenThatWrites, of_values);
    // Who may, and finds nothing, did nothing and was denied nothing.
    let found = |status: u16| if whose == Whose::Nobodys { (404, 0) } else { (status, 1) };
    let allowed = |allowed: bool, wanted: Wanted| if allowed { wanted } else { (404, 1) };
    match (method.as_str(), template) {
        ("GET", "/version" | "/api/v1/key-usage") => (200, 1),
        ("POST", "/api/v1/interpolate") => allowed(reads, found(200)),
        // Who has stored permissions may always look; of everybody else it takes the right to list.
        ("GET", "/api/v1/certificates") => {
            let lists = all || matches!(who, Who::TokenThatSees | Who::UserPrincipal);
            let grantee =
                matches!(who, Who::GranteeOfShop | Who::GranteeThatSees | Who::GranteeOfValues | Who::GranteeWithout);
            allowed(lists || grantee, (200, 1))
        }
        (_, template) if template.starts_with("/api/v1/certificates/{id}") && whose == Whose::Nobodys => (404, 0),
        ("GET", "/api/v1/certificates/{id}/versions") => allowed(reads, (200, 1)),
        // A resource manages them.
        ("DELETE", "/api/v1/certificates/{id}/versions/{version}") => allowed(deletes, (409, 0)),
        (_, template) if template.starts_with("/api/v1/certificates/{id}") => {
            if creates {
                (409, 0)
            } else {
                (403, 1)
            }
        }
        // Who has signed nothing, and what is of another type.
        ("POST", "/api/v1/bulk-regenerate") => {
            allowed(reads, if whose == Whose::Nobodys { (200, 0) } else { (400, 0) })
        }
        // What no record has is nobody's: there is no name to ask about.
        ("GET", "/api/v1/data/{id}") if whose == Whose::Nobodys => (404, 0),
        ("GET", "/api/v1/data" | "/api/v1/data/{id}") => allowed(reads, found(200)),
        // A resource writes what is below `shop` and `bank`; elsewhere it is new.
        ("PUT" | "POST", "/api/v1/data") if creates => {
            if whose == Whose::Nobodys {
                (200, 1)
            } else {
                (409, 0)
            }
        }
        ("POST", "/api/v1/regenerate") if creates => {
            if whose == Whose::Nobodys {
                (404, 0)
            } else {
                (409, 0)
            }
        }
        ("PUT" | "POST", "/api/v1/data" | "/api/v1/regenerate") => (403, 1),
        ("DELETE", "/api/v1/data") => allowed(deletes, if whose == Whose::Nobodys { (404, 0) } else { (409, 0) }),
        ("GET", "/api/v2/permissions" | "/api/v2/permissions/{uuid}" | "/api/v1/permissions") => {
            allowed(sees, found(200))
        }
        ("POST", "/api/v2/permissions" | "/api/v1/permissions") => allowed(writes, (201, 1)),
        ("PUT" | "PATCH", "/api/v2/permissions/{uuid}") => allowed(writes, found(200)),
        ("DELETE", "/api/v2/permissions/{uuid}") => allowed(all || own, found(200)),
        ("DELETE", "/api/v1/permissions") => allowed(all || own, found(204)),
        _ => panic!("{method} {template} has no row in the matrix of permissions"),
    }
}

struct Cast {
    house: House,
    callers: Callers,
}

impl Cast {
    async fn new() -> Self {
        let (mut house, callers) = Callers::open(Rules::default()).await;
        let password = house.app.clients.create("plain", false).await.unwrap();
        house.passwords.push(("plain", password));
        house.basic("shop/suspended", State::Suspended).await;
        house.managed("shop", "db", &[("db", "shop-value")]).await;
        house.managed("bank", "db", &[("db", "bank-value")]).await;
        for namespace in ["shop", "bank"] {
            let request = request("root", Role::Authority { path_length: None }, Issuer::SelfSigned);
            house.authority_of(namespace, request, Policy::default()).await;
        }
        let cast = Self { house, callers };
        let every = ["read", "write", "delete", "read_acl", "write_acl"];
        for (name, path, operations) in [
            ("all", "/*", &every[..]),
            ("shop", "/kubernetes/shop/*", &every),
            ("sees", "/kubernetes/shop/*", &["read_acl"]),
            ("values", "/kubernetes/shop/*", &["read", "write", "delete"]),
        ] {
            cast.permission(path, &format!("uaa-client:{name}"), operations).await;
        }
        cast
    }

    /// Made by the admin; its id.
    async fn permission(&self, path: &str, actor: &str, operations: &[&str]) -> String {
        let body = json!({"path": path, "actor": actor, "operations": operations});
        let (status, made) = self.house.send(Method::POST, "/api/v2/permissions", &body).await;
        assert_eq!(status, 201, "{made}");
        made["uuid"].as_str().unwrap().to_owned()
    }

    fn request(&self, who: Who, method: &Method, path: &str) -> RequestBuilder {
        let client = if who == Who::UnknownCertificate { &self.callers.unknown } else { &self.house.client };
        let request = client.request(method.clone(), self.house.url(path));
        let basic = |name: &str| request.try_clone().unwrap().basic_auth(name, Some(self.house.password(name)));
        match who {
            Who::Nobody | Who::UnknownCertificate => request,
            Who::WrongPassword => request.basic_auth("ops", Some("wrong")),
            Who::UnknownToken => request.bearer_auth("unknown"),
            Who::Admin => basic("ops"),
            Who::Client => basic("plain"),
            Who::Suspended => basic("shop/suspended"),
            Who::TokenWithRights => request.bearer_auth("all"),
            Who::TokenWithout => request.bearer_auth("none"),
            Who::TokenThatSees => request.bearer_auth("sees"),
            Who::TokenThatWrites => request.bearer_auth("writes"),
            Who::ServicePrincipal => self.callers.service(request),
            Who::UserPrincipal => self.callers.user(request),
            Who::HeaderUser => self.callers.page(request),
            Who::GranteeOfAll => request.bearer_auth("uaa-client:all"),
            Who::GranteeOfShop => request.bearer_auth("uaa-client:shop"),
            Who::GranteeThatSees => request.bearer_auth("uaa-client:sees"),
            Who::GranteeOfValues => request.bearer_auth("uaa-client:values"),
            Who::GranteeWithout => request.bearer_auth("uaa-client:without"),
        }
    }

    /// A permission of its own for each turn, so that none depends on another.
    async fn target(&self, template: &str, whose: Whose, turn: usize) -> String {
        let path = whose.path(turn);
        match (whose, template) {
            (Whose::Nobodys, _) => format!("00000000-0000-4000-8000-{turn:012}"),
            (_, "/api/v1/data/{id}") => {
                let (_, found) = self.house.get(&format!("/api/v1/data?current=true&name={path}")).await;
                found["data"][0]["id"].as_str().unwrap().to_owned()
            }
            (_, template) if template.starts_with("/api/v1/certificates/{id}") => {
                let name = path.replace("/db", "/root");
                let (_, found) = self.house.get(&format!("/api/v1/certificates?name={name}")).await;
                found["certificates"][0]["id"].as_str().unwrap().to_owned()
            }
            (_, template) if template.contains("permissions") => {
                self.permission(&path, &format!("some-{turn}"), &["read"]).await
            }
            _ => String::new(),
        }
    }
}

fn filled(template: &str, id: &str) -> String {
    ["{uuid}", "{id}", "{version}"].iter().fold(template.to_owned(), |path, name| path.replace(name, id))
}

fn asked(route: (&Method, &str), whose: Whose, turn: usize) -> (String, Value) {
    let (path, actor) = (whose.path(turn), format!("some-{turn}"));
    let made = format!("new-{turn}");
    match (route.0.as_str(), route.1) {
        ("GET", "/api/v2/permissions") => (format!("?path={path}&actor={actor}"), json!(null)),
        ("GET" | "DELETE", "/api/v1/permissions") => (format!("?credential_name={path}&actor={actor}"), json!(null)),
        ("POST", "/api/v2/permissions") => {
            (String::new(), json!({"path": path, "actor": made, "operations": ["read"]}))
        }
        ("POST", "/api/v1/permissions") => {
            let permissions = json!([{"actor": made, "operations": ["read"]}]);
            (String::new(), json!({"credential_name": path, "permissions": permissions}))
        }
        ("GET" | "DELETE", "/api/v1/data") => (format!("?name={path}"), json!(null)),
        ("PUT", "/api/v1/data") => (String::new(), json!({"name": path, "type": "json", "value": {"a": "b"}})),
        ("POST", "/api/v1/data") => (String::new(), json!({"name": path, "type": "password", "mode": "overwrite"})),
        ("POST", "/api/v1/regenerate") => (String::new(), json!({"name": path})),
        ("POST", "/api/v1/bulk-regenerate") => (String::new(), json!({"signed_by": path})),
        ("POST", "/api/v1/interpolate") => (String::new(), json!({"a": [{"credentials": {"credhub-ref": path}}]})),
        ("POST", "/api/v1/certificates/{id}/versions") => (String::new(), json!({"value": {"certificate": "x"}})),
        ("PUT", "/api/v1/certificates/{id}/update_transitional_version") => (String::new(), json!({"version": null})),
        ("PUT", _) => (String::new(), json!({"path": path, "actor": actor, "operations": ["write"]})),
        ("PATCH", _) => (String::new(), json!({"operations": ["write"]})),
        ("POST", "/management") => (String::new(), json!({"read_only_mode": false})),
        _ => (String::new(), json!({})),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_of_credhubs_gets_what_its_rights_are_and_nothing_else() {
    let cast = Cast::new().await;
    let (mut wrong, mut turn) = (Vec::new(), 0);
    for mount in Credhub::MOUNTS {
        for route in Credhub::routes() {
            for (who, whose) in CALLERS.iter().flat_map(|who| OWNERS.map(|whose| (*who, whose))) {
                turn += 1;
                let id = cast.target(route.template, whose, turn).await;
                let (query, body) = asked((&route.method, route.template), whose, turn);
                let path = format!("{mount}{}{query}", filled(route.template, &id));
                let before = cast.house.recorded().await;
                let response = cast.request(who, &route.method, &path).json(&body).send().await.unwrap();
                let status = response.status().as_u16();
                let text = response.text().await.unwrap();
                let recorded = cast.house.recorded().await - before;
                let wanted = expected(&route.method, route.template, who, whose);
                let is_read = status == 200
                    && ["/api/v1/data", "/api/v1/interpolate"].iter().any(|own| route.template.starts_with(own));
                let shows = text.contains("-value") && !is_read;
                if (status, recorded) != wanted || shows {
                    let got = (status, recorded);
                    wrong.push(format!("{} {path} by {who:?}: {got:?}, not {wanted:?}: {text}", route.method));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(turn, Credhub::MOUNTS.len() * Credhub::routes().len() * CALLERS.len() * OWNERS.len());
    cast.house.close().await;
}

#[tokio::test]
async fn a_search_shows_each_caller_what_it_may_read() {
    let cast = Cast::new().await;
    let all = ["/kubernetes/bank/db", "/kubernetes/bank/root", "/kubernetes/shop/db", "/kubernetes/shop/root"];
    for who in CALLERS {
        let wanted: (u16, &[&str]) = match who {
            Who::Admin | Who::TokenWithRights | Who::TokenThatSees | Who::UserPrincipal | Who::GranteeOfAll => {
                (200, &all)
            }
            Who::GranteeOfShop | Who::GranteeOfValues => (200, &all[2..]),
            Who::GranteeThatSees | Who::GranteeWithout => (200, &[]),
            Who::Client | Who::TokenWithout | Who::TokenThatWrites | Who::ServicePrincipal => (404, &[]),
            _ => (401, &[]),
        };
        for query in ["path=/kubernetes", "name-like=KUBE", "path=&name-like=/"] {
            let before = cast.house.recorded().await;
            let request = cast.request(who, &Method::GET, &format!("/api/v1/data?{query}"));
            let (status, found) = crate::rest::house::answer(request).await;
            let mut names: Vec<&str> = found["credentials"]
                .as_array()
                .map(|list| list.iter().map(|found| found["name"].as_str().unwrap()).collect())
                .unwrap_or_default();
            names.sort_unstable();
            assert_eq!((status, &names[..]), wanted, "{who:?} {query}");
            assert_eq!(cast.house.recorded().await - before, 1, "{who:?} {query}");
        }
    }
    cast.house.close().await;
}

/// Each of these answers with what was there before, to callers who may read it.
#[tokio::test]
async fn who_may_write_and_not_read_is_shown_no_value_that_was_there() {
    let cast = Cast::new().await;
    cast.permission("/team/*", "uaa-client:writer", &["write", "delete"]).await;
    let writer = async |method: Method, path: &str, body: Value| {
        let request = cast.house.client.request(method, cast.house.url(path)).bearer_auth("uaa-client:writer");
        crate::rest::house::answer(request.json(&body)).await
    };
    let password = json!({"name": "/team/pw", "type": "password"});
    assert_eq!(writer(Method::POST, "/api/v1/data", password.clone()).await.0, 200, "its own");
    for mode in ["converge", "no-overwrite"] {
        let body = json!({"name": "/team/pw", "type": "password", "mode": mode});
        let (status, told) = writer(Method::POST, "/api/v1/data", body).await;
        assert_eq!((status, &told["value"]), (403, &Value::Null), "{mode}");
    }
    let ca = json!({"name": "/team/ca", "type": "certificate", "parameters": {"common_name": "x", "is_ca": true}});
    assert_eq!(cast.house.send(Method::POST, "/api/v1/data", &ca).await.0, 200);
    let (_, listed) = cast.house.get("/api/v1/certificates?name=/team/ca").await;
    let path = format!("/api/v1/certificates/{}", listed["certificates"][0]["id"].as_str().unwrap());
    assert_eq!(writer(Method::POST, &format!("{path}/regenerate"), json!({})).await.0, 200, "its own again");
    let (status, moved) =
        writer(Method::PUT, &format!("{path}/update_transitional_version"), json!({"version": "latest"})).await;
    assert_eq!((status, moved.as_array().unwrap().len()), (200, 2));
    for version in moved.as_array().unwrap() {
        assert_eq!(
            (version["value"]["private_key"].is_null(), version["value"]["certificate"].is_string()),
            (true, true)
        );
    }
    let last = moved[0]["id"].as_str().unwrap();
    let (status, gone) = writer(Method::DELETE, &format!("{path}/versions/{last}"), json!(null)).await;
    assert_eq!((status, &gone["value"]["private_key"]), (200, &Value::Null));
    // Nor does it sign with what it may not read.
    let leaf =
        json!({"name": "/team/leaf", "type": "certificate", "parameters": {"common_name": "x", "ca": "/team/ca"}});
    assert_eq!(writer(Method::POST, "/api/v1/data", leaf).await.0, 404);
    cast.house.close().await;
}
