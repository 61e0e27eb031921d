//! OpenSSL, which shares no code with what makes certificates here: it judges them and makes signing requests.

use std::fs;
use std::process::Command;

use serde_json::Value;

/// A folder with files for OpenSSL.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        // Instead of the machine's own configuration, which adds extensions.
        desk.lay("config", "[req]\ndistinguished_name=dn\n[dn]\n");
        desk
    }

    pub fn lay(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    pub fn openssl(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new("openssl").args(words).current_dir(self.0.path()).output();
        let output = output.expect("these tests need openssl");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(said(&output.stdout))
        } else {
            Err(said(&output.stderr) + &said(&output.stdout))
        }
    }

    /// A signing request in PEM, for a new key of this sort.
    pub fn csr(&self, key: &[&str], subject: &str, more: &[&str]) -> String {
        let mut make = vec!["genpkey", "-out", "key"];
        make.extend(key);
        self.openssl(&make).unwrap();
        let mut ask = vec!["req", "-config", "config", "-new", "-utf8", "-key", "key", "-subj", subject];
        ask.extend(more);
        self.openssl(&ask).unwrap()
    }

    /// Held by its chain up to the root, and readable text of it.
    pub fn judged(&self, answer: &Value, root: &str) -> String {
        self.lay("leaf", answer["certificate"].as_str().unwrap());
        self.lay("chain", answer["certificate_chain"].as_str().unwrap());
        self.lay("root", root);
        let verified = self.openssl(&["verify", "-x509_strict", "-CAfile", "root", "-untrusted", "chain", "leaf"]);
        assert_eq!(verified.as_deref(), Ok("leaf: OK\n"));
        self.openssl(&["x509", "-in", "leaf", "-noout", "-text", "-nameopt", "RFC2253"]).unwrap()
    }

    /// Of the certificate that was judged last.
    pub fn ends_within(&self, days: i64) -> bool {
        self.openssl(&["x509", "-in", "leaf", "-noout", "-checkend", &(days * 86_400).to_string()]).is_err()
    }
}
