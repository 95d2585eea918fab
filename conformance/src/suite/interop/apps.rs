//! What app developers point at Hallway: their clients, each in conversation with an MQTT and an XMPP client, and the client SDK's own tests.
//! A program is added here when it is added to `interop/apps`.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{Kit, Program, bounded, follow, no_kill, start};
use crate::server::{Options, Server, binary};
use crate::suite::{Report, browser};

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

/// With a browser beside the others.
const MEET: Program = Program { name: "meet", parts: NODE, command: |kit| kit.run_node("meet.mjs") };
/// Who meets: uid, name, company, job, badge.
const GUESTS: [[&str; 5]; 3] = [
    ["meet-alice", "Alice Adams", "Acorn", "Carpenter", "04A1B2C3D4E501"],
    ["meet-bob", "Bob Brown", "Bolts, Nuts", "Smith", "04A1B2C3D4E502"],
    ["meet-carol", "Carol Cole", "Coal", "Miner", "04A1B2C3D4E503"],
];

/// Every program on a server of its own.
pub fn run(report: &mut Report) {
    let kit = Kit::new("apps", "apps");
    for app in &APPS {
        report.check(&format!("interop: {}", app.program.name), || one(app, &kit));
    }
    report.check("interop: sdk", || by_itself(&SDK, &kit));
    match browser::missing() {
        Some(what) => report.skip("interop: meet", &what),
        None => report.check("interop: meet", || meet(&kit)),
    }
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

/// Attendees of a list, with badges, and a reader that introduces them.
fn meet(kit: &Kit) -> Result<String> {
    kit.set_up(&MEET)?;
    // Bob meets two people within seconds.
    let mut server = Server::start(Options::new().xmpp().set("badges.debounce_ms", 0))?;
    let (mut list, mut people) = (String::from("uid,name,company,job,badge\n"), json!({}));
    let users = GUESTS.iter().map(|guest| (guest[0], guest[1], "attendee")).chain([("meet-gate", "Gate", "device")]);
    for (uid, name, role) in users {
        let secret = format!("{uid}-secret-1");
        server.cli_ok(&["user", "add", &format!("demo/{uid}"), "--role", role, "--name", name, "--password", &secret])?;
    }
    for [uid, name, company, job, badge] in GUESTS {
        list.push_str(&format!("{uid},{name},\"{company}\",{job},{badge}\n"));
        people[uid.trim_start_matches("meet-")] = json!({"name": name, "badge": badge, "card": format!("{name}\n{job}, {company}")});
    }
    let file = server.scratch().join("guests.csv");
    std::fs::write(&file, list)?;
    server.cli_ok(&["attendees", "import", "demo", &file.to_string_lossy()])?;
    server.cli_ok(&["reader", "set", "demo/meet-gate", "--mode", "meet"])?;
    let mut command = (MEET.command)(kit);
    command
        .args([server.http(), server.mqtt()?, server.xmpp_endpoints()?.tcp].map(|address| address.to_string()))
        .arg(MEET.name)
        .env("NODE_EXTRA_CA_CERTS", server.data().join("tls/cert.pem"))
        .env("BADGES", people.to_string())
        .env("CHROMIUM", browser::chromium())
        .env(browser::MODULES, browser::modules().unwrap_or_default());
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
