//! How long to wait until another server is tried again.

use std::time::Duration;

use hallway_broker::clock::random;

/// First and longest wait.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Twice as long each time, of which between a half and all, so that many do not come at once.
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(LONGEST_WAIT)
    }
}

impl Backoff {
    /// Never longer than this.
    pub fn up_to(longest: Duration) -> Self {
        Self { next: FIRST_WAIT.min(longest), longest }
    }

    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(self.longest);
        let [share] = random::<1>();
        most / 2 + most / 2 * u32::from(share) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let first = backoff.next();
        assert!(first >= FIRST_WAIT / 2 && first <= FIRST_WAIT);
        for _ in 0..20 {
            assert!(backoff.next() <= LONGEST_WAIT);
        }
        assert!(backoff.next() >= LONGEST_WAIT / 2);
        let mut short = Backoff::up_to(2 * FIRST_WAIT);
        assert!((0..20).all(|_| short.next() <= 2 * FIRST_WAIT));
    }
}
