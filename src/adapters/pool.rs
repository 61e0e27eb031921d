//! Slow computation away from the async workers: so much at once, so much in the queue, the rest is
//! refused at the door. Must not know what it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::domain::{Error, Result};

const RETRY_AFTER: Duration = Duration::from_secs(2);

pub(super) struct Pool {
    running: Arc<Semaphore>,
    /// Running and waiting together.
    places: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(running: usize, waiting: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(running)), places: Arc::new(Semaphore::new(running + waiting)) }
    }

    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let overloaded = |_| Error::Overloaded { retry_after: RETRY_AFTER };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(overloaded)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        // A caller that hangs up does not stop work that has begun, so the permits stay with the work:
        // otherwise connecting and hanging up would start any number of computations at once.
        let job = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        // A panic's text may quote what was computed: it stays out of the error.
        job.await.map_err(|_| Error::internal("a computation in the pool panicked"))?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn no_more_runs_at_once_than_allowed_and_everyone_admitted_is_served() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let pool = Pool::new(2, 20);
        let work = || {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(3));
            NOW.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        assert!(join_all((0..22).map(|_| pool.run(work))).await.iter().all(Result::is_ok));
        assert_eq!(MOST.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn work_whose_caller_hung_up_keeps_its_place_until_it_ends() {
        let pool = Pool::new(1, 1);
        let (release, held) = mpsc::channel::<()>();
        let mut begun = Box::pin(pool.run(move || {
            held.recv().ok();
            Ok(1)
        }));
        assert!((&mut begun).now_or_never().is_none());
        drop(begun);

        let mut waiting = Box::pin(pool.run(|| Ok(2)));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(matches!(pool.run(|| Ok(3)).await, Err(Error::Overloaded { .. })));
        release.send(()).unwrap();
        assert_eq!(waiting.await.unwrap(), 2);
        assert_eq!(pool.run(|| Ok(4)).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_panic_ends_one_piece_of_work_and_says_nothing_of_it() {
        let pool = Pool::new(1, 0);
        let error = pool.run(|| -> Result<()> { panic!("hunter2") }).await.unwrap_err();
        assert!(!error.detail().unwrap().contains("hunter2"));
        assert_eq!(pool.run(|| Ok(1)).await.unwrap(), 1);
    }
}
