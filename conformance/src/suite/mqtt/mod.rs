//! The normative statements of MQTT 3.1.1 and 5.0 that concern a server, tried on any broker.
//!
//! [`table`] lists every statement with our own words for it and its test, or the reason why it has none. The tests stand in files
//! by chapter; each is a function over a [`broker::Broker`] that returns what was wrong. [`report`] writes what came out.

pub mod broker;
mod connect;
mod malformed;
mod properties;
mod publish;
mod qos;
pub mod report;
mod retain;
mod session;
mod shared;
mod subscribe;
pub mod table;
#[cfg(test)]
mod tests;
mod topics;
mod unsubscribe;
mod will;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use broker::{Broker, Target, Untested};
use report::{Line, Outcome};
use table::{Check, Statement};

/// Tests at the same time. Many wait for something that must not come, so more than there are processors.
const THREADS: usize = 8;
/// No test is begun later than this after the first.
const RUN_TIME: Duration = Duration::from_secs(105);

/// Tries every statement of the version, and returns a line for each, in the order of the table.
#[must_use]
pub fn run(target: &Target) -> Vec<Line> {
    try_all(target, &table::statements(target.version))
}

/// Tries these statements.
pub(crate) fn try_all(target: &Target, statements: &[Statement]) -> Vec<Line> {
    let run: u32 = rand::random();
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(statement) = statements.get(number) else { return };
                    let start = Instant::now();
                    let outcome = match statement.check {
                        Check::No(reason) => Outcome::Untested(reason.to_owned()),
                        Check::Test(_) if begun.elapsed() > RUN_TIME => Outcome::Untested("the run's time was over".to_owned()),
                        Check::Test(test) => outcome(|| test(&Broker::new(target, run, number))),
                    };
                    let line = Line { id: statement.id, words: statement.words, outcome, seconds: start.elapsed().as_secs_f64() };
                    lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(number, line);
                }
            });
        }
    });
    lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
}

fn outcome(test: impl FnOnce() -> anyhow::Result<()>) -> Outcome {
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(error)) => match error.downcast_ref::<Untested>() {
            Some(Untested(reason)) => Outcome::Untested(reason.clone()),
            None => Outcome::Failed(format!("{error:#}")),
        },
        Err(_) => Outcome::Failed("the test itself broke".to_owned()),
    }
}
