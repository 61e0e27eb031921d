//! Every key and certificate is judged by OpenSSL and OpenSSH, which share no code with what made it.

mod chain;
mod credhub;
mod given;
mod inspection;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::authority::{
    AlternativeName, Conventions, DistinguishedName, ExtendedKeyUsage, KeyAlgorithm, KeyUsage, Policy, Role,
};
use crate::domain::credential::Kind;

const ALGORITHMS: [(KeyAlgorithm, &str, &str); 6] = [
    (KeyAlgorithm::EcdsaP256, "ASN1 OID: prime256v1", "ecdsa-with-SHA256"),
    (KeyAlgorithm::EcdsaP384, "ASN1 OID: secp384r1", "ecdsa-with-SHA384"),
    (KeyAlgorithm::Ed25519, "Public Key Algorithm: ED25519", "ED25519"),
    (KeyAlgorithm::Rsa2048, "Public-Key: (2048 bit)", "sha256WithRSAEncryption"),
    (KeyAlgorithm::Rsa3072, "Public-Key: (3072 bit)", "sha256WithRSAEncryption"),
    (KeyAlgorithm::Rsa4096, "Public-Key: (4096 bit)", "sha256WithRSAEncryption"),
];

static NOW: LazyLock<Timestamp> = LazyLock::new(|| "2030-06-15T12:00:00Z".parse().unwrap());

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plan(name: &str, key: KeyAlgorithm, role: Role) -> CertificatePlan {
    let usages: &[KeyUsage] = match role {
        Role::Leaf => &[KeyUsage::DigitalSignature],
        Role::Authority { .. } => &[KeyUsage::KeyCertSign, KeyUsage::CrlSign],
    };
    CertificatePlan {
        subject: DistinguishedName::named(name),
        alternative_names: vec![],
        key,
        key_usages: usages.to_vec(),
        extended_key_usages: vec![],
        role,
        not_before: at("2030-06-15T11:55:00.9Z"),
        not_after: at("2031-06-15T12:00:00.9Z"),
        serial: *b"\x40serial-of-20-bytes!",
        conventions: Conventions::Own,
    }
}

fn authority(path_length: Option<u8>) -> Role {
    Role::Authority { path_length }
}

async fn make(plan: &CertificatePlan, issuer: Option<&Material>) -> Material {
    let made = Workshop::new().certificate(plan, issuer).await.unwrap();
    made.check(Kind::Certificate).unwrap();
    made
}

fn field<'a>(material: &'a Material, name: &str) -> &'a str {
    material.get(name).unwrap().expose()
}

/// A folder for files that go to the programs.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        // Instead of the machine's own configuration, which adds extensions.
        fs::write(desk.path("config"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn lay(&self, material: &Material) {
        for field in material.fields() {
            fs::write(self.path(&field.name), field.value.expose()).unwrap();
        }
    }

    fn run(&self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        let output = Command::new(program).args(words).current_dir(self.0.path()).output();
        let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(said(&output.stdout))
        } else {
            Err(said(&output.stderr) + &said(&output.stdout))
        }
    }

    fn expect(&self, line: &str) -> String {
        self.run(line).unwrap_or_else(|said| panic!("{line}\n{said}"))
    }

    fn verify(&self, material: &Material) -> Result<String, String> {
        self.lay(material);
        let at = NOW.as_second();
        self.run(&format!("openssl verify -x509_strict -attime {at} -CAfile ca -untrusted certificate certificate"))
    }

    fn text(&self, material: &Material) -> String {
        self.lay(material);
        // Versions of OpenSSL differ in how they print names unless told.
        self.expect("openssl x509 -in certificate -noout -text -nameopt RFC2253")
    }
}

fn number_of_certificates(text: &str) -> usize {
    text.matches("-----BEGIN CERTIFICATE-----").count()
}

#[tokio::test]
async fn every_algorithm_makes_roots_intermediates_and_leaves_that_openssl_accepts() {
    for (key, of_key, of_signature) in ALGORITHMS {
        let desk = Desk::new();
        let root = make(&plan("root", key, authority(Some(1))), None).await;
        let middle = make(&plan("middle", key, authority(Some(0))), Some(&root)).await;
        let leaf = make(&plan("leaf", key, Role::Leaf), Some(&middle)).await;
        for (level, made, length) in [("root", &root, 1), ("middle", &middle, 1), ("leaf", &leaf, 2)] {
            assert_eq!(desk.verify(made).as_deref(), Ok("certificate: OK\n"), "{key:?} {level}");
            assert_eq!(number_of_certificates(field(made, "certificate")), length);
            assert_eq!(field(made, "ca"), field(&root, "certificate"));

            let text = desk.text(made);
            for part in [of_key, &format!("Signature Algorithm: {of_signature}")] {
                assert!(text.contains(part), "{key:?} {level}: {part} is not in\n{text}");
            }
            desk.expect("openssl pkey -in private_key -check -noout");
            assert!(field(made, "private_key").starts_with("-----BEGIN PRIVATE KEY-----\n"));
            let public = desk.expect("openssl x509 -in certificate -noout -pubkey");
            assert_eq!(public, desk.expect("openssl pkey -in private_key -pubout"), "{key:?} {level}");
        }
    }
}

#[tokio::test]
async fn a_certificate_says_exactly_what_was_planned() {
    let desk = Desk::new();
    let root = make(&plan("root", KeyAlgorithm::EcdsaP256, authority(None)), None).await;
    let wish = CertificatePlan {
        subject: DistinguishedName {
            common_name: Some("shop".into()),
            organization: Some("Läden, +Co".into()),
            organizational_unit: Some("Tills".into()),
            locality: Some("Bern".into()),
            state: Some("BE".into()),
            country: Some("CH".into()),
        },
        alternative_names: ["shop.example", "*.shop.example", "10.1.2.3", "2001:db8::1"]
            .map(|name| AlternativeName::parse(name).unwrap())
            .to_vec(),
        key_usages: vec![KeyUsage::DigitalSignature, KeyUsage::KeyAgreement, KeyUsage::DecipherOnly],
        extended_key_usages: vec![ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth],
        not_after: at("2050-01-01T00:00:00Z"),
        ..plan("", KeyAlgorithm::EcdsaP256, Role::Leaf)
    };
    let leaf = make(&wish, Some(&root)).await;
    let text = desk.text(&leaf);
    let expected = [
        "Version: 3 (0x2)",
        "40:73:65:72:69:61:6c:2d:6f:66:2d:32:30:2d:62:79:74:65:73:21\n",
        "Issuer: CN=root\n",
        "Not Before: Jun 15 11:55:00 2030 GMT\n",
        "Not After : Jan  1 00:00:00 2050 GMT\n",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Agreement, Decipher Only\n",
        "X509v3 Extended Key Usage: \n                TLS Web Server Authentication, TLS Web Client Authentication\n",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "DNS:shop.example, DNS:*.shop.example, IP Address:10.1.2.3, IP Address:2001:DB8:0:0:0:0:0:1\n",
        "X509v3 Subject Key Identifier: \n",
        "X509v3 Authority Key Identifier: \n",
    ];
    for part in expected {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let subject = desk.expect("openssl x509 -in certificate -noout -subject -nameopt RFC2253,-esc_msb,utf8");
    assert_eq!(subject, "subject=CN=shop,OU=Tills,O=Läden\\, \\+Co,L=Bern,ST=BE,C=CH\n");
}

#[tokio::test]
async fn authorities_carry_their_path_length_and_the_identifier_of_their_issuer() {
    let desk = Desk::new();
    let identifier = |name: &str| {
        let shown = desk.expect(&format!("openssl x509 -in certificate -noout -ext {name}KeyIdentifier"));
        shown.lines().last().unwrap().trim().to_owned()
    };
    let root = make(&plan("root", KeyAlgorithm::EcdsaP256, authority(Some(7))), None).await;
    let text = desk.text(&root);
    assert!(text.contains("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:7\n"), "{text}");
    assert!(text.contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n"), "{text}");
    let of_root = identifier("subject");
    assert_eq!((of_root.len(), identifier("authority")), (20 * 3 - 1, of_root.clone()));

    let middle = make(&plan("middle", KeyAlgorithm::Ed25519, authority(None)), Some(&root)).await;
    assert!(desk.text(&middle).contains("CA:TRUE\n"));
    assert_eq!(identifier("authority"), of_root);
    assert_ne!(identifier("subject"), of_root);
}

#[tokio::test]
async fn a_path_length_is_enforced_by_whoever_verifies() {
    let desk = Desk::new();
    let root = make(&plan("root", KeyAlgorithm::EcdsaP256, authority(Some(0))), None).await;
    let good = make(&plan("leaf", KeyAlgorithm::EcdsaP256, Role::Leaf), Some(&root)).await;
    assert!(desk.verify(&good).is_ok());
    // The domain refuses this plan; signing it anyway shows that the constraint reached the certificate.
    let middle = make(&plan("middle", KeyAlgorithm::EcdsaP256, authority(None)), Some(&root)).await;
    let bad = make(&plan("leaf", KeyAlgorithm::EcdsaP256, Role::Leaf), Some(&middle)).await;
    assert!(desk.verify(&bad).unwrap_err().contains("path length constraint exceeded"));
}

#[tokio::test]
async fn chains_of_different_algorithms_hold_together() {
    let desk = Desk::new();
    let keys = [KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256];
    let mut above = make(&plan("0", keys[0], authority(None)), None).await;
    for (depth, key) in keys.into_iter().enumerate().skip(1) {
        above = make(&plan(&depth.to_string(), key, authority(None)), Some(&above)).await;
        assert_eq!(desk.verify(&above).as_deref(), Ok("certificate: OK\n"), "{key:?}");
        assert_eq!(number_of_certificates(field(&above, "certificate")), depth);
    }
    let leaf = make(&plan("leaf", KeyAlgorithm::Rsa2048, Role::Leaf), Some(&above)).await;
    assert_eq!(desk.verify(&leaf).as_deref(), Ok("certificate: OK\n"));
    assert_eq!(number_of_certificates(field(&leaf, "certificate")), 4);
    assert_eq!(number_of_certificates(field(&leaf, "ca")), 1);
}

#[tokio::test]
async fn a_self_signed_leaf_is_its_own_root() {
    let desk = Desk::new();
    let own = make(&plan("alone", KeyAlgorithm::EcdsaP256, Role::Leaf), None).await;
    assert_eq!(field(&own, "certificate"), field(&own, "ca"));
    assert_eq!(desk.verify(&own).as_deref(), Ok("certificate: OK\n"));
}

const AUTHORITY: &str = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
                         -addext subjectKeyIdentifier=hash";

/// Authorities that OpenSSL made: names that rcgen cannot write, keys in every PEM form, no `ca` beside them.
#[tokio::test]
async fn imported_authorities_sign_under_their_exact_name() {
    let names =
        ["/CN=plain", "/C=CH/O=One/OU=First/OU=Second/DC=a/DC=b/CN=x", "/O=One+OU=Two+CN=Three", "/emailAddress=a@b"];
    let keys = [
        "openssl ecparam -name prime256v1 -genkey -noout -out private_key",
        "openssl ecparam -name secp521r1 -genkey -noout -out private_key",
        "openssl genrsa -traditional -out private_key 2048",
        "openssl genpkey -algorithm ED25519 -out private_key",
    ];
    for (name, key) in names.into_iter().zip(keys) {
        let desk = Desk::new();
        desk.expect(key);
        desk.expect(&format!("openssl req -x509 -config config -new -key private_key -subj {name} -days 9000 -out certificate {AUTHORITY}"));
        let imported =
            Material::texts(["certificate", "private_key"].map(|field| (field, SecretText::new(desk.read(field)))));
        let middle = make(&plan("middle", KeyAlgorithm::EcdsaP256, authority(Some(0))), Some(&imported)).await;
        let leaf = make(&plan("leaf", KeyAlgorithm::EcdsaP256, Role::Leaf), Some(&middle)).await;
        for made in [&middle, &leaf] {
            assert_eq!(desk.verify(made).as_deref(), Ok("certificate: OK\n"), "{name}");
        }
        assert_eq!(number_of_certificates(field(&leaf, "certificate")), 2);
        assert_eq!(number_of_certificates(field(&leaf, "ca")), 1);
        let shown = |which: &str, file: &str| {
            let line = desk.expect(&format!("openssl x509 -in {file} -noout -{which} -nameopt dump_all,dump_der,oid"));
            line.split_once('=').unwrap().1.to_owned()
        };
        desk.lay(&middle);
        assert_eq!(shown("issuer", "certificate"), shown("subject", "ca"));
    }
}

#[tokio::test]
async fn an_authority_that_cannot_sign_is_refused_by_the_name_of_the_field() {
    let good = make(&plan("one", KeyAlgorithm::EcdsaP256, authority(None)), None).await;
    let other = make(&plan("two", KeyAlgorithm::EcdsaP256, authority(None)), None).await;
    let with = |certificate: &str, private_key: &str| {
        Material::texts([("certificate", certificate.into()), ("private_key", private_key.into())])
    };
    let key = field(&good, "private_key");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cases = [
        (with(field(&good, "certificate"), field(&other, "private_key")), "does not belong to its certificate"),
        (with(field(&good, "certificate"), &encrypted), "cannot be read"),
        (with(field(&good, "certificate"), "hunter2"), "cannot be read"),
        (with(key, key), "holds no PEM certificate"),
    ];
    let leaf = plan("leaf", KeyAlgorithm::EcdsaP256, Role::Leaf);
    for (issuer, why) in cases {
        let error = Workshop::new().certificate(&leaf, Some(&issuer)).await.unwrap_err().to_string();
        assert!(error.starts_with("ca ") && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn an_authority_is_held_by_all_that_is_in_it() {
    let pki = Workshop::new();
    let root = |key| async move { make(&plan("Root", key, authority(None)), None).await };
    let (first, second) = (root(KeyAlgorithm::EcdsaP256).await, root(KeyAlgorithm::EcdsaP256).await);
    let signed = async |issuer: &Material| {
        let leaf = pki.certificate(&plan("leaf", KeyAlgorithm::EcdsaP256, Role::Leaf), Some(issuer)).await;
        leaf.map(|leaf| field(&leaf, "ca").to_owned()).map_err(|error| error.to_string())
    };
    let of = |certificate: &Material, key: &Material, ca: &Material| {
        let fields = [("certificate", (certificate, "certificate")), ("private_key", (key, "private_key"))];
        let fields = fields.into_iter().chain([("ca", (ca, "certificate"))]);
        Material::texts(fields.map(|(name, (from, field))| (name, from.get(field).unwrap().clone())))
    };
    for _ in 0..2 {
        assert_eq!(signed(&of(&first, &first, &first)).await.unwrap(), field(&first, "certificate"));
        // The same certificate and key with another root, and with somebody else's key.
        assert_eq!(signed(&of(&first, &first, &second)).await.unwrap(), field(&second, "certificate"));
        assert!(signed(&of(&first, &second, &first)).await.unwrap_err().contains("does not belong"));
    }
    assert!(pki.authorities.get(&super::authority::texts(&of(&first, &first, &first))).is_some());
    assert!(pki.authorities.get(&super::authority::texts(&of(&first, &second, &first))).is_none());
}

#[tokio::test]
async fn facts_are_what_was_planned_and_planning_goes_on_from_them() {
    let workshop = Workshop::new();
    let wish = plan("root", KeyAlgorithm::EcdsaP256, authority(Some(3)));
    let root = make(&wish, None).await;
    let facts = workshop.facts(root.get("certificate").unwrap()).unwrap();
    assert_eq!(facts.not_before, at("2030-06-15T11:55:00Z"));
    assert_eq!(facts.not_after, at("2031-06-15T12:00:00Z"));
    assert_eq!((facts.role, &facts.serial[..]), (wish.role, &wish.serial[..]));

    let desk = Desk::new();
    desk.lay(&root);
    let shown = desk.expect("openssl x509 -in certificate -noout -fingerprint -sha256").trim().to_lowercase();
    let own: Vec<String> = facts.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shown.split_once('=').unwrap().1, own.join(":"));

    let request = crate::domain::authority::CertificateRequest {
        subject: DistinguishedName::named("leaf"),
        alternative_names: vec![],
        key: KeyAlgorithm::EcdsaP256,
        key_usages: vec![],
        extended_key_usages: vec![],
        role: Role::Leaf,
        validity: SignedDuration::from_hours(24),
        issuer: crate::domain::authority::Issuer::SelfSigned,
        conventions: Conventions::Own,
    };
    let entropy = crate::adapters::system::SystemEntropy::default();
    let planned = crate::domain::authority::plan(&request, Some((&facts, &Policy::default())), *NOW, &entropy).unwrap();
    let leaf = make(&planned, Some(&root)).await;
    assert_eq!(desk.verify(&leaf).as_deref(), Ok("certificate: OK\n"));
    let of_leaf = workshop.facts(leaf.get("certificate").unwrap()).unwrap();
    assert_eq!((of_leaf.role, of_leaf.serial), (Role::Leaf, planned.serial.to_vec()));
}

#[test]
fn facts_of_certificates_made_elsewhere() {
    let desk = Desk::new();
    desk.expect("openssl ecparam -name prime256v1 -genkey -noout -out key");
    let facts = |options: &str| {
        desk.expect(&format!("openssl req -x509 -config config -new -key key -subj /CN=x -out certificate {options}"));
        Workshop::new().facts(&SecretText::new(desk.read("certificate"))).unwrap()
    };
    assert_eq!(facts("").role, Role::Leaf);
    assert_eq!(facts("-addext basicConstraints=CA:FALSE").role, Role::Leaf);
    assert_eq!(facts("-addext basicConstraints=CA:TRUE").role, authority(None));
    assert_eq!(facts("-addext basicConstraints=CA:TRUE,pathlen:0").role, authority(Some(0)));
    assert_eq!(facts("-addext basicConstraints=CA:TRUE,pathlen:300").role, authority(Some(255)));
    assert_eq!(facts(AUTHORITY).role, authority(None));
    let may_not_sign = "-addext basicConstraints=CA:TRUE -addext keyUsage=digitalSignature";
    assert_eq!(facts(may_not_sign).role, Role::Leaf);
    assert_eq!(facts("-set_serial 0x00ff").serial, [0xff]);
}

/// The identifier is then derived from its key, and stays the same from one certificate to the next.
#[tokio::test]
async fn an_imported_authority_without_a_key_identifier_can_sign() {
    let desk = Desk::new();
    desk.expect("openssl ecparam -name prime256v1 -genkey -noout -out private_key");
    desk.expect(
        "openssl req -x509 -config config -new -key private_key -subj /CN=x -days 9000 -out certificate \
         -addext basicConstraints=critical,CA:TRUE",
    );
    let fields = ["certificate", "private_key"].map(|field| (field, SecretText::new(desk.read(field))));
    let leaf = make(&plan("leaf", KeyAlgorithm::EcdsaP256, Role::Leaf), Some(&Material::texts(fields))).await;
    desk.lay(&leaf);
    desk.expect(&format!("openssl verify -attime {} -CAfile ca certificate", NOW.as_second()));
}

#[tokio::test]
async fn a_certificate_without_end_is_read_as_ending_with_time() {
    let key = keys::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap();
    let text = pem::write(pem::CERTIFICATE, params.self_signed(&*key).unwrap().der());
    let desk = Desk::new();
    fs::write(desk.path("certificate"), text.expose()).unwrap();
    assert!(desk.expect("openssl x509 -in certificate -noout -enddate").contains("Dec 31 23:59:59 9999"));
    assert_eq!(Workshop::new().facts(&text).unwrap().not_after, Timestamp::MAX);
}

#[tokio::test]
async fn what_is_no_certificate_has_no_facts_and_the_field_is_named() {
    let good = make(&plan("x", KeyAlgorithm::EcdsaP256, Role::Leaf), None).await;
    let good = field(&good, "certificate");
    let wrong = [
        String::new(),
        "hunter2".into(),
        good.replace("CERTIFICATE", "PUBLIC KEY"),
        good.replacen("-----END", "", 1),
        pem::write(pem::CERTIFICATE, b"\x30\x03\x02\x01\x01").expose().into(),
        pem::write(pem::CERTIFICATE, &[b"\x30\x84\xff\xff\xff\xff", &[0x30; 4000][..]].concat()).expose().into(),
        "x".repeat(64 * 1024) + good,
    ];
    for text in wrong {
        let error = Workshop::new().facts(&SecretText::new(text.clone())).unwrap_err();
        assert!(matches!(&error, Error::Invalid(all) if all[0].field == "certificate"), "{error:?}");
        assert!(!error.to_string().contains("hunter2"));
    }
    assert!(Workshop::new().facts(&SecretText::new(format!("a word before\n{good}"))).is_ok());
}

#[tokio::test]
async fn rsa_keys_are_good_and_their_halves_belong_together() {
    let desk = Desk::new();
    for bits in [2048, 3072, 4096] {
        let made = Workshop::new().rsa(bits).await.unwrap();
        made.check(Kind::Rsa).unwrap();
        desk.lay(&made);
        assert!(field(&made, "private_key").starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        assert!(desk.expect("openssl rsa -in private_key -check -noout").contains("RSA key ok"));
        let text = desk.expect("openssl rsa -in private_key -noout -text");
        assert!(text.contains(&format!("({bits} bit")) && text.contains("publicExponent: 65537"), "{text}");
        assert_eq!(desk.expect("openssl rsa -in private_key -pubout"), field(&made, "public_key"));
    }
}

#[tokio::test]
async fn ssh_keys_are_what_ssh_reads() {
    let desk = Desk::new();
    for (comment, tail) in [(None, ""), (Some("deploy@shop 1"), " deploy@shop 1")] {
        let made = Workshop::new().ssh(2048, comment).await.unwrap();
        made.check(Kind::Ssh).unwrap();
        desk.lay(&made);
        let line = field(&made, "public_key");
        assert!(line.starts_with("ssh-rsa ") && line.ends_with(tail) && !line.contains('\n'), "{line}");
        let parsed = ssh_key::PublicKey::from_openssh(line).unwrap();
        assert_eq!(parsed.comment(), comment.unwrap_or_default());
        // The same numbers, from the private key alone.
        let modulus = desk.expect("openssl rsa -in private_key -noout -modulus");
        let own = parsed.key_data().rsa().unwrap().n.as_positive_bytes().unwrap();
        let own: String = own.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(modulus.trim(), format!("Modulus={own}"));
        if Command::new("ssh-keygen").arg("-?").output().is_ok() {
            fs::set_permissions(desk.path("private_key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            let derived = desk.expect("ssh-keygen -y -f private_key");
            let key = |line: &str| line.split(' ').nth(1).unwrap().trim().to_owned();
            assert_eq!(key(&derived), key(line));
            desk.expect("ssh-keygen -l -f public_key");
            fs::remove_file(desk.path("private_key")).unwrap();
        }
    }
}

#[tokio::test]
async fn sizes_and_comments_out_of_bounds_are_refused_by_name() {
    let workshop = Workshop::new();
    for bits in [0, 512, 1024, 2047, 8192] {
        assert!(workshop.rsa(bits).await.unwrap_err().to_string().starts_with("keyLength"));
        assert!(workshop.ssh(bits, None).await.unwrap_err().to_string().starts_with("keyLength"));
    }
    let two_lines = "me\nssh-rsa AAAA attacker";
    for comment in [two_lines, "a\0b", &"x".repeat(1025)] {
        assert!(workshop.ssh(2048, Some(comment)).await.unwrap_err().to_string().starts_with("sshComment"));
    }
}

#[tokio::test]
async fn rsa_work_waits_its_turn_and_a_flood_is_refused_while_other_keys_go_on() {
    let workshop = Workshop::new();
    let wish = plan("x", KeyAlgorithm::EcdsaP256, Role::Leaf);
    let mut asked: Vec<_> = (0..3 * WAITING).map(|_| workshop.rsa(2048)).collect();
    let refused = |one: &mut _| matches!(FutureExt::now_or_never(one), Some(Err(Error::Overloaded { .. })));
    let (admitted, rest) = asked.split_at_mut(WAITING);
    assert!(!admitted.iter_mut().any(refused));
    assert!(rest.iter_mut().any(refused));
    workshop.certificate(&wish, None).await.unwrap();
    assert!(workshop.crypt(&"hunter2".into(), [0; 6]).await.unwrap().is_some());
}
