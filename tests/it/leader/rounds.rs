//! A hundred leaders that stop with a write in their hands, and go on when another leads, on the store that several share:
//! PostgreSQL. Each "process" is a thread with a runtime of its own, on its own connections to the store; it stops as a
//! whole, the renewal of its Lease included.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::PostParams;
use kube::{Api, Client};
use prometheus_client::metrics::gauge::Gauge;
use strongroom::adapters::store::PostgresStore;
use strongroom::adapters::system::SystemClock;
use strongroom::app::ports::Fence;
use strongroom::app::{App, Parts};
use strongroom::domain::credential::change::{Source, Wish};
use strongroom::domain::credential::{About, Characters, Generate, Kind};
use strongroom::domain::record::Owner;
use strongroom::domain::secret::SecretText;
use strongroom::domain::{Error, Result};
use strongroom::k8s::leader::{Election, Options, Term};
use strongroom::k8s::rights::LEADING;
use tokio_util::sync::CancellationToken;

use crate::cluster::{self, Cluster};
use crate::ground::parts;
use crate::postgres::server;
use crate::watched::{Eye, Watched};

const LANES: usize = 10;
const ROUNDS: usize = 10;
const LEASE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// What the store said to each write for a resource, in order; and where the next one is stopped.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stop_next: bool,
    stopped: bool,
    answers: Vec<(Fence, Answer)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Fenced,
    Other,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn until<T>(&self, what: &str, is: impl Fn(&State) -> Option<T>) -> T {
        let mut state = self.lock();
        let begun = Instant::now();
        loop {
            if let Some(found) = is(&state) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {:?}", state.answers.last());
            state = self.changed.wait_timeout(state, Duration::from_millis(100)).expect("not poisoned").0;
        }
    }

    /// Blocks the thread, and so everything that this process does.
    fn pass(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.stop_next) {
            state.stopped = true;
            self.changed.notify_all();
            drop(self.changed.wait_while(state, |state| state.stopped).expect("not poisoned"));
        }
    }

    fn resume(&self) {
        self.lock().stopped = false;
        self.changed.notify_all();
    }

    fn accepted(&self) -> usize {
        self.lock().answers.iter().filter(|(_, answer)| *answer == Answer::Accepted).count()
    }
}

impl Eye for Desk {
    fn before_write(&self, fence: Option<Fence>) {
        if fence.is_some() {
            self.pass();
        }
    }

    fn after_write(&self, fence: Option<Fence>, written: &Result<()>) {
        let Some(fence) = fence else { return };
        let answer = match written {
            Ok(()) => Answer::Accepted,
            Err(Error::Fenced) => Answer::Fenced,
            Err(_) => Answer::Other,
        };
        self.lock().answers.push((fence, answer));
        self.changed.notify_all();
    }
}

/// What the processes of a lane share.
#[derive(Clone)]
struct Shared {
    url: String,
    key: PathBuf,
    namespace: String,
}

/// One that stands for election until it is asked to end.
struct Process {
    desk: Arc<Desk>,
    end: CancellationToken,
    thread: JoinHandle<()>,
}

impl Process {
    fn start(cluster: &'static Cluster, name: String, shared: Shared) -> Self {
        let (desk, end) = (Arc::new(Desk::default()), CancellationToken::new());
        let (at, stop) = (desk.clone(), end.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let app = Arc::new(app(&shared, at).await);
                let Shared { namespace, .. } = shared;
                let client = limited(cluster, &namespace).await;
                let options = Options { namespace, identity: name.clone(), lease: LEASE };
                let election = Election::new(&client, options, app.clone(), Gauge::default());
                election.run(|term| work(app.clone(), name.clone(), term), || (), stop).await.expect("a clean end");
            });
        });
        Self { desk, end, thread }
    }
}

async fn app(shared: &Shared, desk: Arc<Desk>) -> App {
    let store = Arc::new(PostgresStore::open(&SecretText::from(shared.url.as_str())).await.expect("a store"));
    let parts = parts(store.clone(), &shared.key, Arc::new(SystemClock)).await;
    App::new(Parts { store: Arc::new(Watched { store, eye: desk }), ..parts })
}

/// Makes a credential of a new name again and again: no revision that another wrote can refuse it, only the fence.
async fn work(app: Arc<App>, name: String, term: Term) -> Result<()> {
    while !term.end.is_cancelled() {
        let owner = Owner { kind: "Credential".into(), namespace: name.clone(), name: app.unique() };
        let characters = Generate::Password(Characters { length: 24, ..Characters::default() });
        let wish = Wish { kind: Kind::Password, about: About::default(), source: Source::Generate(characters) };
        let _ = app.credentials.converge(&owner, wish, None, SignedDuration::from_hours(1)).await;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            () = term.end.cancelled() => {}
        }
    }
    Ok(())
}

fn account(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:strongroom")
}

/// With the rights that the chart grants for the Lease, and no other.
async fn limited(cluster: &'static Cluster, namespace: &str) -> Client {
    let account = account(namespace);
    cluster.client_of(|config| config.auth_info.impersonate = Some(account)).await
}

async fn grant(client: &Client, namespace: &str) {
    let rules = LEADING.iter().map(|right| PolicyRule {
        api_groups: Some(vec![right.group.into()]),
        resources: Some(vec![right.resource.into()]),
        verbs: right.verbs.iter().map(ToString::to_string).collect(),
        resource_names: right.named.then(|| vec!["strongroom".into()]),
        ..PolicyRule::default()
    });
    let group = "rbac.authorization.k8s.io";
    let mut role = Role { rules: Some(rules.collect()), ..Role::default() };
    role.metadata.name = Some("strongroom".into());
    let subject =
        Subject { kind: "User".into(), name: account(namespace), api_group: Some(group.into()), namespace: None };
    let role_ref = RoleRef { api_group: group.into(), kind: "Role".into(), name: "strongroom".into() };
    let mut binding = RoleBinding { role_ref, subjects: Some(vec![subject]), ..RoleBinding::default() };
    binding.metadata.name = Some("strongroom".into());
    let parameters = PostParams::default();
    Api::namespaced(client.clone(), namespace).create(&parameters, &role).await.expect("a role");
    Api::namespaced(client.clone(), namespace).create(&parameters, &binding).await.expect("a binding");
}

/// One round: whoever leads stops with a write in its hands, and goes on when the other has written. How long the other
/// needed for that.
fn round(processes: &[Process; 2]) -> Duration {
    let before = processes.each_ref().map(|process| process.desk.accepted());
    let begun = Instant::now();
    let leader = loop {
        assert!(begun.elapsed() < PATIENCE, "nobody writes");
        match (0..2).find(|it| processes[*it].desk.accepted() > before[*it]) {
            Some(leader) => break leader,
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let (old, new) = (&processes[leader].desk, &processes[1 - leader].desk);
    old.lock().stop_next = true;
    old.until("a write is held", |state| state.stopped.then_some(()));
    let (stopped, known, held) = (Instant::now(), new.lock().answers.len(), old.lock().answers.len());
    let next = new.until("the other writes", |state| {
        state.answers[known..].iter().find(|(_, answer)| *answer == Answer::Accepted).map(|(fence, _)| *fence)
    });
    let took = stopped.elapsed();

    old.resume();
    let (fence, answer) = old.until("the held write is answered", |state| state.answers.get(held).copied());
    assert!(fence < next, "{fence:?} {next:?}");
    assert_eq!(answer, Answer::Fenced, "a write of {fence:?} was accepted although {next:?} leads");
    took
}

/// No number was used by both, and after a process was refused under a number it never wrote under it again.
fn check(answers: &[Vec<(Fence, Answer)>; 2]) {
    let accepted = |it: usize| answers[it].iter().filter(|(_, answer)| *answer == Answer::Accepted);
    assert!(accepted(0).all(|(one, _)| accepted(1).all(|(other, _)| one != other)));
    for answers in answers {
        for (at, (fence, _)) in answers.iter().enumerate().filter(|(_, (_, answer))| *answer == Answer::Fenced) {
            let later = |(known, answer): &(Fence, Answer)| known == fence && *answer == Answer::Accepted;
            assert!(!answers[at..].iter().any(later), "{fence:?} was accepted after it was refused");
        }
    }
}

/// The times that takeovers took, and how many writes were refused.
fn lane(cluster: &'static Cluster, namespace: String) -> (Vec<Duration>, usize) {
    let (dir, databases) = (tempfile::tempdir().expect("a folder"), server::shared());
    let shared = Shared { url: databases.database(), key: dir.path().join("strongroom.key"), namespace };
    let start = |name: &str| Process::start(cluster, name.to_owned(), shared.clone());
    let first = start("first");
    first.desk.until("the first writes", |state| (!state.answers.is_empty()).then_some(()));
    let processes = [first, start("second")];
    let took: Vec<Duration> = (0..ROUNDS).map(|_| round(&processes)).collect();
    let answers = processes.map(|process| {
        process.end.cancel();
        process.thread.join().expect("a clean end");
        std::mem::take(&mut process.desk.lock().answers)
    });
    check(&answers);
    // What the store holds is what was accepted: nothing came in behind our back.
    let accepted = answers.iter().flatten().filter(|(_, answer)| *answer == Answer::Accepted).count();
    let database = shared.url.rsplit('/').next().expect("a name");
    assert_eq!(databases.sql(database, "SELECT count(*) FROM strongroom.records").trim(), accepted.to_string());
    (took, answers.iter().flatten().filter(|(_, answer)| *answer == Answer::Fenced).count())
}

#[tokio::test]
async fn in_a_hundred_rounds_no_stopped_leader_writes_after_another_has_taken_over() {
    // The only one on its cluster, so that no round waits for another operator.
    let turn = cluster::turn().await;
    let cluster = turn.cluster;
    let client = cluster.client().await;
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        let namespace = cluster::namespace(&client, "rounds").await;
        grant(&client, &namespace).await;
        lanes.push(tokio::task::spawn_blocking(move || lane(cluster, namespace)));
    }
    let (mut took, mut refused) = (Vec::new(), 0);
    for lane in lanes {
        let (times, fenced) = lane.await.expect("no violation");
        took.extend(times);
        refused += fenced;
    }
    let longest = took.iter().max().expect("rounds");
    println!(
        "{} rounds: {refused} writes of old leaders refused, 0 accepted; takeover {longest:?} at most",
        took.len()
    );
    assert_eq!(took.len(), LANES * ROUNDS);
    assert!(refused >= took.len(), "each round has a write that was tried");
    assert!(*longest < LEASE * 4, "{longest:?}");
}
