//! Whatever stands in a certificate or a key, it is told or refused.

use proptest::prelude::*;

use super::*;

fn made(name: &str, options: &str) -> (Desk, SecretText) {
    let desk = Desk::new();
    desk.expect("openssl genrsa -out private_key 2048");
    desk.expect(&format!(
        "openssl req -x509 -config config -new -key private_key -subj {name} -out certificate {options}"
    ));
    let text = SecretText::new(desk.read("certificate"));
    (desk, text)
}

#[test]
fn self_signed_is_who_has_its_own_name_and_signature() {
    let (desk, own) = made("/CN=root", AUTHORITY);
    assert!(Workshop::new().inspect(&own).unwrap().is_self_signed);
    // Of the same name, by another key: what a replaced root leaves behind.
    fs::rename(desk.path("certificate"), desk.path("ca")).unwrap();
    fs::rename(desk.path("private_key"), desk.path("ca_key")).unwrap();
    desk.expect("openssl genrsa -out private_key 2048");
    desk.expect("openssl req -config config -new -key private_key -subj /CN=root -out request");
    desk.expect("openssl x509 -req -in request -CA ca -CAkey ca_key -CAcreateserial -out certificate");
    let seen = Workshop::new().inspect(&SecretText::new(desk.read("certificate"))).unwrap();
    assert!(!seen.is_self_signed && !seen.is_authority);
    assert_eq!(seen.subject, DistinguishedName::named("root"));
}

#[test]
fn an_authority_is_one_by_its_basic_constraints_alone() {
    let (_, own) = made("/CN=x", "-addext basicConstraints=CA:TRUE -addext keyUsage=digitalSignature");
    assert!(Workshop::new().inspect(&own).unwrap().is_authority);
    assert!(Workshop::new().facts(&own).unwrap().is_authority);
    assert_eq!(Workshop::new().facts(&own).unwrap().role, Role::Leaf);
}

#[test]
fn keys_that_are_not_rsa_are_listed_and_not_made_anew() {
    let desk = Desk::new();
    desk.expect("openssl ecparam -name prime256v1 -genkey -noout -out private_key");
    desk.expect("openssl req -x509 -config config -new -key private_key -subj /CN=x -days 30 -out certificate");
    let seen = Workshop::new().inspect(&SecretText::new(desk.read("certificate"))).unwrap();
    assert_eq!((seen.key_bits, seen.is_self_signed, seen.days()), (None, true, 30));
    assert!(seen.request(crate::domain::authority::Issuer::SelfSigned).is_err());
}

#[test]
fn an_extension_that_is_there_twice_is_refused() {
    let (_, own) = made("/CN=x", "-addext extendedKeyUsage=clientAuth -addext subjectAltName=DNS:a");
    let der = pem::certificates(own.expose()).unwrap()[0].to_vec();
    // The second's number becomes the first's.
    let at = der.windows(3).position(|three| three == [0x55, 0x1d, 0x25]).unwrap();
    let mut twice = der;
    twice[at + 2] = 0x11;
    let error = Workshop::new().inspect(&pem::write(pem::CERTIFICATE, &twice)).unwrap_err();
    assert_eq!(error.to_string(), "certificate has one extension twice");
}

/// Both forms of the public half, and the private one.
#[tokio::test]
async fn sizes_and_comments_of_keys_are_read_back() {
    let workshop = Workshop::new();
    let desk = Desk::new();
    for bits in [1024, 2048, 3072] {
        desk.expect(&format!("openssl genrsa -traditional -out pkcs1 {bits}"));
        desk.expect("openssl pkcs8 -topk8 -nocrypt -in pkcs1 -out pkcs8");
        desk.expect("openssl rsa -in pkcs1 -pubout -out public");
        for file in ["pkcs1", "pkcs8", "public"] {
            assert_eq!(workshop.key_bits(&SecretText::new(desk.read(file))), Some(bits), "{file}");
        }
    }
    let made = workshop.ssh(3072, Some("deploy @ shop")).await.unwrap();
    let line = workshop.ssh_line(field(&made, "public_key")).unwrap();
    assert_eq!((line.bits, line.comment.as_deref()), (Some(3072), Some("deploy @ shop")));
    assert_eq!(workshop.key_bits(made.get("public_key").unwrap()), Some(3072));
    assert_eq!(workshop.key_bits(made.get("private_key").unwrap()), Some(3072));

    desk.expect("openssl ecparam -name prime256v1 -genkey -noout -out elliptic");
    desk.expect("openssl pkcs8 -topk8 -in pkcs1 -out locked -passout pass:hunter2");
    for text in [desk.read("elliptic"), desk.read("locked"), String::new(), "ssh-rsa".into(), "hunter2".into()] {
        assert_eq!(workshop.key_bits(&SecretText::new(text.clone())), None, "{text}");
    }
}

/// The line and its fingerprint as ssh-keygen showed it once; with another comment it is the same.
const SSH_LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

#[tokio::test]
async fn fingerprints_are_those_that_ssh_shows() {
    let workshop = Workshop::new();
    let known = workshop.ssh_line(&format!("{SSH_LINE} me")).unwrap();
    assert_eq!((known.bits, known.comment.as_deref()), (None, Some("me")));
    assert_eq!(workshop.ssh_line(&format!("  {SSH_LINE}\n")).unwrap().fingerprint, known.fingerprint);
    for made in [workshop.ssh(2048, Some("a b")).await.unwrap(), Material::texts([("public_key", SSH_LINE.into())])] {
        let line = field(&made, "public_key");
        let shown = workshop.ssh_line(line).unwrap().fingerprint;
        let other = ssh_key::PublicKey::from_openssh(line).unwrap().fingerprint(ssh_key::HashAlg::Sha256).to_string();
        assert_eq!(Some(shown.as_str()), other.strip_prefix("SHA256:"));
        assert!(!shown.ends_with('='));
        if Command::new("ssh-keygen").arg("-?").output().is_ok() {
            let desk = Desk::new();
            fs::write(desk.path("public_key"), line).unwrap();
            assert!(desk.expect("ssh-keygen -l -f public_key").contains(&format!("SHA256:{shown} ")));
        }
    }
    for nothing in ["", "ssh-rsa", "ssh-rsa !", "ssh-rsa AAAA", &SSH_LINE.replacen("ed25519", "rsa", 1), "a b c"] {
        assert_eq!(workshop.ssh_line(nothing), None, "{nothing}");
    }
}

#[tokio::test]
async fn hashes_of_passwords_are_those_of_openssl() {
    let workshop = Workshop::new();
    let desk = Desk::new();
    let longest = "x".repeat(511);
    for (password, salt) in [("hunter2", [0; 6]), ("pässwörd", [1, 2, 3, 4, 5, 6]), (longest.as_str(), [0xff; 6])] {
        let hash = workshop.crypt(&password.into(), salt).await.unwrap().unwrap();
        let salt = hash.expose().split('$').nth(2).unwrap().to_owned();
        assert_eq!(salt.len(), 8);
        fs::write(desk.path("password"), format!("{password}\n")).unwrap();
        // OpenSSL itself stops reading at 256 characters.
        if password.len() < 256 {
            assert_eq!(desk.expect(&format!("openssl passwd -6 -salt {salt} -in password")).trim(), hash.expose());
        }
        assert_eq!(workshop.crypt(&password.into(), [9; 6]).await.unwrap().unwrap().expose().split('$').count(), 4);
    }
    let too_long = SecretText::new("x".repeat(512));
    assert_eq!(workshop.crypt(&too_long, [0; 6]).await.unwrap(), None);
}

fn subject() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let (_, text) = made(
            "/C=CH/O=One+OU=Two/CN=x",
            "-addext subjectAltName=DNS:a.example,URI:a:b,IP:10.0.0.1,otherName:1.2.3;UTF8:x \
             -addext extendedKeyUsage=1.2.3.4,clientAuth -addext keyUsage=keyCertSign,decipherOnly",
        );
        pem::certificates(text.expose()).unwrap()[0].to_vec()
    });
    &DER
}

fn look_at_all(text: &SecretText, other: &SecretText) {
    let workshop = Workshop::new();
    for result in [
        workshop.inspect(text).map(|seen| seen.request(crate::domain::authority::Issuer::SelfSigned).map(drop)),
        workshop.inspect_given(text, Some(other), Some(text)).map(|_| Ok(())),
        workshop.inspect_given(other, Some(text), Some(text)).map(|_| Ok(())),
        workshop.alone(text).map(|_| Ok(())),
    ] {
        if let Err(error) | Ok(Err(error)) = result {
            assert!(matches!(&error, Error::Invalid(all) if all.len() == 1), "{error:?}");
        }
    }
    workshop.key_bits(text);
    workshop.ssh_line(text.expose());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_certificate_is_told_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut der = subject().to_vec();
        let good = pem::write(pem::CERTIFICATE, &der);
        let at = at.index(der.len());
        der[at] = byte;
        look_at_all(&pem::write(pem::CERTIFICATE, &der), &good);
        der.truncate(cut.index(der.len()));
        look_at_all(&pem::write(pem::CERTIFICATE, &der), &good);
        for label in [pem::PRIVATE_KEY, pem::RSA_PRIVATE_KEY, pem::PUBLIC_KEY] {
            look_at_all(&pem::write(label, &der), &good);
        }
    }

    #[test]
    fn garbage_is_refused(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200), word in "[a-z-]{0,9}") {
        let good = pem::write(pem::CERTIFICATE, subject());
        look_at_all(&SecretText::new(text), &good);
        for label in [pem::CERTIFICATE, pem::PRIVATE_KEY, pem::RSA_PRIVATE_KEY, pem::PUBLIC_KEY, "OPENSSH PRIVATE KEY"] {
            look_at_all(&pem::write(label, &bytes), &good);
        }
        use base64::Engine;
        let blob = base64::engine::general_purpose::STANDARD.encode(&bytes);
        look_at_all(&SecretText::new(format!("{word} {blob} {word}")), &good);
    }
}
