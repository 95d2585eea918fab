//! The MQTT edge with paho (Python), MQTT.js, mosquitto's programs, rumqttc.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Kit, Program, bounded, follow, no_kill, start};
use crate::server::{Options, Server};
use crate::suite::Report;

const PAHO: Program = Program { name: "paho", parts: &["python"], command: |kit| kit.run_python("paho_mqtt.py") };
const PROGRAMS: [Program; 4] = [
    PAHO,
    Program { name: "mqttjs", parts: &["node"], command: |kit| kit.run_node("mqttjs.mjs") },
    Program { name: "mosquitto", parts: &["mosquitto", "python"], command: mosquitto },
    Program { name: "rumqttc", parts: &["rumqttc"], command: |kit| bounded(kit.libraries.join("rumqttc/debug/hallway-interop-rumqttc")) },
];

/// Every program on a server, then the story of a kill.
pub fn run(report: &mut Report) {
    let kit = Kit::new("mqtt", "");
    for program in &PROGRAMS {
        report.check(&format!("interop: {}", program.name), || one(program, &kit));
    }
    report.check("interop: paho's persistent sessions over SIGKILL", || over_a_kill(&kit));
}

fn mosquitto(kit: &Kit) -> Command {
    let mut command = bounded("bash");
    command.arg(kit.programs.join("mosquitto.sh")).env("PYTHON", kit.python()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A program with the arguments that all of them take.
fn command(program: &Program, kit: &Kit, server: &Server) -> Result<Command> {
    let mut command = (program.command)(kit);
    command
        .args([server.http().to_string(), server.mqtt()?.to_string(), server.mqtts()?.to_string()])
        .arg(server.data().join("tls/cert.pem"))
        .arg(program.name);
    Ok(command)
}

fn one(program: &Program, kit: &Kit) -> Result<String> {
    kit.set_up(program)?;
    let mut server = Server::start(Options::new())?;
    let running = start(command(program, kit, &server)?, &server)?;
    let passed = follow(running, &mut server, no_kill)?;
    server.terminate()?;
    Ok(format!("{passed} checks"))
}

/// Publishes until the server is killed; afterwards everything that was acknowledged must be there.
fn over_a_kill(kit: &Kit) -> Result<String> {
    kit.set_up(&PAHO)?;
    let mut server = Server::start(Options::new())?;
    let state = server.scratch().join("acknowledged.json");
    let state = state.to_str().context("the temporary directory's name is no UTF-8")?.to_owned();
    let step = |server: &Server, step: &str| -> Result<Command> {
        let mut command = command(&PAHO, kit, server)?;
        command.args([step, &state]);
        Ok(command)
    };
    let running = start(step(&server, "before-kill")?, &server)?;
    let before = follow(running, &mut server, Server::kill)?;
    ensure!(!server.is_running()?, "the program ended without asking for a kill");
    server.restart()?;
    let running = start(step(&server, "after-kill")?, &server)?;
    let after = follow(running, &mut server, no_kill)?;
    server.terminate()?;
    Ok(format!("{} checks", before + after))
}
