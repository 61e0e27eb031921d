//! The REST edge: the mount table, and what every dialect builds on. A dialect translates; it owns no rules.

pub mod confidant;
pub mod credhub;
pub mod json;
pub mod openapi;
pub mod route;
pub mod shape;

use std::convert::Infallible;
use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::api::confidant::Confidant;
use crate::api::credhub::Credhub;
use crate::app::App;
use crate::server::metrics::HttpMetrics;

/// Every dialect with its settings.
#[derive(Default)]
pub struct Dialects {
    pub confidant: Confidant,
    pub credhub: Credhub,
}

/// Every dialect on one port. Confidant has what is left of the root, and so must come last.
pub fn routes(dialects: Dialects, app: Arc<App>, metrics: HttpMetrics) -> BoxedFilter<(Response,)> {
    let nobodys = |_| async { Ok::<_, Infallible>(route::response(StatusCode::NOT_FOUND, &[], "not found\n")) };
    let credhub = route::filter(Arc::new(dialects.credhub), app.clone(), metrics.clone());
    let confidant = route::filter(Arc::new(dialects.confidant), app, metrics);
    credhub.or(confidant).unify().recover(nobodys).unify().boxed()
}
