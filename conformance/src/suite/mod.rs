//! What `cargo run --release -p conformance -- <suite>` runs. Every suite reports through [`Report`]: one line per check,
//! and counts that show that something was really exercised.
//!
//! - [`scenarios`]: the stories of `scenarios/`.
//! - [`matrix`]: who may do what, cell by cell.
//! - [`hostile`]: bad input, each answered as documented, while somebody else goes on talking.
//! - [`stall`]: a reader that stops reading under load.
//! - [`crash`]: SIGKILL at random moments.
//! - [`disk`]: a full disk. [`damage`]: damaged files, backup, restore, rebuild.
//! - [`browser`]: the web app, in a browser.
//! - [`edge`]: what Hallway promises over MQTT beyond the standard.
//! - [`component`]: Hallway as a component of Prosody.
//! - [`everywhere`]: one message over all protocols.
//! - [`push`]: who is pushed what, gateways that fail, SIGKILL, on fake gateways.
//! - [`venue`]: a conference's badge readers, at its own broker and at Hallway's.
//! - [`interop`]: the edges with the clients that people use.
//! - [`xmpp`]: the scripts of `xmpp/`, on Hallway and on Prosody.
//! - [`mqtt`]: the normative statements of MQTT, on any broker.
//!
//! [`load`] is the talking that goes on meanwhile.

pub mod browser;
pub mod component;
pub mod crash;
pub mod damage;
pub mod disk;
pub mod edge;
pub mod everywhere;
pub mod hostile;
pub mod interop;
pub(crate) mod load;
pub mod matrix;
pub mod mqtt;
pub mod push;
pub mod scenarios;
pub mod stall;
pub mod venue;
pub mod xmpp;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// One of several checks ([`Report::check_together`]).
pub struct Check<'a> {
    name: String,
    run: Box<dyn FnOnce() -> Result<String> + Send + 'a>,
}

impl<'a> Check<'a> {
    /// A check of this name; what it returns on success is printed behind it.
    pub fn new(name: impl Into<String>, run: impl FnOnce() -> Result<String> + Send + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Counts and prints what passed and failed.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Only checks whose names hold this are run.
    only: Option<String>,
}

impl Report {
    /// A report of the checks whose names hold `only`, or of all.
    #[must_use]
    pub fn of(only: Option<String>) -> Self {
        Self { only, ..Self::default() }
    }

    /// Runs one check; what it returns on success is printed behind its name.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Result<String>) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return;
        }
        let start = Instant::now();
        let outcome = check();
        self.tell(name, outcome, start.elapsed());
    }

    /// Runs checks that mostly wait, so many at once; each is told of when it ends.
    pub fn check_together(&mut self, at_once: usize, checks: Vec<Check<'_>>) {
        let is_wanted = |check: &Check<'_>| self.only.as_ref().is_none_or(|only| check.name.contains(only.as_str()));
        let queue = Mutex::new(checks.into_iter().filter(is_wanted).collect::<Vec<_>>().into_iter());
        let (ended, outcomes) = sync_channel(at_once);
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                let (queue, ended) = (&queue, ended.clone());
                scope.spawn(move || {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(Check { name, run }) = next else { return };
                        let start = Instant::now();
                        // One that panics fails, and the others go on.
                        let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(anyhow!("it panicked")));
                        ended.send((name, outcome, start.elapsed())).ok();
                    }
                });
            }
            drop(ended);
            for (name, outcome, took) in outcomes {
                self.tell(&name, outcome, took);
            }
        });
    }

    fn tell(&mut self, name: &str, outcome: Result<String>, took: Duration) {
        match outcome {
            Ok(detail) => {
                self.passed += 1;
                println!("ok    {name} ({:.1} s) {detail}", took.as_secs_f64());
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {name} ({:.1} s)\n{}", took.as_secs_f64(), indent(&format!("{error:#}")));
            }
        }
    }

    /// Something that cannot be run here, and why. It is counted apart, never as passed.
    pub fn skip(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        println!("SKIP  {name}: {reason}");
    }

    /// Prints the sum; true when nothing failed and something passed or was skipped with a reason.
    #[must_use]
    pub fn finish(&self) -> bool {
        if self.skipped > 0 {
            println!("{} skipped", self.skipped);
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed + self.skipped > 0
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_side_by_side_are_all_told_of_whatever_becomes_of_them() {
        let mut report = Report::of(Some("push".into()));
        let check = |name: &str, passes: bool| Check::new(name, move || if passes { Ok(String::new()) } else { Err(anyhow!("no")) });
        let panics = Check::new("push: panics", || panic!("on purpose"));
        report.check_together(
            2,
            vec![check("push: one", true), check("push: two", false), check("another", false), panics, check("push: three", true)],
        );
        assert_eq!((report.passed, report.failed), (2, 2));
        assert!(!report.finish());
    }
}
