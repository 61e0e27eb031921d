//! Slow computation away from the async workers: so much at once, so much in the queue, the rest is
//! refused at the door. Must not know what it runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::domain::{Error, Result};

const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Beside a busy thread, one of this niceness has a tenth of a core, and all of it where nobody else wants it: so every core
/// may have one, answers do not wait for keys, and keys do not wait for ever.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Pool {
    name: &'static str,
    size: usize,
    /// Started by the first who needs them: most processes and commands never make a key.
    threads: OnceLock<Sender<Job>>,
    running: Arc<Semaphore>,
    /// Running and waiting together.
    places: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(name: &'static str, running: usize, waiting: usize) -> Self {
        Self {
            name,
            size: running,
            threads: OnceLock::new(),
            running: Arc::new(Semaphore::new(running)),
            places: Arc::new(Semaphore::new(running + waiting)),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let overloaded = |_| Error::Overloaded { retry_after: RETRY_AFTER };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(overloaded)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(Error::internal)?;
        let (done, result) = oneshot::channel();
        // A caller that hangs up does not stop work that has begun, so the permits stay with the work:
        // otherwise connecting and hanging up would start any number of computations at once.
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            drop((place, turn));
            // Whoever asked may have gone.
            let _ = done.send(result);
        };
        let threads = self.threads.get_or_init(|| start(self.name, self.size));
        threads.send(Box::new(job)).map_err(|_| Error::internal("no thread of the pool could be started"))?;
        // A panic's text may quote what was computed: it stays out of the error.
        let panicked = || Error::internal("a computation in the pool panicked");
        result.await.map_err(|_| panicked())?.map_err(|_| panicked())?
    }
}

/// They end when the pool is dropped and its last work is done.
fn start(name: &str, size: usize) -> Sender<Job> {
    let (jobs, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..size {
        let queue = Arc::clone(&queue);
        if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(move || work_off(&queue)) {
            tracing::warn!(%error, "a thread for slow work could not be started");
        }
    }
    jobs
}

fn work_off(queue: &Mutex<Receiver<Job>>) {
    step_back();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(mpsc::RecvError) => return,
        }
    }
}

/// Elsewhere than on Linux this would be of the whole process. Where it is refused, the work is done at the usual priority.
fn step_back() {
    if cfg!(target_os = "linux") {
        let own = rustix::process::getpriority_process(None).unwrap_or_default();
        let _ = rustix::process::setpriority_process(None, own.max(NICENESS));
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
        let pool = Pool::new("test", 2, 20);
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
        let pool = Pool::new("test", 1, 1);
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
        let pool = Pool::new("test", 1, 0);
        let error = pool.run(|| -> Result<()> { panic!("hunter2") }).await.unwrap_err();
        assert!(!error.detail().unwrap().contains("hunter2"));
        assert_eq!(pool.run(|| Ok(1)).await.unwrap(), 1);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_is_done_on_named_threads_of_low_priority_and_no_other_thread_is_slowed() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let pool = Pool::new("slow", 1, 0);
        let seen = pool.run(move || Ok((niceness(), thread::current().name().map(str::to_owned)))).await.unwrap();
        assert_eq!(seen, (before.max(NICENESS), Some("slow".to_owned())));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn threads_end_with_their_pool() {
        let pool = Pool::new("test", 2, 0);
        let (alive, ended) = mpsc::channel::<()>();
        pool.run(move || {
            // Dropped with the thread, not with the work.
            thread_local!(static HELD: std::cell::RefCell<Option<mpsc::Sender<()>>> = const { std::cell::RefCell::new(None) });
            HELD.with(|held| *held.borrow_mut() = Some(alive));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(pool);
        assert_eq!(ended.recv(), Err(mpsc::RecvError));
    }
}
