//! The accept loop: TLS, identities by certificate, limits, and an end in good order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, Version};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use serde_json::json;
use strongroom::domain::client::State;
use strongroom::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::rest::house::{House, answer, builder, certificate, client};

const SHORT: Duration = Duration::from_millis(300);
/// More than any short limit, less than any long one.
const SOON: Duration = Duration::from_secs(3);

fn config(house: &House, identity: Option<&str>, protocol: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(house.roots.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match identity {
        Some(pem) => {
            let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

async fn connect(house: &House, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(house.address).await.unwrap();
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// What the server says until it closes the connection; `None` when it does not within `SOON`.
async fn until_closed(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut said = Vec::new();
    // A connection that is cut without TLS' goodbye is closed as well.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut said)).await.ok()?;
    Some(String::from_utf8_lossy(&said).into_owned())
}

fn authorization(house: &House) -> String {
    let encoded = BASE64_STANDARD.encode(format!("ops:{}", house.password("ops")));
    format!("Authorization: Basic {encoded}\r\nHost: localhost\r\nConnection: close\r\n")
}

#[tokio::test]
async fn a_certificate_is_an_identity_over_both_versions_of_http_and_tls() {
    let house = House::open().await;
    house.authority().await;
    house.managed("shop", "db", &[("k", "v")]).await;
    house.service("shop", "till", &["db"], &["gate"]).await;
    let pem = house.x509("gate", State::Active).await;
    let url = house.url("/v1/services/shop.till");
    for (http2, tls12) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut caller = builder(&house.roots, Some(&pem));
        if !http2 {
            caller = caller.http1_only();
        }
        if tls12 {
            caller = caller.tls_version_max(reqwest::tls::Version::TLS_1_2);
        }
        let response = caller.build().unwrap().get(&url).send().await.unwrap();
        assert_eq!(response.version(), if http2 { Version::HTTP_2 } else { Version::HTTP_11 });
        assert_eq!(response.status(), 200);
        let read: serde_json::Value = response.json().await.unwrap();
        assert_eq!(read["credentials"][0]["credential_pairs"], json!({"k": "v"}));
    }
    // A wrong password is not excused by a good certificate.
    let caller = client(&house.roots, Some(&pem));
    assert_eq!(caller.get(&url).basic_auth("shop/gate", Some("x")).send().await.unwrap().status(), 403);
    house.close().await;
}

#[tokio::test]
async fn a_certificate_without_its_key_is_nobody() {
    let house = House::open().await;
    house.authority().await;
    let (good, other) = (house.x509("gate", State::Active).await, house.x509("till", State::Active).await);
    let end = "-----END CERTIFICATE-----\n";
    let split = |pem: &str| pem.rfind(end).unwrap() + end.len();
    let stolen = good[..split(&good)].to_owned() + &other[split(&other)..];
    let chain = CertificateDer::pem_slice_iter(stolen.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(stolen.as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let mut config = Arc::unwrap_or_clone(config(&house, None, "http/1.1"));
    config.client_auth_cert_resolver =
        Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(chain, key)));
    let stream = TcpStream::connect(house.address).await.unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await;
    if let Ok(mut stream) = connected {
        let _ = stream.write_all(b"GET /v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(until_closed(&mut stream).await.as_deref(), Some(""), "the handshake is refused");
    }
    house.close().await;
}

#[tokio::test]
async fn a_resumed_session_is_who_began_it() {
    let house = House::open().await;
    house.authority().await;
    house.managed("shop", "db", &[("k", "v")]).await;
    house.service("shop", "till", &["db"], &["gate"]).await;
    let with = config(&house, Some(&house.x509("gate", State::Active).await), "http/1.1");
    let without = config(&house, None, "http/1.1");
    for (config, wanted) in [(with, "HTTP/1.1 200"), (without, "HTTP/1.1 401")] {
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(&house, config.clone()).await;
            let ask = b"GET /v1/services/shop.till HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(ask).await.unwrap();
            let said = until_closed(&mut stream).await.unwrap();
            assert!(said.starts_with(wanted), "{said}");
            kinds.push(stream.get_ref().1.handshake_kind());
        }
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)]);
    }
    house.close().await;
}

#[tokio::test]
async fn a_new_certificate_drops_no_connection() {
    let house = House::open().await;
    let mut old = connect(&house, config(&house, None, "http/1.1")).await;
    let leaf = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (chain, key, _) = certificate(&house.app, "renewed.example").await;
    assert!(house.tls.replace("no PEM", &key).is_err(), "what cannot be used changes nothing");
    assert_eq!(leaf(&connect(&house, config(&house, None, "http/1.1")).await), leaf(&old));
    house.tls.replace(&chain, &key).unwrap();
    let new = connect(&house, config(&house, None, "http/1.1")).await;
    assert_ne!(leaf(&new), leaf(&old));
    let ask = format!("GET /v1/services HTTP/1.1\r\n{}\r\n", authorization(&house));
    old.write_all(ask.as_bytes()).await.unwrap();
    assert!(until_closed(&mut old).await.unwrap().starts_with("HTTP/1.1 200"));
    house.close().await;
}

#[tokio::test]
async fn slow_and_silent_callers_lose_their_connection() {
    let house = House::limited(Limits { patience: SHORT, idle: SHORT, ..Limits::default() }).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(house.address).await.unwrap();
    let mut byte = [0; 1];
    assert_eq!(tokio::time::timeout(SOON, silent.read(&mut byte)).await.unwrap().unwrap(), 0, "no handshake");
    for (protocol, begin) in [
        ("http/1.1", "".to_owned()),
        ("http/1.1", "GET /v1/services HTTP/1.1\r\nX-Slow: ".to_owned()),
        ("h2", "".to_owned()),
        ("h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ] {
        let mut stream = connect(&house, config(&house, None, protocol)).await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        assert!(until_closed(&mut stream).await.is_some(), "{protocol} after {begin:?}");
    }
    // One that was served may wait for its next request, but not forever.
    let mut kept = connect(&house, config(&house, None, "http/1.1")).await;
    kept.write_all(b"GET /healthcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut kept).await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() >= SHORT * 6);
    house.close().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_declared_or_not() {
    let house = House::open().await;
    let large = "x".repeat(1024 * 1024 + 1);
    let request = house.ops(Method::POST, "/v1/credentials").header("content-type", "application/json");
    assert_eq!(request.body(large.clone()).send().await.unwrap().status(), 413);

    let mut stream = connect(&house, config(&house, None, "http/1.1")).await;
    let head = format!(
        "POST /v1/credentials HTTP/1.1\r\n{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        authorization(&house)
    );
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(chunk.as_bytes()).await;
    assert!(until_closed(&mut stream).await.unwrap().starts_with("HTTP/1.1 413"));
    // A little below, it is only not acceptable.
    let pairs = json!({"name": "x", "credential_pairs": {"a": "x".repeat(1_000_000)}});
    assert_eq!(house.send(Method::POST, "/v1/credentials", &pairs).await.0, 400);
    house.close().await;
}

#[tokio::test]
async fn requests_of_odd_form_are_answered_before_they_hurt() {
    let house = House::open().await;
    let one = authorization(&house);
    let first = one.split("Host").next().unwrap();
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    for (request, wanted) in [
        ("CONNECT example:443 HTTP/1.1\r\nHost: example:443\r\nConnection: close\r\n\r\n".to_owned(), "405"),
        (format!("GET /v1/services HTTP/1.1\r\n{first}{one}\r\n"), "403"),
        (format!("GET /v1/services HTTP/1.1\r\n{one}{many}\r\n"), "431"),
        (format!("OPTIONS * HTTP/1.1\r\n{one}\r\n"), "404"),
        (format!("GET http://other/v1/services HTTP/1.1\r\n{one}\r\n"), "200"),
        (format!("GET /v1/services?{} HTTP/1.1\r\n{one}\r\n", "%".repeat(1000)), "200"),
    ] {
        let mut stream = connect(&house, config(&house, None, "http/1.1")).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = until_closed(&mut stream).await.unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {wanted}")), "{request:.60}: {said}");
    }
    assert_eq!(house.get("/v1/services").await.0, 200, "and the server is well");
    house.close().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let house = House::limited(Limits { connections: 1, ..Limits::default() }).await;
    let held = connect(&house, config(&house, None, "http/1.1")).await;
    let mut next = Box::pin(connect(&house, config(&house, None, "http/1.1")));
    assert!(tokio::time::timeout(SHORT, next.as_mut()).await.is_err());
    drop(held);
    assert!(tokio::time::timeout(SOON, next).await.is_ok());
    house.close().await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_again() {
    let house = House::limited(Limits { requests: 1, ..Limits::default() }).await;
    let mut held = half_sent(&house).await;
    let busy = house.ops(Method::GET, "/v1/services").send().await.unwrap();
    assert_eq!((busy.status().as_u16(), busy.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    held.write_all(b"}}").await.unwrap();
    assert!(until_closed(&mut held).await.unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(house.get("/v1/services").await.0, 200);
    house.close().await;
}

/// A write whose last two bytes are still to come, after the server began to read it.
async fn half_sent(house: &House) -> TlsStream<TcpStream> {
    half_sent_to(house, "/v1/credentials").await
}

async fn half_sent_to(house: &House, path: &str) -> TlsStream<TcpStream> {
    let mut stream = connect(house, config(house, None, "http/1.1")).await;
    let body = r#"{"name":"slow","credential_pairs":{"a":"b"}}"#;
    let head = format!(
        "POST {path} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        authorization(house),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server says this when it reads the body: the request runs.
    let mut said = [0; 25];
    stream.read_exact(&mut said).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 100"));
    stream.write_all(&body.as_bytes()[..body.len() - 2]).await.unwrap();
    stream
}

#[tokio::test]
async fn a_shutdown_lets_running_requests_end_and_takes_no_new_ones() {
    let house = House::open().await;
    let idle = connect(&house, config(&house, None, "http/1.1")).await;
    let mut running = half_sent(&house).await;
    house.shutdown.cancel();
    tokio::time::sleep(SHORT).await;
    assert!(TcpStream::connect(house.address).await.is_err());
    assert!(!house.server.is_finished());
    running.write_all(b"}}").await.unwrap();
    assert!(until_closed(&mut running).await.unwrap().starts_with("HTTP/1.1 200"));
    tokio::time::timeout(SOON, house.server).await.expect("no more is waited for").unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_forever() {
    let house = House::limited(Limits { drain: SHORT, ..Limits::default() }).await;
    let mut stuck = half_sent(&house).await;
    house.shutdown.cancel();
    tokio::time::timeout(SOON, house.server).await.expect("it ends").unwrap();
    assert_eq!(until_closed(&mut stuck).await.as_deref(), Some(""));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended_and_writes_nothing() {
    let house = House::limited(Limits { request: SHORT, ..Limits::default() }).await;
    for (dialect, path) in [("confidant", "/v1/credentials"), ("credhub", "/api/v1/data")] {
        let mut slow = half_sent_to(&house, path).await;
        let said = until_closed(&mut slow).await.unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503"), "{said}");
        assert!(head.contains("\r\nretry-after: 5\r\n"), "{said}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{said}");
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        let [(field, words)] = &told.as_object().unwrap().iter().collect::<Vec<_>>()[..] else { panic!("{told}") };
        assert!(*field == "error" && words.as_str().unwrap().contains("took too long"), "{told}");
        let counted = format!("dialect=\"{dialect}\",method=\"POST\",route=\"{path}\",status=\"503\"}} 1");
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &house.registry).unwrap();
        assert!(page.contains(&counted), "{page}");
    }
    assert_eq!(answer(house.ops(Method::GET, "/v1/credentials")).await.1["credentials"], json!([]));
    house.close().await;
}
