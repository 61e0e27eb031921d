//! Callers of CredHub's API who write at the same time, through the use cases: another one comes first, at exactly the
//! moment before a write.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use strongroom::adapters::store::SqliteStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::alarm::Alarm;
use strongroom::app::by_path::{Made, Mode, Order, Setting, Standing, Version, Wanted};
use strongroom::app::ports::Fence;
use strongroom::app::{App, Parts};
use strongroom::domain::actor::Actor;
use strongroom::domain::authority::credhub::Parameters;
use strongroom::domain::authority::{DistinguishedName, Issuer};
use strongroom::domain::credential::lineage::Signed;
use strongroom::domain::credential::{Generate, Kind, Material};
use strongroom::domain::name::{Path, RecordId};
use strongroom::domain::{Error, Result};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::ground::parts;
use crate::keys::Counted;
use crate::watched::{Eye, Watched};

/// What another does before the next write, and how many writes were refused.
#[derive(Default)]
struct First {
    act: Mutex<Option<BoxFuture<'static, ()>>>,
    refused: AtomicUsize,
}

impl Eye for First {
    fn before_write(&self, _: Option<Fence>) {
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            tokio::task::block_in_place(|| Handle::current().block_on(act));
        }
    }

    fn after_write(&self, _: Option<Fence>, written: &Result<()>) {
        self.refused.fetch_add(usize::from(written.is_err()), Ordering::SeqCst);
    }
}

/// Two processes on one store: one looked at, and another that comes first.
pub struct Race {
    pub one: Caller,
    pub other: Caller,
    /// Those of the one that is looked at.
    pub keys: Arc<Counted>,
    first: Arc<First>,
    _folder: TempDir,
}

#[derive(Clone)]
pub struct Caller(pub Arc<App>);

impl Race {
    pub async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("store.db"), Alarm::default()).unwrap());
        let (key, clock) = (folder.path().join("key"), Arc::new(SystemClock));
        let first = Arc::new(First::default());
        let watched = Arc::new(Watched { store: store.clone(), eye: first.clone() });
        let keys = Arc::new(Counted::default());
        let own = parts(store.clone(), &key, clock.clone()).await;
        let looked_at = Parts { store: watched, keymaker: keys.clone(), ..own };
        let [one, other] = [looked_at, parts(store, &key, clock).await].map(|parts| Caller(Arc::new(App::new(parts))));
        Self { one, other, keys, first, _folder: folder }
    }

    pub fn before_the_next_write(&self, act: impl Future<Output = ()> + Send + 'static) {
        *self.first.act.lock().unwrap() = Some(Box::pin(act));
    }

    fn refused(&self) -> usize {
        self.first.refused.load(Ordering::SeqCst)
    }

    fn rotate_before_the_next_write(&self, ca: RecordId) {
        let other = self.other.clone();
        self.before_the_next_write(async move { drop(other.regenerate(ca, WAITING).await.unwrap()) });
    }

    async fn require_trusts_what_waits(&self, made: &Version) {
        let waiting = self.one.current("/ca").await.unwrap().pop().unwrap();
        assert!(waiting.is_transitional());
        assert_eq!(trusted(made), Some(pem(&waiting).as_str()));
    }

    pub fn require_raced(&self) {
        assert!(self.first.act.lock().unwrap().is_none(), "nothing was written");
    }
}

pub fn admin() -> Actor {
    Actor::operator()
}

pub fn path(name: &str) -> Path {
    Path::parse(name).unwrap()
}

pub fn certificate(common_name: &str, ca: Option<&str>) -> Parameters {
    let subject = DistinguishedName::named(common_name);
    Parameters { subject, duration: Some(30), is_ca: ca.is_none(), ca: ca.map(path), ..Parameters::default() }
}

fn pem(version: &Version) -> String {
    version.material().get("certificate").unwrap().expose().to_owned()
}

fn trusted(version: &Version) -> Option<&str> {
    version.signed()?.trusted.as_deref()
}

const WAITING: Standing = Standing { is_transitional: true, concatenates: true };
const COUNTING: Standing = Standing { is_transitional: false, concatenates: true };

impl Caller {
    async fn set(&self, name: &str, text: &str) -> Result<Version> {
        let slot = self.0.by_path.require_writable(&admin(), &path(name)).await?;
        let material = Material::texts([("value", text.into())]);
        let setting =
            Setting { kind: Kind::Value, material, metadata: None, not_after: None, signed: Signed::default() };
        self.0.by_path.set(&admin(), slot, setting).await
    }

    async fn generate(&self, name: &str, ca: Option<&str>) -> Version {
        self.make(name, certificate(name, ca)).await
    }

    pub async fn make(&self, name: &str, parameters: Parameters) -> Version {
        let signer = match &parameters.ca {
            Some(ca) => Some(self.0.by_path.signer(&admin(), ca).await.unwrap()),
            None => None,
        };
        let wish = Generate::Certificate(Box::new(parameters.request().unwrap()));
        let slot = self.0.by_path.require_writable(&admin(), &path(name)).await.unwrap();
        let Made { version, .. } =
            self.0.by_path.generate(&admin(), slot, Mode::Overwrite, wish, signer, None).await.unwrap();
        version
    }

    async fn regenerate(&self, id: RecordId, how: Standing) -> Result<Version> {
        let entry = self.0.by_path.writable_certificate(&admin(), id).await?;
        let wish = self.0.by_path.active_again(&entry)?;
        let Generate::Certificate(request) = &wish else { panic!("no certificate") };
        let signer = match &request.issuer {
            Issuer::Authority(path) => Some(self.0.by_path.signer_again(path, false).await?),
            Issuer::SelfSigned => None,
        };
        self.0.by_path.regenerate_certificate(&admin(), &entry, Order { wish, signer, metadata: None }, how).await
    }

    pub async fn current(&self, name: &str) -> Result<Vec<Version>> {
        self.0.by_path.current(&admin(), name).await
    }
}

fn id(version: &Version) -> RecordId {
    version.entry().head.id
}

#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_waits_for_who_writes() {
    let race = Race::begin().await;
    race.other.set("/a", "1").await.unwrap();
    let other = race.other.clone();
    race.before_the_next_write(async move { drop(other.set("/a", "2").await.unwrap()) });
    race.one.0.by_path.delete(&admin(), "/a").await.unwrap();
    race.require_raced();
    assert!(matches!(race.one.current("/a").await, Err(Error::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_delete_one_finds_nothing() {
    let race = Race::begin().await;
    race.other.set("/a", "1").await.unwrap();
    let other = race.other.clone();
    race.before_the_next_write(async move { other.0.by_path.delete(&admin(), "/a").await.unwrap() });
    let deleted = race.one.0.by_path.delete(&admin(), "/a").await;
    race.require_raced();
    assert!(matches!(deleted, Err(Error::NotFound { .. })), "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_do_not_both_wait() {
    let race = Race::begin().await;
    let ca = id(&race.other.generate("/ca", None).await);
    race.rotate_before_the_next_write(ca);
    let Err(Error::Invalid(violations)) = race.one.regenerate(ca, WAITING).await else { panic!("both wait") };
    race.require_raced();
    assert_eq!(violations[0].field, "set_as_transitional");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_while_its_authority_is_rotated_trusts_both_of_its_certificates() {
    let race = Race::begin().await;
    let ca = id(&race.other.generate("/ca", None).await);
    let leaf = id(&race.other.generate("/leaf", Some("/ca")).await);
    race.rotate_before_the_next_write(ca);
    let made = race.one.regenerate(leaf, COUNTING).await.unwrap();
    race.require_raced();
    let waiting = race.one.current("/ca").await.unwrap().pop().unwrap();
    assert!(waiting.is_transitional());
    assert_eq!(trusted(&made), Some(pem(&waiting).as_str()));
    assert_eq!(trusted(&race.one.current("/leaf").await.unwrap()[0]), trusted(&made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_trusts_what_came_to_wait_since_its_signer_was_asked() {
    let race = Race::begin().await;
    let ca = race.one.generate("/ca", None).await;
    let signer = race.one.0.by_path.signer(&admin(), &path("/ca")).await.unwrap();
    let slot = race.one.0.by_path.require_writable(&admin(), &path("/leaf")).await.unwrap();
    let waiting = race.other.regenerate(id(&ca), WAITING).await.unwrap();
    let wish = Generate::Certificate(Box::new(certificate("leaf", Some("/ca")).request().unwrap()));
    let made = race.one.0.by_path.generate(&admin(), slot, Mode::Converge, wish, Some(signer), None).await.unwrap();
    assert_eq!(made.version.material().get("ca").unwrap().expose(), pem(&ca));
    assert_eq!(trusted(&made.version), Some(pem(&waiting).as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_not_written_beside_a_turn_of_its_authority_that_it_has_not_seen() {
    let race = Race::begin().await;
    let ca = id(&race.other.generate("/ca", None).await);
    race.rotate_before_the_next_write(ca);
    let made = race.one.generate("/leaf", Some("/ca")).await;
    race.require_raced();
    race.require_trusts_what_waits(&made).await;
    assert_eq!(trusted(&race.other.current("/leaf").await.unwrap()[0]), trusted(&made));
    assert_eq!(made.revision().0, 1, "it is written once");
    assert_eq!((race.keys.take().0.len(), race.refused()), (1, 1), "it is made once, for two tries");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_signed_at_once_are_in_nobodys_way() {
    let race = Race::begin().await;
    let ca = race.other.generate("/ca", None).await;
    let other = race.other.clone();
    race.before_the_next_write(async move { drop(other.generate("/first", Some("/ca")).await) });
    race.one.generate("/second", Some("/ca")).await;
    race.require_raced();
    assert_eq!(race.refused(), 0);
    let after = race.one.current("/ca").await.unwrap().remove(0);
    assert_eq!((after.revision(), after.id()), (ca.revision(), ca.id()), "nor is their authority written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_comes_to_an_authority_is_not_written_beside_a_turn_either() {
    let race = Race::begin().await;
    race.other.generate("/before", None).await;
    race.other.generate("/leaf", Some("/before")).await;
    let ca = id(&race.other.generate("/ca", None).await);
    race.rotate_before_the_next_write(ca);
    let made = race.one.generate("/leaf", Some("/ca")).await;
    race.require_raced();
    race.require_trusts_what_waits(&made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_told_to_who_was_signed_while_it_was_written() {
    for wanted in [None, Some(Wanted::None), Some(Wanted::Newest)] {
        let race = Race::begin().await;
        let ca = id(&race.other.generate("/ca", None).await);
        race.other.generate("/known", Some("/ca")).await;
        if wanted == Some(Wanted::None) {
            race.other.regenerate(ca, WAITING).await.unwrap();
        }
        if wanted == Some(Wanted::Newest) {
            race.other.regenerate(ca, COUNTING).await.unwrap();
        }
        let other = race.other.clone();
        race.before_the_next_write(async move { drop(other.generate("/leaf", Some("/ca")).await) });
        match wanted {
            None => drop(race.one.regenerate(ca, WAITING).await.unwrap()),
            Some(wanted) => drop(race.one.0.by_path.move_transitional(&admin(), ca, wanted, true).await.unwrap()),
        }
        race.require_raced();
        let [known, leaf] = ["/known", "/leaf"].map(|name| race.one.current(name));
        let (known, leaf) = (known.await.unwrap().remove(0), leaf.await.unwrap().remove(0));
        let authority = race.one.current("/ca").await.unwrap();
        let waiting = authority.iter().find(|version| version.is_transitional()).map(pem);
        // Who was signed by the one that waits now is to trust the one that counts.
        let is_of = |version: &Version| version.material().get("ca").map(|ca| ca.expose().to_owned());
        let other = if is_of(&leaf) == waiting { Some(pem(&authority[0])) } else { waiting };
        assert_eq!(trusted(&leaf).map(str::to_owned), other, "{wanted:?}");
        assert_eq!(leaf.revision().0, 2, "{wanted:?}: its own, and what it was told");
        assert_eq!(known.revision().0, if wanted == Some(Wanted::None) { 3 } else { 2 }, "{wanted:?}: nobody twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_regeneration_that_comes_second_is_of_what_came_first() {
    let race = Race::begin().await;
    let ca = id(&race.other.generate("/ca", None).await);
    race.other.generate("/leaf", Some("/ca")).await;
    let (other, leaf) = (race.other.clone(), race.one.current("/leaf").await.unwrap().remove(0));
    race.before_the_next_write(async move {
        other.regenerate(ca, COUNTING).await.unwrap();
        other.regenerate(ca, WAITING).await.unwrap();
    });
    let names = race.one.0.by_path.regenerate_signed_by(&admin(), &path("/ca"), |_| ()).await.unwrap();
    race.require_raced();
    assert_eq!(names, ["/leaf"]);
    let after = race.one.current("/leaf").await.unwrap().remove(0);
    assert_ne!(pem(&after), pem(&leaf));
    let [counts, waits] = &race.one.current("/ca").await.unwrap()[..] else { panic!("two versions") };
    assert_eq!(after.material().get("ca").unwrap().expose(), pem(counts));
    assert_eq!(trusted(&after), Some(pem(waits).as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_added_where_a_resource_looks_has_all_that_a_secret_needs() {
    let race = Race::begin().await;
    let name = "/kubernetes/shop/till";
    let made = race.one.generate(name, None).await;
    let text = made.material().get("certificate").cloned();
    let setting = race.one.0.by_path.certificate(&path(name), None, None, text, None, None).unwrap();
    let added = race.one.0.by_path.add_version(&admin(), id(&made), setting, COUNTING).await;
    let Err(Error::Invalid(violations)) = added else { panic!("a certificate without its key") };
    assert_eq!(violations[0].why, "is required");
}
