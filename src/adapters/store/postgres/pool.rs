//! Sessions for reads: so many at once, a short wait for a place, the rest is refused at the door. A session is used
//! again without asking the server first whether it still lives; a read that meets a dead one is done once more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Connection, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault;
use super::session::{ANSWER, Dialer, Session};
use crate::domain::{Error, Result};

/// A default server takes 100 sessions: this leaves room for several replicas, their writers and psql.
pub(super) const SIZE: usize = 16;
const WAIT: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a session whose read was abandoned may take to finish it.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Pool {
    dialer: Dialer,
    idle: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
}

/// A session in use and its place. However the read ends, the place comes back.
struct Lease {
    session: Option<Session>,
    pool: Pool,
    place: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer, idle: Arc::default(), places: Arc::new(Semaphore::new(SIZE)) }
    }

    /// One statement that only reads. `statement` is called again when the session was found dead: with the server
    /// restarted all idle ones are, so the second attempt makes a new one.
    pub(super) async fn read<'q>(
        &self,
        statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>> {
        let place = self.place().await?;
        let mut lease = Lease { session: None, pool: self.clone(), place: Some(place) };
        let idle = self.idle();
        let reused = idle.is_some();
        match lease.run(idle, statement()).await? {
            Err(fault) if reused && fault::is_lost(&fault) => {
                lease.run(None, statement()).await?.map_err(|fault| fault::refused(&fault))
            }
            answer => answer.map_err(|fault| fault::refused(&fault)),
        }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        let overloaded = || Error::Overloaded { retry_after: RETRY_AFTER };
        let place = tokio::time::timeout(WAIT, self.places.clone().acquire_owned());
        place.await.map_err(|_| overloaded())?.map_err(|_| fault::unavailable("the store is closed"))
    }

    fn idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(session) = idle.pop() {
            if self.dialer.is_current(&session) {
                return Some(session);
            }
        }
        None
    }

    fn put_back(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Sessions open and idle, and places free: equal to [`SIZE`] at rest unless a place was lost.
    pub(super) fn at_rest(&self) -> (usize, usize) {
        (self.idle.lock().unwrap_or_else(PoisonError::into_inner).len(), self.places.available_permits())
    }

    /// Waits for the reads that are under way and ends the sessions.
    pub(super) async fn close(&self) {
        let _ = tokio::time::timeout(WAIT, self.places.acquire_many(SIZE as u32)).await;
        self.places.close();
        while let Some(session) = self.idle() {
            let _ = tokio::time::timeout(DRAIN, session.connection.close()).await;
        }
    }
}

impl Lease {
    /// The session stays in the lease while the statement runs: if the caller stops waiting there, it is drained.
    async fn run(
        &mut self,
        session: Option<Session>,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<sqlx::Result<Vec<PgRow>>> {
        let session = match session {
            Some(session) => session,
            None => self.pool.dialer.dial().await?,
        };
        let session = self.session.insert(session);
        let answer = tokio::time::timeout(ANSWER, statement.fetch_all(&mut session.connection)).await;
        let session = self.session.take();
        let Ok(answer) = answer else { return Err(fault::unavailable("PostgreSQL does not answer in time")) };
        let sound = answer.as_ref().err().is_none_or(|fault| !fault::is_lost(fault));
        session.filter(|_| sound).into_iter().for_each(|session| self.pool.put_back(session));
        Ok(answer)
    }
}

impl Drop for Lease {
    /// A client that hangs up must not cost a session: its answer is read to the end and thrown away.
    fn drop(&mut self) {
        let (Some(mut session), Some(place)) = (self.session.take(), self.place.take()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let pool = self.pool.clone();
        runtime.spawn(async move {
            if let Ok(Ok(())) = tokio::time::timeout(DRAIN, session.connection.ping()).await {
                pool.put_back(session);
            }
            drop(place);
        });
    }
}
