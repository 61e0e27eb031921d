//! Who calls: clients and users of the issuer, and apps with certificates that OpenSSL makes as Cloud Foundry's are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::issuer::{Issuer, SCOPES};

const APP: &str = "2d9f2bb1-5e4c-4f6e-8d2a-1c5b9e0a7f31";

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
/// CredHub knows no other certificates.
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

pub struct Callers {
    dir: PathBuf,
    /// What a program must know of them.
    pub plan: Value,
    /// Who they are to permissions: the client with the token and the app with the certificate.
    pub client: String,
    pub app: String,
}

impl Callers {
    pub fn made(issuer: &Issuer, dir: &Path) -> Self {
        let mut callers = Self {
            dir: dir.to_owned(),
            plan: json!({}),
            client: "uaa-client:bosh".to_owned(),
            app: format!("mtls-app:{APP}"),
        };
        callers.with_tokens(issuer);
        callers.with_certificates();
        callers.values();
        callers
    }

    fn add(&mut self, name: &str, mut more: Value, place: &str) {
        more["place"] = json!(format!("/calls/{place}"));
        more["shared"] = json!("/calls/token/given-password");
        more["self"] = json!(if place == "token" { &self.client } else { &self.app });
        self.plan[name] = more;
    }

    fn with_tokens(&mut self, issuer: &Issuer) {
        let secret = issuer.add_client("bosh", &SCOPES);
        self.add("token", json!({ "client": "bosh", "secret": secret }), "token");
        let secret = issuer.add_client("reader", &SCOPES);
        self.add("reader", json!({ "client": "reader", "secret": secret }), "token");
        let secret = issuer.add_client("half", &SCOPES[..1]);
        self.add("no scope", json!({ "client": "half", "secret": secret }), "token");
        self.add("wrong secret", json!({ "client": "bosh", "secret": "guessed" }), "token");
        self.add("nobody", json!({}), "token");
        let (_, password) = issuer.add_user("ann", &SCOPES);
        let user = json!({ "client": "credhub_cli", "secret": "", "user": "ann", "password": password });
        self.add("user", user, "token");
        // Its token was good once: the library is to get another by itself.
        let mut claims = issuer.claims("bosh");
        let issued = claims["iat"].as_i64().expect("a time") - 7200;
        claims["iat"] = json!(issued);
        claims["exp"] = json!(issued + 3600);
        let mut expired = self.plan["token"].clone();
        expired["token"] = json!(issuer.token(&claims));
        self.add("expired", expired, "token");
    }

    fn with_certificates(&mut self) {
        let app = format!("/OU=organization:{APP}+OU=space:{APP}+OU=app:{APP}/CN=instance");
        self.root("apps", P256);
        self.root("others", P256);
        for (caller, file, authority, subject) in [
            ("certificate", "app", "apps", app.as_str()),
            ("foreign certificate", "other", "others", &app),
            ("no identity", "plain", "apps", "/CN=instance"),
            ("expired certificate", "old", "apps", ""),
        ] {
            self.key(file, P256);
            match subject {
                "" => self.expired(file, authority),
                subject => self.sign(file, authority, subject, "extendedKeyUsage=clientAuth"),
            }
            let files =
                json!({ "certificate": self.file(&format!("{file}.crt")), "key": self.file(&format!("{file}.key")) });
            self.add(caller, files, "certificate");
        }
    }

    /// OpenSSL signs nothing that has ended already.
    fn expired(&self, name: &str, authority: &str) {
        let [key, signs] =
            [name, authority].map(|name| KeyPair::from_pem(&self.text(&format!("{name}.key"))).expect("a key"));
        let signer =
            rcgen::Issuer::from_ca_cert_pem(&self.text(&format!("{authority}.crt")), signs).expect("an authority");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationalUnitName, format!("app:{APP}"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2024, 2, 1));
        let certificate = params.signed_by(&key, &signer).expect("a certificate");
        fs::write(self.file(&format!("{name}.crt")), certificate.pem()).expect("written");
    }

    /// Certificates that are to be set.
    fn values(&self) {
        for name in ["signed", "foreign"] {
            let root = format!("{name}-root");
            self.root(&root, RSA);
            self.key(name, RSA);
            self.sign(name, &root, &format!("/CN={name}"), "subjectAltName=DNS:given.example.com");
        }
    }

    fn openssl(&self, words: &[&str]) {
        let done =
            Command::new("openssl").args(words).current_dir(&self.dir).output().expect("these tests need openssl");
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn key(&self, name: &str, sort: &[&str]) {
        self.openssl(&[&["genpkey", "-out", &format!("{name}.key")], sort].concat());
    }

    fn root(&self, name: &str, sort: &[&str]) {
        self.key(name, sort);
        let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
        self.openssl(&["req", "-x509", "-key", &key, "-out", &certificate, "-subj", &subject, "-days", "365"]);
    }

    fn sign(&self, name: &str, authority: &str, subject: &str, extension: &str) {
        let [key, request, certificate, extensions] = ["key", "csr", "crt", "ext"].map(|end| format!("{name}.{end}"));
        let [signer, signs] = ["crt", "key"].map(|end| format!("{authority}.{end}"));
        fs::write(self.dir.join(&extensions), extension).expect("written");
        self.openssl(&["req", "-new", "-key", &key, "-out", &request, "-subj", subject, "-multivalue-rdn"]);
        let by = ["-CA", &signer, "-CAkey", &signs, "-CAcreateserial", "-days", "365", "-extfile", &extensions];
        self.openssl(&[&["x509", "-req", "-in", &request, "-out", &certificate][..], &by].concat());
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("a file")
    }

    pub fn pair(&self, name: &str) -> Value {
        let [root, certificate, key] = [format!("{name}-root.crt"), format!("{name}.crt"), format!("{name}.key")];
        json!({ "ca": self.text(&root), "certificate": self.text(&certificate), "privateKey": self.text(&key) })
    }
}
