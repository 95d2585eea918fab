//! A simulation of hub and store from one seed: a machine that crashes, a log and a state that fail, a backbone that loses messages, sockets
//! that take nothing, users who come and go; and after every step the invariants of DESIGN. No threads, no clock, no IO in a run.
//!
//! `HALLWAY_SIM_SEEDS=1000 cargo test --test simulation` runs as many; `HALLWAY_SIM_SEED=7` runs one and tells each step.
//!
//! Reading order: `world` (what happens), `node` and `stages` (the hub), `sessions` and `client` (the sessions and their clients), `ops` (what
//! users ask for), `truth` (what should be), `check` (what must hold), `quiet` (the end).

#![allow(clippy::unwrap_used, reason = "a simulation stops at the first surprise")]

mod check;
mod client;
mod disk;
mod followers;
mod link;
mod node;
mod ops;
mod quiet;
mod replay;
mod revoked;
mod rng;
mod sessions;
mod stages;
mod truth;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use world::{Stats, World};

/// Whether `Session::subscribe` looks whether the conversation may be read after it has read it, or before.
pub const SUBSCRIBE_CHECKS_LAST: bool = true;
/// Whether an erasure takes the name out of everything that somebody did, not only of what they said where they were members.
pub const ERASES_NAMES_EVERYWHERE: bool = true;

thread_local! {
    /// Where the thread's last panic was.
    static PANICKED_AT: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// Runs one seed; the message of what failed, and the step.
fn run(seed: u64, traced: bool) -> Result<Stats, (String, usize, Vec<String>)> {
    let mut world = match catch_unwind(|| World::new(seed, traced)) {
        Ok(world) => world,
        Err(panic) => return Err((text(&*panic), 0, Vec::new())),
    };
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(()) => Ok(world.stats),
        Err(panic) => Err((text(&*panic), world.step, world.trace.take().into_iter().flatten().collect())),
    }
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    let words =
        owned.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_else(|| "a panic without words".into());
    format!("{words}\n(at {})", PANICKED_AT.with_borrow(Clone::clone))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a failed seed again to tell what happened last.
fn report(seed: u64) -> String {
    match run(seed, true) {
        Ok(_) => format!("seed {seed} failed, and not again: something is not deterministic"),
        Err((what, step, trace)) => {
            format!("seed {seed}, step {step}: {what}\nHALLWAY_SIM_SEED={seed} tells all of it. The last steps:\n{}", trace.join("\n"))
        }
    }
}

#[test]
fn nothing_acked_is_lost_and_every_reader_has_everything_once() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |location| format!("{}:{}", location.file(), location.line()));
        PANICKED_AT.with_borrow_mut(|at| *at = place);
    }));
    let (first, last) = match number("HALLWAY_SIM_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (
            number("HALLWAY_SIM_FIRST").unwrap_or(0),
            number("HALLWAY_SIM_FIRST").unwrap_or(0) + number("HALLWAY_SIM_SEEDS").unwrap_or(200),
        ),
    };
    let (next, stop, all) = (AtomicU64::new(first), AtomicBool::new(false), number("HALLWAY_SIM_ALL").is_some());
    let (failed, stats) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    // Each run is alone in its thread; the threads only share the seeds out.
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= last {
                        return;
                    }
                    match run(seed, false) {
                        Ok(run) => stats.lock().unwrap().push(run),
                        Err((what, step, _)) => {
                            failed.lock().unwrap().push((seed, step, what));
                            stop.store(!all, Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (mut failed, stats) = (failed.into_inner().unwrap(), stats.into_inner().unwrap());
    let sum = |of: fn(&Stats) -> u64| stats.iter().map(of).sum::<u64>();
    eprintln!(
        "{} seeds: {} steps, {} events, {} acks, {} refusals, {} events seen, {} refills, {} joins, {} named, {} holes, {} crashes, {} recoveries",
        stats.len(),
        sum(|s| s.steps),
        sum(|s| s.events),
        sum(|s| s.acks),
        sum(|s| s.refused),
        sum(|s| s.seen),
        sum(|s| s.lags),
        sum(|s| s.joins),
        sum(|s| s.named),
        sum(|s| s.holes),
        sum(|s| s.crashes),
        sum(|s| s.recoveries)
    );
    failed.sort();
    for (seed, step, what) in failed.iter().skip(1) {
        eprintln!("also: seed {seed}, step {step}: {what}");
    }
    if let Some((seed, ..)) = failed.first() {
        panic_with(&report(*seed));
    }
}

fn panic_with(report: &str) -> ! {
    eprintln!("{report}");
    panic!("a seed failed, see above");
}
