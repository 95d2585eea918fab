//! How long to wait until another server is tried again.

use std::time::Duration;

use hallway_broker::clock::random;

/// First and longest wait.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Twice as long each time, of which between a half and all, so that many do not come at once.
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST_WAIT)
    }
}

impl Backoff {
    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let most = self.0;
        self.0 = (most * 2).min(LONGEST_WAIT);
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
    }
}
