//! Stands before KMS: counts the calls and when they came, answers in its stead, or is not there at all.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use strongroom::domain::secret::SecretText;
use strongroom::server::{ClientCertificates, Tls};
use warp::Filter;
use warp::http::{HeaderMap, StatusCode};
use warp::reply::Response;

use crate::door::Door;

/// What it does instead of passing a call on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nine of ten calls are throttled: every tenth since this began passes.
    Throttle,
    /// Every call of this action is refused with this code.
    Refuse(&'static str, &'static str),
    /// The connection is taken, and nothing comes.
    Silence,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub at: Instant,
    pub action: String,
    pub request: Bytes,
    pub answer: Bytes,
}

/// A second between any two, but for what the way here adds to one and not to the next.
pub fn assert_paced(calls: &[Call]) {
    for pair in calls.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_millis(900), "{} comes {gap:?} after {}", pair[1].action, pair[0].action);
    }
}

struct Inside {
    target: String,
    http: reqwest::Client,
    fault: Mutex<(Fault, usize)>,
    calls: Mutex<Vec<Call>>,
}

pub struct Proxy {
    door: Door,
    inside: Arc<Inside>,
    tls: Option<Arc<Tls>>,
}

impl Proxy {
    pub async fn before(target: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let inside = Arc::new(Inside {
            target: target.to_owned(),
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
            fault: Mutex::new((Fault::None, 0)),
            calls: Mutex::default(),
        });
        let mut proxy = Self { door: Door::default(), inside, tls: None };
        proxy.up().await;
        proxy
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.door.port())
    }

    /// From here on over TLS; returns the certificate, PEM.
    pub async fn over_tls(&mut self) -> String {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = SecretText::new(made.signing_key.serialize_pem());
        let tls = Tls::new(&made.cert.pem(), &key, ClientCertificates::Ignored).expect("TLS");
        self.down().await;
        self.tls = Some(Arc::new(tls));
        self.up().await;
        made.cert.pem()
    }

    /// From here on connections are refused.
    pub async fn down(&mut self) {
        self.door.close().await;
    }

    /// Back on the same port.
    pub async fn up(&mut self) {
        let inside = self.inside.clone();
        let routes = warp::any().and(warp::header::headers_cloned()).and(warp::body::bytes());
        let routes = routes.then(move |headers, body| {
            let inside = inside.clone();
            async move { inside.answer(headers, body).await }
        });
        self.door.open(self.tls.clone(), routes.boxed()).await;
    }

    pub fn fail(&self, fault: Fault) {
        *self.inside.fault.lock().expect("a fault") = (fault, 0);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.inside.calls.lock().expect("calls").clone()
    }

    pub fn actions(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.action).collect()
    }
}

impl Inside {
    async fn answer(&self, headers: HeaderMap, body: Bytes) -> Response {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let action = target.trim_start_matches("TrentService.").to_owned();
        let at = Instant::now();
        let (status, answer) = match self.refusal(&action).await {
            Some(code) => {
                (StatusCode::BAD_REQUEST, format!(r#"{{"__type":"{code}","message":"from the proxy"}}"#).into())
            }
            None => self.pass(&headers, body.clone()).await,
        };
        self.calls.lock().expect("calls").push(Call { at, action, request: body, answer: answer.clone() });
        let mut response = Response::new(answer.into());
        *response.status_mut() = status;
        response
    }

    async fn refusal(&self, action: &str) -> Option<&'static str> {
        let (fault, number) = {
            let mut fault = self.fault.lock().expect("a fault");
            fault.1 += 1;
            *fault
        };
        match fault {
            Fault::None => None,
            Fault::Throttle => (!number.is_multiple_of(10)).then_some("ThrottlingException"),
            Fault::Refuse(refused, code) => (refused == action).then_some(code),
            Fault::Silence => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                None
            }
        }
    }

    async fn pass(&self, headers: &HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
        let mut request = self.http.post(&self.target).body(body);
        for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
            request = request.header(name, headers.get(name).cloned().unwrap_or_else(|| panic!("no {name}")));
        }
        let answer = request.send().await.expect("moto answers");
        (answer.status(), answer.bytes().await.expect("a whole answer"))
    }
}
