//! When a polling client is to be pinged, and when it is taken for gone. No clock: the time comes in.

use std::time::Duration;

use tokio::time::Instant;

use super::engine::{Heartbeat, Version};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Pulse {
    version: Version,
    heartbeat: Heartbeat,
    /// Protocol 4: the next ping.
    ping_at: Instant,
    /// By then something must have come.
    heard_by: Instant,
    /// By then there must be a poll.
    polled_by: Instant,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing yet.
    Nothing,
    /// A ping.
    Ping,
    /// The end.
    Dead,
}

impl Pulse {
    pub fn new(version: Version, heartbeat: Heartbeat, now: Instant) -> Self {
        let whole = heartbeat.interval + heartbeat.timeout;
        Self { version, heartbeat, ping_at: now + heartbeat.interval, heard_by: now + whole, polled_by: now + whole }
    }

    fn whole(&self) -> Duration {
        self.heartbeat.interval + self.heartbeat.timeout
    }

    /// Something came.
    pub fn heard(&mut self, now: Instant) {
        self.heard_by = now + self.whole();
    }

    /// A poll waits, or has just been answered.
    pub fn polled(&mut self, now: Instant) {
        self.polled_by = now + self.whole();
    }

    /// What is due now.
    pub fn beat(&mut self, now: Instant) -> Beat {
        if now >= self.heard_by || now >= self.polled_by {
            return Beat::Dead;
        }
        if self.version == Version::V4 && now >= self.ping_at {
            self.ping_at = now + self.heartbeat.interval;
            self.heard_by = self.heard_by.min(now + self.heartbeat.timeout);
            return Beat::Ping;
        }
        Beat::Nothing
    }

    /// When something is due next.
    pub fn next(&self) -> Instant {
        let end = self.heard_by.min(self.polled_by);
        if self.version == Version::V4 { end.min(self.ping_at) } else { end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn in_protocol_4_a_ping_must_be_answered_in_time() {
        let start = tokio::time::Instant::now();
        let mut pulse = Pulse::new(Version::V4, Heartbeat::default(), start);
        assert_eq!(pulse.beat(after(start, 24)), Beat::Nothing);
        assert_eq!(pulse.next(), after(start, 25));
        pulse.polled(after(start, 25));
        assert_eq!(pulse.beat(after(start, 25)), Beat::Ping);
        assert_eq!(pulse.next(), after(start, 45));
        pulse.heard(after(start, 44));
        assert_eq!(pulse.beat(after(start, 45)), Beat::Nothing);
        pulse.polled(after(start, 50));
        assert_eq!(pulse.beat(after(start, 50)), Beat::Ping);
        pulse.polled(after(start, 70));
        assert_eq!(pulse.beat(after(start, 70)), Beat::Dead);
    }

    #[tokio::test]
    async fn in_protocol_3_the_client_pings_and_in_both_it_polls() {
        let start = tokio::time::Instant::now();
        let mut pulse = Pulse::new(Version::V3, Heartbeat::default(), start);
        for second in [20, 40, 60] {
            pulse.heard(after(start, second));
            pulse.polled(after(start, second));
            assert_eq!(pulse.beat(after(start, second)), Beat::Nothing);
        }
        pulse.heard(after(start, 100));
        assert_eq!(pulse.next(), after(start, 105));
        assert_eq!(pulse.beat(after(start, 105)), Beat::Dead);
    }
}
