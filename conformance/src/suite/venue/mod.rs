//! A venue: twenty readers of all kinds at its own broker and at Hallway's, thousands of attendees from a ticket shop's list, and while they are
//! scanned both brokers go down and come back. What the scans come to is compared with what a model says, to the last of them.
//!
//! - [`people`]: who comes, with which badges; [`writing`]: how numbers are written.
//! - [`posts`]: the readers. [`format`]: what each kind sends.
//! - [`plan`]: who holds which badge where and when; [`model`]: what must come of it.
//! - [`mosquitto`]: the venue's broker. [`reader`]: a reader at work.
//! - [`play`]: all of it, from the import to the last scan; [`verdict`]: what the server says of it afterwards.

mod format;
mod model;
mod mosquitto;
mod people;
mod plan;
mod play;
mod posts;
mod reader;
mod verdict;
mod writing;

use std::time::Duration;

use super::Report;
use plan::Scale;

/// What every run of everything has time for.
const SHORT: Scale = Scale { attendees: 1_000, per_second: 30, lasts: Duration::from_secs(20) };
/// A conference's morning.
const FULL: Scale = Scale { attendees: 5_000, per_second: 30, lasts: Duration::from_secs(120) };

/// The venue, at its full size or smaller; everything random comes from `seed`.
pub fn run(full: bool, seed: u64, report: &mut Report) {
    println!("      venue: seed {seed}");
    play::run(if full { &FULL } else { &SHORT }, seed, report);
}
