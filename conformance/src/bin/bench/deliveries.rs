//! One message to many subscribers: what is outstanding, whether everyone has everything once and in order, and the rate.
//!
//! A message is done when the last subscriber has it; a window is how many are not done yet.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bare::Bare;
use crate::meter::{Meter, Used};
use crate::net::{ATTENDING, Conns, Load, Net};

/// More than a window.
const RING: usize = 1 << 14;
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// A load that sends one message to many subscribers.
pub trait Fan: Load {
    fn tally(&mut self) -> &mut Tally;

    /// Queues one more message.
    fn send(&mut self, conns: &mut Conns);

    /// Whether nothing is outstanding.
    fn is_done(&self) -> bool;
}

/// Counts deliveries.
pub struct Tally {
    /// By subscriber: the seq that must come next; 0 where any may be the first.
    next_seqs: Vec<u64>,
    /// By seq: how many subscribers have it.
    received: Vec<u32>,
    pub outstanding: usize,
    deliveries: u64,
    is_refilling: bool,
}

impl Tally {
    pub fn new(next_seqs: Vec<u64>) -> Tally {
        Tally { next_seqs, received: vec![0; RING], outstanding: 0, deliveries: 0, is_refilling: false }
    }

    pub fn subscribers(&self) -> usize {
        self.next_seqs.len()
    }

    /// A subscriber has a message. True when it was the last one, and another message is wanted in its place.
    #[inline]
    pub fn received(&mut self, subscriber: usize, seq: u64) -> Result<bool> {
        self.in_order(subscriber, seq)?;
        self.deliveries += 1;
        let received = &mut self.received[seq as usize % RING];
        *received += 1;
        if *received as usize != self.next_seqs.len() {
            return Ok(false);
        }
        *received = 0;
        self.outstanding -= 1;
        Ok(self.is_refilling)
    }

    pub fn in_order(&mut self, subscriber: usize, seq: u64) -> Result<()> {
        let expected = &mut self.next_seqs[subscriber];
        ensure!(seq == *expected || *expected == 0, "subscriber {subscriber} got seq {seq} where {expected} must come");
        *expected = seq + 1;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub per_s: f64,
    pub used: Used,
}

/// Subscribers and senders on one loop, and the process that they are connected to.
pub struct Drive<L> {
    pub net: Net,
    pub load: L,
    pub pid: u32,
    // Ends with the drive.
    pub bare: Option<Bare>,
}

impl<L: Fan> Drive<L> {
    /// Deliveries per second with `window` messages outstanding.
    pub fn measure(&mut self, window: usize, warmup_s: f64, seconds: f64) -> Result<Sample> {
        ensure!(window < RING, "a window of {window}");
        self.load.tally().is_refilling = true;
        for _ in 0..window {
            self.load.send(self.net.conns());
        }
        self.net.run_for(&mut self.load, Duration::from_secs_f64(warmup_s))?;
        let (meter, before) = (Meter::start(self.pid), self.load.tally().deliveries);
        self.net.run_for(&mut self.load, Duration::from_secs_f64(seconds))?;
        let used = meter.used();
        let per_s = (self.load.tally().deliveries - before) as f64 / used.seconds;
        self.load.tally().is_refilling = false;
        // A bare writer that joins k messages keeps what is fewer than k at the end.
        if self.bare.is_none() {
            // What is lost shows here.
            self.net.run(&mut self.load, DRAIN_WITHIN, "the last deliveries", L::is_done)?;
        }
        Ok(Sample { per_s, used })
    }

    /// Answers what came while others were measured: a ping that waits too long ends a connection.
    pub fn attend(&mut self) -> Result<()> {
        self.net.run_for(&mut self.load, ATTENDING).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_done_when_the_last_has_it_and_never_twice() {
        let mut tally = Tally::new(vec![7, 0]);
        tally.outstanding = 2;
        tally.is_refilling = true;
        assert!(!tally.received(0, 7).expect("in order"));
        assert!(tally.received(1, 7).expect("any is the first"));
        assert_eq!((tally.outstanding, tally.deliveries), (1, 2));
        assert!(tally.received(1, 7).is_err(), "twice");
        assert!(tally.received(0, 9).is_err(), "a hole");
    }
}
