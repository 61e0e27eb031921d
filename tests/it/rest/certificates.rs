//! Certificate authorities and certificates as Confidant's clients ask for them. OpenSSL judges every certificate and
//! makes every signing request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::{Value, json};
use strongroom::api::confidant::settings::Settings;
use strongroom::domain::authority::terms::DAY;
use strongroom::domain::authority::{
    Authorities, CertificateRequest, DomainPattern, Issuer, KeyAlgorithm, Policy, Role, Terms,
};
use strongroom::domain::name::Path;
use strongroom::domain::rules::Rules;

use crate::rest::house::{House, answer, request};
use crate::rest::openssl::Desk;

/// For `till.example`. Nobody has its key any more.
pub const CSR: &str = include_str!("till.csr");

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn authority(name: &str, key: KeyAlgorithm, issuer: Issuer) -> CertificateRequest {
    let validity = DAY * if issuer == Issuer::SelfSigned { 1000 } else { 900 };
    CertificateRequest { validity, key, ..request(name, Role::Authority { path_length: None }, issuer) }
}

/// `shop` has a root, one below it that signs little, and one whose end is near; `internal` is another name of the one below.
async fn house() -> House {
    let below = Path::kubernetes("shop", "below");
    let terms = Terms { max_validity: DAY * 20, domain: DomainPattern::parse("{service}.shop.svc") };
    let authorities = Authorities::new([("internal".to_owned(), below, terms)]);
    let rules = Rules { authorities, ..Rules::default() };
    let house = House::with(Settings::default(), rules).await;
    let root = || Issuer::Authority(Path::kubernetes("shop", "root"));
    let allowed = ["*.shop.svc", "till.example"].map(str::to_owned).to_vec();
    let narrow = Policy { max_validity: Some(DAY * 30), allowed_dns_names: allowed };
    house.authority_of("shop", authority("root", KeyAlgorithm::EcdsaP384, Issuer::SelfSigned), Policy::default()).await;
    house.authority_of("shop", authority("below", KeyAlgorithm::Rsa2048, root()), narrow).await;
    let strict = Policy { max_validity: Some(DAY * 30), ..Policy::default() };
    house.authority_of("bank", authority("strict", KeyAlgorithm::EcdsaP256, Issuer::SelfSigned), strict).await;
    let near = CertificateRequest { validity: DAY * 3, ..authority("near", KeyAlgorithm::EcdsaP256, root()) };
    house.authority_of("shop", near, Policy::default()).await;
    house
}

async fn root(house: &House) -> String {
    let (status, shown) = house.get("/v1/cas/shop.root").await;
    assert_eq!(status, 200, "{shown}");
    shown["certificate"].as_str().unwrap().to_owned()
}

fn error(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_are_listed_with_their_chains_and_without_their_keys() {
    let house = house().await;
    let (status, list) = house.get("/v1/cas").await;
    assert_eq!(status, 200);
    let cas = list["cas"].as_array().unwrap();
    let names: Vec<&str> = cas.iter().map(|ca| ca["ca"].as_str().unwrap()).collect();
    assert_eq!(names, ["bank.strict", "internal", "shop.near", "shop.root"]);
    assert!(!list.to_string().contains("PRIVATE"));
    let (_, top) = house.get("/v1/cas/shop.root").await;
    assert_eq!(cas[3], top);
    assert_eq!((&top["certificate_chain"], &top["tags"]), (&json!(""), &json!([])));
    let desk = Desk::new();
    for name in ["internal", "shop.below"] {
        let (status, below) = house.get(&format!("/v1/cas/{name}")).await;
        assert_eq!((status, &below["ca"]), (200, &json!(name)));
        assert_eq!(below["certificate_chain"], top["certificate"], "{name}");
        assert!(desk.judged(&below, top["certificate"].as_str().unwrap()).contains("CA:TRUE"));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_its_certificate_are_made_for_the_caller() {
    let house = house().await;
    let (desk, root) = (Desk::new(), root(&house).await);
    let (status, made) =
        house.get("/v1/certificates/shop.root/Till.Example?san=b.example&san=10.0.0.7&validity=7").await;
    assert_eq!(status, 200, "{made}");
    let text = desk.judged(&made, &root);
    for part in [
        "Subject: CN=till.example\n",
        "DNS:till.example, DNS:b.example, IP Address:10.0.0.7\n",
        "Public-Key: (2048 bit)",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment\n",
        "X509v3 Extended Key Usage: \n                TLS Web Server Authentication, TLS Web Client Authentication\n",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "X509v3 Subject Key Identifier:",
        "X509v3 Authority Key Identifier:",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(desk.ends_within(8) && !desk.ends_within(6));
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    desk.lay("key", key);
    let public = desk.openssl(&["x509", "-in", "leaf", "-noout", "-pubkey"]).unwrap();
    assert_eq!(public, desk.openssl(&["rsa", "-in", "key", "-pubout"]).unwrap());
    let (_, again) = house.get("/v1/certificates/shop.root/Till.Example").await;
    desk.judged(&again, &root);
    let serial = |text: &str| text.split("Serial Number:").nth(1).unwrap().lines().nth(1).unwrap().trim().to_owned();
    assert_ne!(serial(&text), serial(&desk.judged(&again, &root)));
    assert_ne!(again["key"], made["key"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shortest_of_all_validities_counts() {
    let house = house().await;
    let (desk, root) = (Desk::new(), root(&house).await);
    for (ca, asked, days) in [
        ("shop.root", "", 120),
        ("shop.root", "?validity=4000000000", 120),
        ("shop.root", "?validity=119", 119),
        ("internal", "?validity=90", 20),
        ("shop.below", "?validity=90", 20),
        ("bank.strict", "", 30),
        ("shop.near", "", 3),
    ] {
        let (status, made) = house.get(&format!("/v1/certificates/{ca}/till.example{asked}")).await;
        assert_eq!(status, 200, "{made}");
        let own = house.get(&format!("/v1/cas/{ca}")).await.1["certificate"].as_str().unwrap().to_owned();
        desk.judged(&made, if ca == "bank.strict" { &own } else { &root });
        assert!(desk.ends_within(days + 1) && !desk.ends_within(days - 1), "{ca} {asked}");
    }
    for bad in ["0", "-1", "x", "1.5", "4294967296", ""] {
        let (status, refused) = house.get(&format!("/v1/certificates/shop.root/till.example?validity={bad}")).await;
        assert_eq!((status, error(&refused).starts_with("validity ")), (400, true), "{bad} {refused}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signing_request_gets_names_and_nothing_else() {
    let house = house().await;
    let (desk, root) = (Desk::new(), root(&house).await);
    let ed25519: &[&str] = &["-algorithm", "ED25519"];
    let p384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let rsa: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"];
    for key in [P256, p384, ed25519, rsa] {
        let more = [
            "-addext",
            "subjectAltName=DNS:a.shop.svc,DNS:*.shop.svc",
            "-addext",
            "keyUsage=keyCertSign,cRLSign",
            "-addext",
            "extendedKeyUsage=codeSigning",
            "-addext",
            "basicConstraints=CA:FALSE",
        ];
        let csr = desk.csr(key, "/O=Somebody Else/CN=till.example", &more);
        // Names in the body are not those that the key's holder signed.
        let body = json!({"csr": csr, "validity": 10, "san": ["evil.example"]});
        let (status, made) = house.send(Method::POST, "/v1/certificates/internal", &body).await;
        assert_eq!(status, 200, "{made}");
        assert_eq!(made.as_object().unwrap().len(), 2);
        let text = desk.judged(&made, &root);
        for part in [
            "Subject: CN=till.example\n",
            "DNS:till.example, DNS:a.shop.svc, DNS:*.shop.svc\n",
            "CA:FALSE\n",
            "TLS Web Server Authentication, TLS Web Client Authentication\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        for part in ["Somebody", "Certificate Sign", "Code Signing", "evil"] {
            assert!(!text.contains(part), "{part} is in\n{text}");
        }
        assert_eq!(text.contains("Key Encipherment"), key == rsa);
        let public = desk.openssl(&["x509", "-in", "leaf", "-noout", "-pubkey"]).unwrap();
        assert_eq!(public, desk.openssl(&["pkey", "-in", "key", "-pubout"]).unwrap());
    }
    house.close().await;
}

/// The last byte is the signature's.
fn spoilt(csr: &str) -> String {
    let body: String = csr.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).unwrap();
    *der.last_mut().unwrap() ^= 1;
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", STANDARD.encode(der))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_requests_that_no_authority_signs() {
    let house = house().await;
    let desk = Desk::new();
    let good = desk.csr(P256, "/CN=till.example", &[]);
    let with = |extension: &str| desk.csr(P256, "/CN=till.example", &["-addext", extension]);
    let curve = |name: &str| {
        let curve = format!("ec_paramgen_curve:{name}");
        desk.csr(&["-algorithm", "EC", "-pkeyopt", &curve], "/CN=till.example", &[])
    };
    let rsa = |bits: &str, more: &[&str]| {
        let bits = format!("rsa_keygen_bits:{bits}");
        desk.csr(&["-algorithm", "RSA", "-pkeyopt", &bits], "/CN=till.example", more)
    };
    let low = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"];
    let many: Vec<String> = (0..101).map(|n| format!("DNS:n{n}.shop.svc")).collect();
    let cases = [
        ("csr", json!(spoilt(&good))),
        ("csr", json!(with("basicConstraints=CA:TRUE"))),
        ("csr", json!(with("1.2.3.4=DER:0500"))),
        ("csr", json!(with("nameConstraints=permitted;DNS:example"))),
        ("csr", json!(with("subjectAltName=email:a@till.example"))),
        ("csr", json!(with("subjectAltName=URI:https://till.example"))),
        ("csr", json!(with("subjectAltName=DNS:two words"))),
        ("csr", json!(curve("P-521"))),
        ("csr", json!(curve("secp256k1"))),
        ("csr", json!(rsa("1024", &[]))),
        ("csr", json!(rsa("2048", &["-sha1"]))),
        ("csr", json!(desk.csr(low, "/CN=till.example", &[]))),
        ("csr", json!(desk.csr(P256, "/O=till.example", &[]))),
        ("csr", json!(desk.csr(P256, "/CN=till.example/CN=b.shop.svc", &[]))),
        ("csr", json!(good.replace("REQUEST", "NONSENSE"))),
        ("csr", json!("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")),
        ("csr", json!(format!("{}{good}", " ".repeat(32 * 1024)))),
        ("csr", json!("")),
        ("csr", json!(7)),
        ("csr", Value::Null),
        ("cn", json!(desk.csr(P256, "/CN=Till 17", &[]))),
        ("cn", json!(desk.csr(P256, "/CN=bücher.example", &[]))),
        ("san", json!(desk.csr(P256, "/CN=evil.example", &[]))),
        ("san", json!(desk.csr(P256, "/CN=*.example", &[]))),
        ("san", json!(with("subjectAltName=DNS:till.example,DNS:evil.example"))),
        ("san", json!(with("subjectAltName=DNS:a.b.shop.svc"))),
        ("san", json!(with("subjectAltName=IP:10.0.0.1"))),
        ("san", json!(with(&format!("subjectAltName={}", many.join(","))))),
    ];
    for (field, csr) in cases {
        let (status, refused) = house.send(Method::POST, "/v1/certificates/internal", &json!({"csr": csr})).await;
        assert_eq!((status, error(&refused).starts_with(&format!("{field} "))), (400, true), "{refused} {csr}");
    }
    for validity in [json!("7"), json!(0), json!(-1), json!(1.5), json!([])] {
        let body = json!({"csr": good, "validity": validity});
        let (status, refused) = house.send(Method::POST, "/v1/certificates/internal", &body).await;
        assert_eq!((status, error(&refused).starts_with("validity ")), (400, true), "{validity} {refused}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_no_certificate_is_made_for() {
    let house = house().await;
    let long = format!("{}.shop.svc", "a".repeat(56));
    let many: Vec<String> = (0..101).map(|n| format!("san=n{n}.shop.svc")).collect();
    for (ca, name, field) in [
        ("shop.root", "two%20words", "cn"),
        ("shop.root", "b%C3%BCcher.example", "cn"),
        ("shop.root", long.as_str(), "cn"),
        ("shop.root", "a@b", "cn"),
        ("shop.root", "a.example?san=b%C3%BCcher.example", "san"),
        ("shop.root", "a.example?san=b.example&san=", "san"),
        ("shop.root", &format!("a.example?{}", many.join("&")), "san"),
        ("internal", "evil.example", "san"),
        ("internal", "10.0.0.1", "san"),
        ("internal", "*.example", "san"),
        ("internal", "till.example?san=evil.example", "san"),
        ("internal", "till.example?san=shop.svc", "san"),
    ] {
        let (status, refused) = house.get(&format!("/v1/certificates/{ca}/{name}")).await;
        assert_eq!((status, error(&refused).starts_with(&format!("{field} "))), (400, true), "{name} {refused}");
    }
    // In the form that DNS has for them, and where the policy wants one label under a name.
    for (ca, name) in [("shop.root", "xn--bcher-kva.example"), ("shop.root", "10.0.0.1"), ("internal", "*.shop.svc")] {
        assert_eq!(house.get(&format!("/v1/certificates/{ca}/{name}")).await.0, 200, "{name}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_list_authorities_learns_which_there_are_not() {
    let house = house().await;
    let csr = Desk::new().csr(P256, "/CN=till.example", &[]);
    let asked = async |token: &str, method: Method, path: String, body: &Value| {
        let request = house.client.request(method, house.url(&path)).bearer_auth(token);
        answer(request.json(body)).await
    };
    for (method, path) in [
        (Method::GET, "/v1/cas/CA"),
        (Method::GET, "/v1/certificates/CA/till.example"),
        (Method::POST, "/v1/certificates/CA"),
    ] {
        let at = |ca: &str| path.replace("CA", ca);
        let bodies = [json!({"csr": csr}), json!({"csr": "broken"}), json!([])];
        for body in bodies.iter().take(if method == Method::POST { 3 } else { 1 }) {
            let known = asked("none", method.clone(), at("internal"), body).await;
            for ca in ["shop.nothing", "nothing", "strongroom.rest-root", "bank.root"] {
                let unknown = asked("none", method.clone(), at(ca), body).await;
                assert_eq!(unknown.1.to_string().replace(ca, "internal"), known.1.to_string(), "{method} {path}");
                assert_eq!(unknown.0, known.0);
                let (status, told) = asked("sees", method.clone(), at(ca), body).await;
                assert_eq!((status, error(&told).contains(ca)), (404, true), "{told}");
                let (status, told) = asked("all", method.clone(), at(ca), body).await;
                assert_eq!((status, error(&told).contains(ca)), (404, true), "{told}");
            }
        }
        assert_eq!(asked("none", method.clone(), at("internal"), &bodies[0]).await.0, 403);
        assert_eq!(asked("sees", method.clone(), at("internal"), &bodies[0]).await.0, 403);
        assert_eq!(asked("all", method.clone(), at("internal"), &bodies[0]).await.0, 200);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issued_certificate_leaves_one_record_and_nothing_else() {
    let house = house().await;
    let (desk, root) = (Desk::new(), root(&house).await);
    let (stored, from) = (house.recorded().await, house.reads(0).len());
    let (_, made) = house.get("/v1/certificates/internal/till.example").await;
    desk.judged(&made, &root);
    let serial = desk.openssl(&["x509", "-in", "leaf", "-noout", "-serial"]).unwrap();
    let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
    let records = house.reads(from);
    assert_eq!((records.len(), house.recorded().await), (1, stored + 1));
    let record = &records[0];
    assert_eq!(
        (&record["who"], &record["action"], &record["class"]),
        (&json!("ops"), &json!("issue"), &json!("certificate"))
    );
    assert_eq!((&record["name"], &record["id"]), (&json!("till.example"), &json!(serial)));
    assert_eq!(record["with"], json!([["/kubernetes/shop/below", 1]]));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_too_many_keys_are_being_made_callers_are_told_to_come_again() {
    let house = house().await;
    let places = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) + 64;
    let make = || {
        let request = house.client.get(house.url("/v1/certificates/shop.root/till.example"));
        request.bearer_auth("all").send()
    };
    let mut asked: FuturesUnordered<_> = (0..places + 8).map(|_| make()).collect();
    let refused = loop {
        let answer = asked.next().await.expect("an answer that refuses").unwrap();
        if answer.status() != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "2"));
    // Those who hang up give their places back.
    drop(asked);
    house.close().await;
}
