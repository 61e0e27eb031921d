//! Protection of callers whose browser logs them in by itself: a write must carry, in a header that no other site can set,
//! what this site's page has read from a cookie. What the token is worth is `app`'s to say.

use warp::http::{HeaderMap, HeaderValue};

use crate::app::App;
use crate::domain::Result;
use crate::domain::actor::{Actor, Scheme};

pub const HEADER: &str = "x-xsrf-token";

/// Whether this caller's requests can be another site's doing: what a program must send itself cannot.
pub fn is_exposed(actor: &Actor) -> bool {
    actor.scheme == Scheme::Header
}

/// Whether a write of this caller comes from a page that this site has shown it.
pub fn is_intended(app: &App, headers: &HeaderMap, actor: &Actor) -> bool {
    let mut values = headers.get_all(HEADER).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(token), None) => app.csrf.accepts(actor, token),
        _ => false,
    }
}

/// Scripts of this site must read it, so it is not HttpOnly; only with it in a header is it worth anything.
pub fn cookie(app: &App, name: &str, actor: &Actor) -> Result<HeaderValue> {
    let token = app.csrf.token(actor)?;
    let text = format!("{name}={token}; Path=/; Secure; SameSite=Lax");
    HeaderValue::from_str(&text).map_err(crate::domain::Error::internal)
}
