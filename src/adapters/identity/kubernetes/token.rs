//! From a bearer token to an actor.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use serde::Deserialize;

use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::name::Tenant;
use crate::domain::secret::SecretText;

/// Real ones have about 1 KiB.
const SIZE_MAX: usize = 8 * 1024;
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A signed JWT by its form. Whatever else a caller sends is not worth a question.
pub fn looks_like_one(token: &SecretText) -> bool {
    let text = token.expose();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= SIZE_MAX && text.bytes().all(plain) && text.split('.').filter(|part| !part.is_empty()).count() == 3
}

/// What stands for a token in memory.
pub fn key(token: &SecretText) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, token.expose().as_bytes());
    digest.as_ref().try_into().unwrap_or([0; 32])
}

pub fn review(token: &SecretText, audience: &str) -> TokenReview {
    let spec = TokenReviewSpec { token: Some(token.expose().to_owned()), audiences: Some(vec![audience.to_owned()]) };
    TokenReview { spec, ..TokenReview::default() }
}

/// When the token ends, as it says itself: only ever shortens how long an answer is remembered.
pub fn expiry(token: &SecretText) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Timestamp::from_second(claims.exp).ok()
}

/// An API server that knows no audiences answers without one: such an answer is none.
pub fn actor(status: TokenReviewStatus, audience: &str) -> Option<Actor> {
    let meant = status.audiences.unwrap_or_default().iter().any(|known| known == audience);
    let user = status.user.filter(|_| meant && status.authenticated == Some(true))?;
    let id = user.username.filter(|name| !name.is_empty())?;
    let namespace = id.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':')).map(|(it, _)| it);
    Some(Actor {
        tenant: namespace.map_or_else(Tenant::outside, Tenant::namespace),
        scheme: Scheme::ServiceAccount,
        standing: Standing::Delegated { groups: user.groups.unwrap_or_default(), uid: user.uid },
        id,
        from: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::authentication::v1::UserInfo;

    fn status(audiences: &[&str], authenticated: bool) -> TokenReviewStatus {
        TokenReviewStatus {
            authenticated: Some(authenticated),
            audiences: Some(audiences.iter().map(ToString::to_string).collect()),
            user: Some(UserInfo {
                username: Some("system:serviceaccount:shop:till".into()),
                uid: Some("u".into()),
                groups: Some(vec!["system:serviceaccounts".into()]),
                extra: None,
            }),
            error: None,
        }
    }

    #[test]
    fn only_a_token_for_us_makes_an_actor() {
        let actor = |status| actor(status, "strongroom.dev");
        let till = actor(status(&["strongroom.dev"], true)).unwrap();
        assert_eq!((till.id.as_str(), till.tenant), ("system:serviceaccount:shop:till", Tenant::namespace("shop")));
        assert!(actor(status(&["strongroom.dev"], false)).is_none());
        assert!(actor(status(&["https://kubernetes.default.svc"], true)).is_none());
        assert!(actor(TokenReviewStatus { audiences: None, ..status(&[], true) }).is_none());
        assert!(actor(TokenReviewStatus { user: None, ..status(&["strongroom.dev"], true) }).is_none());
    }

    #[test]
    fn what_is_no_token_is_not_asked_about() {
        assert!(looks_like_one(&"eyJh.eyJz.c2ln".into()));
        for other in ["", "a", "a.b", "a.b.", "..", "a.b.c.d", "a b.c.d", "a.b.c\n"] {
            assert!(!looks_like_one(&other.into()), "{other:?}");
        }
        assert!(!looks_like_one(&SecretText::new(format!("a.{}.c", "b".repeat(SIZE_MAX)))));
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"exp":1700000000,"sub":"x"}"#));
        assert_eq!(expiry(&SecretText::new(token)), Timestamp::from_second(1_700_000_000).ok());
        assert_eq!(expiry(&"h.e30.s".into()), None);
        assert_eq!(expiry(&"h.!!.s".into()), None);
    }
}
