//! Who is calling: asks each scheme in turn, the caller's headers before its certificate. Each answers
//! "not presented", "this actor" or "failed"; failed stops, so that a wrong password is never excused
//! by a good certificate.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use warp::http::{HeaderMap, header};
use zeroize::Zeroizing;

use crate::app::App;
use crate::domain::Error;
use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::kmsauth::Claim;
use crate::domain::name::Tenant;
use crate::domain::oidc::Verdict;
use crate::domain::secret::SecretText;
use crate::server::Peer;
use crate::server::header_login::{HeaderLogin, Said};
use crate::server::mutual_tls::{Flaw, Judged};

/// Why a caller is nobody.
#[derive(Debug)]
pub enum Refused {
    /// Not recorded yet: what was asked is for the caller to say.
    NotPresented,
    /// Presented, and not accepted: recorded.
    Failed(Why),
    /// Known, and its token lacks a scope. Not recorded yet.
    Unscoped(Actor),
    /// It could not be found out.
    Unknown(Error),
}

/// What a caller may be told of it. Only what it can see for itself: when its token ends, and what its certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Unaccepted,
    /// A token that was right once.
    Expired,
    /// A certificate that is not for clients.
    Purpose,
    /// A certificate whose subject names nobody.
    Subject,
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
    let caller = Caller { app, headers, peer, login };
    let (scheme, why) = match caller.flaw().await? {
        Some(why) => (Scheme::MutualTls, why),
        None => {
            let (scheme, verdict) = caller.judged().await?;
            match verdict {
                Verdict::Known(actor) => return Ok(Actor { from, ..actor }),
                Verdict::Unscoped(actor) => return Err(Refused::Unscoped(Actor { from, ..actor })),
                Verdict::Expired => (scheme, Why::Expired),
                Verdict::Refused | Verdict::Foreign => (scheme, Why::Unaccepted),
            }
        }
    };
    app.record_unknown(scheme, from).await.map_err(Refused::Unknown)?;
    Err(Refused::Failed(why))
}

/// Everything that says who is calling.
struct Caller<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    peer: Option<&'a Peer>,
    login: Option<&'a HeaderLogin>,
}

impl Caller<'_> {
    /// The first scheme that was presented, and what it came to.
    async fn judged(&self) -> Result<(Scheme, Verdict), Refused> {
        let app = self.app;
        let (scheme, found) = match presented(self.headers) {
            Presented::Unreadable => (Scheme::Unreadable, Ok(None)),
            Presented::Bearer(token) => return app.judge_token(&token).await.map_err(Refused::Unknown),
            Presented::Basic(username, password) => match is_kmsauth(app, &username).await {
                Ok(true) => (Scheme::Kmsauth, app.authenticate_kmsauth(&username, &password).await),
                Ok(false) => (Scheme::Basic, app.callers.authenticate_basic(&username, &password).await),
                Err(error) => return Err(Refused::Unknown(error)),
            },
            Presented::Token(username, token) => (Scheme::Kmsauth, app.authenticate_kmsauth(&username, &token).await),
            Presented::Nothing => match self.login.map_or(Said::Nothing, |login| login.said(self.headers, self.peer)) {
                Said::User(actor) => (Scheme::Header, Ok(Some(actor))),
                Said::Unreadable => (Scheme::Header, Ok(None)),
                Said::Nobody => return Err(Refused::NotPresented),
                Said::Nothing => (Scheme::MutualTls, self.by_certificate().await?),
            },
        };
        match found {
            Ok(found) => Ok((scheme, found.map_or(Verdict::Refused, Verdict::Known))),
            Err(Error::Unauthenticated) => Ok((scheme, Verdict::Refused)),
            Err(error) => Err(Refused::Unknown(error)),
        }
    }

    /// By who signed it if that is somebody who is believed, else by the certificate itself.
    async fn by_certificate(&self) -> Result<Result<Option<Actor>, Error>, Refused> {
        let Some(certificate) = self.peer.and_then(|peer| peer.certificate.as_deref()) else {
            return Err(Refused::NotPresented);
        };
        match self.authorities_say() {
            Some(Judged::Named(id, _)) => Ok(Ok(Some(Actor {
                id,
                tenant: Tenant::outside(),
                scheme: Scheme::MutualTls,
                standing: Standing::Grantee,
                from: None,
            }))),
            _ => Ok(self.app.callers.authenticate_certificate(certificate).await),
        }
    }

    fn authorities_say(&self) -> Option<Judged> {
        self.peer?.shown.as_ref()?.judged()
    }

    /// A certificate of a believed authority that names nobody ends it, whatever else is presented: so does CredHub. Not one
    /// that Strongroom has issued and stored, nor that of the proxy whose word is asked for.
    async fn flaw(&self) -> Result<Option<Why>, Refused> {
        let why = match self.authorities_say() {
            None => return Ok(None),
            Some(Judged::Flawed(Flaw::Purpose)) => Why::Purpose,
            Some(Judged::Flawed(Flaw::Subject)) => Why::Subject,
            // The connection has outlived it.
            Some(Judged::Named(_, end)) if end < self.app.now() => Why::Unaccepted,
            Some(Judged::Named(..)) => return Ok(None),
        };
        let Some(peer) = self.peer.filter(|peer| !self.login.is_some_and(|login| login.believes(peer))) else {
            return Ok(None);
        };
        let certificate = peer.certificate.as_deref().unwrap_or_default();
        match self.app.callers.authenticate_certificate(certificate).await {
            Ok(Some(_)) => Ok(None),
            Ok(None) => Ok(Some(why)),
            Err(error) => Err(Refused::Unknown(error)),
        }
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
