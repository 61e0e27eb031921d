//! Certificates in CredHub's manner through the use cases: who may sign, what an authority's policy leaves of it, and
//! what OpenSSL says of the chain.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use jiff::SignedDuration;
use strongroom::adapters::store::MemoryStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::App;
use strongroom::app::by_path::{Made, Mode};
use strongroom::domain::actor::{Actor, Scheme, Standing};
use strongroom::domain::authority::credhub::Parameters;
use strongroom::domain::authority::{Authority, DistinguishedName, Issuer, Policy, Unfit};
use strongroom::domain::credential::change::{Source, Wish};
use strongroom::domain::credential::{About, Characters, Generate, Kind, Material};
use strongroom::domain::name::{Path, Tenant};
use strongroom::domain::record::Owner;
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

fn admin() -> Actor {
    Actor { id: "ops".into(), tenant: Tenant::outside(), scheme: Scheme::Basic, standing: Standing::Admin, from: None }
}

fn path(name: &str) -> Path {
    Path::parse(&format!("/team/{name}")).expect("a path")
}

fn named(common_name: &str) -> Parameters {
    Parameters { subject: DistinguishedName::named(common_name), duration: Some(30), ..Parameters::default() }
}

fn under(ca: &str, common_name: &str) -> Parameters {
    Parameters { ca: Some(path(ca)), ..named(common_name) }
}

impl Room {
    async fn make(&self, name: &str, wish: Generate) -> Result<Made> {
        let signer = match &wish {
            Generate::Certificate(request) => match &request.issuer {
                Issuer::Authority(path) => Some(self.app.by_path.signer(&admin(), path).await?),
                Issuer::SelfSigned => None,
            },
            _ => None,
        };
        let slot = self.app.by_path.require_writable(&admin(), &path(name)).await?;
        self.app.by_path.generate(&admin(), slot, Mode::Converge, wish, signer, None).await
    }

    async fn certificate(&self, name: &str, parameters: Parameters) -> Result<Made> {
        self.make(name, Generate::Certificate(Box::new(parameters.request()?))).await
    }

    /// Of a resource, with what it lets itself be used for.
    async fn authority(&self, policy: Policy) -> Path {
        let owner = Owner { kind: "CertificateAuthority".into(), namespace: "shop".into(), name: "root".into() };
        let request = Parameters { is_ca: true, ..named("root") }.request().expect("a request");
        let source = Source::Generate(Generate::Certificate(Box::new(request)));
        let wish = Wish { kind: Kind::Certificate, about: About::default(), source };
        let authority = Some(Authority { parent: None, policy });
        self.app.credentials.converge(&owner, wish, authority, KEEP).await.expect("an authority");
        Path::kubernetes("shop", "root")
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

fn refused(result: Result<Made>, expected: &Error) {
    assert_eq!(result.err().expect("a refusal").to_string(), expected.to_string());
}

#[tokio::test]
async fn a_chain_of_three_verifies_and_a_leaf_may_outlive_who_signed_it() {
    let room = room().await;
    let root = room.certificate("root", Parameters { is_ca: true, ..named("root") }).await.unwrap();
    let middle = room.certificate("middle", Parameters { is_ca: true, ..under("root", "middle") }).await.unwrap();
    let long = Parameters { duration: Some(3650), ..under("middle", "leaf") };
    let leaf = room.certificate("leaf", long.clone()).await.unwrap();
    assert!(leaf.version.not_after() > root.version.not_after());
    let [root, middle, own] = [&root, &middle, &leaf].map(|made| made.version.material());
    assert_eq!(own.get("ca"), middle.get("certificate"));
    assert_eq!(room.verify(root, middle, own), "leaf: OK\n");
    assert!(!room.certificate("leaf", long).await.unwrap().is_new, "what is there already is not made again");
}

#[tokio::test]
async fn what_cannot_sign_says_why() {
    let room = room().await;
    let missing = Error::not_found(format!("the certificate authority {}", path("nothing")));
    refused(room.certificate("leaf", under("nothing", "x")).await, &missing);
    room.make("word", Generate::Password(Characters::default())).await.unwrap();
    refused(room.certificate("leaf", under("word", "x")).await, &Unfit::OtherType.into());
    room.certificate("alone", Parameters { self_sign: true, ..named("alone") }).await.unwrap();
    refused(room.certificate("leaf", under("alone", "x")).await, &Unfit::NoAuthority.into());
}

#[tokio::test]
async fn the_policy_of_a_resource_holds_here_too() {
    let room = room().await;
    let max_validity = Some(SignedDuration::from_hours(24 * 30));
    let ca = Some(room.authority(Policy { max_validity, allowed_dns_names: vec!["*.shop.svc".into()] }).await);
    let till = || Parameters { ca: ca.clone(), ..named("till.shop.svc") };
    let good = Parameters { alternative_names: vec!["till.shop.svc".into()], ..till() };
    room.certificate("good", good.clone()).await.unwrap();
    let bad = [
        ("alternativeNames", Parameters { alternative_names: vec!["bank.example".into()], ..till() }),
        ("common_name", Parameters { subject: DistinguishedName::named("bank.example"), ..till() }),
        ("duration", Parameters { duration: Some(31), ..till() }),
        ("is_ca", Parameters { is_ca: true, ..good }),
    ];
    for (field, parameters) in bad {
        let error = room.certificate("bad", parameters).await.err().expect(field);
        assert!(matches!(&error, Error::Invalid(all) if all[0].field == field), "{field}: {error}");
    }
}
