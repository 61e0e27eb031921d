//! OpenSSL judges every certificate that the programs got: who signed it, for what it is good, whose it is, and whether its
//! key is its own.

use super::{Outcomes, Program};
use crate::rest::openssl::Desk;

/// A certificate that a call returned, laid on the desk under a name.
struct Bench<'a> {
    desk: Desk,
    outcomes: &'a Outcomes,
    by: &'a str,
}

/// What a text of OpenSSL's must have in it.
type Marks = &'static [&'static str];

const ROOT: Marks =
    &["Subject: CN=Root", "Issuer: CN=Root", "X509v3 Basic Constraints: critical\n                CA:TRUE\n"];
const BELOW: Marks = &[
    "Subject: O=Shop\\, Inc.,CN=Below\n",
    "Issuer: CN=Root\n",
    "X509v3 Basic Constraints: critical\n                CA:TRUE\n",
    "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
    "Public-Key: (2048 bit)",
];
const LEAF: Marks = &[
    "Version: 3",
    "Signature Algorithm: sha256WithRSAEncryption",
    "Issuer: O=Shop\\, Inc.,CN=Below\n",
    "Public-Key: (3072 bit)",
    "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
    "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment\n",
    "X509v3 Extended Key Usage: \n                TLS Web Server Authentication, TLS Web Client Authentication\n",
    "X509v3 Subject Alternative Name: \n                DNS:mail.example.com, DNS:*.mail.example.com, IP Address:10.1.2.3, \
     IP Address:FD00:0:0:0:0:0:0:1\n",
];
/// The whole name, as RFC 2253 writes it: what is encoded last comes first.
const LEAF_SUBJECT: &str = "subject=L=Bern,O=Shop,ST=BE,C=CH,OU=Mail,CN=mail.example.com\n";

pub fn judge(program: Program, outcomes: &Outcomes, by: &str) {
    let bench = Bench { desk: Desk::new(), outcomes, by };
    bench.chain("generate an authority", "generate a certificate");
    bench.chain("a regenerated authority", "a regenerated certificate");
    bench.differ("generate a certificate", "a regenerated certificate");
    bench.differ("generate an authority", "a regenerated authority");
    bench.lay("generate a certificate of its own", "alone");
    bench.accepted(&["-CAfile", "alone", "alone"], "alone");
    assert!(bench.ends_within("alone", 1) && !bench.ends_within("alone", 0), "of one day");
    bench.rotated();
    if program == Program::Go {
        bench.lay("generate a plain authority", "plain");
        bench.has("plain", &["CA:TRUE"]);
        assert!(!bench.text("plain").contains("Key Usage"), "usages that nobody asked for");
        // As it was given, letter for letter.
        let given = ["set a certificate", "set a certificate by its authority's name"];
        let [raw, named] = given.map(|call| bench.value(call, "certificate").to_owned());
        assert_eq!(raw, named);
    }
}

impl Bench<'_> {
    fn value(&self, call: &str, field: &str) -> &str {
        let value = self.outcomes.at(self.by, call, &format!("/value/{field}"));
        value.as_str().unwrap_or_else(|| panic!("no {field} in {call} by {}: {value}", self.by))
    }

    fn lay(&self, call: &str, name: &str) {
        self.desk.lay(name, self.value(call, "certificate"));
        if let Some(key) = self.outcomes.at(self.by, call, "/value/private_key").as_str() {
            self.desk.lay("key", key);
            let of = |words: &[&str]| self.desk.openssl(words).expect("a public key");
            let [certified, own] =
                [of(&["x509", "-in", name, "-noout", "-pubkey"]), of(&["pkey", "-in", "key", "-pubout"])];
            assert_eq!(certified, own, "the key of {call} is another's");
        }
    }

    fn accepted(&self, words: &[&str], name: &str) {
        let verified = self.desk.openssl(&[&["verify"], words].concat());
        assert_eq!(verified.as_deref(), Ok(format!("{name}: OK\n").as_str()), "{words:?} by {}", self.by);
    }

    fn text(&self, name: &str) -> String {
        self.desk.openssl(&["x509", "-in", name, "-noout", "-text", "-nameopt", "RFC2253"]).expect("a certificate")
    }

    fn has(&self, name: &str, marks: &[&str]) {
        let text = self.text(name);
        for mark in marks {
            assert!(text.contains(mark), "{name} by {} lacks {mark:?}: {text}", self.by);
        }
    }

    /// Up to the root, and what each says of itself.
    fn chain(&self, authority: &str, certificate: &str) {
        for (call, name) in [("generate a root", "root"), (authority, "below"), (certificate, "leaf")] {
            self.lay(call, name);
        }
        let chain = ["-x509_strict", "-CAfile", "root", "-untrusted", "below", "-purpose", "sslserver"];
        for host in ["mail.example.com", "in.mail.example.com"] {
            self.accepted(&[&chain[..], &["-verify_hostname", host, "leaf"]].concat(), "leaf");
        }
        self.accepted(&[&chain[..5], &["-purpose", "sslclient", "-verify_ip", "10.1.2.3", "leaf"]].concat(), "leaf");
        for (name, marks) in [("root", ROOT), ("below", BELOW), ("leaf", LEAF)] {
            self.has(name, marks);
        }
        let subject = self.desk.openssl(&["x509", "-in", "leaf", "-noout", "-subject", "-nameopt", "RFC2253"]);
        assert_eq!(subject.as_deref(), Ok(LEAF_SUBJECT));
        assert!(self.ends_within("leaf", 30) && !self.ends_within("leaf", 29), "of thirty days");
        assert!(self.ends_within("root", 3650) && !self.ends_within("root", 3649), "of ten years");
        assert_eq!(self.authority_of("leaf"), self.identifier("below"));
        assert_eq!(self.authority_of("below"), self.identifier("root"));
        assert_eq!(self.value(certificate, "ca").trim(), self.value(authority, "certificate").trim());
    }

    /// A second certificate of the same name has a number and a key of its own.
    fn differ(&self, before: &str, after: &str) {
        self.lay(before, "before");
        self.lay(after, "after");
        let all = |name: &str| [self.identifier(name), self.read(name, "-serial")];
        for (before, after) in all("before").iter().zip(all("after")) {
            assert_ne!(*before, after);
        }
        assert_eq!(self.read("before", "-subject"), self.read("after", "-subject"));
        let serial = self.read("after", "-serial");
        assert!(!serial.contains('-') && serial.len() > "serial=".len() + 30, "not a long random number: {serial}");
    }

    /// Who trusts what came with the certificate a step ago accepts the one of now, and the other way round: between any two
    /// steps, servers and clients may be told in any order.
    fn rotated(&self) {
        let steps = [
            "rotation: a certificate",
            "rotation: the certificate with both roots",
            "rotation: the certificate of the second root",
            "rotation: the certificate with one root",
        ];
        for pair in steps.windows(2) {
            for (trusted, shown) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                self.desk.lay("roots", self.value(trusted, "ca"));
                self.lay(shown, "turned");
                self.accepted(&["-CAfile", "roots", "-verify_hostname", "turned", "turned"], "turned");
            }
        }
        self.differ("rotation: a root", "rotation: a second root");
    }

    fn read(&self, name: &str, what: &str) -> String {
        self.desk.openssl(&["x509", "-in", name, "-noout", what]).expect("a certificate")
    }

    fn identifier(&self, name: &str) -> String {
        self.extension(name, "subjectKeyIdentifier")
    }

    fn authority_of(&self, name: &str) -> String {
        self.extension(name, "authorityKeyIdentifier")
    }

    /// Its hex, without what stands before it.
    fn extension(&self, name: &str, extension: &str) -> String {
        let text = self.desk.openssl(&["x509", "-in", name, "-noout", "-ext", extension]).expect("an extension");
        let line = text.lines().nth(1).unwrap_or_else(|| panic!("{name} has no {extension}: {text}"));
        line.trim().trim_start_matches("keyid:").to_owned()
    }

    fn ends_within(&self, name: &str, days: i64) -> bool {
        // A minute more: it was made a moment ago.
        let seconds = (days * 86_400 + if days > 0 { 0 } else { 60 }).to_string();
        self.desk.openssl(&["x509", "-in", name, "-noout", "-checkend", &seconds]).is_err()
    }
}
