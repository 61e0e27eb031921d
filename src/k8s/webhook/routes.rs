//! `POST /mutate/pods` and `POST /validate`: an AdmissionReview in, an AdmissionReview out. Everything is answered from
//! the stores that reflectors fill; no call to the API server is ever made here, so a slow API server does not wait for
//! us while we wait for it.
//!
//! Whoever reaches the port may ask: an API server presents no identity by default. Hence an answer holds names of
//! objects at most.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::info;
use warp::filters::BoxedFilter;
use warp::http::{StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};
use zeroize::Zeroizing;

use super::admissions::Admissions;
use super::answer::{self, Answer, Known};
use crate::server::body::{self, Unread};
use crate::server::listen::Limits;

/// What the webhook's listener bears. A review of an update holds an object twice, and the API server takes objects of
/// up to 3 MiB. It waits for an answer for three seconds (`timeoutSeconds`), so that a later one is of no use.
pub fn limits() -> Limits {
    Limits { body: 7 * 1024 * 1024, request: Duration::from_secs(2), ..Limits::default() }
}

/// Answers every request, so that nothing of another dialect's shape comes out here.
pub fn routes(known: watch::Receiver<Known>, admissions: Admissions) -> BoxedFilter<(Response,)> {
    let context = Arc::new(Context { known, admissions });
    let pods = {
        let context = context.clone();
        warp::path!("mutate" / "pods").and(posted()).then(move |json, body| {
            let context = context.clone();
            async move { context.pods(json, body).await }
        })
    };
    let resources = warp::path!("validate").and(posted()).then(move |json, body| {
        let context = context.clone();
        async move { context.resources(json, body).await }
    });
    pods.or(resources).unify().recover(explain).unify().boxed()
}

type Body = Result<Zeroizing<Vec<u8>>, Unread>;

/// Whether the body says that it is JSON, and the body.
fn posted() -> impl Filter<Extract = (bool, Body), Error = Rejection> + Clone {
    let json = warp::header::optional::<String>(header::CONTENT_TYPE.as_str())
        .map(|given: Option<String>| given.is_some_and(|given| given.starts_with("application/json")));
    warp::post().and(json).and(warp::body::stream().then(|stream| body::read(stream, 0)))
}

async fn explain(rejection: Rejection) -> Result<Response, Infallible> {
    let (status, text) = match rejection.is_not_found() {
        true => (StatusCode::NOT_FOUND, "this port has /mutate/pods and /validate, for the API server"),
        false if rejection.find::<warp::reject::MethodNotAllowed>().is_some() => {
            (StatusCode::METHOD_NOT_ALLOWED, "the API server uses POST")
        }
        false => (StatusCode::BAD_REQUEST, "this is not a request of the API server"),
    };
    Ok(plain(status, text))
}

fn plain(status: StatusCode, text: &str) -> Response {
    warp::reply::with_status(format!("{text}\n"), status).into_response()
}

struct Context {
    known: watch::Receiver<Known>,
    admissions: Admissions,
}

impl Context {
    fn known(&self) -> Known {
        self.known.borrow().clone()
    }

    async fn pods(&self, json: bool, body: Body) -> Response {
        match request::<DynamicObject>(json, body) {
            Ok(request) => self.reply("pods", &request, answer::pod(&request, &self.known()).await),
            Err(bad) => self.malformed("pods", bad),
        }
    }

    async fn resources(&self, json: bool, body: Body) -> Response {
        let request = match request::<DynamicObject>(json, body) {
            Ok(request) => request,
            Err(bad) => return self.malformed("resources", bad),
        };
        match answer::resource(&request, &self.known()).await {
            Some(answer) => self.reply("resources", &request, answer),
            None => {
                let text = format!("there is nothing to say about a {:?}", request.kind.kind);
                self.malformed("resources", (StatusCode::BAD_REQUEST, text))
            }
        }
    }

    fn malformed(&self, webhook: &'static str, (status, text): (StatusCode, String)) -> Response {
        self.admissions.count(webhook, "malformed");
        plain(status, &text)
    }

    fn reply(&self, webhook: &'static str, request: &AdmissionRequest<DynamicObject>, answer: Answer) -> Response {
        self.admissions.count(webhook, answer.outcome());
        if let Answer::Refused(refusals) = &answer {
            let reasons = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let namespace = request.namespace.as_deref().unwrap_or_default();
            info!(kind = request.kind.kind, namespace, name = request.name, reasons, "refused");
        }
        let response = answer.into_response(AdmissionResponse::from(request), request);
        warp::reply::json(&response.into_review()).into_response()
    }
}

/// The request of a review; else the status and text for a caller that is no API server.
fn request<K>(json: bool, body: Body) -> Result<AdmissionRequest<K>, (StatusCode, String)>
where
    K: kube::Resource + DeserializeOwned,
{
    let body = body.map_err(|unread| {
        let status = match unread {
            Unread::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Unread::Broken => StatusCode::BAD_REQUEST,
        };
        (status, "the request was not read to its end".to_owned())
    })?;
    if !json {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json".to_owned()));
    }
    let bad = |text: String| (StatusCode::BAD_REQUEST, format!("this is not an AdmissionReview: {text}"));
    let review: AdmissionReview<K> = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    if review.types.kind != "AdmissionReview" || review.types.api_version != "admission.k8s.io/v1" {
        return Err(bad("kind and apiVersion must be AdmissionReview and admission.k8s.io/v1".to_owned()));
    }
    review.try_into().map_err(|_| bad("it has no request".to_owned()))
}

#[cfg(test)]
mod tests;
