//! Wakes the loop at a fixed pace. epoll's timeout has steps of a millisecond, too coarse for 2,000 messages a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::Waker;

/// A thread that only sleeps and wakes; it ends when dropped.
pub struct Pacer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pacer {
    pub fn start(waker: Waker, interval: Duration) -> Result<Pacer> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("pacer".into()).spawn(move || {
            // The default slack of 50 µs would be half of what is measured.
            std::fs::write("/proc/thread-self/timerslack_ns", "1").ok();
            let mut next = Instant::now() + interval;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                if waker.wake().is_err() {
                    return;
                }
                next += interval;
            }
        })?;
        Ok(Pacer { stop, thread: Some(thread) })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
