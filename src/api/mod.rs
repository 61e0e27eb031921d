//! The REST edge: the mount table, and what every dialect builds on. A dialect translates; it owns no rules.

pub mod confidant;
pub mod json;
pub mod openapi;
pub mod route;

use std::convert::Infallible;
use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::api::confidant::Confidant;
use crate::app::App;
use crate::server::metrics::HttpMetrics;

/// Every dialect with its settings.
#[derive(Default)]
pub struct Dialects {
    pub confidant: Confidant,
}

/// Every dialect on one port. Confidant is mounted at the root too and so must come last.
pub fn routes(dialects: Dialects, app: Arc<App>, metrics: HttpMetrics) -> BoxedFilter<(Response,)> {
    let nobodys = |_| async { Ok::<_, Infallible>(route::response(StatusCode::NOT_FOUND, &[], "not found\n")) };
    route::filter(Arc::new(dialects.confidant), app, metrics).recover(nobodys).unify().boxed()
}
