//! The XMPP edge with slixmpp (Python), @xmpp/client and stanza (JavaScript), Converse.js (in a browser), profanity and mcabber (in terminals).

use std::process::Command;

use anyhow::{Result, anyhow};

use super::{Kit, Program, follow, no_kill, start};
use crate::server::{Options, Server};
use crate::suite::Report;

/// The password of all accounts; the programs know it.
const PASSWORD: &str = "correct horse battery";
/// The demo conference's domain.
const DOMAIN: &str = "localhost";

const PROGRAMS: [Program; 6] = [
    Program { name: "slixmpp", parts: &["python"], command: |kit| kit.run_python("with_slixmpp.py") },
    Program { name: "xmppjs", parts: &["node", "python"], command: |kit| kit.run_node("xmppjs.mjs") },
    Program { name: "stanza", parts: &["node", "python"], command: |kit| kit.run_node("stanzajs.mjs") },
    Program { name: "converse", parts: &["node", "python", "browser"], command: |kit| kit.run_node("conversejs.mjs") },
    Program { name: "profanity", parts: &["python", "profanity"], command: |kit| terminal(kit, "profanity") },
    Program { name: "mcabber", parts: &["python", "mcabber"], command: |kit| terminal(kit, "mcabber") },
];

/// Every program on a server of its own.
pub fn run(report: &mut Report) {
    let kit = Kit::new("xmpp", "xmpp");
    for program in &PROGRAMS {
        report.check(&format!("interop: {}", program.name), || one(program, &kit));
    }
}

fn terminal(kit: &Kit, client: &str) -> Command {
    let mut command = kit.run_python("with_terminals.py");
    command.args(["--client", client]);
    command
}

/// Where XMPP or XMPP over TLS listens, as the `ready` line says.
fn address<'a>(server: &'a Server, protocol: &str) -> Result<&'a str> {
    let mut words = server.ready_line().split_whitespace();
    words.find_map(|word| word.strip_prefix(protocol)?.strip_prefix('=')).ok_or_else(|| anyhow!("it does not serve {protocol}"))
}

fn one(program: &Program, kit: &Kit) -> Result<String> {
    kit.set_up(program)?;
    let mut server = Server::start(Options::new().xmpp())?;
    let staff = format!("demo/{}-staff", program.name);
    let name = format!("Staff {}", program.name);
    server.cli_ok(&["user", "add", &staff, "--password", PASSWORD, "--name", &name, "--role", "staff"])?;
    let mut command = (program.command)(kit);
    command
        .args([&server.http().to_string(), address(&server, "xmpp")?, address(&server, "xmpps")?])
        .arg(server.data().join("tls/cert.pem"))
        .args([DOMAIN, program.name])
        // What Converse.js looked like; the others do not look at what comes behind the prefix.
        .args((program.name == "converse").then(|| kit.libraries.join("screenshots")));
    let running = start(command, &server)?;
    let passed = follow(running, &mut server, no_kill)?;
    server.terminate()?;
    Ok(format!("{passed} checks"))
}
