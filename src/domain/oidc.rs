//! Tokens of issuers that are believed (OpenID Connect, UAA): what the claims must say, when they count and whom they
//! make. Knows nothing of signatures; what comes here was signed by the issuer.

use jiff::{SignedDuration, Timestamp};

use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::name::Tenant;

/// By how much an issuer's clock may be off.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// Names of clients and ids of users are shorter.
const NAME_LIMIT: usize = 253;
/// UAA's word for a client that asks for itself.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Which tokens of an issuer are accepted, and how its callers are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// One of these must be in `aud`; none: it is not looked at, as CredHub does not.
    pub audiences: Vec<String>,
    pub scopes: Vec<String>,
    /// What actors' names begin with: `uaa` makes `uaa-client:…` and `uaa-user:…`.
    pub prefix: String,
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub audiences: Vec<String>,
    pub scopes: Vec<String>,
    pub expires: Option<i64>,
    pub not_before: Option<i64>,
    pub grant: Option<String>,
    pub client: Option<String>,
    pub user: Option<String>,
    pub subject: Option<String>,
}

/// What a bearer token comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Known(Actor),
    /// A known caller whose token lacks a scope that every operation needs.
    Unscoped(Actor),
    /// Was right once: its holder may ask the issuer for another.
    Expired,
    Refused,
    /// Not of an issuer that is believed; somebody else may know it.
    Foreign,
}

/// Whom a token makes, and when. Neither changes while the token lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    actor: Actor,
    is_scoped: bool,
    not_before: Option<Timestamp>,
    expires: Timestamp,
}

impl Terms {
    /// `None`: it names nobody, is for somebody else, or has no end.
    pub fn vouch(&self, claims: &Claims) -> Option<Vouched> {
        let is_meant =
            self.audiences.is_empty() || claims.audiences.iter().any(|audience| self.audiences.contains(audience));
        let actor = self.actor(claims).filter(|_| is_meant)?;
        let is_scoped = self.scopes.iter().all(|scope| claims.scopes.contains(scope));
        let not_before = claims.not_before.map(Timestamp::from_second).transpose().ok()?;
        // What lies beyond the last time there is has no end.
        let expires = Timestamp::from_second(claims.expires?).ok()?;
        Some(Vouched { actor, is_scoped, not_before, expires })
    }

    /// A client is known by its id, whoever else the token is about; a user by `user_id`, which only UAA knows, or `sub`.
    fn actor(&self, claims: &Claims) -> Option<Actor> {
        let Claims { client, user, subject, .. } = claims;
        let is_client = claims.grant.as_deref() == Some(CLIENT_CREDENTIALS)
            || (user.is_none()
                && client.is_some()
                && subject.as_ref().is_none_or(|subject| Some(subject) == client.as_ref()));
        let (sort, name) = match is_client {
            true => ("client", client.as_deref()?),
            false => ("user", user.as_deref().or(subject.as_deref())?),
        };
        let is_name = !name.is_empty() && name.len() <= NAME_LIMIT && !name.chars().any(char::is_control);
        is_name.then(|| Actor {
            id: format!("{}-{sort}:{name}", self.prefix),
            tenant: Tenant::outside(),
            scheme: Scheme::Oidc,
            standing: Standing::Grantee,
            from: None,
        })
    }
}

impl Vouched {
    /// What it is at this time.
    pub fn at(&self, now: Timestamp) -> Verdict {
        // Saturated: with a clock at either end of time nothing is right.
        if self.expires.saturating_add(SKEW).is_ok_and(|end| end <= now) {
            return Verdict::Expired;
        }
        if self.not_before.is_some_and(|begin| begin.saturating_sub(SKEW).is_ok_and(|begin| now < begin)) {
            return Verdict::Refused;
        }
        if self.is_scoped { Verdict::Known(self.actor.clone()) } else { Verdict::Unscoped(self.actor.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            audiences: Vec::new(),
            scopes: ["credhub.read", "credhub.write"].map(str::to_owned).to_vec(),
            prefix: "uaa".into(),
        }
    }

    fn claims() -> Claims {
        Claims { scopes: terms().scopes, expires: Some(1000), client: Some("till".into()), ..Claims::default() }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn id(claims: &Claims) -> Option<String> {
        terms().vouch(claims).map(|vouched| vouched.actor.id)
    }

    #[test]
    fn clients_and_users_have_names_of_their_own() {
        for (grant, client, user, subject, expected) in [
            (text("client_credentials"), text("till"), None, text("till"), text("uaa-client:till")),
            (text("client_credentials"), text("till"), text("u-1"), text("u-1"), text("uaa-client:till")),
            (text("password"), text("cli"), text("u-1"), text("u-1"), text("uaa-user:u-1")),
            (text("authorization_code"), text("cli"), text("u-1"), text("u-1"), text("uaa-user:u-1")),
            (None, text("till"), None, None, text("uaa-client:till")),
            (None, text("till"), None, text("till"), text("uaa-client:till")),
            (None, text("cli"), None, text("ann"), text("uaa-user:ann")),
            (None, None, None, text("ann"), text("uaa-user:ann")),
            (text("client_credentials"), None, None, text("till"), None),
            (None, None, None, None, None),
            (None, text(""), None, None, None),
            (None, text("a\nb"), None, None, None),
            (None, text(&"n".repeat(254)), None, None, None),
        ] {
            let given = Claims { grant, client, user, subject, ..claims() };
            assert_eq!(id(&given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_token_counts_from_its_beginning_to_its_end_give_or_take_a_minute() {
        let vouched = terms().vouch(&Claims { not_before: Some(500), ..claims() }).unwrap();
        let at = |second| vouched.at(Timestamp::from_second(second).unwrap());
        assert_eq!(at(439), Verdict::Refused);
        for second in [440, 500, 1000, 1059] {
            assert!(matches!(at(second), Verdict::Known(_)), "{second}");
        }
        assert_eq!(at(1060), Verdict::Expired);
    }

    #[test]
    fn what_has_no_end_or_is_for_another_makes_nobody() {
        for expires in [None, Some(i64::MAX), Some(i64::MIN)] {
            assert_eq!(terms().vouch(&Claims { expires, ..claims() }), None, "{expires:?}");
        }
        let terms = Terms { audiences: vec!["credhub".into()], ..terms() };
        for (audiences, is_meant) in [(vec![], false), (vec!["x"], false), (vec!["x", "credhub"], true)] {
            let audiences = audiences.into_iter().map(str::to_owned).collect();
            assert_eq!(terms.vouch(&Claims { audiences, ..claims() }).is_some(), is_meant);
        }
    }

    #[test]
    fn every_scope_is_needed_and_none_counts_for_another() {
        for scopes in [&[][..], &["credhub.read"], &["credhub.write"], &["credhub.read", "credhub.writer"]] {
            let scopes = scopes.iter().map(ToString::to_string).collect();
            let vouched = terms().vouch(&Claims { scopes, ..claims() }).unwrap();
            assert!(matches!(vouched.at(Timestamp::UNIX_EPOCH), Verdict::Unscoped(_)));
        }
    }
}
