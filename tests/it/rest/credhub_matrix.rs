//! Who may do what over CredHub's API: every route of its table × every sort of caller × whose record it is.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;
use strongroom::domain::client::State;

use crate::rest::header_login;
use crate::rest::house::{House, Setup, client};
use crate::rest::kmsauth::KeyFile;

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
    fn path(self) -> &'static str {
        match self {
            Self::Shop => "/kubernetes/shop/db",
            Self::Bank => "/kubernetes/bank/db",
            Self::Nobodys => "/kubernetes/nobody/db",
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
    // Who may, and finds nothing, did nothing and was denied nothing.
    let found = |status: u16| if whose == Whose::Nobodys { (404, 0) } else { (status, 1) };
    let allowed = |allowed: bool, wanted: Wanted| if allowed { wanted } else { (404, 1) };
    match (method.as_str(), template) {
        ("GET", "/version") => (200, 1),
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
    service: String,
    user: String,
    page: String,
    unknown: reqwest::Client,
}

impl Cast {
    async fn new() -> Self {
        let (keys, dialects) = (KeyFile::new(), header_login::dialects());
        let (service, user) = (keys.token("2/service/mail").await, keys.token("2/user/ann").await);
        let kmsauth = Some(keys.kmsauth());
        let mut house = House::set_up(Setup { kmsauth, dialects, ..Setup::default() }).await;
        let page = header_login::page_token(&house);
        let password = house.app.clients.create("plain", false).await.unwrap();
        house.passwords.push(("plain", password));
        house.basic("shop/suspended", State::Suspended).await;
        house.managed("shop", "db", &[("db", "shop-value")]).await;
        house.managed("bank", "db", &[("db", "bank-value")]).await;
        // A server's certificate: made here, but for no client.
        let (chain, key, _) = crate::rest::house::certificate(&house.app, "strongroom.example").await;
        let unknown = client(&house.roots, Some(&(chain + key.expose())));
        let cast = Self { house, service, user, page, unknown };
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
        let client = if who == Who::UnknownCertificate { &self.unknown } else { &self.house.client };
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
            Who::ServicePrincipal => request.basic_auth("2/service/mail", Some(&self.service)),
            Who::UserPrincipal => request.basic_auth("2/user/ann", Some(&self.user)),
            Who::HeaderUser => header_login::ann(request).header("x-xsrf-token", &self.page),
            Who::GranteeOfAll => request.bearer_auth("uaa-client:all"),
            Who::GranteeOfShop => request.bearer_auth("uaa-client:shop"),
            Who::GranteeThatSees => request.bearer_auth("uaa-client:sees"),
            Who::GranteeOfValues => request.bearer_auth("uaa-client:values"),
            Who::GranteeWithout => request.bearer_auth("uaa-client:without"),
        }
    }

    /// A permission of its own for each turn, so that none depends on another.
    async fn target(&self, whose: Whose, turn: usize) -> String {
        match whose {
            Whose::Nobodys => format!("00000000-0000-4000-8000-{turn:012}"),
            _ => self.permission(whose.path(), &format!("some-{turn}"), &["read"]).await,
        }
    }
}

fn asked(route: (&Method, &str), whose: Whose, turn: usize) -> (String, Value) {
    let (path, actor) = (whose.path(), format!("some-{turn}"));
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
                let id = cast.target(whose, turn).await;
                let (query, body) = asked((&route.method, route.template), whose, turn);
                let path = format!("{mount}{}{query}", route.template.replace("{uuid}", &id));
                let before = cast.house.recorded().await;
                let response = cast.request(who, &route.method, &path).json(&body).send().await.unwrap();
                let status = response.status().as_u16();
                let text = response.text().await.unwrap();
                let recorded = cast.house.recorded().await - before;
                let wanted = expected(&route.method, route.template, who, whose);
                if (status, recorded) != wanted || text.contains("-value") {
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
