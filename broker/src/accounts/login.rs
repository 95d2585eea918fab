//! One login by password, counted against its address when it fails.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::attempts::{Attempts, Network};
use crate::clock::Clock;
use crate::reject::{Reason, Reject};

/// A login under way.
pub struct Attempt<'a> {
    logins: &'a Mutex<Attempts>,
    from: Network,
    clock: &'a dyn Clock,
}

impl<'a> Attempt<'a> {
    /// Begins a login.
    ///
    /// # Errors
    /// [`Reason::LoginRate`] when the address failed too often already.
    pub fn begin(logins: &'a Mutex<Attempts>, from: Network, clock: &'a dyn Clock) -> Result<Self, Reject> {
        let attempt = Self { logins, from, clock };
        attempt.lock().check(from, clock.elapsed()).map_err(too_often)?;
        Ok(attempt)
    }

    /// It failed.
    ///
    /// # Errors
    /// [`Reason::LoginRate`] when others made the address reach its limit meanwhile.
    pub fn failed(&self) -> Result<(), Reject> {
        self.lock().take(self.from, self.clock.elapsed()).map_err(too_often)
    }

    /// Waits for the check of a password. A caller who does not stay for the answer has failed too: the work was done.
    ///
    /// # Errors
    /// Those of the check, and [`Reason::LoginRate`] when others made the address reach its limit meanwhile: so no more answers
    /// than the limit are given, however many are asked for at once.
    pub async fn checked(&self, check: impl Future<Output = Result<bool, Reject>>) -> Result<bool, Reject> {
        let mut abandoned = Abandoned { attempt: self, still: true };
        let right = check.await;
        abandoned.still = false;
        match right {
            Ok(false) => self.failed()?,
            Ok(true) => self.lock().check(self.from, self.clock.elapsed()).map_err(too_often)?,
            Err(_) => {}
        }
        right
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Abandoned<'a> {
    attempt: &'a Attempt<'a>,
    still: bool,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if self.still {
            self.attempt.lock().count(self.attempt.from, self.attempt.clock.elapsed());
        }
    }
}

/// The refusal of an address that tried too often.
pub fn too_often(retry_after_ms: u64) -> Reject {
    Reject { reason: Reason::LoginRate, retry_after_ms: Some(retry_after_ms) }
}
