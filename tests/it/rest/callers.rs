//! Callers that every matrix of permissions has: they are known by what somebody else says of them.

use reqwest::{Client, RequestBuilder};
use strongroom::domain::rules::Rules;

use crate::rest::header_login;
use crate::rest::house::{House, Setup, certificate, client};
use crate::rest::kmsauth::KeyFile;

pub struct Callers {
    service: String,
    user: String,
    page: String,
    /// Shows a server's certificate: made here, but for no client.
    pub unknown: Client,
}

impl Callers {
    /// With the house that knows them.
    pub async fn open(rules: Rules) -> (House, Self) {
        let (keys, dialects) = (KeyFile::new(), header_login::dialects());
        let (service, user) = (keys.token("2/service/mail").await, keys.token("2/user/ann").await);
        let kmsauth = Some(keys.kmsauth());
        let house = House::set_up(Setup { kmsauth, rules, dialects, ..Setup::default() }).await;
        let page = header_login::page_token(&house);
        let (chain, key, _) = certificate(&house.app, "strongroom.example").await;
        let unknown = client(&house.roots, Some(&(chain + key.expose())));
        (house, Self { service, user, page, unknown })
    }

    /// By a kmsauth token, as a service.
    pub fn service(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth("2/service/mail", Some(&self.service))
    }

    pub fn user(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth("2/user/ann", Some(&self.user))
    }

    /// Behind the proxy, with the token of its page.
    pub fn page(&self, request: RequestBuilder) -> RequestBuilder {
        header_login::ann(request).header("x-xsrf-token", &self.page)
    }
}
