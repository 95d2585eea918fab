//! What app developers point at Hallway: their clients, each in conversation with an MQTT and an XMPP client, and the client SDK's own tests.
//! A program is added here when it is added to `interop/apps`.

use std::process::Command;

use anyhow::Result;

use super::{Kit, Program, bounded, follow, no_kill, start};
use crate::server::{Options, Server, binary};
use crate::suite::Report;

/// A program and the configuration that it needs beyond the demo's.
struct App {
    program: Program,
    settings: &'static [(&'static str, &'static str)],
}

const NODE: &[&str] = &["node"];
const APPS: [App; 6] = [
    App { program: Program { name: "jsonrpc", parts: NODE, command: |kit| kit.run_node("jsonrpc.mjs") }, settings: &[] },
    App { program: Program { name: "socketio", parts: NODE, command: |kit| kit.run_node("socketio.mjs") }, settings: &[] },
    App { program: Program { name: "socketio2", parts: NODE, command: |kit| kit.run_node("socketio2.mjs") }, settings: &[] },
    App { program: Program { name: "conversation", parts: NODE, command: |kit| kit.run_node("conversation.mjs") }, settings: &[] },
    App { program: Program { name: "topics", parts: NODE, command: |kit| kit.run_node("topics.mjs") }, settings: &[] },
    App { program: Program { name: "events", parts: NODE, command: |kit| kit.run_node("events.mjs") }, settings: &[] },
];
/// Starts its servers itself, since it kills them.
const SDK: Program = Program { name: "sdk", parts: NODE, command: sdk };

/// Every program on a server of its own.
pub fn run(report: &mut Report) {
    let kit = Kit::new("apps", "apps");
    for app in &APPS {
        report.check(&format!("interop: {}", app.program.name), || one(app, &kit));
    }
    report.check("interop: sdk", || by_itself(&SDK, &kit));
}

fn sdk(kit: &Kit) -> Command {
    let mut command = bounded("bash");
    command.arg(kit.programs.join("sdk/run")).arg(&kit.libraries);
    command
}

fn one(app: &App, kit: &Kit) -> Result<String> {
    kit.set_up(&app.program)?;
    let settings = app.settings.iter().fold(Options::new().xmpp(), |options, (key, value)| options.set(key, value));
    let mut server = Server::start(settings)?;
    let mut command = (app.program.command)(kit);
    command
        .args([server.http(), server.mqtt()?, server.xmpp_endpoints()?.tcp].map(|address| address.to_string()))
        .arg(app.program.name)
        .env("NODE_EXTRA_CA_CERTS", server.data().join("tls/cert.pem"));
    let running = start(command, &server)?;
    let passed = follow(running, &mut server, no_kill)?;
    server.terminate()?;
    Ok(format!("{passed} checks"))
}

fn by_itself(program: &Program, kit: &Kit) -> Result<String> {
    kit.set_up(program)?;
    // Only for what goes with a server: where stderr is kept.
    let mut idle = Server::prepare(Options::new())?;
    let mut command = (program.command)(kit);
    command.env("HALLWAY_BIN", binary()?);
    let running = start(command, &idle)?;
    let passed = follow(running, &mut idle, no_kill)?;
    Ok(format!("{passed} checks"))
}
