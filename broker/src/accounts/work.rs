//! Where PBKDF2 runs: off the connections' threads, a bounded number at once, a bounded number waiting.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task;

use crate::reject::{Reason, Reject};

/// Password checks that wait for a core; more are told to come again.
const MAX_WAITING: usize = 8192;
/// When to come again.
const RETRY_MS: u64 = 1000;

/// Runs expensive checks.
#[derive(Debug)]
pub struct Work {
    cores: Arc<Semaphore>,
    waiting: Semaphore,
    #[cfg(test)]
    at_once: usize,
}

impl Work {
    /// At most `at_once` checks run at a time.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            cores: Arc::new(Semaphore::new(at_once.max(1))),
            waiting: Semaphore::new(MAX_WAITING),
            #[cfg(test)]
            at_once: at_once.max(1),
        }
    }

    /// Runs `check` when its turn comes. Once begun it goes on when the caller is gone, and counts until it is done.
    ///
    /// # Errors
    /// [`Reason::Busy`] when too many wait, or the process is stopping.
    pub async fn run<T: Send + 'static>(&self, check: impl FnOnce() -> T + Send + 'static) -> Result<T, Reject> {
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let core = Arc::clone(&self.cores).acquire_owned().await.map_err(|_| busy())?;
        let checked = task::spawn_blocking(move || {
            let _core = core;
            check()
        });
        checked.await.map_err(|_| busy())
    }

    /// Lets nothing run as long as the answer is kept.
    #[cfg(test)]
    pub async fn take_all(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.at_once).unwrap();
        Arc::clone(&self.cores).acquire_many_owned(all).await.unwrap()
    }
}

fn busy() -> Reject {
    Reject { reason: Reason::Busy, retry_after_ms: Some(RETRY_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn no_more_than_so_many_run_at_once_and_wait() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let work = Arc::new(Work::new(2));
        let mut checks = task::JoinSet::new();
        for _ in 0..50 {
            let work = Arc::clone(&work);
            checks.spawn(async move {
                work.run(|| {
                    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    (0..10_000).for_each(|n| {
                        std::hint::black_box(n);
                    });
                    RUNNING.fetch_sub(1, Ordering::SeqCst);
                })
                .await
            });
        }
        while let Some(done) = checks.join_next().await {
            done.unwrap().unwrap();
        }
        assert!((1..=2).contains(&MOST.load(Ordering::SeqCst)));

        let all = work.waiting.acquire_many(MAX_WAITING as u32).await.unwrap();
        assert_eq!(work.run(|| ()).await.unwrap_err().reason, Reason::Busy);
        drop(all);
        assert!(work.run(|| ()).await.is_ok());
    }
}
