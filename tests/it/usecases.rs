//! The use cases on the real adapters, without a cluster and without HTTP; only the clock is ours.

use crate::ground::parts;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use strongroom::adapters::store::{MemoryStore, SqliteStore};
use strongroom::app::alarm::Alarm;
use strongroom::app::ports::Clock;
use strongroom::app::{App, credentials, own, services};
use strongroom::domain::actor::{Actor, Scheme, Standing};
use strongroom::domain::authority::{
    AlternativeName, Authority, CertificateRequest, Conventions, DistinguishedName, Issuer, KeyAlgorithm, Policy, Role,
};
use strongroom::domain::client::{Proof, State};
use strongroom::domain::credential::change::{Patch, Source, Wish};
use strongroom::domain::credential::{About, Characters, Credential, Generate, Kind, Material};
use strongroom::domain::name::{Path, Tenant};
use strongroom::domain::permission::Action;
use strongroom::domain::record::{Class, Entry, Owner};
use strongroom::domain::{Conflict, Error};
use x509_parser::nom::AsBytes;
use x509_parser::pem::parse_x509_pem;

struct SetClock(AtomicI64);

impl SetClock {
    fn forward(&self, by: SignedDuration) {
        self.0.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).expect("a time")
    }
}

struct Room {
    app: App,
    clock: Arc<SetClock>,
    _key: tempfile::TempDir,
}

const KEEP: SignedDuration = SignedDuration::from_hours(1);

async fn room() -> Room {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(SetClock(AtomicI64::new(1_800_000_000)));
    let parts = parts(Arc::new(MemoryStore::default()), &dir.path().join("key"), clock.clone()).await;
    Room { app: App::new(parts), clock, _key: dir }
}

fn owner(kind: &str, name: &str) -> Owner {
    Owner { kind: kind.into(), namespace: "shop".into(), name: name.into() }
}

fn admin() -> Actor {
    Actor { id: "ops".into(), tenant: Tenant::outside(), scheme: Scheme::Basic, standing: Standing::Admin, from: None }
}

fn password(length: u16) -> Wish {
    let parameters = Generate::Password(Characters { length, ..Characters::default() });
    Wish { kind: Kind::Password, about: About::default(), source: Source::Generate(parameters) }
}

fn pairs(fields: &[(&str, &str)]) -> Material {
    Material::texts(fields.iter().map(|(name, value)| (*name, (*value).into())))
}

fn draft(title: &str, fields: &[(&str, &str)]) -> credentials::Draft {
    credentials::Draft { title: title.into(), kind: Kind::Pairs, about: About::default(), material: pairs(fields) }
}

fn request(name: &str, role: Role, issuer: Issuer, validity: SignedDuration) -> CertificateRequest {
    CertificateRequest {
        subject: DistinguishedName::named(name),
        alternative_names: vec![],
        key: KeyAlgorithm::EcdsaP256,
        key_usages: vec![],
        extended_key_usages: vec![],
        role,
        validity,
        issuer,
        conventions: Conventions::Own,
    }
}

impl Room {
    async fn create(&self, draft: credentials::Draft) -> Result<Entry<Credential>, Error> {
        let place = self.app.credentials.require_creatable(&admin(), Some(&draft.title)).await?;
        self.app.credentials.create(&admin(), place, draft).await
    }

    async fn put(&self, id: &str, draft: services::Draft) -> Result<services::View, Error> {
        let slot = self.app.services.require_writable(&admin(), id).await?;
        self.app.services.put(&admin(), slot, draft).await
    }

    async fn credential(&self, name: &str, wish: Wish) -> Entry<Credential> {
        self.app.credentials.converge(&owner("Credential", name), wish, None, KEEP).await.expect("a credential")
    }

    async fn authority(&self, name: &str) -> Entry<Credential> {
        let request =
            request(name, Role::Authority { path_length: None }, Issuer::SelfSigned, SignedDuration::from_hours(1000));
        let wish = Wish {
            kind: Kind::Certificate,
            about: About::default(),
            source: Source::Generate(Generate::Certificate(Box::new(request))),
        };
        let authority = Some(Authority { parent: None, policy: Policy::default() });
        let owner = owner("CertificateAuthority", name);
        self.app.credentials.converge(&owner, wish, authority, KEEP).await.expect("an authority")
    }

    async fn x509(&self, name: &str, state: State) -> Result<(Vec<u8>, Timestamp), Error> {
        let issuer = Issuer::Authority(Path::kubernetes("shop", "root"));
        let request = request(name, Role::Leaf, issuer, SignedDuration::from_hours(30));
        let entry = self.app.clients.converge_x509(&owner("ClientCredential", name), request, state, KEEP).await?;
        let Proof::X509(issued) = entry.body.proof else { panic!("an X.509 client") };
        let pem = issued.material.require("certificate")?.expose().to_owned();
        let (_, pem) = parse_x509_pem(pem.as_bytes()).expect("PEM");
        Ok((pem.contents, issued.not_after))
    }

    async fn accepts(&self, der: &[u8]) -> bool {
        self.app.callers.authenticate_certificate(der.as_bytes()).await.expect("an answer").is_some()
    }
}

#[tokio::test]
async fn a_value_is_generated_once_and_again_only_when_the_wish_changes() {
    let room = room().await;
    let first = room.credential("db", password(30)).await;
    let again = room.credential("db", password(30)).await;
    assert_eq!(first.stamp, again.stamp);
    let other = room.credential("db", password(31)).await;
    assert_eq!(other.stamp.number.0, 2);
    assert_ne!(other.body.material, first.body.material);
}

#[tokio::test]
async fn a_deleted_resource_is_reclaimed_by_its_name_until_it_is_purged() {
    let room = room().await;
    let db = owner("Credential", "db");
    let first = room.credential("db", password(30)).await;
    assert!(room.app.release(Class::Credential, &db).await.unwrap());
    assert!(!room.app.release(Class::Credential, &db).await.unwrap(), "released once");
    let id = first.head.id;
    assert!(matches!(room.app.credentials.view(&admin(), id, true).await, Err(Error::NotFound { .. })));
    let stranger = owner("CertificateAuthority", "db");
    let taken = room.app.credentials.converge(&stranger, password(30), None, KEEP).await;
    assert!(matches!(taken, Err(Error::Conflict(Conflict::Managed { .. }))));

    let reclaimed = room.credential("db", password(30)).await;
    assert_eq!((reclaimed.head.id, reclaimed.stamp.number.0), (id, 2));
    assert_eq!(reclaimed.body.material, first.body.material);

    room.app.release(Class::Credential, &db).await.unwrap();
    room.clock.forward(KEEP - SignedDuration::from_secs(1));
    assert_eq!(room.app.purge().await.unwrap(), 0);
    room.clock.forward(SignedDuration::from_secs(1));
    assert_eq!(room.app.purge().await.unwrap(), 1);
    let new = room.credential("db", password(30)).await;
    assert_ne!(new.head.id, id);
    assert_ne!(new.body.material, first.body.material);
}

#[tokio::test]
async fn a_sweep_releases_what_is_gone_and_nothing_else() {
    let room = room().await;
    for name in ["here", "gone"] {
        room.credential(name, password(30)).await;
    }
    room.authority("root").await;
    room.create(draft("rest", &[("a", "b")])).await.unwrap();
    let swept = room.app.sweep(Class::Credential, |known| known.kind == "Credential" && known.name != "here").await;
    assert_eq!(swept.unwrap(), [owner("Credential", "gone")]);
    let left = room.app.credentials.list(&admin()).await.unwrap();
    let titles: Vec<_> = left.iter().map(|entry| entry.body.title.as_str()).collect();
    assert_eq!(titles, ["/kubernetes/shop/here", "/kubernetes/shop/root", "rest"]);
}

#[tokio::test]
async fn one_record_has_one_writer() {
    let room = room().await;
    let managed = room.credential("db", password(30)).await;
    let error = room.app.credentials.require_writable(&admin(), managed.head.id).await.unwrap_err();
    assert!(matches!(&error, Error::Conflict(Conflict::Managed { owner, .. }) if owner == "Credential shop/db"));

    let written = room.create(draft("/kubernetes/shop/mail", &[("a", "b")])).await.unwrap();
    assert_eq!(written.head.tenant, Tenant::namespace("shop"));
    let stored = room.app.credentials.stored(&owner("Credential", "mail"), Kind::Pairs).await.unwrap();
    assert_eq!(stored.head.id, written.head.id);
    let mail = room.app.credentials.converge(&owner("Credential", "mail"), password(30), None, KEEP).await;
    assert!(matches!(mail, Err(Error::Conflict(Conflict::WrittenElsewhere { .. }))));
    let wrong = room.app.credentials.stored(&owner("Credential", "mail"), Kind::Password).await.unwrap_err();
    assert!(wrong.to_string().starts_with("spec.type"), "{wrong}");
    let waiting = room.app.credentials.stored(&owner("Credential", "none"), Kind::Pairs).await.unwrap_err();
    assert_eq!(waiting.reason(), "AwaitingValue");
}

#[tokio::test]
async fn two_credentials_do_not_share_a_title_and_updates_do_not_cross() {
    let room = room().await;
    let credentials = &room.app.credentials;
    let first = room.create(draft("mail", &[("a", "1")])).await.unwrap();
    let taken = room.create(draft("mail", &[("a", "1")])).await.unwrap_err();
    assert!(matches!(taken, Error::Conflict(Conflict::Exists { id, .. }) if id == first.head.id));
    let patch = |value: &str| Patch { material: Some(pairs(&[("a", value)])), ..Patch::default() };
    credentials.update(&admin(), &first, patch("2")).await.unwrap();
    let late = credentials.update(&admin(), &first, patch("3")).await.unwrap_err();
    assert!(matches!(late, Error::Conflict(Conflict::Stale { .. })));
}

#[tokio::test]
async fn an_authority_signs_for_its_own_namespace_only() {
    let room = room().await;
    room.authority("root").await;
    let leaf = |namespace: &str, ca: &str| {
        let issuer = Issuer::Authority(Path::kubernetes("shop", ca));
        let wish = Generate::Certificate(Box::new(request("x", Role::Leaf, issuer, SignedDuration::from_hours(1))));
        let owner = Owner { namespace: namespace.into(), ..owner("Credential", "tls") };
        let wish = Wish { kind: Kind::Certificate, about: About::default(), source: Source::Generate(wish) };
        (owner, wish)
    };
    let converge = async |(owner, wish): (Owner, Wish)| room.app.credentials.converge(&owner, wish, None, KEEP).await;
    assert!(converge(leaf("shop", "root")).await.is_ok());
    let fields: Vec<_> = room.authority("root").await.body.readable().map(|field| field.name.clone()).collect();
    assert_eq!(fields, ["certificate", "ca"], "its key is for nobody to read");
    let foreign = converge(leaf("other", "root")).await.unwrap_err().to_string();
    let absent = converge(leaf("other", "nothing")).await.unwrap_err().to_string();
    assert_eq!(foreign.replace("root", "x"), absent.replace("nothing", "x"), "existence is not told");
}

#[tokio::test]
async fn a_service_is_what_its_credentials_are() {
    let room = room().await;
    let wish = |names: &[&str]| services::Wish {
        credentials: names.iter().map(ToString::to_string).collect(),
        clients: vec!["till".into()],
    };
    let till = owner("Service", "till");
    room.credential("b", password(30)).await;
    let waiting = room.app.services.converge(&till, wish(&["b", "a"]), KEEP).await.err().expect("a is missing");
    assert!(waiting.to_string().ends_with("Credential a"), "{waiting}");
    room.credential("a", password(30)).await;
    let view = room.app.services.converge(&till, wish(&["b", "a"]), KEEP).await.unwrap();
    let names: Vec<_> = view.members.credentials.iter().map(|member| member.head.name.as_str()).collect();
    assert_eq!(names, ["/kubernetes/shop/b", "/kubernetes/shop/a"]);
    let again = room.app.services.converge(&till, wish(&["b", "a"]), KEEP).await.unwrap();
    assert_eq!(again.entry.stamp, view.entry.stamp, "unchanged");

    let client = Actor {
        id: "shop/till".into(),
        tenant: Tenant::namespace("shop"),
        scheme: Scheme::Basic,
        standing: Standing::Client,
        from: None,
    };
    assert!(room.app.services.view(&client, "shop.till", Action::Get).await.is_ok());
    let other = Actor { id: "shop/other".into(), ..client };
    for id in ["shop.till", "shop.nothing", "SHOP.TILL"] {
        let refused = room.app.services.view(&other, id, Action::Get).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })), "{id}");
    }
    room.app.release(Class::Service, &till).await.unwrap();
    assert!(matches!(room.app.services.view(&admin(), "shop.till", Action::Get).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn credentials_of_one_service_never_hold_one_key() {
    let room = room().await;
    let create = async |title: &str, key: &str| room.create(draft(title, &[(key, "x")])).await.unwrap();
    let (a, b) = (create("a", "one").await, create("b", "two").await);
    let draft = |ids: &[&Entry<Credential>]| services::Draft {
        credentials: Some(ids.iter().map(|entry| entry.head.id).collect()),
        ..services::Draft::default()
    };
    let clash = create("c", "one").await;
    let refused = room.put("s", draft(&[&a, &clash])).await.err().expect("a conflict");
    assert!(matches!(refused, Error::Conflict(Conflict::Keys { .. })));
    assert!(matches!(room.app.services.view(&admin(), "s", Action::Get).await, Err(Error::NotFound { .. })));
    room.put("s", draft(&[&a, &b, &a])).await.unwrap();
    let patch = Patch { material: Some(pairs(&[("one", "y")])), ..Patch::default() };
    let refused = room.app.credentials.update(&admin(), &b, patch).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict(Conflict::Keys { .. })));
}

#[tokio::test]
async fn a_basic_client_calls_with_its_password_while_it_is_active() {
    let room = room().await;
    let clients = &room.app.clients;
    let till = owner("ClientCredential", "till");
    let (password, mark) = clients.draw_password().unwrap();
    let entry = clients.enroll(&till, &password, &mark, State::Active, KEEP).await.unwrap();
    let call = async |name: &str, password: &str| {
        room.app.callers.authenticate_basic(name, &password.into()).await.unwrap().map(|actor| actor.id)
    };
    for _ in 0..2 {
        assert_eq!(call("shop/till", password.expose()).await.as_deref(), Some("shop/till"));
        assert_eq!(call("shop/till", "wrong").await, None);
    }
    assert_eq!(call("SHOP/TILL", password.expose()).await, None);
    assert_eq!(call("nobody", password.expose()).await, None);
    let entry = clients.converge_basic(&till, entry, State::Suspended, KEEP).await.unwrap();
    assert_eq!(call("shop/till", password.expose()).await, None, "suspension counts at once");
    let entry = clients.converge_basic(&till, entry, State::Active, KEEP).await.unwrap();
    assert!(call("shop/till", password.expose()).await.is_some());
    let entry = clients.converge_basic(&till, entry, State::Revoked, KEEP).await.unwrap();
    assert_eq!(call("shop/till", password.expose()).await, None);
    assert!(clients.converge_basic(&till, entry, State::Active, KEEP).await.is_err(), "revoked is the end");
}

#[tokio::test]
async fn what_another_process_does_to_a_client_counts_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let (key, clock) = (dir.path().join("key"), Arc::new(SetClock(AtomicI64::new(1_800_000_000))));
    let open = || Arc::new(SqliteStore::open(&dir.path().join("db"), Alarm::default()).expect("a store"));
    let here = App::new(parts(open(), &key, clock.clone()).await);
    let there = App::new(parts(open(), &key, clock).await);
    let till = owner("ClientCredential", "till");
    let (password, mark) = there.clients.draw_password().unwrap();
    let mut entry = there.clients.enroll(&till, &password, &mark, State::Active, KEEP).await.unwrap();
    let is_known = async || here.callers.authenticate_basic("shop/till", &password).await.unwrap().is_some();
    assert!(is_known().await);
    for state in [State::Suspended, State::Active, State::Suspended, State::Active] {
        entry = there.clients.converge_basic(&till, entry, state, KEEP).await.unwrap();
        assert_eq!(is_known().await, state == State::Active);
    }
    assert!(there.release(Class::Client, &till).await.unwrap());
    assert!(!is_known().await);
}

#[tokio::test]
async fn a_client_made_without_a_cluster_has_a_name_of_its_own() {
    let room = room().await;
    let password = room.app.clients.create("ops", true).await.unwrap();
    let actor = room.app.callers.authenticate_basic("ops", &password).await.unwrap().expect("ops");
    assert_eq!(actor.standing, Standing::Admin);
    assert!(room.app.clients.create("ops", false).await.is_err());
    for bad in ["", "a/b", "a:b", "a b", "ü", &"x".repeat(65)] {
        assert!(room.app.clients.create(bad, false).await.unwrap_err().to_string().starts_with("NAME"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_in_time_and_the_old_one_still_serves() {
    let room = room().await;
    room.authority("root").await;
    let (first, end) = room.x509("till", State::Active).await.unwrap();
    assert_eq!(room.x509("till", State::Active).await.unwrap().0, first, "unchanged");
    assert!(room.accepts(&first).await);
    room.clock.forward(SignedDuration::from_hours(21));
    let (second, _) = room.x509("till", State::Active).await.unwrap();
    assert_ne!(first, second);
    assert!(room.accepts(&first).await && room.accepts(&second).await);
    room.x509("till", State::Suspended).await.unwrap();
    assert!(!room.accepts(&first).await && !room.accepts(&second).await);
    room.x509("till", State::Active).await.unwrap();
    assert!(room.accepts(&first).await && room.accepts(&second).await);
    let now = room.clock.now();
    room.clock.forward(now.duration_until(end));
    assert!(!room.accepts(&first).await, "past its end");
    assert!(room.accepts(&second).await);
    room.app.release(Class::Client, &owner("ClientCredential", "till")).await.unwrap();
    assert!(!room.accepts(&second).await, "deleted");
}

#[tokio::test]
async fn the_roots_of_own_certificates_overlap() {
    let room = room().await;
    let lifetimes = own::Lifetimes { authority: SignedDuration::from_hours(90), leaf: SignedDuration::from_hours(9) };
    let names = [AlternativeName::Dns("localhost".into())];
    let own = &room.app.own;
    let old = own.roots("test", lifetimes).await.unwrap();
    let leaf = own.leaf("test", &names, lifetimes).await.unwrap();
    assert_eq!(own.roots("test", lifetimes).await.unwrap(), old);
    assert_eq!(own.leaf("test", &names, lifetimes).await.unwrap().chain, leaf.chain);

    room.clock.forward(SignedDuration::from_hours(6));
    let renewed = own.leaf("test", &names, lifetimes).await.unwrap();
    assert_ne!(renewed.chain, leaf.chain, "two thirds of its life are over");

    room.clock.forward(SignedDuration::from_hours(54));
    let both = own.roots("test", lifetimes).await.unwrap();
    assert!(both.ends_with(&old) && both.len() > old.len(), "new and old are published together");
    let newest = own.published_root("test").await.unwrap().expect("a root");
    assert!(both.starts_with(&newest));
    let next = own.leaf("test", &names, lifetimes).await.unwrap();
    assert_ne!(next.chain, renewed.chain, "signed by the new root");
}
