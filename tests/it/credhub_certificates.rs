//! Certificates in CredHub's manner through the use cases: who may sign, what an authority's policy leaves of it, and
//! what OpenSSL says of the chain.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use jiff::SignedDuration;
use strongroom::adapters::store::MemoryStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::domain::authority::credhub::Parameters;
use strongroom::domain::authority::{Authority, DistinguishedName, Policy, Unfit};
use strongroom::domain::credential::change::{Source, Wish};
use strongroom::domain::credential::{About, Characters, Credential, Generate, Material};
use strongroom::domain::name::Path;
use strongroom::domain::record::{Entry, Owner};
use strongroom::domain::{Error, Result};

use crate::ground::parts;

const KEEP: SignedDuration = SignedDuration::from_hours(1);

struct Room {
    app: App,
    dir: tempfile::TempDir,
}

async fn room() -> Room {
    let dir = tempfile::tempdir().expect("a folder");
    let parts = parts(Arc::new(MemoryStore::default()), &dir.path().join("key"), Arc::new(SystemClock)).await;
    Room { app: App::new(parts), dir }
}

fn named(common_name: &str) -> Parameters {
    Parameters { subject: DistinguishedName::named(common_name), duration: Some(30), ..Parameters::default() }
}

fn under(ca: &str, common_name: &str) -> Parameters {
    Parameters { ca: Some(Path::kubernetes("shop", ca)), ..named(common_name) }
}

impl Room {
    async fn make(&self, name: &str, generate: Generate, authority: Option<Authority>) -> Result<Entry<Credential>> {
        let owner = Owner { kind: "Credential".into(), namespace: "shop".into(), name: name.into() };
        let wish = Wish { kind: generate.kind(), about: About::default(), source: Source::Generate(generate) };
        self.app.credentials.converge(&owner, wish, authority, KEEP).await
    }

    async fn certificate(&self, name: &str, parameters: Parameters) -> Result<Entry<Credential>> {
        self.make(name, Generate::Certificate(Box::new(parameters.request()?)), None).await
    }

    fn verify(&self, root: &Material, middle: &Material, leaf: &Material) -> String {
        for (file, material) in [("root", root), ("middle", middle), ("leaf", leaf)] {
            let text = material.get("certificate").expect("a certificate").expose();
            fs::write(self.dir.path().join(file), text).expect("a file");
        }
        let words = ["verify", "-CAfile", "root", "-untrusted", "middle", "leaf"];
        let output = Command::new("openssl").args(words).current_dir(self.dir.path()).output();
        String::from_utf8_lossy(&output.expect("this test needs openssl").stdout).into_owned()
    }
}

fn refused(result: Result<Entry<Credential>>, expected: &Error) {
    assert_eq!(result.expect_err("a refusal").to_string(), expected.to_string());
}

#[tokio::test]
async fn a_chain_of_three_verifies_and_a_leaf_may_outlive_who_signed_it() {
    let room = room().await;
    let root = room.certificate("root", Parameters { is_ca: true, ..named("root") }).await.unwrap();
    let middle = room.certificate("middle", Parameters { is_ca: true, ..under("root", "middle") }).await.unwrap();
    let long = Parameters { duration: Some(3650), ..under("middle", "leaf") };
    let leaf = room.certificate("leaf", long.clone()).await.unwrap();
    assert!(leaf.body.not_after > root.body.not_after);
    let [root, middle, own] = [&root, &middle, &leaf].map(|entry| &entry.body.material);
    assert_eq!(own.get("ca"), middle.get("certificate"));
    assert_eq!(room.verify(root, middle, own), "leaf: OK\n");
    let again = room.certificate("leaf", long).await.unwrap();
    assert_eq!(again.stamp.number, leaf.stamp.number, "what is there already is not made again");
}

#[tokio::test]
async fn what_cannot_sign_says_why() {
    let room = room().await;
    refused(
        room.certificate("leaf", under("nothing", "x")).await,
        &Error::not_found(format!("the certificate authority {}", Path::kubernetes("shop", "nothing"))),
    );
    room.make("word", Generate::Password(Characters::default()), None).await.unwrap();
    refused(room.certificate("leaf", under("word", "x")).await, &Unfit::OtherType.into());
    room.certificate("alone", Parameters { self_sign: true, ..named("alone") }).await.unwrap();
    refused(room.certificate("leaf", under("alone", "x")).await, &Unfit::NoAuthority.into());
}

#[tokio::test]
async fn the_policy_of_a_resource_holds_here_too() {
    let room = room().await;
    let root = Parameters { is_ca: true, ..named("root") }.request().unwrap();
    let max_validity = Some(SignedDuration::from_hours(24 * 30));
    let policy = Policy { max_validity, allowed_dns_names: vec!["*.shop.svc".into()] };
    let authority = Some(Authority { parent: None, policy });
    room.make("root", Generate::Certificate(Box::new(root)), authority).await.unwrap();

    let good = Parameters { alternative_names: vec!["till.shop.svc".into()], ..under("root", "till.shop.svc") };
    room.certificate("good", good.clone()).await.unwrap();
    let bad = [
        ("alternativeNames", Parameters { alternative_names: vec!["bank.example".into()], ..good.clone() }),
        ("common_name", under("root", "bank.example")),
        ("duration", Parameters { duration: Some(31), ..good.clone() }),
        ("is_ca", Parameters { is_ca: true, ..good }),
    ];
    for (field, parameters) in bad {
        let error = room.certificate("bad", parameters).await.expect_err(field);
        assert!(matches!(&error, Error::Invalid(all) if all[0].field == field), "{field}: {error}");
    }
}
