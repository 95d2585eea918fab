//! How often one address tried something in the last minute. Pure: time comes in. Bounded: who fills the table pushes out the
//! addresses that were quiet longest.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::generations::Generations;

/// Addresses remembered at least; at most twice as many are.
const ADDRESSES: usize = 32_768;
/// Attempts are counted in slots of this length.
const SLOT_MS: u64 = 5_000;
/// Slots that cover a minute wherever in a slot it begins.
const SLOTS: usize = 13;

/// A network of one household or venue: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// The counts of the last slots, each with the slot's number.
#[derive(Debug, Clone, Copy, Default)]
struct Counts([(u64, u32); SLOTS]);

impl Counts {
    fn live(&self, slot: u64) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.0.iter().copied().filter(move |(number, count)| *count > 0 && number + SLOTS as u64 > slot)
    }

    fn add(&mut self, slot: u64) {
        let entry = &mut self.0[(slot % SLOTS as u64) as usize];
        *entry = if entry.0 == slot { (slot, entry.1.saturating_add(1)) } else { (slot, 1) };
    }

    /// How long until fewer than `limit` are counted, 0 when it is so now.
    fn wait_ms(&self, limit: u32, now_ms: u64) -> u64 {
        let mut live: Vec<(u64, u32)> = self.live(now_ms / SLOT_MS).collect();
        live.sort_unstable();
        let mut counted: u64 = live.iter().map(|(_, count)| u64::from(*count)).sum();
        let mut wait = 0;
        for (number, count) in live {
            if counted < u64::from(limit) {
                break;
            }
            counted -= u64::from(count);
            wait = (number + SLOTS as u64) * SLOT_MS - now_ms;
        }
        wait
    }
}

/// Attempts by address, at most so many in any minute.
#[derive(Debug)]
pub struct Attempts {
    per_minute: u32,
    counts: Generations<Network, Counts>,
}

impl Attempts {
    /// No attempts yet; 0 means no limit.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, counts: Generations::new(ADDRESSES) }
    }

    /// Whether one more attempt is within the limit.
    ///
    /// # Errors
    /// After how many ms it will be.
    pub fn check(&mut self, from: Network, now: Duration) -> Result<(), u64> {
        if self.per_minute == 0 {
            return Ok(());
        }
        match self.counts.get(&from).map_or(0, |counts| counts.wait_ms(self.per_minute, ms(now))) {
            0 => Ok(()),
            wait => Err(wait),
        }
    }

    /// Counts an attempt.
    pub fn count(&mut self, from: Network, now: Duration) {
        if self.per_minute == 0 {
            return;
        }
        let slot = ms(now) / SLOT_MS;
        if let Some(counts) = self.counts.get(&from) {
            counts.add(slot);
        } else {
            let mut counts = Counts::default();
            counts.add(slot);
            self.counts.insert(from, counts);
        }
    }

    /// Counts an attempt when it is within the limit.
    ///
    /// # Errors
    /// After how many ms it will be; it is not counted then.
    pub fn take(&mut self, from: Network, now: Duration) -> Result<(), u64> {
        self.check(from, now)?;
        self.count(from, now);
        Ok(())
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn one_over_the_limit_waits_as_long_as_it_is_told() {
        let (mut attempts, from) = (Attempts::new(3), network("127.0.0.1"));
        let mut now = Duration::from_millis(123_456);
        for _ in 0..3 {
            assert_eq!(attempts.take(from, now), Ok(()));
        }
        let wait = attempts.take(from, now).unwrap_err();
        assert!((60_000..=65_000).contains(&wait), "{wait}");
        assert_eq!(attempts.check(network("127.0.0.2"), now), Ok(()), "another address is not concerned");
        now += Duration::from_millis(wait - 1);
        assert!(attempts.check(from, now).is_err());
        now += Duration::from_millis(1);
        assert_eq!(attempts.check(from, now), Ok(()));
    }

    #[test]
    fn networks() {
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }

    #[test]
    fn zero_is_no_limit() {
        let mut attempts = Attempts::new(0);
        for _ in 0..1000 {
            assert_eq!(attempts.take(network("10.0.0.1"), Duration::ZERO), Ok(()));
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut attempts = Attempts::new(1);
        for n in 0..ADDRESSES as u32 * 3 {
            attempts.count(Network(IpAddr::V4(n.into())), Duration::ZERO);
        }
        assert!(attempts.check(Network(IpAddr::V4(0.into())), Duration::ZERO).is_ok(), "the oldest is forgotten");
        assert!(attempts.check(Network(IpAddr::V4((ADDRESSES as u32 * 3 - 1).into())), Duration::ZERO).is_err());
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_any_minute(limit in 1..20u32, steps in prop::collection::vec(0..8_000u64, 1..200)) {
            let (mut attempts, from) = (Attempts::new(limit), network("10.0.0.1"));
            let (mut now, mut taken) = (0, Vec::new());
            for step in steps {
                now += step;
                match attempts.take(from, Duration::from_millis(now)) {
                    Ok(()) => taken.push(now),
                    Err(wait) => prop_assert!((1..=65_000).contains(&wait)),
                }
                let minute = taken.iter().filter(|at| **at + 60_000 > now).count();
                prop_assert!(minute <= limit as usize);
            }
        }
    }
}
