//! Push: who is away still learns of a message, once. The worker reads what happens with a cursor of its own, decides member by member, and
//! hands each push to the gateway of its target.
//!
//! In reading order: [`worker`] (the spine), [`tail`] and [`catch_up`] (what is undecided), [`expand`] (whom it may concern), [`person`] and
//! [`decide`] (whether they are pushed), [`compose`] (what they are told), [`gateway`] and [`lanes`] (who delivers, and how much at a time), [`retry`],
//! [`desk`] (what of a conference is written down).

mod catch_up;
mod compose;
mod decide;
mod desk;
mod expand;
pub mod gateway;
mod lanes;
mod person;
mod retry;
mod tail;
pub(crate) mod worker;

#[cfg(test)]
mod tests;

use std::time::Duration;

/// How people are pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushOptions {
    /// How long after a message it is decided who is away: who comes back or reads it elsewhere by then is not pushed to.
    pub grace: Duration,
    /// Who did something so long before a message, and is still there, is not away.
    pub active: Duration,
    /// Pushes that are on their way to one gateway at the same time; four times as many where users bring the hosts.
    pub per_gateway: usize,
    /// How long a push is of use: it is not tried any more after that.
    pub time_to_live: Duration,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(3),
            active: Duration::from_secs(60),
            per_gateway: 32,
            time_to_live: Duration::from_secs(24 * 3600),
        }
    }
}

/// A moment by both clocks: what was said has the wall's time, which may jump; who waits does so by the other.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Unix ms.
    wall_ms: u64,
    /// Since the server's clock was made.
    elapsed_ms: u64,
}

/// A duration in ms, as times of the store are.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
