//! Counters and histograms of the hub, in Prometheus' text form. Those of badges and venues are in [`doors`].

mod doors;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use doors::{DoorGauges, Doors};

/// Upper bounds of a histogram's buckets in µs, about a factor of two apart.
const BOUNDS_US: [u64; 16] =
    [50, 100, 200, 400, 700, 1000, 2000, 4000, 7000, 10_000, 20_000, 40_000, 100_000, 400_000, 1_000_000, 10_000_000];
/// Upper bounds for counts of things in a batch.
const BOUNDS_COUNT: [u64; 16] = [1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256, 512, 1024, 4096];

/// Counts values by size.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64; 16],
    buckets: [AtomicU64; 17],
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [u64; 16]) -> Self {
        Self { bounds, buckets: Default::default(), sum: AtomicU64::new(0) }
    }

    /// Counts one value.
    pub fn record(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[at].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn write(&self, name: &str, help: &str, unit: f64, into: &mut String) {
        let _ = writeln!(into, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut count = 0;
        for (bucket, bound) in self.buckets.iter().zip(self.bounds) {
            count += bucket.load(Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
            let bound = *bound as f64 * unit;
            let _ = writeln!(into, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        count += self.buckets[16].load(Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
        let sum = self.sum.load(Relaxed) as f64 * unit;
        let _ = writeln!(into, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
    }
}

/// What the hub counts.
#[derive(Debug)]
pub struct Metrics {
    /// Messages stored.
    pub messages: AtomicU64,
    /// Events stored, messages among them.
    pub events: AtomicU64,
    /// Commands refused by admission or apply.
    pub refused: AtomicU64,
    /// Events given to sessions.
    pub deliveries: AtomicU64,
    /// Times that a session began to lag.
    pub lags: AtomicU64,
    /// Holes of the backbone that were filled from the store.
    pub holes: AtomicU64,
    /// Pushes that a provider took.
    pub push_sent: AtomicU64,
    /// Pushes that are tried again.
    pub push_retried: AtomicU64,
    /// Pushes that were put off and not wanted any more when they were due.
    pub push_dropped: AtomicU64,
    /// Targets that were gone.
    pub push_gone: AtomicU64,
    /// Pushes that were given up.
    pub push_dead: AtomicU64,
    /// Pushes that wait to be tried.
    pub push_queued: AtomicU64,
    /// Badges and venues.
    pub doors: Doors,
    /// Time from taking a command to its answer, µs.
    pub ack_us: Histogram,
    /// Commands in a batch.
    pub batch: Histogram,
    /// Time to make a batch durable, µs.
    pub log_us: Histogram,
    /// Time to apply and commit a batch, µs.
    pub apply_us: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            messages: AtomicU64::new(0),
            events: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            lags: AtomicU64::new(0),
            holes: AtomicU64::new(0),
            push_sent: AtomicU64::new(0),
            push_retried: AtomicU64::new(0),
            push_dropped: AtomicU64::new(0),
            push_gone: AtomicU64::new(0),
            push_dead: AtomicU64::new(0),
            push_queued: AtomicU64::new(0),
            doors: Doors::default(),
            ack_us: Histogram::new(&BOUNDS_US),
            batch: Histogram::new(&BOUNDS_COUNT),
            log_us: Histogram::new(&BOUNDS_US),
            apply_us: Histogram::new(&BOUNDS_US),
        }
    }
}

/// What is read off at the moment of asking.
#[derive(Debug, Default, Clone)]
pub struct Gauges {
    /// Protocol's word and its live sessions.
    pub sessions: Vec<(&'static str, usize)>,
    /// Sessions that lag.
    pub lagging: usize,
    /// Event bytes that wait in all outboxes.
    pub outbox_bytes: usize,
    /// Commands that wait for the log.
    pub queue: usize,
    /// Bytes of the store on disk.
    pub store_bytes: u64,
    /// Whether the store takes writes.
    pub writable: bool,
    /// Of badges.
    pub doors: DoorGauges,
}

/// Figures that have no labels: name, what it is, and value.
fn write_all<const N: usize>(text: &mut String, kind: &str, figures: [(&str, &str, u64); N]) {
    for (name, help, value) in figures {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
}

impl Metrics {
    /// All figures as Prometheus text.
    #[must_use]
    pub fn render(&self, gauges: &Gauges) -> String {
        let mut text = String::with_capacity(8192);
        let counters = [
            ("hallway_messages_total", "Messages stored", &self.messages),
            ("hallway_events_total", "Events stored", &self.events),
            ("hallway_refused_total", "Commands refused", &self.refused),
            ("hallway_deliveries_total", "Events given to sessions", &self.deliveries),
            ("hallway_lags_total", "Times that a session began to lag", &self.lags),
            ("hallway_backbone_holes_total", "Holes of the backbone filled from the store", &self.holes),
            ("hallway_push_sent_total", "Pushes that a provider took", &self.push_sent),
            ("hallway_push_retried_total", "Pushes that failed and are tried again", &self.push_retried),
            ("hallway_push_dropped_total", "Pushes that were put off and are not wanted any more", &self.push_dropped),
            ("hallway_push_gone_total", "Push targets that were gone", &self.push_gone),
            ("hallway_push_dead_total", "Pushes that were given up", &self.push_dead),
        ];
        write_all(&mut text, "counter", counters.map(|(name, help, counter)| (name, help, counter.load(Relaxed))));
        let _ = writeln!(text, "# HELP hallway_sessions Live sessions\n# TYPE hallway_sessions gauge");
        for (protocol, count) in &gauges.sessions {
            let _ = writeln!(text, "hallway_sessions{{protocol=\"{protocol}\"}} {count}");
        }
        let figures = [
            ("hallway_lagging_sessions", "Sessions that are refilled from the store", gauges.lagging as u64),
            ("hallway_outbox_bytes", "Event bytes that wait to be written", gauges.outbox_bytes as u64),
            ("hallway_queue_commands", "Commands that wait for the log", gauges.queue as u64),
            ("hallway_push_queued", "Pushes that wait to be tried", self.push_queued.load(Relaxed)),
            ("hallway_store_bytes", "Bytes of the store on disk", gauges.store_bytes),
            ("hallway_store_writable", "1 when the store takes writes", u64::from(gauges.writable)),
        ];
        write_all(&mut text, "gauge", figures);
        self.doors.write(gauges.doors, &mut text);
        self.ack_us.write("hallway_ack_seconds", "From taking a command to its answer", 1e-6, &mut text);
        self.batch.write("hallway_batch_commands", "Commands made durable together", 1.0, &mut text);
        self.log_us.write("hallway_log_append_seconds", "Write and fdatasync of a batch", 1e-6, &mut text);
        self.apply_us.write("hallway_apply_seconds", "Applying and committing a batch", 1e-6, &mut text);
        text
    }
}
