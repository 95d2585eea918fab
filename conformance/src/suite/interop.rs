//! The MQTT edge with the clients that people use: paho (Python), MQTT.js, mosquitto's programs, rumqttc. The programs are in
//! `interop/mqtt/`; each prints a line per check.
//!
//! `interop/mqtt/setup` fetches their libraries into `target/interop` (or the directory that `CONFORMANCE_INTEROP` names). What cannot be
//! had is a failure that says what to install: a client that was not tried does not pass.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};

use super::Report;
use crate::server::{Options, Server};

/// Names the directory for the programs' libraries.
const DIRECTORY: &str = "CONFORMANCE_INTEROP";
/// Seconds that a program may take; each waits for nothing longer than some seconds.
const PROGRAM_WITHIN_S: &str = "300";
/// What `paho_mqtt.py` prints when the server is to be killed.
const KILL: &str = "kill";

/// A program and what `setup` must have made for it.
struct Program {
    name: &'static str,
    parts: &'static [&'static str],
    command: fn(&Path) -> Command,
}

const PAHO: Program = Program { name: "paho", parts: &["python"], command: paho };
const PROGRAMS: [Program; 4] = [
    PAHO,
    Program { name: "mqttjs", parts: &["node"], command: mqttjs },
    Program { name: "mosquitto", parts: &["mosquitto", "python"], command: mosquitto },
    Program { name: "rumqttc", parts: &["rumqttc"], command: rumqttc },
];

/// Every program on one server, then the story of a kill.
pub fn run(report: &mut Report) {
    let libraries = libraries();
    for program in &PROGRAMS {
        report.check(&format!("interop: {}", program.name), || one(program, &libraries));
    }
    report.check("interop: paho's persistent sessions over SIGKILL", || over_a_kill(&libraries));
}

fn libraries() -> PathBuf {
    let target = || {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
        workspace.join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)).join("interop")
    };
    std::env::var_os(DIRECTORY).map_or_else(target, PathBuf::from)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/mqtt").join(name)
}

/// A command that is ended when it hangs.
fn bounded(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PROGRAM_WITHIN_S]).arg(program.as_ref());
    command
}

fn python(libraries: &Path) -> PathBuf {
    libraries.join("venv/bin/python")
}

fn paho(libraries: &Path) -> Command {
    let mut command = bounded(python(libraries));
    command.arg(file("paho_mqtt.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn mqttjs(libraries: &Path) -> Command {
    let mut command = bounded("node");
    command.arg(file("mqttjs.mjs")).env("INTEROP_NODE_MODULES", libraries.join("node/node_modules"));
    command
}

fn mosquitto(libraries: &Path) -> Command {
    let mut command = bounded("bash");
    command.arg(file("mosquitto.sh")).env("PYTHON", python(libraries)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn rumqttc(libraries: &Path) -> Command {
    bounded(libraries.join("rumqttc/debug/hallway-interop-rumqttc"))
}

fn set_up(program: &Program, libraries: &Path) -> Result<()> {
    let output = Command::new("bash").arg(file("setup")).arg(libraries).args(program.parts).output().context("cannot run bash")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(())
}

/// Starts a program on the server with the arguments that all of them take.
fn start(program: &Program, libraries: &Path, server: &Server, more: &[&str]) -> Result<(Child, BufReader<ChildStdout>)> {
    let mut child = (program.command)(libraries)
        .args([server.http().to_string(), server.mqtt()?.to_string(), server.mqtts()?.to_string()])
        .arg(server.data().join("tls/cert.pem"))
        .arg(program.name)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Beside the server's, and as easily read to the end: a pipe that nobody reads would stop the program.
        .stderr(std::fs::File::create(server.scratch().join("interop-stderr"))?)
        .spawn()
        .with_context(|| format!("cannot start {}", program.name))?;
    let out = child.stdout.take().ok_or_else(|| anyhow!("no stdout"))?;
    Ok((child, BufReader::new(out)))
}

/// Shows what a program prints, a line per check, until it ends; how many checks passed. `kill` is called when the program asks for it.
fn follow(program: (Child, BufReader<ChildStdout>), server: &mut Server, kill: fn(&mut Server) -> Result<()>) -> Result<usize> {
    let (mut child, out) = program;
    let (mut passed, mut failed) = (0, Vec::new());
    for line in out.lines() {
        let line = line?;
        println!("      {line}");
        match line.split_once(' ') {
            Some(("ok", _)) => passed += 1,
            None if line == KILL => kill(server)?,
            _ => failed.push(line),
        }
    }
    let status = child.wait()?;
    let mut said = String::new();
    std::fs::File::open(server.scratch().join("interop-stderr"))?.read_to_string(&mut said)?;
    ensure!(status.success() && failed.is_empty(), "it ended with {status}\n{}\n{said}", failed.join("\n"));
    ensure!(passed > 0, "it checked nothing");
    Ok(passed)
}

fn one(program: &Program, libraries: &Path) -> Result<String> {
    set_up(program, libraries)?;
    let mut server = Server::start(Options::new())?;
    let running = start(program, libraries, &server, &[])?;
    let passed = follow(running, &mut server, |_| Err(anyhow!("it asked for a kill")))?;
    server.terminate()?;
    Ok(format!("{passed} checks"))
}

/// Publishes until the server is killed; afterwards everything that was acknowledged must be there.
fn over_a_kill(libraries: &Path) -> Result<String> {
    set_up(&PAHO, libraries)?;
    let mut server = Server::start(Options::new())?;
    let state = server.scratch().join("acknowledged.json");
    let state = state.to_str().context("the temporary directory's name is no UTF-8")?.to_owned();
    let running = start(&PAHO, libraries, &server, &["before-kill", &state])?;
    let before = follow(running, &mut server, Server::kill)?;
    ensure!(!server.is_running()?, "the program ended without asking for a kill");
    server.restart()?;
    let running = start(&PAHO, libraries, &server, &["after-kill", &state])?;
    let after = follow(running, &mut server, |_| Err(anyhow!("it asked for another kill")))?;
    server.terminate()?;
    Ok(format!("{} checks", before + after))
}
