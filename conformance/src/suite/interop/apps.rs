//! What app developers point at Hallway: their clients, each in conversation with an MQTT and an XMPP client. A program is added here when
//! it is added to `interop/apps`.

use anyhow::Result;

use super::{Kit, Program, follow, no_kill, start};
use crate::server::{Options, Server};
use crate::suite::Report;

/// A program and the configuration that it needs beyond the demo's.
struct App {
    program: Program,
    settings: &'static [(&'static str, &'static str)],
}

const APPS: [App; 2] = [
    App { program: Program { name: "jsonrpc", parts: &["node"], command: |kit| kit.run_node("jsonrpc.mjs") }, settings: &[] },
    App { program: Program { name: "events", parts: &["node"], command: |kit| kit.run_node("events.mjs") }, settings: &[] },
];

/// Every program on a server of its own.
pub fn run(report: &mut Report) {
    let kit = Kit::new("apps", "apps");
    for app in &APPS {
        report.check(&format!("interop: {}", app.program.name), || one(app, &kit));
    }
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
