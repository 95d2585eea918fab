//! What has to be done from time to time: checkpoints, letting go of old log segments, watching the disk, forgetting what has expired or is beyond
//! what is kept, files that no message has, finishing erasures that a crash interrupted.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Hub;
use super::attached::{self, FileSweep};
use super::kept::{self, KeptSweep};
use super::sweep::Sweep;
use crate::apply::erasures;
use crate::command::{Action, Actor, Command, Outcome};
use crate::ids::ConfNo;
use crate::keys;
use crate::view::{StoreHead, decode};

const TICK: Duration = Duration::from_millis(200);
const CHECKPOINT: Duration = Duration::from_millis(500);
const RELEASE: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(3600);
const TRIM: Duration = Duration::from_secs(5);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Runs until the hub stops.
pub(super) fn run(hub: &Hub) {
    let mut checkpoint = Due::every(CHECKPOINT);
    let mut release = Due::every(RELEASE);
    let mut sweep_due = Due::every(SWEEP);
    let mut sweep = Sweep::default();
    let mut kept_sweep = KeptSweep::default();
    let mut file_sweep = FileSweep::default();
    let mut trim = Due::every(TRIM);
    let mut durable = Durable::default();
    finish_erasures(hub);
    while !hub.stopped.load(Relaxed) {
        std::thread::park_timeout(TICK);
        watch_disk(hub);
        let now = hub.clock.elapsed();
        for telling in hub.gatherings.take_due(now, hub.clock.now_ms()) {
            hub.tell(&telling);
        }
        if checkpoint.is(now) {
            durable.make(hub);
        }
        if release.is(now) {
            release_segments(hub, durable.applied);
            // Those that were refused when they were begun, because of the disk for example.
            finish_erasures(hub);
        }
        if sweep_due.is(now) {
            sweep.begin();
        }
        sweep.go_on(hub);
        if trim.is(now) {
            kept::trim(hub);
            kept_sweep.go_on(hub);
            attached::collect(hub);
            file_sweep.go_on(hub);
        }
    }
}

/// Something that is due at intervals.
struct Due {
    every: Duration,
    next: Duration,
}

impl Due {
    fn every(every: Duration) -> Self {
        Self { every, next: every }
    }

    fn is(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

/// Free bytes below which no files are taken, in reserves.
const RESERVES_FOR_FILES: u64 = 2;

/// Refuses writes while the disk has less free than the reserve, and files already with less than [`RESERVES_FOR_FILES`] of it.
pub(super) fn watch_disk(hub: &Hub) {
    let Ok(disk) = rustix::fs::statvfs(&hub.options.data_dir) else { return };
    let (total, free) = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize);
    let reserve = hub.options.limits.disk_reserve_bytes.min(total / 10);
    let low = free < reserve * RESERVES_FOR_FILES;
    if hub.health.disk_low.swap(low, Relaxed) != low {
        tracing::warn!(free_bytes = free, "{}", if low { "the disk is nearly full: no files are taken" } else { "files are taken again" });
    }
    let full = free < reserve;
    if hub.health.disk_full.swap(full, Relaxed) != full {
        tracing::warn!(free_bytes = free, "{}", if full { "the disk is full: nothing is stored" } else { "the disk has room again" });
    }
}

/// How far the state is durable.
#[derive(Default)]
struct Durable {
    applied: u64,
    failing: bool,
}

impl Durable {
    /// Checkpoints, also when nothing was applied since: this is where failures of the state's own writes show.
    fn make(&mut self, hub: &Hub) {
        let state = hub.reader.state();
        let applied = match state.get(&keys::store_head()) {
            Ok(Some(bytes)) => decode::<StoreHead>(&bytes).map_or(self.applied, |head| head.applied),
            _ => self.applied,
        };
        match state.checkpoint() {
            Ok(()) => *self = Self { applied, failing: false },
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, "the checkpoint failed; the log is kept");
                }
                self.failing = true;
            }
        }
    }
}

fn release_segments(hub: &Hub, durable: u64) {
    let keep_ms = u64::from(hub.options.store.log_keep_days) * DAY_MS;
    let before_ms = hub.clock.now_ms().saturating_sub(keep_ms);
    let released = hub.log.lock().unwrap_or_else(PoisonError::into_inner).release(durable, before_ms);
    match released {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "log segments let go"),
        Err(error) => tracing::error!(%error, "old log segments stay"),
    }
}

fn finish_erasures(hub: &Hub) {
    let conferences = hub.reader.conferences().unwrap_or_default();
    for (_, conference) in conferences {
        for uid in erasures(&**hub.reader.state(), conference.no).unwrap_or_default() {
            tracing::info!("going on with an erasure");
            while let Some(Outcome::Continue(_)) = call(hub, conference.no, Action::Erase { uid: uid.clone() }) {}
        }
    }
}

/// Submits a command and waits, without a runtime.
pub(super) fn call(hub: &Hub, conf: ConfNo, action: Action) -> Option<Outcome> {
    let command = Command { conf, actor: Actor::system(), at_ms: 0, action };
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    runtime.block_on(hub.queue.call(command, hub.elapsed_us())).ok()
}
