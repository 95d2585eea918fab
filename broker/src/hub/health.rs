//! Whether the store takes what people send: there is room, it did not fail, and the server does not stop.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Hub;
use crate::reject::{Reason, Reject};

/// Whether the store takes writes, and why not.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub disk_full: AtomicBool,
    /// There is less than files need, and still enough for messages.
    pub disk_low: AtomicBool,
    pub failed: AtomicBool,
    pub draining: AtomicBool,
}

impl Health {
    pub fn check(&self) -> Result<(), Reason> {
        if self.draining.load(Relaxed) {
            return Err(Reason::Draining);
        }
        if self.disk_full.load(Relaxed) {
            return Err(Reason::DiskFull);
        }
        if self.failed.load(Relaxed) { Err(Reason::StoreError) } else { Ok(()) }
    }
}

impl Hub {
    /// Whether commands are taken now.
    ///
    /// # Errors
    /// Why not.
    pub fn writable(&self) -> Result<(), Reject> {
        Ok(self.health.check()?)
    }

    /// Whether files are taken now: they stop before the disk is full, so that messages go on.
    ///
    /// # Errors
    /// Why not.
    pub fn takes_files(&self) -> Result<(), Reject> {
        self.writable()?;
        if self.health.disk_low.load(Relaxed) { Err(Reason::DiskFull.into()) } else { Ok(()) }
    }
}
