//! The token endpoint: who gets a token, and what stands in it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use warp::http::HeaderMap;

use super::{Inside, random};

/// The client of CredHub's own command line; it has no secret.
const COMMAND_LINE: &str = "credhub_cli";

struct Client {
    secret: String,
    scopes: Vec<String>,
}

struct User {
    id: String,
    password: String,
    scopes: Vec<String>,
}

/// Who a token is for.
#[derive(Clone)]
pub struct Caller {
    pub client: String,
    /// Name and id.
    pub user: Option<(String, String)>,
    pub scopes: Vec<String>,
}

#[derive(Default)]
pub struct Accounts {
    clients: BTreeMap<String, Client>,
    users: BTreeMap<String, User>,
    refresh: BTreeMap<String, Caller>,
}

type Form = BTreeMap<String, String>;
type Refusal = (u16, &'static str, &'static str);

const BAD_CLIENT: Refusal = (401, "unauthorized", "Bad credentials");
const BAD_USER: Refusal = (401, "unauthorized", "Bad credentials");
const BAD_REFRESH: Refusal = (401, "invalid_token", "The token expired, was revoked, or the token ID is incorrect.");
const NO_SUCH_GRANT: Refusal = (400, "unsupported_grant_type", "Unsupported grant type");

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

impl Accounts {
    pub fn add_client(&mut self, id: &str, scopes: &[&str]) -> String {
        let secret = random();
        self.clients.insert(id.to_owned(), Client { secret: secret.clone(), scopes: owned(scopes) });
        secret
    }

    pub fn add_user(&mut self, name: &str, scopes: &[&str]) -> (String, String) {
        let (id, password) = (random(), random());
        let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        let user = User { id: id.clone(), password: password.clone(), scopes: owned(scopes) };
        self.users.insert(name.to_owned(), user);
        (id, password)
    }

    fn caller(&self, form: &Form, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let text = |name: &str| form.get(name).map_or("", String::as_str);
        let client = self.client(form, headers)?;
        match text("grant_type") {
            "client_credentials" => {
                let scopes = self.clients.get(&client).ok_or(BAD_CLIENT)?.scopes.clone();
                Ok(Caller { client, user: None, scopes })
            }
            "password" => {
                let user = self.users.get(text("username")).filter(|user| user.password == text("password"));
                let User { id, scopes, .. } = user.ok_or(BAD_USER)?;
                Ok(Caller { client, user: Some((text("username").to_owned(), id.clone())), scopes: scopes.clone() })
            }
            "refresh_token" => {
                let known = self.refresh.get(text("refresh_token")).filter(|known| known.client == client);
                known.cloned().ok_or(BAD_REFRESH)
            }
            _ => Err(NO_SUCH_GRANT),
        }
    }

    /// Its name, once it has shown its secret in the form or by HTTP Basic.
    fn client(&self, form: &Form, headers: &HeaderMap) -> Result<String, Refusal> {
        let in_form = || Some((form.get("client_id")?.clone(), form.get("client_secret").cloned().unwrap_or_default()));
        let (id, secret) = basic(headers).or_else(in_form).ok_or(BAD_CLIENT)?;
        let known = self.clients.get(&id).map(|client| client.secret.as_str());
        let wanted = known.or((id == COMMAND_LINE).then_some("")).ok_or(BAD_CLIENT)?;
        if wanted == secret { Ok(id) } else { Err(BAD_CLIENT) }
    }
}

/// Both halves are encoded as in a form (RFC 6749, 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let plain = |text: &str| Some(form_urlencoded::parse(text.as_bytes()).next()?.0.into_owned());
    Some((plain(id)?, plain(secret).unwrap_or_default()))
}

impl Caller {
    pub fn claims(&self, issuer: &str, now: i64, lifetime: i64) -> Value {
        let grant = if self.user.is_some() { "password" } else { "client_credentials" };
        let subject = self.user.as_ref().map_or(&self.client, |(_, id)| id);
        let mut claims = json!({
            "jti": random(), "sub": subject, "client_id": self.client, "cid": self.client, "azp": self.client,
            "grant_type": grant, "scope": self.scopes, "aud": ["credhub", self.client], "zid": "uaa",
            "iss": issuer, "iat": now, "exp": now + lifetime,
        });
        if let Some((name, id)) = &self.user {
            claims["user_id"] = json!(id);
            claims["user_name"] = json!(name);
            claims["email"] = json!(format!("{name}@example.com"));
            claims["origin"] = json!("uaa");
            claims["auth_time"] = json!(now);
        }
        claims
    }
}

impl Inside {
    pub fn granted(&self, headers: &HeaderMap, body: &[u8]) -> (u16, Value) {
        let form: Form = form_urlencoded::parse(body).into_owned().collect();
        let caller = self.accounts.lock().expect("accounts").caller(&form, headers);
        match caller {
            Ok(caller) => (200, self.grant(caller)),
            Err((status, error, words)) => (status, json!({ "error": error, "error_description": words })),
        }
    }

    fn grant(&self, caller: Caller) -> Value {
        let claims = self.claims(&caller);
        let lifetime = claims["exp"].as_i64().expect("a time") - claims["iat"].as_i64().expect("a time");
        let mut answer = json!({
            "access_token": self.token(&claims), "token_type": "bearer", "expires_in": lifetime - 1,
            "scope": caller.scopes.join(" "), "jti": claims["jti"],
        });
        // UAA gives one to users only.
        if caller.user.is_some() {
            let token = random();
            answer["refresh_token"] = json!(token);
            self.accounts.lock().expect("accounts").refresh.insert(token, caller);
        }
        answer
    }
}
