//! When something is tried again: backoff for one push, a breaker for those who do not answer at all. Time comes in as an argument.

const FIRST_MS: u64 = 1000;
const LONGEST_MS: u64 = 3_600_000;
/// Failures in a row after which nobody is asked for a while.
const BREAK_AFTER: u32 = 5;
/// The longest while.
const LONGEST_BREAK_MS: u64 = 60_000;

/// How long to wait after so many tries; `hash` spreads those that failed together.
pub(super) fn backoff_ms(tries: u32, hash: u64) -> u64 {
    let most = FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(12)).min(LONGEST_MS);
    most * 3 / 4 + hash % (most / 4 + 1)
}

/// Whether somebody who may be down is to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Breaker {
    failures: u32,
    open_until_ms: u64,
    /// One asks whether they are back.
    probes: bool,
}

impl Breaker {
    /// From when on they can be asked, when that is not now.
    pub(super) fn closed_until_ms(&self, now_ms: u64) -> Option<u64> {
        if self.failures < BREAK_AFTER {
            return None;
        }
        if self.is_open(now_ms) { Some(self.open_until_ms) } else { self.probes.then(|| now_ms + FIRST_MS) }
    }

    /// Nobody is asked now. A clock that was set back meanwhile closes nobody for longer than there is reason to.
    fn is_open(&self, now_ms: u64) -> bool {
        (1..=LONGEST_BREAK_MS).contains(&self.open_until_ms.saturating_sub(now_ms))
    }

    /// Whether the next one only asks whether they are back.
    pub(super) fn is_ailing(&self) -> bool {
        self.failures >= BREAK_AFTER
    }

    /// They are asked.
    pub(super) fn ask(&mut self) {
        self.probes = self.is_ailing();
    }

    /// They answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// They did not; whether that was once too often.
    pub(super) fn failed(&mut self, now_ms: u64) -> bool {
        // What was on its way when they failed tells nothing new.
        if self.is_ailing() && self.is_open(now_ms) {
            return false;
        }
        self.failures += 1;
        self.probes = false;
        if !self.is_ailing() {
            return false;
        }
        self.open_until_ms = now_ms + (FIRST_MS << (self.failures - BREAK_AFTER).min(6)).min(LONGEST_BREAK_MS);
        self.failures == BREAK_AFTER
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_fails_is_asked_less_and_less_by_one_and_by_all_again_once_they_answer() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert!(!breaker.failed(0));
        }
        assert_eq!(breaker.closed_until_ms(0), None);
        assert!(breaker.failed(0));
        assert_eq!(breaker.closed_until_ms(999), Some(1000));
        assert!(!breaker.failed(500), "an answer to what was asked before");
        assert_eq!(breaker.closed_until_ms(1000), None);
        breaker.ask();
        assert!(breaker.closed_until_ms(1000).is_some(), "one is enough to find out");
        breaker.failed(1500);
        assert_eq!(breaker.closed_until_ms(1500), Some(3500));
        breaker.ask();
        breaker.answered();
        assert_eq!(breaker.closed_until_ms(1500), None);
    }

    #[test]
    fn a_clock_that_is_set_back_closes_nobody_for_longer() {
        let mut breaker = Breaker::default();
        let now_ms = 10_000_000;
        assert_eq!((0..20).filter(|_| breaker.failed(now_ms + 2 * LONGEST_BREAK_MS)).count(), 1);
        assert_eq!(breaker.closed_until_ms(now_ms), None);
        assert!(!breaker.failed(now_ms) && breaker.closed_until_ms(now_ms).is_some(), "one fails by the clock as it is now");
    }

    proptest! {
        #[test]
        fn waits_grow_up_to_an_hour(tries in 1..u32::MAX, hash: u64) {
            let wait = backoff_ms(tries, hash);
            prop_assert!((750..=3_600_000).contains(&wait));
            if tries < 12 {
                prop_assert!(backoff_ms(tries + 1, 0) > backoff_ms(tries, u64::MAX / 2));
            }
        }
    }
}
