//! The index of what is in names. Made while everybody writes, once somebody has searched among many names, by whichever
//! process is first; searches do without it until it is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, Row};

use super::fault;
use super::session::Dialer;
use crate::domain::Result;

/// After an attempt that failed, or that another process was found to make.
const AGAIN: Duration = Duration::from_secs(60);

/// Making it takes as long as it takes, and waits for transactions that began before.
const PATIENCE: &str = "SET statement_timeout = 0; SET lock_timeout = 0; SELECT 1";
/// Until the session ends. The number is "trigrams" in ASCII.
const ALONE: &str = "SELECT pg_try_advisory_lock(8390884948766190963)";
const REMNANT: &str = "
    SELECT EXISTS (SELECT FROM pg_index
                    WHERE indexrelid = to_regclass('strongroom.records_by_trigram') AND NOT indisvalid)";
/// What is left of an attempt that was broken off.
const REMOVE: &str = "DROP INDEX CONCURRENTLY IF EXISTS strongroom.records_by_trigram";
/// CONCURRENTLY: writes go on beside it.
const MAKE: &str = "
    CREATE INDEX CONCURRENTLY IF NOT EXISTS records_by_trigram
        ON strongroom.records USING gin (strongroom.trigrams(name_key)) WHERE class = 1";

#[derive(Clone)]
pub(super) struct Index {
    dialer: Dialer,
    next: Arc<Mutex<Next>>,
}

#[derive(Clone, Copy)]
enum Next {
    Now,
    At(Instant),
    /// It is being made.
    Never,
}

impl Index {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer, next: Arc::new(Mutex::new(Next::Now)) }
    }

    /// Has it made, unless that is under way.
    pub(super) fn want(&self) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = match *next {
            Next::Now => true,
            Next::At(time) => time <= Instant::now(),
            Next::Never => false,
        };
        if is_time {
            *next = Next::Never;
            let index = self.clone();
            tokio::spawn(async move { index.make_and_say().await });
        }
    }

    async fn make_and_say(self) {
        match self.make().await {
            Ok(true) => tracing::info!("searches by a part of a name have an index now"),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                detail = error.detail(),
                "the index for searches by a part of a name could not be made: they look through all names; it is tried again"
            ),
        }
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Next::At(Instant::now() + AGAIN);
    }

    /// False if another process is about to.
    async fn make(&self) -> Result<bool> {
        let mut session = self.dialer.dial().await?;
        let connection = &mut session.connection;
        let made = async {
            connection.execute(sqlx::raw_sql(PATIENCE)).await?;
            if !connection.fetch_one(ALONE).await?.try_get::<bool, _>(0)? {
                return Ok(false);
            }
            if connection.fetch_one(REMNANT).await?.try_get::<bool, _>(0)? {
                connection.execute(sqlx::raw_sql(REMOVE)).await?;
            }
            connection.execute(sqlx::raw_sql(MAKE)).await?;
            Ok(true)
        };
        let made = made.await.map_err(|fault: sqlx::Error| fault::refused(&fault));
        let _ = session.connection.close().await;
        made
    }
}
