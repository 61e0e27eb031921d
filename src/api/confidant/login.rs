//! Where the web page sends people who are not logged in. Whoever comes here is: the proxy has seen to it.

use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::api::confidant::{Call, error};
use crate::api::route;

/// The cookie comes with every answer to such a caller.
pub async fn login(call: Call) -> Response {
    if let Err(failed) = call.app.record_session(&call.actor, "login").await {
        return error::render(&failed, &call);
    }
    let mut response = route::response(StatusCode::FOUND, &[error::POLICY, error::NO_STORE], "");
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    response
}
