//! Who is calling: asks each scheme in turn, the caller's headers before its certificate. Each answers
//! "not presented", "this actor" or "failed"; failed stops, so that a wrong password is never excused
//! by a good certificate.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use warp::http::{HeaderMap, header};
use zeroize::Zeroizing;

use crate::app::App;
use crate::domain::Error;
use crate::domain::actor::{Actor, Scheme};
use crate::domain::kmsauth::Claim;
use crate::domain::secret::SecretText;
use crate::server::Peer;
use crate::server::header_login::{HeaderLogin, Said};

/// Why a caller is nobody.
#[derive(Debug)]
pub enum Refused {
    /// Not recorded yet: what was asked is for the caller to say.
    NotPresented,
    /// Presented, and not accepted: recorded. The caller does not learn why.
    Failed,
    /// It could not be found out.
    Unknown(Error),
}

/// What the Authorization header holds.
#[derive(Debug, PartialEq, Eq)]
enum Presented {
    Nothing,
    Bearer(SecretText),
    Basic(String, SecretText),
    /// `X-Auth-From` and `X-Auth-Token`.
    Token(String, SecretText),
    /// More than one header, or one that cannot be read. Proxies and servers disagree on which of two
    /// headers counts, so neither does.
    Unreadable,
}

/// `login`: the proxy whose word counts, if there is one.
pub async fn identify(
    app: &App,
    headers: &HeaderMap,
    peer: Option<&Peer>,
    login: Option<&HeaderLogin>,
) -> Result<Actor, Refused> {
    let from = peer.map(|peer| peer.addr.ip());
    let (scheme, found) = match presented(headers) {
        Presented::Unreadable => (Scheme::Unreadable, Ok(None)),
        Presented::Bearer(token) => (Scheme::ServiceAccount, app.authenticate_token(&token).await),
        Presented::Basic(username, password) => match is_kmsauth(app, &username).await {
            Ok(true) => (Scheme::Kmsauth, app.authenticate_kmsauth(&username, &password).await),
            Ok(false) => (Scheme::Basic, app.callers.authenticate_basic(&username, &password).await),
            Err(error) => return Err(Refused::Unknown(error)),
        },
        Presented::Token(username, token) => (Scheme::Kmsauth, app.authenticate_kmsauth(&username, &token).await),
        Presented::Nothing => match login.map_or(Said::Nothing, |login| login.said(headers, peer)) {
            Said::User(actor) => (Scheme::Header, Ok(Some(actor))),
            Said::Unreadable => (Scheme::Header, Ok(None)),
            Said::Nobody => return Err(Refused::NotPresented),
            Said::Nothing => match peer.and_then(|peer| peer.certificate.as_deref()) {
                Some(certificate) => (Scheme::MutualTls, app.callers.authenticate_certificate(certificate).await),
                None => return Err(Refused::NotPresented),
            },
        },
    };
    match found {
        Ok(Some(actor)) => Ok(Actor { from, ..actor }),
        Ok(None) | Err(Error::Unauthenticated) => {
            app.record_unknown(scheme, from).await.map_err(Refused::Unknown)?;
            Err(Refused::Failed)
        }
        Err(error) => Err(Refused::Unknown(error)),
    }
}

/// One user name for two schemes: three parts that begin with a number are a token's, and a name is a client credential's
/// as soon as there is one, so that nobody's token can take its place.
async fn is_kmsauth(app: &App, username: &str) -> Result<bool, Error> {
    if Claim::is_versioned(username) {
        return Ok(true);
    }
    Ok(app.knows_kmsauth() && !username.contains('/') && !app.callers.knows(username).await?)
}

/// What a caller puts into headers of its own where its HTTP client wants Authorization for itself. One of them alone is
/// somebody else's: OpenStack's clients send such a token.
fn token(headers: &HeaderMap) -> Presented {
    let [from, token] = ["x-auth-from", "x-auth-token"].map(|name| headers.get_all(name).iter().collect::<Vec<_>>());
    match (&from[..], &token[..]) {
        ([], _) | (_, []) => Presented::Nothing,
        ([from], [token]) => match (from.to_str(), token.to_str()) {
            (Ok(from), Ok(token)) => Presented::Token(from.to_owned(), SecretText::from(token)),
            _ => Presented::Unreadable,
        },
        _ => Presented::Unreadable,
    }
}

fn presented(headers: &HeaderMap) -> Presented {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return token(headers);
    };
    if values.next().is_some() {
        return Presented::Unreadable;
    }
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')) else {
        return Presented::Unreadable;
    };
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Presented::Bearer(SecretText::from(rest.trim())),
        "basic" => basic(rest.trim()).unwrap_or(Presented::Unreadable),
        _ => Presented::Unreadable,
    }
}

/// RFC 7617: the first colon ends the user name.
fn basic(encoded: &str) -> Option<Presented> {
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Presented::Basic(username.to_owned(), SecretText::from(password)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::HeaderValue;

    fn seen(values: &[&str]) -> Presented {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        presented(&headers)
    }

    #[test]
    fn the_header_says_which_scheme_is_asked() {
        assert_eq!(seen(&[]), Presented::Nothing);
        assert_eq!(seen(&["bEARER  a.b.c "]), Presented::Bearer("a.b.c".into()));
        // till:pass:word
        assert_eq!(seen(&["Basic dGlsbDpwYXNzOndvcmQ="]), Presented::Basic("till".into(), "pass:word".into()));
    }

    #[test]
    fn what_cannot_be_read_is_refused_not_ignored() {
        let dark: [&[&str]; 7] = [
            &["Bearer a", "Bearer a"],
            &["Bearer a", "Basic dGlsbDpwYXNzOndvcmQ="],
            &["Negotiate a"],
            &["Bearer"],
            &["Basic %%%"],
            &["Basic dGlsbA=="],
            &["Basic /zov"],
        ];
        for values in dark {
            assert_eq!(seen(values), Presented::Unreadable, "{values:?}");
        }
    }

    fn with(names: &[(&'static str, &str)]) -> Presented {
        let mut headers = HeaderMap::new();
        for (name, value) in names {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        presented(&headers)
    }

    #[test]
    fn a_token_has_two_headers_and_gives_way_to_authorization() {
        let (from, token) = (("x-auth-from", "2/service/till"), ("x-auth-token", "abc"));
        assert_eq!(with(&[from, token]), Presented::Token("2/service/till".into(), "abc".into()));
        assert_eq!(with(&[from]), Presented::Nothing);
        assert_eq!(with(&[token]), Presented::Nothing);
        assert_eq!(with(&[from, token, token]), Presented::Unreadable);
        assert_eq!(with(&[from, from, token]), Presented::Unreadable);
        assert_eq!(with(&[from, ("x-auth-token", "\u{fc}")]), Presented::Unreadable);
        assert_eq!(with(&[from, token, ("authorization", "Bearer a.b.c")]), Presented::Bearer("a.b.c".into()));
    }
}
