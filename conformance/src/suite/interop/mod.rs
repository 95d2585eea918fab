//! The edges with the clients that people use. The programs are in `interop/<protocol>/`; each prints a line per check. This is how they
//! are run; [`mqtt`], [`xmpp`] and [`apps`] say which.
//!
//! `interop/<protocol>/setup` fetches their libraries into `target/interop` (or the directory that `CONFORMANCE_INTEROP` names). What cannot
//! be had is a failure that says what to install: a client that was not tried does not pass.

pub mod apps;
pub mod mqtt;
pub mod xmpp;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};

use super::Report;
use crate::server::{Server, target_dir};

/// Names the directory for the programs' libraries.
const DIRECTORY: &str = "CONFORMANCE_INTEROP";
/// Seconds that a program may take; each waits for nothing longer than some seconds.
const PROGRAM_WITHIN_S: &str = "300";
/// What a program prints when the server is to be killed.
const KILL: &str = "kill";

/// Every program of every protocol.
pub fn run(report: &mut Report) {
    mqtt::run(report);
    xmpp::run(report);
    apps::run(report);
}

/// The venue's own broker, for who runs it.
///
/// # Errors
/// It is not there and cannot be installed.
pub(crate) fn set_up_broker() -> Result<()> {
    Kit::new("mqtt", "").set_up_parts(&["broker"])
}

/// A program and what `setup` must have made for it.
struct Program {
    name: &'static str,
    parts: &'static [&'static str],
    command: fn(&Kit) -> Command,
}

/// A protocol's programs and their libraries.
struct Kit {
    programs: PathBuf,
    libraries: PathBuf,
}

impl Kit {
    /// The programs are in `interop/<protocol>`, their libraries under `below` the directory for all of them.
    fn new(protocol: &str, below: &str) -> Kit {
        let libraries = std::env::var_os(DIRECTORY).map_or_else(|| target_dir().join("interop"), PathBuf::from);
        Kit { programs: Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(protocol), libraries: libraries.join(below) }
    }

    fn set_up(&self, program: &Program) -> Result<()> {
        self.set_up_parts(program.parts)
    }

    fn set_up_parts(&self, parts: &[&str]) -> Result<()> {
        let setup = self.programs.join("setup");
        let output = Command::new("bash").arg(setup).arg(&self.libraries).args(parts).output().context("cannot run bash")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
        Ok(())
    }

    fn python(&self) -> PathBuf {
        self.libraries.join("venv/bin/python")
    }

    /// A program in Python.
    fn run_python(&self, name: &str) -> Command {
        let mut command = bounded(self.python());
        command.arg(self.programs.join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A program in JavaScript.
    fn run_node(&self, name: &str) -> Command {
        let mut command = bounded("node");
        command.arg(self.programs.join(name)).env("INTEROP_NODE_MODULES", self.libraries.join("node/node_modules"));
        command
    }
}

/// A command that is ended when it hangs.
fn bounded(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PROGRAM_WITHIN_S]).arg(program.as_ref());
    command
}

/// Starts a program whose arguments are complete.
fn start(mut command: Command, server: &Server) -> Result<(Child, BufReader<ChildStdout>)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Beside the server's, and as easily read to the end: a pipe that nobody reads would stop the program.
        .stderr(std::fs::File::create(server.scratch().join("interop-stderr"))?)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
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
            // A remark, such as the seed of what was drawn.
            Some(("#", _)) => {}
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

/// For programs that never ask for a kill.
fn no_kill(_: &mut Server) -> Result<()> {
    Err(anyhow!("it asked for a kill"))
}
