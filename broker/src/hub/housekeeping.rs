//! What has to be done from time to time: checkpoints, letting go of old log segments, watching the disk, forgetting what has expired, finishing
//! erasures that a crash interrupted.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Hub;
use crate::apply::erasures;
use crate::command::{Action, Actor, Command, Outcome};
use crate::ids::ConfNo;
use crate::keys;
use crate::view::{StoreHead, decode};

const TICK: Duration = Duration::from_millis(200);
const CHECKPOINT: Duration = Duration::from_millis(500);
const RELEASE: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(3600);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Runs until the hub stops.
pub(super) fn run(hub: &Hub) {
    let mut checkpoint = Due::every(CHECKPOINT);
    let mut release = Due::every(RELEASE);
    let mut sweep = Due::every(SWEEP);
    let mut durable = 0;
    finish_erasures(hub);
    while !hub.stopped.load(Relaxed) {
        std::thread::park_timeout(TICK);
        watch_disk(hub);
        let now = hub.clock.elapsed();
        if checkpoint.is(now) {
            durable = make_durable(hub, durable);
        }
        if release.is(now) {
            release_segments(hub, durable);
        }
        if sweep.is(now) {
            sweep_expired(hub);
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

/// Refuses writes while the disk has less free than the reserve.
fn watch_disk(hub: &Hub) {
    let Ok(disk) = rustix::fs::statvfs(&hub.options.data_dir) else { return };
    let (total, free) = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize);
    let full = free < hub.options.limits.disk_reserve_bytes.min(total / 10);
    if hub.health.disk_full.swap(full, Relaxed) != full {
        tracing::warn!(free_bytes = free, "{}", if full { "the disk is full: nothing is stored" } else { "the disk has room again" });
    }
}

/// Checkpoints when something was applied since; the lsn that is durable in the state.
fn make_durable(hub: &Hub, before: u64) -> u64 {
    let state = hub.reader.state();
    let applied = match state.get(&keys::store_head()) {
        Ok(Some(bytes)) => decode::<StoreHead>(&bytes).map_or(before, |head| head.applied),
        _ => before,
    };
    if applied == before {
        return before;
    }
    match state.checkpoint() {
        Ok(()) => applied,
        Err(error) => {
            tracing::error!(%error, "the checkpoint failed; the log is kept");
            before
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

/// Steps through what can expire. Each step is a command, so that every copy of the state forgets the same.
fn sweep_expired(hub: &Hub) {
    let mut from = Vec::new();
    while !hub.stopped.load(Relaxed) && hub.health.check().is_ok() {
        match call(hub, ConfNo(0), Action::Sweep { from }) {
            Some(Outcome::Continue(next)) => from = next,
            _ => return,
        }
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
fn call(hub: &Hub, conf: ConfNo, action: Action) -> Option<Outcome> {
    let command = Command { conf, actor: Actor::system(), at_ms: 0, action };
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    runtime.block_on(hub.queue.call(command, hub.elapsed_us())).ok()
}
