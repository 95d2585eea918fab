//! `cargo run --release -p conformance -- <suite>`: runs a suite against the release binary, prints a line per check and the
//! sum at the end. The exit status is 0 only when nothing failed.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use conformance::mqtt::Version;
use conformance::server;
use conformance::suite::mqtt::broker::Target;
use conformance::suite::{
    Report, browser, component, crash, damage, disk, edge, everywhere, hostile, interop, matrix, mqtt, push, scenarios, stall, venue, xmpp,
};
use conformance::xmpp::script::prosody;
use conformance::xmpp::script::world::Kind;

#[derive(Debug, Parser)]
#[command(about = "Checks Hallway from outside")]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
    /// Only checks whose names hold this.
    #[arg(long, global = true)]
    only: Option<String>,
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
    Hostile {
        /// Over Socket.IO alone.
        #[arg(long)]
        socketio: bool,
    },
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
    /// What Hallway promises over MQTT: silence, floods, SIGKILL.
    Edge {
        /// How often the server is killed.
        #[arg(long, default_value_t = 10)]
        kills: usize,
        /// Where everything random comes from; a new one when not given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Push to fake gateways that take nothing that is not strictly valid: who is told what, gateways that fail, SIGKILL.
    Push {
        /// How often the server is killed.
        #[arg(long, default_value_t = 20)]
        kills: usize,
        /// Where everything random comes from; a new one when not given.
        #[arg(long)]
        seed: Option<u64>,
        /// An announcement to 10,000 members instead of 2,000, and a queue of 100,000.
        #[arg(long)]
        long: bool,
    },
    /// One message over all protocols: seen by all, in the same order, and in every history.
    Everywhere,
    /// Badge readers of all kinds at a venue's own broker and at Hallway's.
    Venue {
        /// 5,000 attendees and two minutes instead of 1,000 and 20 s.
        #[arg(long)]
        full: bool,
        /// Where everything random comes from; a new one when not given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// The clients that people use: of MQTT paho, MQTT.js, mosquitto's programs, rumqttc, of XMPP six others.
    Interop,
    /// Hallway as a component of Prosody: rooms and chats, restarts, a link that is cut.
    Component,
    /// The scripts of conformance/xmpp, all or those named.
    Xmpp {
        /// File names without `.txt`.
        names: Vec<String>,
        /// Which server: `hallway`, or a `prosody` to compare with.
        #[arg(long, default_value = "hallway", value_parser = kind)]
        target: Kind,
        /// Bad XML and floods instead; Hallway alone.
        #[arg(long, conflicts_with = "names")]
        hostile: bool,
    },
    /// The normative statements of MQTT on any broker; not part of `all`.
    Mqtt(Mqtt),
    /// All of them.
    All {
        /// 200 kills instead of 20, a stall of 30 s instead of 5, pushes to five times as many, and the whole venue.
        #[arg(long)]
        long: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Mqtt {
    /// HOST:PORT of the broker.
    #[arg(long)]
    target: String,
    /// 4 for MQTT 3.1.1, 5 for MQTT 5.0.
    #[arg(long, value_parser = clap::value_parser!(u8).range(4..=5))]
    v: u8,
    /// User name, if the broker wants one.
    #[arg(long)]
    user: Option<String>,
    /// Password.
    #[arg(long, requires = "user")]
    pass: Option<String>,
    /// Writes the results as a page.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Writes the results as JUnit XML.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// What every topic begins with, e.g. `topic/`.
    #[arg(long, default_value = "")]
    prefix: String,
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::of_prefix(&format!("{name}:")).0.ok_or_else(|| "it is hallway or prosody".into())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Suite::Mqtt(options) = &arguments.suite {
        return match mqtt_statements(options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut report = Report::of(arguments.only);
    if let Err(error) = run(&arguments.suite, &mut report) {
        report.check("the suite itself", || Err(error));
    }
    if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// True when nothing failed and something passed.
fn mqtt_statements(options: &Mqtt) -> Result<bool> {
    let target = Target {
        address: options.target.clone(),
        version: if options.v == 5 { Version::V5 } else { Version::V4 },
        user: options.user.clone(),
        password: options.pass.clone(),
        prefix: options.prefix.clone(),
    };
    let lines = mqtt::run(&target);
    print!("{}", mqtt::report::text(&lines));
    for (file, text) in [(&options.html, mqtt::report::html(&target, &lines)), (&options.junit, mqtt::report::junit(&target, &lines))] {
        if let Some(file) = file {
            fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
    }
    let [passed, failed, _] = mqtt::report::counts(&lines);
    Ok(failed == 0 && passed > 0)
}

fn run(suite: &Suite, report: &mut Report) -> Result<()> {
    if !matches!(suite, Suite::Xmpp { target: Kind::Prosody, .. }) {
        server::binary()?;
    }
    match suite {
        Suite::Scenarios { names } => scenarios::run(names, report),
        Suite::Matrix { method } => matrix::run(method.as_deref(), report),
        Suite::Hostile { socketio: true } => hostile::socketio::run(report),
        Suite::Hostile { socketio: false } => hostile::run(report),
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
        Suite::Edge { kills, seed } => {
            edge::run(*kills, seed.unwrap_or_else(rand::random), report);
            Ok(())
        }
        Suite::Push { kills, seed, long } => {
            push::run(*kills, seed.unwrap_or_else(rand::random), *long, report);
            Ok(())
        }
        Suite::Everywhere => everywhere::run(report),
        Suite::Venue { full, seed } => {
            venue::run(*full, seed.unwrap_or_else(rand::random), report);
            Ok(())
        }
        Suite::Interop => {
            interop::run(report);
            Ok(())
        }
        Suite::Component => {
            component::run(report);
            Ok(())
        }
        Suite::Xmpp { hostile: true, .. } => hostile::xmpp::run(report),
        Suite::Xmpp { names, target, .. } => xmpp::run(names, *target, report),
        Suite::Mqtt(_) => Ok(()),
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
    if let Err(error) = hostile::xmpp::run(report) {
        report.check("hostile XMPP", || Err(error));
    }
    let mut scripts = vec![Kind::Hallway];
    if prosody::is_installed() {
        scripts.push(Kind::Prosody);
    } else {
        report.skip("xmpp on Prosody", "Prosody is not installed");
    }
    for kind in scripts {
        if let Err(error) = xmpp::run(&[], kind, report) {
            report.check(&format!("xmpp on {}", kind.name()), || Err(error));
        }
    }
    if let Err(error) = everywhere::run(report) {
        report.check("everywhere", || Err(error));
    }
    component::run(report);
    browser::run(report);
    disk::run(report);
    damage::run(report);
    stall::run(Duration::from_secs(if long { 30 } else { 5 }), report);
    venue::run(long, rand::random(), report);
    interop::run(report);
    edge::run(if long { 100 } else { 10 }, rand::random(), report);
    push::run(if long { 200 } else { 20 }, rand::random(), long, report);
    crash::run(if long { 200 } else { 20 }, rand::random(), report);
}
