//! `cargo run --release -p conformance -- <suite>`: runs a suite against the release binary, prints a line per check and the
//! sum at the end. The exit status is 0 only when nothing failed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use conformance::server;
use conformance::suite::{Report, browser, crash, damage, disk, hostile, matrix, scenarios, stall};

#[derive(Debug, Parser)]
#[command(about = "Checks Hallway from outside")]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Debug, Subcommand)]
enum Suite {
    /// The stories of conformance/scenarios, all or those named.
    Scenarios {
        /// File names without `.txt`.
        names: Vec<String>,
    },
    /// Who may do what: conformance/matrix.txt, cell by cell.
    Matrix {
        /// Only this method.
        method: Option<String>,
    },
    /// Bad input, each answered as documented.
    Hostile,
    /// A reader that stops reading under load.
    Stall {
        /// For so many seconds.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// SIGKILL at random moments under load.
    Crash {
        /// How often.
        #[arg(long, default_value_t = 20)]
        kills: usize,
        /// Where everything random comes from; a new one when not given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// A full disk.
    Disk,
    /// Damaged files, backup, restore, rebuild.
    Damage,
    /// Two windows of the web page.
    Browser,
    /// All of them.
    All {
        /// 200 kills instead of 20, and a stall of 30 s instead of 5.
        #[arg(long)]
        long: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::default();
    if let Err(error) = run(&arguments.suite, &mut report) {
        report.check("the suite itself", || Err(error));
    }
    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(suite: &Suite, report: &mut Report) -> Result<()> {
    server::binary()?;
    match suite {
        Suite::Scenarios { names } => scenarios::run(names, report),
        Suite::Matrix { method } => matrix::run(method.as_deref(), report),
        Suite::Hostile => hostile::run(report),
        Suite::Stall { seconds } => {
            stall::run(Duration::from_secs(*seconds), report);
            Ok(())
        }
        Suite::Crash { kills, seed } => {
            crash::run(*kills, seed.unwrap_or_else(rand::random), report);
            Ok(())
        }
        Suite::Disk => {
            disk::run(report);
            Ok(())
        }
        Suite::Damage => {
            damage::run(report);
            Ok(())
        }
        Suite::Browser => {
            browser::run(report);
            Ok(())
        }
        Suite::All { long } => {
            all(*long, report);
            Ok(())
        }
    }
}

fn all(long: bool, report: &mut Report) {
    // One that cannot begin does not keep the others from running.
    for (name, result) in
        [("scenarios", scenarios::run(&[], report)), ("matrix", matrix::run(None, report)), ("hostile", hostile::run(report))]
    {
        if let Err(error) = result {
            report.check(name, || Err(error));
        }
    }
    browser::run(report);
    disk::run(report);
    damage::run(report);
    stall::run(Duration::from_secs(if long { 30 } else { 5 }), report);
    crash::run(if long { 200 } else { 20 }, rand::random(), report);
}
