//! Certificates and keys that callers set, made by OpenSSL.

use super::*;

/// `ca` and `ca_key`, `certificate` and `private_key` (PKCS#8) signed by it, `pkcs1`.
fn chain(of_ca: &str, days: &str) -> Desk {
    let desk = Desk::new();
    desk.expect("openssl genrsa -out ca_key 2048");
    desk.expect(&format!(
        "openssl req -x509 -config config -new -key ca_key -subj /CN=root -days 9000 -out ca {of_ca}"
    ));
    desk.expect("openssl genrsa -out private_key 2048");
    desk.expect("openssl rsa -traditional -in private_key -out pkcs1");
    desk.expect("openssl req -config config -new -key private_key -subj /CN=leaf -out request");
    desk.expect(&format!(
        "openssl x509 -req -in request -CA ca -CAkey ca_key -CAcreateserial -days {days} -out certificate"
    ));
    desk
}

fn text(desk: &Desk, name: &str) -> SecretText {
    SecretText::new(desk.read(name))
}

fn refused(result: crate::domain::Result<Inspection>, field: &str, why: &str) {
    match result {
        Err(Error::Invalid(all)) => assert!(all[0].field == field && all[0].why.contains(why), "{all:?}"),
        other => panic!("{field}: {other:?}"),
    }
}

#[test]
fn what_belongs_together_is_accepted_in_every_form() {
    let workshop = Workshop::new();
    let desk = chain(AUTHORITY, "90");
    let (certificate, ca) = (text(&desk, "certificate"), text(&desk, "ca"));
    for key in ["private_key", "pkcs1"] {
        let seen = workshop.inspect_given(&certificate, Some(&ca), Some(&text(&desk, key))).unwrap();
        assert_eq!((seen.days(), seen.is_self_signed, seen.is_authority), (90, false, false));
    }
    assert!(workshop.inspect_given(&certificate, None, None).is_ok());
    assert!(workshop.inspect_given(&ca, Some(&ca), Some(&text(&desk, "ca_key"))).unwrap().is_self_signed);
    // Who signed it stands first; what others keep behind it is theirs.
    let bundle = SecretText::new(format!("{}{}a note -----BEGIN", ca.expose(), certificate.expose()));
    assert!(workshop.inspect_given(&certificate, Some(&bundle), None).is_ok());
    let noted = SecretText::new(format!("{}-----BEGIN CERTIFICATE-----\nhalf of one", certificate.expose()));
    assert!(workshop.inspect_given(&noted, Some(&ca), None).is_ok());
}

#[tokio::test]
async fn one_that_has_ended_is_accepted() {
    let (not_before, not_after) = (at("2001-01-01T00:00:00Z"), at("2002-01-01T00:00:00Z"));
    let old =
        make(&CertificatePlan { not_before, not_after, ..plan("old", KeyAlgorithm::Rsa2048, Role::Leaf) }, None).await;
    let [certificate, key] = ["certificate", "private_key"].map(|name| old.get(name));
    let seen = Workshop::new().inspect_given(certificate.unwrap(), certificate, key).unwrap();
    assert_eq!((seen.not_before, seen.not_after, seen.days()), (not_before, not_after, 365));
}

#[test]
fn a_certificate_that_may_not_sign_is_an_authority_for_itself_only() {
    let workshop = Workshop::new();
    let desk = chain("-addext basicConstraints=CA:FALSE", "90");
    let ca = text(&desk, "ca");
    assert!(workshop.inspect_given(&ca, Some(&ca), None).is_ok());
    refused(workshop.inspect_given(&text(&desk, "certificate"), Some(&ca), None), "ca", "CA:TRUE");
    // The same certificate in other bytes is not the same text.
    let noted = SecretText::new(format!("{}\n", ca.expose()));
    refused(workshop.inspect_given(&ca, Some(&noted), None), "ca", "CA:TRUE");
}

#[test]
fn what_does_not_belong_together_is_refused_by_the_name_of_the_field() {
    let workshop = Workshop::new();
    let (desk, other) = (chain(AUTHORITY, "90"), chain(AUTHORITY, "90"));
    let (certificate, ca, key) = (text(&desk, "certificate"), text(&desk, "ca"), text(&desk, "private_key"));
    let check = |certificate: &SecretText, ca: &SecretText, key: &SecretText| {
        workshop.inspect_given(certificate, Some(ca), Some(key))
    };
    assert!(check(&certificate, &ca, &key).is_ok());
    refused(check(&"hunter2".into(), &ca, &key), "certificate", "no PEM certificate");
    refused(check(&key, &ca, &key), "certificate", "no PEM certificate");
    refused(check(&certificate, &"x".into(), &key), "ca", "no PEM certificate");
    // Of the same name, with another key.
    refused(check(&certificate, &text(&other, "ca"), &key), "certificate", "not signed by");
    refused(check(&certificate, &ca, &text(&other, "private_key")), "private_key", "does not belong");
    refused(check(&certificate, &ca, &certificate), "private_key", "must be PKCS#1 or PKCS#8");

    desk.expect("openssl pkcs8 -topk8 -in private_key -out locked8 -passout pass:hunter2");
    desk.expect("openssl rsa -traditional -aes128 -in private_key -out locked1 -passout pass:hunter2");
    for locked in ["locked1", "locked8"] {
        refused(check(&certificate, &ca, &text(&desk, locked)), "private_key", "not encrypted");
    }
    desk.expect("openssl ecparam -name prime256v1 -genkey -noout -out sec1");
    desk.expect("openssl pkcs8 -topk8 -nocrypt -in sec1 -out elliptic");
    for elliptic in ["sec1", "elliptic"] {
        refused(check(&certificate, &ca, &text(&desk, elliptic)), "private_key", "is not an RSA key");
    }
}
