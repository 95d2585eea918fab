//! Many clients on their way in: connected a few or all at once, counted until the last one's last answer.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::latency::Latency;
use crate::net::{Conns, Load, Net, Speaks};

/// How many connections are on their way at once when a load does not want a storm.
pub const GENTLE: usize = 128;
const WITHIN: Duration = Duration::from_secs(300);
/// Of all connections of a load together.
const RETRIES_MAX: usize = 10_000;

/// A load whose clients connect and say what lets them in.
pub trait Arriving: Load {
    fn arrivals(&mut self) -> &mut Arrivals;

    /// The first words of a client that need not wait for an answer to the connection.
    fn greet(&mut self, _conns: &mut Conns, _id: usize) {}
}

/// How far they are.
pub struct Arrivals {
    wanted: usize,
    /// The connections' numbers follow on those that the loop has.
    first_conn: usize,
    started: usize,
    done: usize,
    start: Instant,
    /// From the beginning of all to each client's last answer.
    pub latency: Latency,
    pub took: Duration,
    pub retries: usize,
}

impl Arrivals {
    pub fn new(net: &mut Net, wanted: usize) -> Arrivals {
        Arrivals {
            wanted,
            first_conn: net.conns().count(),
            started: 0,
            done: 0,
            start: Instant::now(),
            latency: Latency::default(),
            took: Duration::ZERO,
            retries: 0,
        }
    }

    pub fn conns(&self) -> Range<usize> {
        self.first_conn..self.first_conn + self.wanted
    }

    /// The client of a connection; none of an earlier one of this loop, where whatever is heard belongs to no load now.
    pub fn client(&self, id: usize) -> Option<usize> {
        id.checked_sub(self.first_conn)
    }

    /// One more has its last answer.
    pub fn is_in(&mut self, conns: &Conns) {
        self.done += 1;
        self.latency.add(conns.now() - self.start);
    }
}

/// Lets all clients of the load in, `at_once` at a time.
pub fn arrive(net: &mut Net, load: &mut impl Arriving, speaks: Speaks, at_once: usize) -> Result<()> {
    // Connecting is interleaved with answering, so that the first clients do not wait for the last.
    loop {
        let Arrivals { wanted, started, done, start, .. } = *load.arrivals();
        if done == wanted {
            load.arrivals().took = start.elapsed();
            return Ok(());
        }
        if start.elapsed() > WITHIN {
            bail!("only {done} of {wanted} clients are in after {WITHIN:?}");
        }
        let room = at_once.saturating_sub(started - done).min(wanted - started);
        for _ in 0..room.min(64) {
            let id = net.conns().open(speaks)?;
            load.greet(net.conns(), id);
            load.arrivals().started += 1;
        }
        let wait = if room > 0 { Duration::ZERO } else { Duration::from_millis(100) };
        net.turn(wait, load)?;
    }
}

/// What a client does whose connection ended before anything was answered (a full listen queue): it tries again.
pub fn try_again(conns: &mut Conns, id: usize, spoke: Speaks, why: &str, retries: &mut usize) -> Result<()> {
    ensure!(spoke != Speaks::WebSocket, "connection {id} ended: {why}");
    *retries += 1;
    ensure!(*retries <= RETRIES_MAX, "after {retries} retries connection {id} still ends before its first answer: {why}");
    conns.reopen(id, spoke)
}
