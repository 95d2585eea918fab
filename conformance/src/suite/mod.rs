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
pub mod scenarios;
pub mod stall;
pub mod venue;
pub mod xmpp;

use std::time::Instant;

use anyhow::Result;

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
        match check() {
            Ok(detail) => {
                self.passed += 1;
                println!("ok    {name} ({:.1} s) {detail}", start.elapsed().as_secs_f64());
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {name} ({:.1} s)\n{}", start.elapsed().as_secs_f64(), indent(&format!("{error:#}")));
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
