//! Which of several processes on one store runs the controllers: the one that holds a Lease. Knows nothing of what a
//! leader does.
//!
//! The Lease decides who should lead; what keeps two from writing is its number. Whoever takes the Lease raises the
//! store's fence to `leaseTransitions`, and the store compares the fence inside each transaction of the controllers.
//! Hence a leader that was stopped, or whose clock is wrong, may believe what it likes.

mod candidate;
mod lease;
mod term;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::ports::Fence;
use crate::domain::{Error, Result};
use crate::k8s::leader::lease::{Change, Leases};
pub use crate::k8s::leader::lease::{NAME, Record};
pub use crate::k8s::leader::term::Term;

#[derive(Clone, Debug)]
pub struct Options {
    /// Where the Lease is.
    pub namespace: String,
    /// Unlike that of any other process, also of this one before a restart.
    pub identity: String,
    /// How long others wait after a leader's last sign of life.
    pub lease: Duration,
}

impl Options {
    /// Others take over within this and the time of a few requests.
    pub const LEASE: Duration = Duration::from_secs(15);

    fn renew_every(&self) -> Duration {
        self.lease / 3
    }

    /// A leader stops itself this long after the sending of its last renewal that succeeded: what is under way then has
    /// a third of the lease to end before anybody else may begin.
    fn good_for(&self) -> Duration {
        self.lease * 2 / 3
    }
}

/// Why a term is over.
enum End {
    Asked,
    /// The work ended although nobody asked it to.
    Work(Result<()>),
    Lost(&'static str),
}

pub struct Election {
    leases: Leases,
    options: Options,
    app: Arc<App>,
    leading: Gauge,
}

impl Election {
    /// `leading` is 1 while this process leads, else 0.
    pub fn new(client: &Client, options: Options, app: Arc<App>, leading: Gauge) -> Self {
        let identity = options.identity.clone();
        let leases = Leases::new(client, &options.namespace, identity, options.lease, options.renew_every());
        Self { leases, options, app, leading }
    }

    /// Until shutdown: waits to be elected, lets `lead` work for the term, and waits again. `idle` is called before each
    /// wait. An error is one of `lead`'s.
    pub async fn run<F>(self, lead: impl Fn(Term) -> F, idle: impl Fn(), shutdown: CancellationToken) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        loop {
            idle();
            let Some((record, sent)) = candidate::elected(&self.leases, &self.app, &shutdown).await else {
                return Ok(());
            };
            let Some(record) = self.fence(record, sent).await else {
                self.pause(&shutdown).await;
                continue;
            };
            let epoch = record.epoch();
            tracing::info!(epoch, identity = self.options.identity, "this process leads");
            self.leading.set(1);
            let (record, end) = self.serve(record, sent, &lead, &shutdown).await;
            // Nothing of this term is under way any more: whatever comes next has no fence to carry.
            self.app.follow();
            self.leading.set(0);
            self.leave(&record).await;
            match end {
                End::Asked => tracing::info!(epoch, "this process does not lead any more: it stops"),
                End::Lost(why) => tracing::warn!(epoch, "this process does not lead any more: {why}"),
                End::Work(ended) => return ended,
            }
        }
    }

    /// Raises the store's fence to our number. The number of a Lease that was deleted since would go back: it is set
    /// above the fence first. `None`: the store does not answer, or somebody was faster.
    async fn fence(&self, mut record: Record, sent: Instant) -> Option<Record> {
        while sent.elapsed() < self.options.good_for() {
            let error = match self.app.lead(Fence(record.epoch())).await {
                Ok(()) => return Some(record),
                Err(error) => error,
            };
            let raised = match error {
                Error::Fenced => self.renumber(&record).await,
                other => Err(other),
            };
            match raised {
                Ok(Change::Done(renumbered)) => record = renumbered,
                Ok(Change::Outrun) => return None,
                Err(error) => {
                    tracing::warn!(%error, detail = error.detail(), "elected, but the store cannot be fenced");
                    break;
                }
            }
        }
        self.leave(&record).await;
        None
    }

    async fn renumber(&self, record: &Record) -> Result<Change> {
        let Fence(fence) = self.app.fence().await?;
        self.leases.take(Some(record), fence.max(record.epoch()) + 1, self.app.now()).await
    }

    /// One term, from its beginning until nothing of it is under way.
    async fn serve<F>(
        &self,
        mut record: Record,
        sent: Instant,
        lead: &impl Fn(Term) -> F,
        shutdown: &CancellationToken,
    ) -> (Record, End)
    where
        F: Future<Output = Result<()>>,
    {
        let mut deposed = self.app.deposed();
        let term = Term::new(shutdown.child_token(), sent + self.options.good_for(), deposed.clone());
        let mut work = std::pin::pin!(lead(term.clone()));
        let end = tokio::select! {
            // The end of the work may be the end of everything.
            biased;
            () = shutdown.cancelled() => End::Asked,
            _ = deposed.wait_for(|deposed| *deposed) => End::Lost("the store refused a write of its term"),
            why = self.keep(&mut record, &term) => End::Lost(why),
            ended = &mut work => return (record, End::Work(ended)),
        };
        if let End::Lost(_) = end {
            term.extend(Instant::now());
            // Said at once: a request that gets no answer may keep the work from ending for a while.
            self.leading.set(0);
        }
        term.end.cancel();
        match work.await {
            Err(error) if matches!(end, End::Asked) => (record, End::Work(Err(error))),
            _ => (record, end),
        }
    }

    /// Renews the Lease until it is lost; says why it is.
    async fn keep(&self, record: &mut Record, term: &Term) -> &'static str {
        let mut next = Instant::now() + self.options.renew_every();
        loop {
            let until = term.until().unwrap_or(next);
            sleep_until(next.min(until)).await;
            // Looked at after sleeping: this process may have been stopped meanwhile.
            if !term.holds() {
                return "its Lease could not be renewed in time";
            }
            let sent = Instant::now();
            let Ok(renewed) = timeout_at(until, self.leases.renew(record, self.app.now())).await else { continue };
            next = match renewed {
                Ok(Change::Done(renewed)) => {
                    *record = renewed;
                    term.extend(sent + self.options.good_for());
                    sent + self.options.renew_every()
                }
                Ok(Change::Outrun) => match timeout_at(until, self.leases.look()).await {
                    // Labelled by somebody, or renewed by a request whose answer we did not get.
                    Ok(Ok(Some(found))) if self.is_ours(&found, record) => {
                        *record = found;
                        Instant::now()
                    }
                    Ok(Ok(Some(_))) => return "somebody else holds its Lease",
                    Ok(Ok(None)) => return "its Lease was deleted",
                    Ok(Err(_)) => self.soon(),
                    Err(_) => continue,
                },
                Err(error) => {
                    tracing::debug!(detail = error.detail(), "the Lease was not renewed");
                    self.soon()
                }
            };
        }
    }

    fn soon(&self) -> Instant {
        Instant::now() + self.options.renew_every() / 5
    }

    fn is_ours(&self, found: &Record, known: &Record) -> bool {
        found.holder() == Some(&self.options.identity) && found.epoch() == known.epoch()
    }

    /// So that the next one need not wait. It may be somebody's already: then nothing happens.
    async fn leave(&self, record: &Record) {
        match self.leases.leave(record, self.app.now()).await {
            Ok(_) => {}
            Err(error) => tracing::debug!(detail = error.detail(), "the Lease was not left; it will run out"),
        }
    }

    async fn pause(&self, shutdown: &CancellationToken) {
        tokio::select! {
            () = sleep(self.options.renew_every()) => {}
            () = shutdown.cancelled() => {}
        }
    }
}
