//! Certificates in CredHub's manner, judged by OpenSSL.

use super::*;
use crate::domain::authority::{Carried, Issuer, Unfit, credhub::Parameters};

fn parameters(name: &str) -> Parameters {
    Parameters { subject: DistinguishedName::named(name), self_sign: true, ..Parameters::default() }
}

fn root(name: &str) -> Parameters {
    Parameters { is_ca: true, self_sign: false, ..parameters(name) }
}

fn wished(parameters: Parameters) -> CertificatePlan {
    let request = parameters.request().unwrap();
    planned(&request, None)
}

fn planned(request: &crate::domain::authority::CertificateRequest, issuer: Option<&Material>) -> CertificatePlan {
    let facts = issuer.map(|issuer| Workshop::new().facts(issuer.get("certificate").unwrap()).unwrap());
    let entropy = crate::adapters::system::SystemEntropy::default();
    let policy = Policy::default();
    let at = *NOW + SignedDuration::from_millis(900);
    crate::domain::authority::plan(request, facts.as_ref().map(|facts| (facts, &policy)), at, &entropy).unwrap()
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Without OpenSSL's strictness: a leaf here may have no usages and its authority no identifiers.
fn verify(desk: &Desk, made: &Material) -> Result<String, String> {
    desk.lay(made);
    desk.run(&format!("openssl verify -attime {} -CAfile ca certificate", NOW.as_second() + 1))
}

fn extension(desk: &Desk, file: &str, name: &str) -> String {
    desk.run(&format!("openssl x509 -in {file} -noout -ext {name}")).unwrap_or_default()
}

#[tokio::test]
async fn a_root_a_leaf_and_a_leaf_by_itself_are_what_openssl_accepts() {
    let desk = Desk::new();
    let own = make(&wished(root("root")), None).await;
    let leaf = make(&planned(&parameters("leaf").request().unwrap(), Some(&own)), Some(&own)).await;
    let alone = make(&wished(parameters("alone")), None).await;
    for (made, is_authority, key) in [(&own, true, "root"), (&leaf, false, "leaf"), (&alone, false, "alone")] {
        assert_eq!(verify(&desk, made).as_deref(), Ok("certificate: OK\n"), "{key}");
        assert_eq!(
            (number_of_certificates(field(made, "certificate")), number_of_certificates(field(made, "ca"))),
            (1, 1)
        );
        assert!(field(made, "private_key").starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        desk.expect("openssl rsa -in private_key -check -noout");
        let public = desk.expect("openssl x509 -in certificate -noout -pubkey");
        assert_eq!(public, desk.expect("openssl pkey -in private_key -pubout"));

        let text = desk.text(made);
        for part in [
            "Version: 3 (0x2)",
            "Signature Algorithm: sha256WithRSAEncryption",
            "Public-Key: (2048 bit)",
            "Not Before: Jun 15 12:00:00 2030 GMT\n",
            "Not After : Jun 15 12:00:00 2031 GMT\n",
            if is_authority {
                "Basic Constraints: critical\n                CA:TRUE\n"
            } else {
                "critical\n                CA:FALSE\n"
            },
        ] {
            assert!(text.contains(part), "{key}: {part:?} is not in\n{text}");
        }
        // What nobody asked for is not there.
        for part in ["Key Usage", "Alternative Name"] {
            assert!(!text.contains(part), "{key}: {part}");
        }
    }
    assert_eq!(field(&leaf, "ca"), field(&own, "certificate"));
    assert_eq!(field(&own, "ca"), field(&own, "certificate"));
    assert_eq!(field(&alone, "ca"), field(&alone, "certificate"));
}

#[tokio::test]
async fn a_certificate_says_exactly_what_was_asked_for() {
    let desk = Desk::new();
    let own = make(&wished(root("root")), None).await;
    let asked = Parameters {
        subject: DistinguishedName {
            common_name: Some("till,OU=admin".into()),
            organization: Some("Läden + Söhne".into()),
            organizational_unit: Some("a=b;<c>\"#".into()),
            locality: Some("Bern".into()),
            state: Some("BE".into()),
            country: Some("CH".into()),
        },
        alternative_names: texts(&["z.example", "10.1.2.3", "*", "", "*.a.example", "2001:db8::1"]),
        key_usage: texts(&["decipher_only", "key_agreement", "non_repudiation", "key_agreement"]),
        extended_key_usage: texts(&["timestamping", "server_auth", "code_signing", "email_protection", "client_auth"]),
        key_length: Some(3072),
        duration: Some(3650),
        ..parameters("")
    };
    let leaf = make(&planned(&asked.request().unwrap(), Some(&own)), Some(&own)).await;
    assert!(verify(&desk, &leaf).is_ok());
    let text = desk.text(&leaf);
    for part in [
        "X509v3 Key Usage: critical\n                Non Repudiation, Key Agreement, Decipher Only\n",
        "X509v3 Extended Key Usage: \n                Time Stamping, TLS Web Server Authentication, Code Signing, E-mail Protection, TLS Web Client Authentication\n",
        "X509v3 Subject Alternative Name: \n                DNS:z.example, IP Address:10.1.2.3, DNS:*, DNS:*.a.example, IP Address:2001:DB8:0:0:0:0:0:1\n",
        "Public-Key: (3072 bit)",
        "Not After : Jun 12 12:00:00 2040 GMT\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // In the order of the encoding, with the type of each string.
    let shown = desk.expect("openssl x509 -in certificate -noout -subject -nameopt multiline,utf8,-esc_msb,show_type");
    let lines: Vec<String> =
        shown.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "commonName = PRINTABLESTRING:till,OU=admin",
            "organizationalUnitName = UTF8STRING:a=b;<c>\"#",
            "countryName = PRINTABLESTRING:CH",
            "stateOrProvinceName = PRINTABLESTRING:BE",
            "organizationName = UTF8STRING:Läden + Söhne",
            "localityName = PRINTABLESTRING:Bern",
        ]
    );
    let serial = Workshop::new().facts(leaf.get("certificate").unwrap()).unwrap().serial;
    assert!(serial.len() == 20 && serial[0] < 0x80, "{serial:?}");
}

#[tokio::test]
async fn identifiers_are_of_the_keys_and_lead_from_leaf_to_authority() {
    let desk = Desk::new();
    let own = make(&wished(root("root")), None).await;
    desk.lay(&own);
    let identifier = |name: &str| {
        let shown = extension(&desk, "certificate", name);
        shown.lines().skip(1).map(|line| line.trim().trim_start_matches("keyid:")).collect::<Vec<_>>().join(" ")
    };
    let of_root = identifier("subjectKeyIdentifier");
    let serial = Workshop::new().facts(own.get("certificate").unwrap()).unwrap().serial;
    let serial: Vec<String> = serial.iter().map(|byte| format!("{byte:02X}")).collect();
    let itself = format!("{of_root} DirName:/CN=root serial:{}", serial.join(":"));
    assert_eq!(identifier("authorityKeyIdentifier"), itself);
    // SHA-1 of the bits of the key, as others derive it.
    desk.expect("openssl rsa -in private_key -RSAPublicKey_out -outform DER -out bits");
    let digest = desk.expect("openssl dgst -sha1 -c bits");
    assert_eq!(digest.trim().rsplit(' ').next().unwrap().to_uppercase(), of_root);

    let leaf = make(&planned(&parameters("leaf").request().unwrap(), Some(&own)), Some(&own)).await;
    desk.lay(&leaf);
    assert_eq!(identifier("authorityKeyIdentifier"), of_root);
    assert_ne!(identifier("subjectKeyIdentifier"), of_root);
}

const STRING_TYPES: &str = "
[req]
distinguished_name=dn
string_mask=@mask@
prompt=no
[dn]
CN=Root of @type@
O=One
0.OU=First
1.OU=Second
[ca]
basicConstraints=critical,CA:TRUE
subjectKeyIdentifier=@identifier@
authorityKeyIdentifier=none
";

/// Each with and without an identifier, which is then not made up.
#[tokio::test]
async fn names_of_authorities_are_copied_byte_for_byte_whatever_their_strings_are() {
    let types = [
        ("MASK:2", "PRINTABLESTRING"),
        ("MASK:4", "T61STRING"),
        ("MASK:2048", "BMPSTRING"),
        ("utf8only", "UTF8STRING"),
    ];
    for (at, (mask, kind)) in types.into_iter().enumerate() {
        let desk = Desk::new();
        let identifier = if at % 2 == 0 { "hash" } else { "none" };
        let config = [("@mask@", mask), ("@type@", kind), ("@identifier@", identifier)]
            .iter()
            .fold(STRING_TYPES.to_owned(), |config, (word, value)| config.replace(word, value));
        fs::write(desk.path("strings"), config).unwrap();
        desk.expect("openssl genrsa -out private_key 2048");
        desk.expect(
            "openssl req -x509 -config strings -extensions ca -new -key private_key -days 9000 -out certificate",
        );
        let shown = desk.expect("openssl x509 -in certificate -noout -subject -nameopt multiline,show_type");
        assert!(shown.contains(kind), "{shown}");
        let given =
            Material::texts(["certificate", "private_key"].map(|name| (name, SecretText::new(desk.read(name)))));

        let leaf = make(&planned(&parameters("leaf").request().unwrap(), Some(&given)), Some(&given)).await;
        assert_eq!(verify(&desk, &leaf).as_deref(), Ok("certificate: OK\n"), "{kind}");
        let name = |file: &str, which: &str| {
            let dump = desk.expect(&format!(
                "openssl x509 -in {file} -noout -{which} -nameopt dump_all,dump_der,oid,sep_multiline"
            ));
            dump.split_once('=').unwrap().1.to_owned()
        };
        assert_eq!(name("certificate", "issuer"), name("ca", "subject"), "{kind}");
        let led = extension(&desk, "certificate", "authorityKeyIdentifier").contains("Authority Key Identifier");
        assert_eq!(led, identifier == "hash", "{kind}");
        // Nobody is told which of several names or serial numbers the authority has.
        assert!(!extension(&desk, "certificate", "authorityKeyIdentifier").contains("serial"));
        assert_eq!(field(&leaf, "ca"), field(&given, "certificate"));

        // Made anew under its own name, it goes on to be who signed the leaf.
        let seen = Workshop::new().inspect(given.get("certificate").unwrap()).unwrap();
        assert!(seen.carried.subject_says_more && seen.is_self_signed && seen.is_authority, "{kind}");
        let again = make(&planned(&seen.request(Issuer::SelfSigned).unwrap(), None), None).await;
        desk.lay(&again);
        fs::write(desk.path("leaf"), field(&leaf, "certificate")).unwrap();
        assert_eq!(name("certificate", "subject"), name("leaf", "issuer"), "{kind}");
        assert_eq!(name("certificate", "issuer"), name("leaf", "issuer"), "{kind}");
        assert_eq!(verify(&desk, &again).as_deref(), Ok("certificate: OK\n"), "{kind}");
    }
}

#[tokio::test]
async fn the_text_of_an_authority_is_kept_and_of_a_chain_only_who_signed() {
    let own = make(&wished(root("root")), None).await;
    let noted = SecretText::new(format!("{}the root of 2030\n-----BEGIN", field(&own, "certificate")));
    let with = |certificate: SecretText| {
        Material::texts([("certificate", certificate), ("private_key", own.get("private_key").unwrap().clone())])
    };
    let given = with(noted.clone());
    let leaf = make(&planned(&parameters("leaf").request().unwrap(), Some(&given)), Some(&given)).await;
    assert_eq!(field(&leaf, "ca"), noted.expose());

    let chain = with(SecretText::new([field(&own, "certificate"), field(&leaf, "certificate")].concat()));
    let leaf = make(&planned(&parameters("leaf").request().unwrap(), Some(&chain)), Some(&chain)).await;
    assert_eq!(field(&leaf, "ca"), field(&own, "certificate"));
    assert!(verify(&Desk::new(), &leaf).is_ok());
}

/// Authorities of resources have elliptic keys unless they say otherwise: they sign here too.
#[tokio::test]
async fn an_authority_of_our_own_manner_signs_in_credhubs() {
    let desk = Desk::new();
    let above = make(&plan("root", KeyAlgorithm::EcdsaP256, authority(None)), None).await;
    let own = make(&plan("middle", KeyAlgorithm::EcdsaP384, authority(None)), Some(&above)).await;
    let leaf = make(&planned(&parameters("leaf").request().unwrap(), Some(&own)), Some(&own)).await;
    desk.lay(&leaf);
    let at = NOW.as_second() + 1;
    desk.expect(&format!("openssl verify -partial_chain -attime {at} -CAfile ca certificate"));
    assert!(desk.text(&leaf).contains("Signature Algorithm: ecdsa-with-SHA384"));
    assert!(field(&leaf, "private_key").starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
}

#[tokio::test]
async fn authorities_that_cannot_sign_are_told_apart() {
    let own = make(&wished(root("root")), None).await;
    let leaf = make(&wished(parameters("leaf")), None).await;
    let request = parameters("x").request().unwrap();
    let facts = Workshop::new().facts(leaf.get("certificate").unwrap()).unwrap();
    let entropy = crate::adapters::system::SystemEntropy::default();
    let error =
        crate::domain::authority::plan(&request, Some((&facts, &Policy::default())), *NOW, &entropy).unwrap_err();
    assert_eq!(error.to_string(), Error::from(Unfit::NoAuthority).to_string());

    let silent = Material::texts([("certificate", own.get("certificate").unwrap().clone())]);
    let error = Workshop::new().certificate(&planned(&request, Some(&own)), Some(&silent)).await.unwrap_err();
    assert_eq!(error.to_string(), Error::from(Unfit::NoPrivateKey).to_string());
    let all = [Unfit::OtherType, Unfit::NoAuthority, Unfit::NoPrivateKey].map(|why| Error::from(why).to_string());
    assert!(all.iter().all(|text| text.starts_with("ca ") && all.iter().filter(|other| *other == text).count() == 1));
}

/// What a request cannot say goes over from the certificate before.
#[tokio::test]
async fn what_is_made_anew_is_like_what_was_there() {
    let desk = Desk::new();
    desk.expect("openssl genrsa -out private_key 2048");
    desk.expect(
        "openssl req -x509 -config config -new -key private_key -days 90 -out certificate \
         -subj /DC=org/CN=two+serialNumber=7/emailAddress=a@b \
         -addext subjectAltName=DNS:B.example,URI:spiffe://a/b,email:a@b \
         -addext extendedKeyUsage=1.3.6.1.4.1.311.20.2.2,clientAuth \
         -addext keyUsage=critical,keyCertSign,digitalSignature -addext basicConstraints=CA:TRUE,pathlen:2",
    );
    let shown = |desk: &Desk| {
        ["subjectAltName", "extendedKeyUsage", "keyUsage"].map(|name| extension(desk, "certificate", name)).concat()
            + &desk.expect("openssl x509 -in certificate -noout -subject -nameopt RFC2253,dump_der")
    };
    let before = shown(&desk);
    let seen = Workshop::new().inspect(&SecretText::new(desk.read("certificate"))).unwrap();
    assert_eq!((seen.days(), seen.key_bits), (90, Some(2048)));
    let request = seen.request(Issuer::SelfSigned).unwrap();
    assert!(!seen.satisfies(&request), "it holds more than anybody can ask for");
    let again = make(&planned(&request, None), None).await;
    desk.lay(&again);
    assert_eq!(shown(&desk), before);
    assert!(extension(&desk, "certificate", "basicConstraints").contains("CA:TRUE\n"));
    let seen_again = Workshop::new().inspect(again.get("certificate").unwrap()).unwrap();
    assert_eq!(seen_again.request(Issuer::SelfSigned).unwrap(), request);
}

#[tokio::test]
async fn what_was_asked_for_is_read_back_and_satisfies() {
    let asked = Parameters {
        subject: DistinguishedName { organization: Some("Läden, +Co".into()), ..DistinguishedName::named("x") },
        alternative_names: texts(&["*", "b.example", "A.example", "10.0.0.1"]),
        key_usage: texts(&["digital_signature", "crl_sign", "decipher_only", "encipher_only"]),
        extended_key_usage: texts(&["client_auth", "server_auth"]),
        duration: Some(17),
        ..root("x")
    };
    let request = asked.request().unwrap();
    let made = make(&planned(&request, None), None).await;
    let seen = Workshop::new().inspect(made.get("certificate").unwrap()).unwrap();
    assert!(seen.satisfies(&request));
    let mut read = seen.request(Issuer::SelfSigned).unwrap();
    assert_eq!(
        read.conventions,
        crate::domain::authority::Conventions::Credhub(Carried {
            subject: seen.carried.subject.clone(),
            ..Carried::default()
        })
    );
    read.conventions = request.conventions.clone();
    read.key_usages.sort_unstable();
    let mut wanted = request;
    wanted.key_usages.sort_unstable();
    assert_eq!(read, wanted);
}
