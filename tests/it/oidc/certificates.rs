//! Certificates of an authority that is believed, through real TLS: which name a caller, and how the others are told so.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, RootCertStore, SignatureScheme};
use serde_json::{Value, json};
use strongroom::domain::client::State;
use strongroom::domain::subject::Pattern;
use strongroom::server::Authorities;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Told, Trusting, told};
use crate::rest::house::{House, client};
use crate::rest::openssl::Desk;

const GUID: &str = "a12345e5-b2b0-4648-a0d0-772d3d399dcb";

/// An authority of certificates that is somebody else's.
pub struct Authority {
    pub certificate: String,
    key: String,
    desk: Desk,
}

const CLIENT: &[&str] = &["extendedKeyUsage=clientAuth"];

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = Self::params(name).self_signed(&key).unwrap().pem();
        Self::of(certificate, key.serialize_pem())
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn of(certificate: String, key: String) -> Self {
        let desk = Desk::new();
        desk.lay("ca", &certificate);
        desk.lay("ca.key", &key);
        Self { certificate, key, desk }
    }

    /// Another one that this one has signed.
    fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::of(Self::params(name).signed_by(&key, &self.signer()).unwrap().pem(), key.serialize_pem())
    }

    fn signer(&self) -> Signer<'static, KeyPair> {
        Signer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key).unwrap()).unwrap()
    }

    /// OpenSSL writes subjects as they are given, with several things in one part where there is a plus.
    fn issue(&self, subject: &str, extensions: &[&str]) -> String {
        let mut words = vec!["req", "-config", "config", "-x509", "-new", "-newkey", "ec", "-pkeyopt"];
        words.extend(["ec_paramgen_curve:P-256", "-nodes", "-keyout", "leaf.key", "-CA", "ca", "-CAkey", "ca.key"]);
        words.extend(["-days", "2", "-multivalue-rdn", "-subj", subject]);
        for extension in extensions {
            words.extend(["-addext", extension]);
        }
        let certificate = self.desk.openssl(&words).unwrap();
        certificate + &self.desk.read("leaf.key")
    }

    pub fn app(&self) -> String {
        self.issue(&format!("/CN=till/OU=app:{GUID}"), CLIENT)
    }

    /// With a life from one hour to another, counted from now.
    fn timed(&self, from: i64, to: i64) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationalUnitName, format!("app:{GUID}"));
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let at = |hours| OffsetDateTime::from_unix_timestamp(now()).unwrap() + Duration::hours(hours);
        (params.not_before, params.not_after) = (at(from), at(to));
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.signer()).unwrap().pem() + &key.serialize_pem()
    }
}

fn now() -> i64 {
    use strongroom::app::ports::Clock;
    strongroom::adapters::system::SystemClock.now().as_second()
}

fn believe(house: &House, authority: &Authority) {
    house.tls.believe(Authorities::new(&authority.certificate, vec![Pattern::default()]).unwrap()).unwrap();
}

async fn get(house: &House, path: &str, pem: &str) -> Told {
    told(client(&house.roots, Some(pem)).get(house.url(path))).await
}

/// The one record of audit since.
fn record(house: &House, from: usize) -> Value {
    let [record] = &house.reads(from)[..] else { panic!("one record: {:?}", house.reads(from)) };
    record.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_names_an_application_or_says_why_not() {
    let house = House::open().await;
    let root = Authority::new("Root of instances");
    believe(&house, &root);
    let below = root.below("Instances");
    let chained = below.app();
    let (leaf, key) = chained.split_at(chained.find("-----BEGIN PRIVATE").unwrap());
    let app = format!("OU=app:{GUID}");
    let upper = GUID.to_uppercase();
    let cloud = format!("/OU=organization:{GUID}+OU=space:{GUID}+{app}/CN=x");
    let both = ["extendedKeyUsage=serverAuth,clientAuth"];
    let (purpose, subject) = (Some("extended key usage"), Some("subject"));
    let flawed = |words: Option<&'static str>| (401, words);
    let cases = [
        ("as CredHub documents it", root.app(), (200, None)),
        ("of an instance in Cloud Foundry", root.issue(&cloud, CLIENT), (200, None)),
        ("with another unit behind", root.issue(&format!("/{app}/OU=x"), CLIENT), (200, None)),
        ("for servers too", root.issue(&format!("/{app}"), &both), (200, None)),
        ("by one below", format!("{leaf}{}{key}", below.certificate), (200, None)),
        ("by one below that is not shown", chained.clone(), flawed(None)),
        ("without a unit", root.issue("/CN=till", CLIENT), flawed(subject)),
        ("with another unit before", root.issue(&format!("/OU=x/{app}"), CLIENT), flawed(subject)),
        ("with another unit beside", root.issue(&format!("/OU=aaa+{app}"), CLIENT), flawed(subject)),
        ("with the name elsewhere", root.issue(&format!("/CN=app:{GUID}"), CLIENT), flawed(subject)),
        ("in capitals", root.issue(&format!("/OU=app:{upper}"), CLIENT), flawed(subject)),
        ("for more", root.issue(&format!("/{app}x"), CLIENT), flawed(subject)),
        ("for servers", root.issue(&format!("/{app}"), &["extendedKeyUsage=serverAuth"]), flawed(purpose)),
        ("for anything", root.issue(&format!("/{app}"), &["extendedKeyUsage=anyExtendedKeyUsage"]), flawed(purpose)),
        ("for nothing that it says", root.issue(&format!("/{app}"), &["keyUsage=digitalSignature"]), flawed(purpose)),
        ("of a stranger", Authority::new("Stranger").app(), flawed(None)),
        ("of another of that name", Authority::new("Root of instances").app(), flawed(None)),
        ("of a stranger, and old", Authority::new("Stranger").timed(-9, -1), flawed(None)),
        ("of an authority itself", format!("{}{}", below.certificate, below.key), flawed(None)),
    ];
    for (what, pem, (status, words)) in cases {
        let from = house.reads(0).len();
        let told = get(&house, "/version", &pem).await;
        assert_eq!(told.status, status, "{what}: {}", told.body);
        let record = record(&house, from);
        assert_eq!(record["scheme"], json!("mutual-tls"), "{what}");
        if status == 200 {
            assert_eq!(record["who"], json!(format!("mtls-app:{GUID}")), "{what}");
            continue;
        }
        assert_eq!((&record["who"], &record["outcome"]), (&Value::Null, &json!("denied")), "{what}");
        assert!(told.challenge.as_ref().unwrap().starts_with("Bearer"), "{what}");
        let error = told.error.unwrap();
        match words {
            Some(words) => assert!(error.contains(words) && !told.has_description, "{what}: {error}"),
            None => assert_eq!((error.as_str(), told.has_description), ("invalid_token", true), "{what}"),
        }
    }
    // A grantee may nothing over Confidant's API.
    assert_eq!(get(&house, "/v1/credentials", &root.app()).await.status, 403);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_good_certificate_the_token_counts_and_a_bad_one_ends_it() {
    let trusting = Trusting::open().await;
    let house = &trusting.house;
    let root = Authority::new("Root of instances");
    believe(house, &root);
    let token = trusting.token();
    let read_only = {
        let mut claims = trusting.issuer.claims("till");
        claims["scope"] = json!(["credhub.read"]);
        trusting.issuer.token(&claims)
    };
    let (good, bad) = (root.app(), root.issue("/CN=till", CLIENT));
    let foreign = Authority::new("Stranger").app();
    let ask = async |pem: &str, token: &str| {
        told(client(&house.roots, Some(pem)).get(house.url("/version")).bearer_auth(token)).await.status
    };
    for (pem, token, status, who) in [
        (&good, token.as_str(), 200, json!("uaa-client:till")),
        (&good, "forged", 401, Value::Null),
        (&good, read_only.as_str(), 403, json!("uaa-client:till")),
        (&bad, token.as_str(), 401, Value::Null),
        (&bad, "all", 401, Value::Null),
        // It says nothing to us, as without mutual TLS.
        (&foreign, token.as_str(), 200, json!("uaa-client:till")),
    ] {
        let from = house.reads(0).len();
        assert_eq!(ask(pem, token).await, status);
        assert_eq!(record(house, from)["who"], who);
    }
    let basic = client(&house.roots, Some(&bad)).get(house.url("/v1/credentials"));
    let basic = basic.basic_auth("ops", Some(house.password("ops")));
    assert_eq!(told(basic).await.status, 403, "whatever else is presented");
    // No scopes are asked of who has none.
    assert_eq!(get(house, "/version", &good).await.status, 200);
    trusting.house.close().await;
}

/// A caller that sees whom the server asks for, and answers as Go's and Java's do: with a certificate whose issuer is
/// named, or with none.
#[derive(Debug)]
struct Discreet {
    seen: Mutex<Vec<Vec<u8>>>,
    key: Arc<CertifiedKey>,
}

impl ResolvesClientCert for Discreet {
    fn resolve(&self, names: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.seen.lock().unwrap() = names.iter().map(|name| name.to_vec()).collect();
        let issuer = |der: &CertificateDer<'_>| {
            let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
            certificate.issuer().as_raw().to_vec()
        };
        let is_named = |der: &CertificateDer<'_>| names.contains(&issuer(der).as_slice());
        (names.is_empty() || self.key.cert.iter().any(is_named)).then(|| self.key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn configured(house: &House, pem: &str) -> (Arc<Discreet>, Arc<ClientConfig>) {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(house.roots.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap());
    let discreet = Arc::new(Discreet { seen: Mutex::default(), key });
    let config = ClientConfig::builder().with_root_certificates(roots).with_client_cert_resolver(discreet.clone());
    (discreet, Arc::new(config))
}

/// What is answered over this connection, or how it ends.
async fn spoken(house: &House, config: Arc<ClientConfig>) -> Result<String, std::io::Error> {
    let stream = TcpStream::connect(house.address).await?;
    let mut stream = TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let ask = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(ask).await?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_hear_whose_certificates_they_may_show() {
    let house = House::open().await;
    house.authority().await;
    house.service("shop", "till", &[], &["gate"]).await;
    let own = house.x509("gate", State::Active).await;
    let root = Authority::new("Root of instances");
    let stranger = Authority::new("Stranger").app();
    // As long as no authority is believed, nobody is named and everybody shows what it has.
    let (discreet, config) = configured(&house, &stranger);
    assert!(spoken(&house, config).await.unwrap().contains("invalid_token"));
    assert!(discreet.seen.lock().unwrap().is_empty());

    believe(&house, &root);
    let (discreet, config) = configured(&house, &stranger);
    let said = spoken(&house, config).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 401") && said.contains("access_denied"), "it stayed at home: {said}");
    assert_eq!(discreet.seen.lock().unwrap().len(), 1);
    let (_, config) = configured(&house, &root.app());
    assert!(spoken(&house, config).await.unwrap().starts_with("HTTP/1.1 200"));
    let (_, config) = configured(&house, &own);
    assert!(spoken(&house, config).await.unwrap().contains("access_denied"), "nobody told it yet");

    house.tls.welcome(&house.app.clients.above().await.unwrap()).unwrap();
    let (discreet, config) = configured(&house, &own);
    assert!(spoken(&house, config).await.unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(discreet.seen.lock().unwrap().len(), 2);
    let mine = client(&house.roots, Some(&own)).get(house.url("/v1/services/shop.till"));
    assert_eq!(told(mine).await.status, 200, "as it was without mutual TLS");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_of_this_time_ends_in_the_handshake() {
    let house = House::open().await;
    let root = Authority::new("Root of instances");
    let old = root.timed(-9, -1);
    for tls12 in [false, true] {
        let told = async |pem: &str| {
            let (_, config) = configured(&house, pem);
            let mut config = Arc::unwrap_or_clone(config);
            if tls12 {
                let resolver = config.client_auth_cert_resolver.clone();
                let mut roots = RootCertStore::empty();
                for part in CertificateDer::pem_slice_iter(house.roots.as_bytes()) {
                    roots.add(part.unwrap()).unwrap();
                }
                config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
                    .with_root_certificates(roots)
                    .with_client_cert_resolver(resolver);
            }
            spoken(&house, Arc::new(config)).await
        };
        believe(&house, &root);
        for pem in [&old, &root.timed(1, 9)] {
            let error = told(pem).await.unwrap_err();
            let error = error.get_ref().unwrap().downcast_ref::<rustls::Error>().cloned();
            assert_eq!(error, Some(rustls::Error::AlertReceived(AlertDescription::CertificateUnknown)));
        }
        assert!(told(&root.timed(-9, 1)).await.unwrap().starts_with("HTTP/1.1 200"));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_is_believed_no_more_is_not_believed_on_running_connections() {
    let house = House::open().await;
    let (root, next) = (Authority::new("Root of instances"), Authority::new("Next root"));
    believe(&house, &root);
    let caller = client(&house.roots, Some(&root.app()));
    let ask = async || told(caller.get(house.url("/version"))).await;
    assert_eq!(ask().await.status, 200);
    // One more beside it: nothing changes for who is there.
    let both = format!("{}{}", root.certificate, next.certificate);
    house.tls.believe(Authorities::new(&both, vec![Pattern::default()]).unwrap()).unwrap();
    assert_eq!(ask().await.status, 200);
    believe(&house, &next);
    assert_eq!(ask().await.error.as_deref(), Some("invalid_token"));
    assert_eq!(get(&house, "/version", &next.app()).await.status, 200);
    assert!(Authorities::new("no PEM", vec![]).is_err());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_strongrooms_own_are_known_even_if_their_authority_is_believed() {
    let house = House::open().await;
    house.authority().await;
    house.service("shop", "till", &[], &["gate"]).await;
    let own = house.x509("gate", State::Active).await;
    let above = house.app.clients.above().await.unwrap();
    house.tls.believe(Authorities::new(&above, vec![Pattern::default()]).unwrap()).unwrap();
    let path = "/v1/services/shop.till";
    assert_eq!(get(&house, path, &own).await.status, 200, "its subject names no application, and it is stored");
    let suspended = house.x509("back", State::Suspended).await;
    assert_eq!(get(&house, "/version", &suspended).await.status, 401);
    house.close().await;
}
