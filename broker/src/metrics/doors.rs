//! What an organiser wants to see in the morning, when the doors open: what scans come to, how long they take, and how the links to venues' own
//! brokers are.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{BOUNDS_US, Histogram, write_all};
use crate::model::{Mode, ScanReason, Scanned};

/// Counters of badges and venues.
#[derive(Debug)]
pub struct Doors {
    /// Results of scans, by mode and reason.
    scans: [[AtomicU64; ScanReason::ALL.len()]; Mode::ALL.len()],
    /// Time from taking a scan to its answer, µs.
    pub(crate) scan_us: Histogram,
    /// Brokers of venues.
    pub venue_links: AtomicU64,
    /// Those that are connected.
    pub venue_links_up: AtomicU64,
    /// Times that such a connection broke.
    pub venue_breaks: AtomicU64,
    /// Readers' messages that came over venues' brokers.
    pub venue_messages: AtomicU64,
    /// Messages there of nobody whose they could be: no such device, or no such topic.
    pub venue_strangers: AtomicU64,
    /// Results that wait to be sent there.
    pub venue_waiting: AtomicU64,
    /// Results that were not sent there: too many waited, or the connection was gone.
    pub venue_untold: AtomicU64,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            scans: Default::default(),
            scan_us: Histogram::new(&BOUNDS_US),
            venue_links: AtomicU64::new(0),
            venue_links_up: AtomicU64::new(0),
            venue_breaks: AtomicU64::new(0),
            venue_messages: AtomicU64::new(0),
            venue_strangers: AtomicU64::new(0),
            venue_waiting: AtomicU64::new(0),
            venue_untold: AtomicU64::new(0),
        }
    }
}

/// What is read off at the moment of asking.
#[derive(Debug, Default, Clone, Copy)]
pub struct DoorGauges {
    /// People who are checked in.
    pub checked_in: u64,
    /// Readers that work, as far as can be told.
    pub readers_online: u64,
    /// Readers that do not.
    pub readers_offline: u64,
}

impl Doors {
    /// Counts what a scan came to.
    pub(crate) fn scanned(&self, scanned: &Scanned) {
        self.scans[scanned.mode as usize][scanned.reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn write(&self, gauges: DoorGauges, text: &mut String) {
        let _ = writeln!(text, "# HELP hallway_badge_scans_total Results of badges' scans\n# TYPE hallway_badge_scans_total counter");
        for (mode, counts) in Mode::ALL.iter().zip(&self.scans) {
            for (reason, count) in ScanReason::ALL.iter().zip(counts) {
                let (mode, reason, count) = (mode.word(), reason.word(), count.load(Relaxed));
                let _ = writeln!(text, "hallway_badge_scans_total{{mode=\"{mode}\",reason=\"{reason}\"}} {count}");
            }
        }
        self.scan_us.write("hallway_badge_scan_seconds", "From taking a scan to its answer, on disk", 1e-6, text);
        let _ = writeln!(text, "# HELP hallway_readers Readers that are set to something\n# TYPE hallway_readers gauge");
        for (state, count) in [("online", gauges.readers_online), ("offline", gauges.readers_offline)] {
            let _ = writeln!(text, "hallway_readers{{state=\"{state}\"}} {count}");
        }
        let counters = [
            ("hallway_venue_breaks_total", "Connections to venues' brokers that broke", &self.venue_breaks),
            ("hallway_venue_messages_total", "Readers' messages over venues' brokers", &self.venue_messages),
            ("hallway_venue_strangers_total", "Messages over venues' brokers of no device here", &self.venue_strangers),
            ("hallway_venue_untold_total", "Results that were not sent to venues' brokers", &self.venue_untold),
        ];
        write_all(text, "counter", counters.map(|(name, help, counter)| (name, help, counter.load(Relaxed))));
        let gauges = [
            ("hallway_checked_in", "People who are checked in", gauges.checked_in),
            ("hallway_venue_links", "Brokers of venues", self.venue_links.load(Relaxed)),
            ("hallway_venue_links_up", "Brokers of venues that are connected", self.venue_links_up.load(Relaxed)),
            ("hallway_venue_results_waiting", "Results that wait to be sent to venues' brokers", self.venue_waiting.load(Relaxed)),
        ];
        write_all(text, "gauge", gauges);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_reasons_have_their_own_place() {
        for (at, mode) in Mode::ALL.into_iter().enumerate() {
            assert_eq!(mode as usize, at);
        }
        for (at, reason) in ScanReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
    }

    #[test]
    fn every_line_is_a_figure_or_says_what_one_is() {
        let mut text = String::new();
        Doors::default().write(DoorGauges { checked_in: 3, readers_online: 1, readers_offline: 2 }, &mut text);
        for line in text.lines() {
            let is_figure = line.rsplit_once(' ').is_some_and(|(name, value)| name.starts_with("hallway_") && value.parse::<f64>().is_ok());
            assert!(is_figure || line.starts_with("# HELP hallway_") || line.starts_with("# TYPE hallway_"), "{line}");
        }
        for line in ["hallway_checked_in 3", "hallway_readers{state=\"offline\"} 2", "hallway_venue_links_up 0"] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }
}
