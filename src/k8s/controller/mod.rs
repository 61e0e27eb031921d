//! One reconcile for all four kinds: resolve what the resource wants, bring its projections there, report.
//! What differs by kind is behind [`Reconciled`].

mod authority;
mod backoff;
mod census;
pub(in crate::k8s) mod changes;
mod client;
mod credential;
mod import;
mod report;
mod service;
pub(in crate::k8s) mod triggers;
mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::core::object::HasStatus;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{self, Store};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::name::{Path, Revision};
use crate::domain::record::{Class, Owner};
use crate::k8s::conditions::{Due, Life, Verdict};
pub use crate::k8s::controller::census::Census;
use crate::k8s::controller::triggers::{Triggers, Wakes};
pub use crate::k8s::controller::watch::forget_history;
use crate::k8s::crd::{DeletionPolicy, Managed, Target};
use crate::k8s::failure::Failure;
use crate::k8s::leader::Term;
use crate::k8s::projection::Projection;
use crate::k8s::projection::apply::{Applier, Outcome};
use crate::k8s::projection::plan::Author;

/// Reconciles of one kind that run at the same time: enough to hide the API server's latency, few enough
/// to leave it to others.
const CONCURRENCY: u16 = 16;
/// Foreign Secrets are not watched; what waits for one looks again after this.
const RECHECK: Duration = Duration::from_secs(300);
/// Sleeping longer than this gains nothing.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 3600);

/// For reconciles that run when a shutdown is asked for. Whatever is cut off is taken up at the next start.
const GRACE: Duration = Duration::from_secs(5);

pub type StatusOf<K> = <K as HasStatus>::Status;

/// What differs between the kinds.
pub trait Reconciled: Managed {
    const CLASS: Class;

    /// Names of records at `/kubernetes/<namespace>/<name>` that this resource is made of.
    fn needs(&self) -> Vec<String>;

    /// Paths of records outside of its namespace that it is made of.
    fn foreign(&self) -> Vec<Path> {
        Vec::new()
    }

    /// Name of the projection that a status speaks of.
    fn shown(status: &StatusOf<Self>) -> Option<&str>;

    /// Revision that a status speaks of.
    fn revision(status: &StatusOf<Self>) -> Option<i64>;

    /// Brings the store to what the resource wants and says what to show of it.
    fn resolve(&self, visit: &Visit) -> impl Future<Output = Result<Resolved<StatusOf<Self>>, Failure>> + Send;
}

/// What a resource wants shown, and what its status says when it is.
pub struct Resolved<S> {
    pub status: S,
    pub projections: Vec<Projection>,
    pub message: String,
    pub life: Option<Life>,
    pub due: Option<Due>,
    pub wake_at: Option<Timestamp>,
    /// Projections that had to be written before the store.
    pub done: Vec<Outcome>,
}

/// What the controllers of all kinds share.
pub struct Desk {
    pub app: Arc<App>,
    pub client: Client,
    pub applier: Applier,
    pub census: Arc<Census>,
    pub triggers: Arc<Triggers>,
    pub recorder: Recorder,
    pub retain_for: SignedDuration,
    pub term: Term,
}

/// One look at one resource.
pub struct Visit<'a> {
    pub desk: &'a Desk,
    pub author: Author,
    pub retain_for: SignedDuration,
    pub now: Timestamp,
}

impl Visit<'_> {
    pub fn owner(&self) -> &Owner {
        &self.author.owner
    }

    pub fn app(&self) -> &App {
        &self.desk.app
    }
}

pub fn owner_of<K: Managed>(resource: &K) -> Owner {
    Owner { kind: K::KIND.to_owned(), namespace: resource.namespace().unwrap_or_default(), name: resource.name_any() }
}

fn visit<'a, K: Managed>(resource: &K, desk: &'a Desk) -> Visit<'a> {
    let target = resource.target();
    let author = Author {
        owner: owner_of(resource),
        uid: resource.uid().unwrap_or_default(),
        api_version: K::api_version(&()).into_owned(),
        deletion: target.map_or(DeletionPolicy::Delete, Target::deletion_policy),
        conflict: target.map(Target::conflict_policy).unwrap_or_default(),
    };
    let retain_for = resource.retain_for().unwrap_or(desk.retain_for);
    Visit { desk, author, retain_for, now: desk.app.now() }
}

/// All resources of one kind, in memory: what the controller works on and the webhook reads.
pub type Shelf<K> = (reflector::Store<K>, reflector::store::Writer<K>);

/// Runs the controller of one kind until the end of the term.
pub async fn run<K: Reconciled>(desk: Arc<Desk>, wakes: Wakes, shelf: Shelf<K>) {
    let shutdown = desk.term.end.clone();
    let (reader, writer) = shelf;
    let (one, all) = wakes.streams::<K>();
    let resources = watch::resources::<K>(desk.clone(), writer);
    let end = end(reader.clone(), shutdown.clone());
    Controller::for_stream(resources, reader)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(one)
        .reconcile_all_on(all)
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(reconcile::<K>, |_, never: &Infallible, _| match *never {}, desk)
        .take_until(end)
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                tracing::debug!(kind = K::KIND, %error, "a resource was not looked at");
            }
        })
        .await;
}

/// When to stop waiting for what still runs. A controller that has not begun waits for its first list, which
/// does not come any more.
async fn end<K: Reconciled>(reader: Store<K>, shutdown: CancellationToken) {
    shutdown.cancelled().await;
    if reader.wait_until_ready().now_or_never().is_some() {
        tokio::time::sleep(GRACE).await;
    }
}

async fn reconcile<K: Reconciled>(resource: Arc<K>, desk: Arc<Desk>) -> Result<Action, Infallible> {
    let visit = visit(resource.as_ref(), &desk);
    let (owner, uid) = (visit.owner(), &visit.author.uid);
    if resource.meta().deletion_timestamp.is_some() || !desk.census.is_alive(owner, uid) {
        return Ok(Action::await_change());
    }
    let outcome = settle(resource.as_ref(), &visit).await;
    // What failed because others lead by now is theirs to tell of.
    if outcome.is_err() && !desk.term.holds() {
        return Ok(Action::await_change());
    }
    if !desk.census.knows(owner) {
        withdraw::<K>(&desk, owner).await;
        return Ok(Action::await_change());
    }
    Ok(report::report(resource.as_ref(), &visit, outcome).await)
}

/// The resource was deleted while we wrote: what its release did not see must not outlive it.
async fn withdraw<K: Reconciled>(desk: &Desk, owner: &Owner) {
    if let Err(error) = desk.app.release(K::CLASS, owner).await {
        // The sweep at the next start finds it.
        tracing::warn!(%owner, %error, "the record of a deleted resource could not be released");
    }
}

/// What a visit came to.
pub struct Settled<S> {
    status: S,
    verdict: Verdict,
    outcomes: Vec<Outcome>,
    wake_at: Option<Timestamp>,
}

async fn settle<K: Reconciled>(resource: &K, visit: &Visit<'_>) -> Result<Settled<StatusOf<K>>, Failure> {
    let resolved = resource.resolve(visit).await?;
    let applier = &visit.desk.applier;
    let mut outcomes = resolved.done;
    for projection in &resolved.projections {
        outcomes.push(applier.project(&visit.author, projection).await?);
    }
    applier.prune(&visit.author, &resolved.projections).await?;
    let next_change = resolved.life.and_then(|life| life.next_change(visit.now));
    Ok(Settled {
        status: resolved.status,
        verdict: Verdict::Settled { message: resolved.message, life: resolved.life, due: resolved.due },
        outcomes,
        wake_at: resolved.wake_at.into_iter().chain(next_change).min(),
    })
}

/// Numbers in a status are signed.
fn number(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

fn keys(projection: &Projection) -> Vec<String> {
    projection.content.keys.iter().cloned().collect()
}
