//! Samples of a latency, and the points of its distribution that are reported.

use std::time::Duration;

use serde_json::{Value, json};

use crate::report::median_of;

/// Every sample, in microseconds: a run has at most a few million, and exact percentiles beat a histogram's.
#[derive(Debug, Default)]
pub struct Latency {
    samples_us: Vec<u32>,
}

/// What is reported of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    pub fn add(&mut self, sample: Duration) {
        self.samples_us.push(u32::try_from(sample.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn clear(&mut self) {
        self.samples_us.clear();
    }

    /// All zero without samples.
    pub fn summary(&mut self) -> Summary {
        self.samples_us.sort_unstable();
        let at = |share: f64| {
            let index = (self.samples_us.len() as f64 * share) as usize;
            let index = index.min(self.samples_us.len().saturating_sub(1));
            self.samples_us.get(index).map_or(0.0, |&us| f64::from(us) / 1e3)
        };
        Summary { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

impl Summary {
    pub fn json(&self) -> Value {
        json!({ "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "max_ms": self.max_ms })
    }
}

/// Each point's median over the rounds.
pub fn medians(rounds: &[Summary]) -> Summary {
    Summary {
        p50_ms: median_of(rounds, |round| round.p50_ms),
        p99_ms: median_of(rounds, |round| round.p99_ms),
        max_ms: median_of(rounds, |round| round.max_ms),
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}/{:.2}/{:.1}", self.p50_ms, self.p99_ms, self.max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_a_distribution() {
        let mut latency = Latency::default();
        (1..=100).rev().for_each(|ms| latency.add(Duration::from_millis(ms)));
        let summary = latency.summary();
        assert_eq!((summary.p50_ms, summary.p99_ms, summary.max_ms), (51.0, 100.0, 100.0));
    }
}
