//! Certificates that live for seconds, renewed while the API server calls without a pause. Beside it stands a second
//! API server, played by connections that each shake hands anew and know the bundle as it was a moment ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use kube::api::PostParams;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use strongroom::app::own::Lifetimes;
use strongroom::k8s::webhook::certificate::Options;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{PATIENCE, Place, Vault, Webhook};

const ROTATIONS: usize = 20;

fn trusting(bundle: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a root");
    }
    TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

async fn shake_hands(connector: &TlsConnector, port: u16) -> std::io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    connector.connect(ServerName::try_from("127.0.0.1").expect("an address"), stream).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_admission_fails_while_certificates_rotate() {
    let place = Place::new("rotate").await;
    let vault = Vault::new().await;
    let lifetimes = Lifetimes { authority: SignedDuration::from_secs(12), leaf: SignedDuration::from_secs(3) };
    let mut webhook = Webhook::start(
        &vault,
        &place.client,
        Options { lifetimes, grace: Duration::from_millis(500), ..place.options() },
        None,
    )
    .await;
    place.install(webhook.port).await;
    webhook.until_ready().await;
    place.until_called().await;
    place.service("shop", None).await;

    let admitted = AtomicUsize::new(0);
    let shaken = AtomicUsize::new(0);
    let pod = place.shop_pod();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let admissions = async {
        loop {
            let pod = place.pods().create(&dry, &pod).await.expect("admitted during a rotation");
            assert!(pod.spec.expect("a spec").containers[0].env_from.is_some());
            admitted.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let handshakes = async {
        let mut bundle = place.bundle().await;
        loop {
            let connector = trusting(&bundle);
            let next = place.bundle().await;
            let asked = Instant::now();
            // As far behind as the grace allows.
            while asked.elapsed() < Duration::from_millis(150) {
                shake_hands(&connector, webhook.port).await.expect("trusted during a rotation");
                shaken.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            bundle = next;
        }
    };
    let roots = async {
        let mut roots = std::collections::BTreeSet::new();
        while webhook.shown.lock().expect("not poisoned").len() <= ROTATIONS {
            roots.insert(place.bundle().await);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        roots.len()
    };
    let bundles = tokio::select! {
        () = admissions => unreachable!(),
        () = handshakes => unreachable!(),
        bundles = roots => bundles,
        () = tokio::time::sleep(PATIENCE * 6) => panic!("too slow: {}", webhook.shown.lock().expect("not poisoned").len()),
    };
    let (admitted, shaken) = (admitted.into_inner(), shaken.into_inner());
    println!("{ROTATIONS} rotations, {bundles} bundles: {admitted} admissions, {shaken} handshakes, none failed");
    assert!(bundles >= 4 && admitted > 200 && shaken > 200, "{bundles} {admitted} {shaken}");
}
